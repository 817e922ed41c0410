"""Chunks done by Dask distributed, on this machine or on many.

A lost worker's chunk is done again by another: work must bear being done twice, and
`Done.again` tells of it. A slice is done once or not at all. Nothing secret may be in
either, for they show up in Dask's graph and dashboard. Scheduler and workers need this
package, in the same version.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from convergegate_async.errors import ConfigurationError

from ._bounded import bounded_map
from ._dask_beginnings import begin_and_do, close_chunk, open_chunk
from ._dask_connection import connect, is_address, require_package, require_tls
from ._dask_spread import DaskSpread, places_for
from ._protocol import MOST_LOSSES, Done, WorkersLostError
from ._spread import Part, Spread, too_few

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

C = TypeVar("C")
R = TypeVar("R")

_NOT_ENTERED = "use the runner inside `async with`"
_GRACE = 0.2  # seconds, for a worker that is not wanted any more


class DaskRunner:
    """Runs chunks on a Dask cluster.

    Send the rows of a job from two workers of this machine::

        runner = DaskRunner("local:2")
        async for outcome in job.run_on(runner, rows):
            ...

    Args:
        address: ``tcp://scheduler:8786`` or ``tls://…``, or ``local:4`` for four
            processes of this machine, on loopback and without a dashboard. They start
            with the environment as it is when the runner is entered.
        patience: Seconds for the scheduler to answer, and for its workers to come.

    Raises:
        ConfigurationError: *address* is neither, or Dask is not installed; on
            entering: it is entered already, Dask's settings of TLS are missing or
            wrong, no scheduler answers, it has no workers, or one that has not this
            package in this version.
    """

    def __init__(self, address: str, *, patience: float = 30) -> None:
        scheme, _, rest = address.partition(":")
        self._local = int(rest) if scheme == "local" and rest.isdecimal() else 0
        if not self._local and not is_address(address):
            message = (
                "the Dask address must be tcp://host:port, tls://host:port "
                "or local:WORKERS"
            )
            raise ConfigurationError(message)
        if find_spec("distributed") is None:
            message = "Dask is not installed: pip install 'convergegate-async[dask]'"
            raise ConfigurationError(message)
        self._address = address
        self._patience = patience
        self._stack = AsyncExitStack()
        self._client: Client | None = None
        self._is_entered = False

    async def __aenter__(self) -> Self:
        if self._is_entered:
            message = "this DaskRunner is entered already: make another one"
            raise ConfigurationError(message)
        require_tls(self._address)
        async with AsyncExitStack() as stack:
            self._is_entered = True
            stack.callback(self._note_left)
            where: LocalCluster | str = self._address
            if self._local:
                folder = stack.enter_context(TemporaryDirectory())
                cluster = _local_cluster(self._local, folder)
                where = await stack.enter_async_context(cluster)
                stack.push_async_exit(partial(_kill_on_error, cluster))
            client = await connect(
                where, self._address, self._local or 1, self._patience, stack
            )
            if not self._local:
                await require_package(client)
            self._client = client
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client = None
        await self._stack.__aexit__(kind, error, traceback)

    def _note_left(self) -> None:
        self._is_entered = False

    @property
    def slots(self) -> int:
        """How many chunks are worked on at once: the threads of all Dask workers."""
        if self._client is None:
            return max(1, self._local)
        # Refreshed by the client every few seconds; it knows totals only.
        return max(1, int(self._client.scheduler_info()["total_threads"]))

    async def everywhere(self, work: Callable[[C], R], item: C) -> list[R]:
        """Return what *work* makes of *item* on each worker there is now."""
        if self._client is None:
            raise ConfigurationError(_NOT_ENTERED)
        results: dict[str, R] = await self._client.run(work, item)
        return list(results.values())

    def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield what *work* makes of each chunk; see `Runner.map`.

        A chunk that a worker began when the caller left is cut there, if its work can
        be (`run_until_cut`), and else worked on to its end.
        """
        client = self._client
        if client is None:
            raise ConfigurationError(_NOT_ENTERED)

        async def do(chunk: C) -> Done[R]:
            return await _done_by(client, work, chunk)

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
        """Do each slice on a worker of its own; see `Runner.spread`.

        Workers that are too few are waited for as on entering. A worker cannot be
        killed: leaving early has it told to end, and waits for that a few seconds.
        """
        client = self._client
        if client is None:
            raise ConfigurationError(_NOT_ENTERED)
        number = len(slices)
        if self._local and number > self._local:
            raise ConfigurationError(too_few(number, self._local))
        places = await places_for(
            client, number, self._patience, is_local=self._local > 0
        )
        spread = DaskSpread(client, time.time() + lead, stop, on_news)
        return await spread.over(places, work, slices)


async def _done_by(client: "Client", work: Callable[[C], R], chunk: C) -> Done[R]:
    from distributed import KilledWorker  # noqa: PLC0415 -- an extra
    from distributed.client import FutureCancelledError  # noqa: PLC0415 -- an extra

    name = await open_chunk(client)
    # Dask's *retries* are for work that raised, which is not to be done again. Lost
    # workers it bears by itself, as often as `distributed.scheduler.allowed-failures`.
    future = client.submit(begin_and_do, work, chunk, name, pure=False)
    is_done = False
    try:
        result: R = await future
        is_done = True
    except KilledWorker as error:
        message = "a chunk was lost with its worker once too often"
        raise WorkersLostError(message) from error
    except FutureCancelledError as error:
        message = "the Dask scheduler was lost, or was restarted"
        raise WorkersLostError(message) from error
    finally:
        future.release()
        is_alone = await close_chunk(client, name, is_done=is_done)
    return Done(result, again=not is_alone)


def _local_cluster(workers: int, folder: str) -> "LocalCluster":
    from distributed import LocalCluster  # noqa: PLC0415 -- an extra

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=folder,  # what does not fit into memory is nobody else's
        silence_logs=logging.CRITICAL,  # what goes wrong is raised here
        scheduler_kwargs={
            # Else it would ask for port 8787, which another job may have.
            "dashboard_address": "127.0.0.1:0",
            "allowed_failures": MOST_LOSSES,
        },
        preload=[__name__],
        asynchronous=True,
    )


async def _kill_on_error(
    cluster: "LocalCluster",
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _traceback: TracebackType | None,
) -> None:
    # Closing alone gives each worker seconds to end its chunk.
    if error is not None:
        nannies = cluster.workers.values()
        await asyncio.gather(*[nanny.close(timeout=_GRACE) for nanny in nannies])


def dask_setup(_worker: object) -> None:
    """Leave Ctrl-C to the program that runs the job; Dask calls this in each worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
