"""Slices spread over the workers of Dask, each pinned to its own.

Dask would do a lost worker's slice again where one comes back under the same address:
whoever finds that another has begun a slice (`_dask_beginnings`) leaves it alone.

Each worker is visited twice a second. A visit fetches what the worker tells, brings it
the wish to end, and shows it that somebody still waits for its result.
"""

import asyncio
import pickle
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import attrs

from convergegate_async.errors import ConfigurationError

from ._dask_beginnings import close_chunk, has_begun, note_beginning, open_chunk
from ._protocol import WorkersLostError
from ._spread import (
    MOST_NEWS,
    SAME_CLOCK,
    Clock,
    Part,
    RoundTrip,
    Spread,
    clock_from,
    do_in_time,
    lost,
    too_few,
)

if TYPE_CHECKING:
    from distributed import Client, Future

C = TypeVar("C")
R = TypeVar("R")

_End: TypeAlias = tuple[Spread[R], list[bytes]]
"""What came of a slice, and the news that were not fetched before."""

_SECOND = "another worker had begun the slice, or it was given up"
_NOT_NOTED = "its worker could not tell the Dask scheduler which slice it begins"
_KILLED = "workers were lost with the slice once too often"
_ABANDONED = "its worker ended early, as the submitting side was not heard of for long"
_LOST = "its worker was lost before the slice was done"
_NOT_BEGUN = "its worker had not begun the slice by the start"

_TRIPS = 5  # to a worker, to learn its time
_BEAT = 0.5  # seconds between two visits
_PATIENCE = 5.0  # seconds, for a worker or scheduler that was there a moment ago
_LONELY = 30.0  # seconds without a visit: the submitting side is gone


@attrs.frozen
class _Terms:
    """What a worker has to know to begin.

    Attributes:
        start: In seconds of the worker's clock.
        clock: The worker's.
        lonely: Seconds without a visit after which to end early.
    """

    start: float
    clock: Clock
    lonely: float = _LONELY


# -- on the worker -------------------------------------------------------------------


class _DaskPart:
    def __init__(self, terms: _Terms) -> None:
        self.start = terms.start
        self.offset = terms.clock.offset
        self.margin = terms.clock.margin
        self._news: deque[bytes] = deque(maxlen=MOST_NEWS)
        self._is_stopped = False
        self._visited = time.monotonic()
        self._lonely = terms.lonely
        self.is_abandoned = False

    def is_stopped(self) -> bool:
        if time.monotonic() - self._visited > self._lonely:
            self.is_abandoned = True
        return self._is_stopped or self.is_abandoned

    def tell(self, news: object) -> None:
        self._news.append(pickle.dumps(news))

    def visit(self, *, is_stopped: bool) -> list[bytes]:
        self._visited = time.monotonic()
        self._is_stopped = self._is_stopped or is_stopped
        news = []
        with suppress(IndexError):  # the last visit may come while there is another
            while True:
                news.append(self._news.popleft())
        return news


_under_way: dict[str, _DaskPart] = {}
"""What this process works on, by the slice's name."""


def _do(work: Callable[[C, Part], R], item: C, name: str, terms: _Terms) -> _End[R]:
    clock = terms.clock
    part = _DaskPart(terms)
    if _under_way.setdefault(name, part) is not part:
        return lost(_SECOND, clock), []
    try:
        if not note_beginning(name, alone=True):
            return lost(_SECOND, clock), []
    except Exception:  # noqa: BLE001 -- of the wire, or of a client that was closed
        return lost(_NOT_NOTED, clock), []
    else:
        spread = do_in_time(work, item, part)
        if part.is_abandoned:
            spread = lost(_ABANDONED, clock)
        return spread, part.visit(is_stopped=True)
    finally:
        del _under_way[name]


def _visit(name: str, *, is_stopped: bool) -> list[bytes] | None:
    """Return the news of a slice, or None where it is not under way."""
    part = _under_way.get(name)
    return None if part is None else part.visit(is_stopped=is_stopped)


def _tell_time() -> float:
    return time.time()


# -- on the submitting side ----------------------------------------------------------


@attrs.frozen
class Place:
    """A worker that is to have a slice."""

    address: str
    clock: Clock


async def places_for(
    client: "Client", number: int, patience: float, *, is_local: bool
) -> list[Place]:
    """Return so many workers, with their clocks.

    Args:
        client: Knows the workers.
        number: How many.
        patience: Seconds for so many to come.
        is_local: They have the clock of this process.

    Raises:
        ConfigurationError: There are too few.
        WorkersLostError: The scheduler was lost, or a worker while it was asked.
    """
    try:
        ready = await _ready(client, number, patience)
        if is_local:
            return [Place(address, SAME_CLOCK) for address in ready]
        return await asyncio.gather(*[_place(client, address) for address in ready])
    except ConfigurationError:
        raise
    except Exception as error:  # of the wire, or of a client that was closed
        message = "the Dask scheduler or a worker was lost before anything began"
        raise WorkersLostError(message) from error


async def _ready(client: "Client", number: int, patience: float) -> list[str]:
    deadline = time.monotonic() + patience
    while True:
        workers = await _workers(client)
        ready = [address for address in workers if workers[address] == "running"]
        if len(ready) >= number:
            busy = await client.processing()
            ready.sort(key=lambda address: len(busy.get(address, ())))
            return ready[:number]
        if time.monotonic() > deadline:
            raise ConfigurationError(too_few(number, len(ready)))
        await asyncio.sleep(_BEAT)


