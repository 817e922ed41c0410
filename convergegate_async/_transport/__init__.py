"""One attempt on the wire: bytes out, bytes in, or what broke.

The only room that knows aiohttp's client. It decides nothing: it names what happened,
and whether the request's head had been about to be written when it did.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from ssl import SSLContext
from time import perf_counter
from typing import Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler

from convergegate_async._core.messages import (
    COMMON_HEADERS,
    Connection,
    HttpRequest,
    HttpResponse,
)
from convergegate_async._core.secret import Secret
from convergegate_async._core.verdicts import Failure
from convergegate_async._waiting import Deadlines, Slots
from convergegate_async.errors import ConfigurationError, FailureKind
from convergegate_async.policy import PoolLimits, Timeouts

from ._answers import close
from ._guard import find_objection
from ._kinds import StrayDataError, kind_of
from ._lane import Lane
from ._marks import Marks
from ._session import exchange, open_session

__all__ = ["AiohttpTransport", "Marks", "Transport", "places_of"]

_logger = logging.getLogger("convergegate_async")


class Transport(Protocol):
    """How the factory reaches the gateway."""

    async def open(self) -> None:
        """Get ready, on the running event loop."""
        ...

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Make one attempt that ends within *patience* seconds, and fill in *marks*."""
        ...

    def distrust(self, response: HttpResponse, *, everything: bool) -> None:
        """Close what brought an answer that was not ours, or *everything*."""
        ...

    def load(self) -> tuple[int, int, int]:
        """Count attempts with a place in the pool and without, and connections."""
        ...

    async def aclose(self) -> None:
        """Cut what is under way, and let go of everything.

        After a cancellation it is called again, and goes on where it was.
        """
        ...


class _Connection(Connection):
    """A connection, and aiohttp's own name for it."""

    __slots__ = ("protocol",)

    def __init__(self, protocol: ResponseHandler) -> None:
        super().__init__()
        self.protocol = protocol


class _Generation:
    """The connections opened between two look-ups of the gateway's name."""

    __slots__ = ("_retires_at", "_time", "busy", "lane", "session")

    def __init__(
        self, session: aiohttp.ClientSession, lane: Lane | None, age: float
    ) -> None:
        self.session = session
        self.lane = lane
        self.busy = 0
        self._time = asyncio.get_running_loop().time
        self._retires_at = self._time() + age

    def is_past(self) -> bool:
        """Tell whether the name is to be looked up again."""
        return self._retires_at <= self._time()


def places_of(pool: PoolLimits, connector: aiohttp.BaseConnector | None) -> int:
    """Return how many attempts may be under way at once."""
    limits = [pool.limit]
    if connector is not None:
        limits += filter(None, [connector.limit, connector.limit_per_host])
    return min(limits)


