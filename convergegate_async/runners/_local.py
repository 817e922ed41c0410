"""Chunks done by processes of this machine."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self, TypeVar

from convergegate_async.errors import ConfigurationError

from ._bounded import bounded_map
from ._local_spread import spread_locally
from ._processes import SPAWNED, live_with_parent
from ._protocol import MOST_LOSSES, Done, WorkersLostError
from ._spread import Part, Spread, too_few

C = TypeVar("C")
R = TypeVar("R")


class LocalRunner:
    """Runs chunks in spawned processes, which live no longer than this one.

    Leaving on an exception kills them; else they finish what they began.

    Send the rows of a job from two of them::

        runner = LocalRunner(2)
        async for outcome in job.run_on(runner, rows):
            ...

    Args:
        workers: How many processes.

    Raises:
        ConfigurationError: *workers* is not a whole number above 0; on entering, it was
            entered before.
    """

    def __init__(self, workers: int) -> None:
        if type(workers) is not int or workers < 1:
            message = "workers must be a whole number above 0"
            raise ConfigurationError(message)
        self.slots = workers
        self._pool = _new_pool(workers)
        self._is_used = False

    async def __aenter__(self) -> Self:
        if self._is_used:
            message = "a LocalRunner is used once: make another for the next run"
            raise ConfigurationError(message)
        self._is_used = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            _kill(self._pool)
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def everywhere(self, work: Callable[[C], R], item: C) -> list[R]:
        """Return what *work* makes of *item* on one worker: they are all alike."""
        loop = asyncio.get_running_loop()
        try:
            return [await loop.run_in_executor(self._pool, work, item)]
        except BrokenProcessPool:
            message = "a process was lost before the work began"
            raise WorkersLostError(message) from None

    def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield what *work* makes of each chunk; see `Runner.map`."""

        async def do(chunk: C) -> Done[R]:
            loop = asyncio.get_running_loop()
            for losses in range(1 + MOST_LOSSES):
                pool = self._pool
                try:
                    result = await loop.run_in_executor(pool, work, chunk)
                except BrokenProcessPool:  # it does not say which chunks were begun
                    self._replace(pool)
                else:
                    return Done(result, again=losses > 0)
            message = "a chunk was lost with its process once too often"
            raise WorkersLostError(message)

        return bounded_map(do, chunks, lambda: 2 * self.slots)

    async def spread(
        self,
        work: Callable[[C, Part], R],
        slices: Sequence[C],
        *,
        lead: float,
        stop: asyncio.Event,
        on_news: Callable[[int, object], None],
    ) -> list[Spread[R]]:
        """Do each slice in a process of its own; see `Runner.spread`.

        Leaving early, by an error or because it was cancelled, kills the processes.
        """
        if len(slices) > self.slots:
            raise ConfigurationError(too_few(len(slices), self.slots))
        return await spread_locally(work, slices, lead=lead, stop=stop, on_news=on_news)

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        # One lost process breaks the whole pool: the first chunk to hear of it comes
        # here with the broken pool, and the others find a new one.
        if self._pool is broken:
            broken.shutdown(wait=False)
            self._pool = _new_pool(self.slots)


def _new_pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        workers, mp_context=SPAWNED, initializer=live_with_parent
    )


def _kill(pool: ProcessPoolExecutor) -> None:
    # `kill_workers` came with Python 3.14 only.
    for process in list((pool._processes or {}).values()):  # noqa: SLF001 -- see above
        process.kill()