async def _place(client: "Client", address: str) -> Place:
    trips = []
    for _ in range(_TRIPS):
        asked, began = time.time(), time.perf_counter()
        answer = (await client.run(_tell_time, workers=[address]))[address]
        trips.append(RoundTrip(asked, answer, took=time.perf_counter() - began))
    return Place(address, clock_from(trips))


async def _workers(client: "Client") -> dict[str, str]:
    """Return the status of each worker that the scheduler knows, by address."""
    scheduler = client.scheduler
    if scheduler is None:
        message = "the client was closed"
        raise ConnectionError(message)
    known = await scheduler.identity(n_workers=-1)
    return {address: one["status"] for address, one in known["workers"].items()}


@attrs.frozen
class DaskSpread:
    """Slices that begin together.

    Attributes:
        client: Submits them.
        start: When they begin, by the clock of this process.
        stop: Has all workers end early.
        on_news: Called with the slice's index and what its worker told.
    """

    client: "Client"
    start: float
    stop: asyncio.Event
    on_news: Callable[[int, object], None]

    async def over(
        self, places: Sequence[Place], work: Callable[[C, Part], R], slices: Sequence[C]
    ) -> list[Spread[R]]:
        """Do a slice at each place; see `Runner.spread`."""
        following = []
        for index, (place, item) in enumerate(zip(places, slices, strict=True)):
            follower = _Follower(self, place, partial(self.on_news, index))
            following.append(asyncio.create_task(follower.follow(work, item)))
        try:
            return await asyncio.gather(*following)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)


@attrs.frozen
class _Follower:
    """Follows one slice, from the note that it may be begun to the end."""

    spread: DaskSpread
    place: Place
    on_news: Callable[[object], None]

    async def follow(self, work: Callable[[C, Part], R], item: C) -> Spread[R]:
        client, clock = self.spread.client, self.place.clock
        name = await open_chunk(client)
        terms = _Terms(self.spread.start + clock.offset, clock)
        future = client.submit(
            *(_do, work, item, name, terms),
            pure=False,
            retries=0,
            workers=[self.place.address],
            allow_other_workers=False,
        )
        end: asyncio.Task[_End[R]] = asyncio.create_task(_end_of(future, clock))
        try:
            return await self._watch(name, end)
        except (Exception, asyncio.CancelledError):
            await close_chunk(client, name)  # from here on, nobody begins it
            await self._see_it_end(name)
            raise
        finally:
            end.cancel()
            await asyncio.gather(end, return_exceptions=True)
            future.release()
            await close_chunk(client, name)

    async def _watch(self, name: str, end: "asyncio.Task[_End[R]]") -> Spread[R]:
        while not end.done():
            await asyncio.wait([end], timeout=_BEAT)
            problem = None if end.done() else await self._look(name)
            if problem is not None and not end.done():
                return lost(problem, self.place.clock)
        spread, news = end.result()
        self._hand_out(news)
        return spread

    async def _look(self, name: str) -> str | None:
        """Hand out what a visit brings; return why the slice is to be given up."""
        news = None
        try:
            async with asyncio.timeout(_PATIENCE):
                news = await self._visit(name, is_stopped=self.spread.stop.is_set())
        except Exception:  # noqa: BLE001 -- of the wire, or of Dask
            return _LOST if await self._is_lost() else None
        if news is not None:
            self._hand_out(news)
        elif time.time() > self.spread.start + _PATIENCE and await self._is_late(name):
            return _NOT_BEGUN
        return None

    async def _visit(self, name: str, *, is_stopped: bool) -> list[bytes] | None:
        answers: dict[str, list[bytes] | None] = await self.spread.client.run(
            _visit, name, is_stopped=is_stopped, workers=[self.place.address]
        )
        return answers[self.place.address]

    # Where the scheduler cannot tell, it was lost, and the future says so.

    async def _is_lost(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                return self.place.address not in await _workers(self.spread.client)
        except Exception:  # noqa: BLE001 -- see above
            return False

    async def _is_late(self, name: str) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                return not await has_begun(self.spread.client, name)
        except Exception:  # noqa: BLE001 -- see above
            return False

    async def _see_it_end(self, name: str) -> None:
        # A thread of a worker cannot be killed.
        with suppress(Exception):
            async with asyncio.timeout(_PATIENCE):
                while True:
                    if await self._visit(name, is_stopped=True) is None:
                        return
                    await asyncio.sleep(_BEAT)

    def _hand_out(self, news: list[bytes]) -> None:
        for packed in news:
            self.on_news(pickle.loads(packed))  # noqa: S301 -- of our own worker


async def _end_of(future: "Future[_End[R]]", clock: Clock) -> "_End[R]":
    from distributed import KilledWorker  # noqa: PLC0415 -- an extra
    from distributed.client import FutureCancelledError  # noqa: PLC0415 -- an extra

    try:
        end: _End[R] = await future
    except KilledWorker:
        return lost(_KILLED, clock), []
    except FutureCancelledError as error:
        message = "the Dask scheduler was lost, or was restarted"
        raise WorkersLostError(message) from error
    return end