class AiohttpTransport:
    """One aiohttp connection pool.

    Args:
        timeouts: Of which *connect* is kept here.
        pool: How many connections, and for how long.
        connector: The caller's own, used and never closed; its connections are the
            caller's to retire.
        proxy: The URL of a proxy.
        ssl: What to trust; aiohttp's default if `None`.
        headers: What every request says beside its own.

    Attributes:
        objection: Why calls do not take the lane; `None` if they do.
    """

    objection: str | None = None

    def __init__(  # noqa: PLR0913 -- each is a separate choice of the owner
        self,
        *,
        timeouts: Timeouts,
        pool: PoolLimits,
        connector: aiohttp.BaseConnector | None = None,
        proxy: Secret[str] | None = None,
        ssl: SSLContext | None = None,
        headers: Mapping[str, str] = COMMON_HEADERS,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=timeouts.connect, ceil_threshold=float("inf")
        )
        self._pool = pool
        self._connector = connector
        self._proxy = proxy
        self._ssl = ssl
        self._headers = headers
        # Our own queue in front of aiohttp's: it tells waiting from connecting.
        self._slots = Slots(places_of(pool, connector))
        self._generation: _Generation | None = None
        self._in_flight = 0
        self._connections: dict[ResponseHandler, _Connection] = {}
        self._deadlines = Deadlines()
        self._closing: dict[asyncio.Task[None], _Generation] = {}
        self._all_cut = asyncio.Event()
        self._closed = False

    async def open(self) -> None:
        """Build the pool on the running event loop.

        Raises:
            ConfigurationError: The caller's connector is closed, or another loop's.
        """
        if self._connector is not None and self._connector.closed:
            message = "the connector is closed"
            raise ConfigurationError(message)
        try:
            self._generation = self._new_generation()
        except RuntimeError:
            message = "the connector belongs to another event loop"
        else:
            return
        raise ConfigurationError(message)

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Make one attempt that ends within *patience* seconds, and fill in *marks*."""
        if self._closed or patience <= 0:
            kind = FailureKind.CLOSED if self._closed else FailureKind.TIMEOUT
            return Failure(kind=kind, sent=False)
        marks.is_queued = True
        if marks.is_timed:
            marks.queued_at = perf_counter()
        try:
            with self._deadlines.within(patience):
                if not self._slots.try_acquire():
                    await self._slots.acquire()
                marks.is_queued = False
                marks.opening = self._slots
                self._in_flight += 1
                return await self._try_connections(request, marks)
        except Exception as error:  # noqa: BLE001 -- what is not listed is Unknown
            return self._read_failure(error, marks)
        except BaseException as error:  # noqa: BLE001 -- it is raised again
            # A cancellation, Ctrl-C: aiohttp's frames hold the key and the body.
            ended = error.with_traceback(None)
            ended.__context__ = None
        finally:
            if not marks.is_queued:
                self._in_flight -= 1
                marks.open_no_more()
                self._slots.release()
            if self._closed and not self._deadlines:  # this was the last attempt
                with suppress(RuntimeError):  # collected: the loop was closed before
                    self._all_cut.set()
        raise ended

    async def _try_connections(
        self, request: HttpRequest, marks: Marks
    ) -> HttpResponse | Failure:
        """Send over one connection after the other, until one is clean."""
        if marks.is_timed:
            marks.placed_at = perf_counter()
        if self._connector is not None and self._connector.closed:
            # By its owner: aiohttp refuses before it builds a request.
            return Failure(kind=FailureKind.CLOSED, sent=False)
        result: HttpResponse | Exception = StrayDataError()
        # Every idle connection may hold what nobody asked for; one more is new.
        for _ in range(self._pool.limit + 1):
            generation = self._current_generation()
            generation.busy += 1
            try:
                lane = generation.lane
                if lane is not None and lane.is_clear():
                    result = await lane.exchange(request, marks, self._count_answer)
                else:
                    session, proxy = generation.session, self._proxy
                    result = await exchange(
                        session, request, marks, proxy, self._count_answer
                    )
            finally:
                generation.busy -= 1
                if generation is not self._generation:
                    self._close_when_idle(generation)
            if not isinstance(result, StrayDataError):
                break  # else nothing was sent, and the connection is gone
        if isinstance(result, Exception):
            # The session keeps one whose answer came whole, but was not to be read.
            close(marks.protocol)
            return self._read_failure(result, marks)
        return result

    def distrust(self, response: HttpResponse, *, everything: bool) -> None:
        """Close the connection of *response*, or retire its whole generation."""
        if isinstance(response.connection, _Connection):
            close(response.connection.protocol)
        if everything:
            self._retire()

    def load(self) -> tuple[int, int, int]:
        """Count attempts with a place in the pool and without, and connections.

        Another thread may ask, whose figures may be a moment apart.
        """
        waiting = max(0, len(self._deadlines) - self._in_flight)  # each has a deadline
        known = tuple(self._connections)
        return self._in_flight, waiting, sum(one.is_connected() for one in known)

    def _forget_closed(self) -> None:
        known = self._connections
        self._connections = {one: known[one] for one in known if one.is_connected()}

    def _retire(self) -> None:
        """Open a new generation of connections; the old one ends with its last call."""
        old = self._generation
        if self._connector is None and old is not None:
            self._generation = self._new_generation()
            self._close_when_idle(old)

    async def aclose(self) -> None:
        """Cut what is under way, and close the pool (never the caller's connector)."""
        self._closed = True
        self._deadlines.expire_all()
        if self._deadlines:
            await self._all_cut.wait()
        self._deadlines.close()
        self._slots.close()
        if self._generation is not None:
            await self._generation.session.close()
        # Not by their tasks, which may have been cancelled before they began.
        for generation in tuple(self._closing.values()):
            await generation.session.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def _count_answer(self, protocol: ResponseHandler | None) -> Connection | None:
        """Return the connection of *protocol*, with one more answer; `None` of none."""
        if protocol is None:
            return None
        connection = self._connections.get(protocol)
        if connection is None:
            if len(self._connections) >= 2 * self._pool.limit:
                self._forget_closed()
            connection = self._connections[protocol] = _Connection(protocol)
        connection.answers += 1
        return connection

    def _read_failure(self, error: Exception, marks: Marks) -> Failure:
        if marks.is_queued:
            kind = FailureKind.CLOSED if self._closed else FailureKind.POOL_TIMEOUT
            return Failure(kind=kind, sent=False)
        kind = kind_of(error)
        if kind is FailureKind.TIMEOUT and self._closed:
            kind = FailureKind.CLOSED  # `aclose` cuts by the deadline
        failure = marks.failure(kind)
        if kind is FailureKind.UNEXPECTED:
            return failure._replace(unforeseen=type(error).__name__)
        return failure

    def _current_generation(self) -> _Generation:
        if self._generation is None:
            raise AssertionError
        if self._generation.is_past():
            self._retire()
        return self._generation

    def _new_generation(self) -> _Generation:
        connector = self._connector or aiohttp.TCPConnector(
            limit=0,  # none: `Slots` is the limit
            # Else aiodns, if anybody has installed it: c-ares fails in other words, and
            # where the system's resolver works.
            resolver=aiohttp.ThreadedResolver(),
            keepalive_timeout=self._pool.keepalive,
            ssl=True if self._ssl is None else self._ssl,
            timeout_ceil_threshold=float("inf"),
        )
        session = open_session(
            connector,
            is_ours=self._connector is None,
            headers=self._headers,
            timeout=self._timeout,
        )
        age = float("inf") if self._connector is not None else self._pool.max_age
        reason = find_objection(
            session,
            self._pool,
            is_proxied=self._proxy is not None,
            is_ours=self._connector is None,
        )
        lane = None if reason else Lane(session, self._timeout, self._headers)
        self._note_objection(reason)
        return _Generation(session, lane, age)

    def _note_objection(self, reason: str | None) -> None:
        if reason and reason != self.objection:
            _logger.debug("calls go through aiohttp's session: %s", reason)
        self.objection = reason

    def _close_when_idle(self, generation: _Generation) -> None:
        """Close *generation* once its last call is over."""
        if generation.busy == 0:
            with suppress(RuntimeError):  # collected: no loop is running
                loop = asyncio.get_running_loop()
                task = loop.create_task(generation.session.close())
                self._closing[task] = generation
                task.add_done_callback(self._closing.pop)
