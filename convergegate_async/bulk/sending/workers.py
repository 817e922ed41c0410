"""A few workers for many rows: no task per row, and no more rows than workers.

Whoever iterates gets the outcomes in the order in which rows are done. Workers are
started as the pace allows, and end when it asks for fewer.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import attrs

from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    PermissionDeniedError,
    RateLimitedError,
)
from convergegate_async.factory import (
    AttemptInfo,
    CallEnded,
    CheckoutSessionFactory,
    context_of,
)
from convergegate_async.factory.failures import watched_for_failures

from .limits import Limits
from .outcomes import Outcome
from .pace import Ending, Pace, PaceInfo
from .retry_queue import RetryQueue

T = TypeVar("T")
R = TypeVar("R", bound=Outcome)

FORBIDDEN_IN_A_ROW = 3
_MOST_SLEEP = 60.0  # seconds
_LOGGED_FROM = 5.0
"""Seconds of a pause that the log tells of; shorter ones are everyday."""

_logger = logging.getLogger("convergegate_async")


@attrs.define
class _Taken(Generic[T, R]):
    """An item, and what came of it before, if it is taken up again."""

    item: T
    last: R | None = None
    times: int = 0  # that it came back


class Workers(Generic[T, R]):
    """Does *work* on *items*, as fast as the gateway likes it and no faster.

    Args:
        factory: What is called; a view of it, whose calls are watched so that one
            ``Retry-After`` holds all: every attempt until something was answered, and
            from then on those that fail.
        items: What to work on; at most one for each worker is taken ahead of time.
        work: What to do with the view and one item; returns `None` where there is
            nothing to tell.
        limits: How fast, and what is borne on the way.
        goes_again: Tells whether an item with that outcome is taken up again, and not
            told; told all the same if the end comes before.
        is_answered: Something was answered before.
        waits_for_items: The next item is waited for even if all is over; else whoever
            makes them is cancelled then.

    Raises:
        ConfigurationError: A limit exceeds the factory's pool, or is malformed.
    """

    def __init__(  # noqa: PLR0913 -- what is done, and how
        self,
        factory: CheckoutSessionFactory,
        items: AsyncIterator[T],
        work: Callable[[CheckoutSessionFactory, T], Awaitable[R | None]],
        limits: Limits,
        *,
        goes_again: Callable[[T, R], bool] = lambda _, __: False,
        is_answered: bool = False,
        waits_for_items: bool = True,
    ) -> None:
        limits.require_kept_by(factory)
        self._unproven = factory.with_options(observers=[self])
        self._proven = watched_for_failures(factory, self)
        self._items = items
        self._work = work
        self._runtime = context_of(factory).runtime
        self._now = self._runtime.clock
        self._goes_again = goes_again
        self._pace = Pace(limits, is_answered=is_answered)
        self._taking = asyncio.Lock()
        self._again: RetryQueue[_Taken[T, R]] = RetryQueue()
        self._under_way = 0  # items that were taken and may come back
        self._came_back = asyncio.Event()
        self._sending = 0  # items that are worked on
        self._is_exhausted = False
        self._waits_for_items = waits_for_items
        self._taker: asyncio.Task[None] | None = None  # who waits for an item
        self._is_given_up = False
        self._done: asyncio.Queue[R | None] = asyncio.Queue(limits.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False  # no item is taken any more
        self._is_stopped = False  # nor is one begun that was taken
        self._error: BaseException | None = None
        self._pause_error: CallError | None = None  # unless a row has a better one
        self._forbidden = 0
        self._rouse = asyncio.Event()

    async def outcomes(self) -> AsyncGenerator[R, None]:
        """Yield what became of each item.

        Raises:
            AuthenticationError: The key is wrong; raised once what was under way is
                over.
            PermissionDeniedError: Three consecutive rows were answered 403.
            CallError: The gateway cannot be called at all, nothing has got through for
                too long, or it asked for too long a pause: the last such error.
            Exception: Whatever *items* or *work* raised; likewise.
        """
        try:
            self._start_workers()
            if not self._running:  # it was stopped before
                self._done.put_nowait(None)
            while (outcome := await self._done.get()) is not None:
                yield outcome
        finally:
            await self._cancel_all()
        error = self._error or self._pause_error
        if error is not None:
            raise error

    @property
    def is_answered(self) -> bool:
        """Whether the gateway has answered anything."""
        return self._pace.is_answered

    def stop(self) -> None:
        """Begin no further item; what is under way goes on to its end."""
        self._is_over = self._is_stopped = True
        self._rouse.set()
        self._came_back.set()
        if self._taker and not (self._waits_for_items or self._is_given_up):
            self._is_given_up = self._taker.cancel()

    @property
    def pace(self) -> PaceInfo:
        """How fast items are worked on just now, and what holds them back."""
        return self._pace.info(self._now())

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Let the pace learn from an attempt: workers observe their own calls."""
        now, seconds = self._now(), attempt.retry_after or 0.0
        is_news = seconds >= _LOGGED_FROM and not self._pace.wait(now)
        self._pace.note_attempt(attempt, now)
        if is_news and self._pace.wait(now):
            _logger.warning("the gateway asked for %.0f s: all rows wait", seconds)
        if self._pace.ending is Ending.PAUSE and self._pause_error is None:
            self._pause_error = RateLimitedError(
                operation=attempt.operation,
                reason=f"the gateway asked for {seconds:.0f} s",
                http_status=attempt.http_status,
                retry_after=seconds,
            )
            self.stop()

    def call_ended(self, call: CallEnded) -> None:
        """Learn nothing: the outcome of the row says more."""

    # -- workers -----------------------------------------------------------------------

    def _start_workers(self) -> None:
        while not self._is_over and len(self._running) < self._pace.workers:
            self._running.add(asyncio.create_task(self._run_worker()))

    async def _cancel_all(self) -> None:
        self._is_over = True
        workers = tuple(self._running)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _run_worker(self) -> None:
        worker = asyncio.current_task()
        try:
            # An eager task runs up to here before it is counted among the workers.
            await asyncio.sleep(0)
            while not self._is_over and len(self._running) <= self._pace.workers:
                await self._do_one()
        except Exception as error:  # noqa: BLE001 -- raised again where it is awaited
            self._fail(error)
        if self._running == {worker}:
            # Still among those that are cancelled if nobody takes this any more.
            for left in self._again:
                await self._done.put(left.last)
            await self._done.put(None)
        if worker is not None:
            self._running.discard(worker)

    async def _do_one(self) -> None:
        taken = await self._take()
        if taken is None:
            return
        try:
            await self._wait_for_turn()
            if self._is_stopped:
                if taken.last is not None:
                    self._again.put(taken, taken.times)
                return
            self._pace.breaker.let_through()
            self._sending += 1
            try:
                view = self._proven if self.is_answered else self._unproven
                outcome = await self._work(view, taken.item)
            finally:
                self._sending -= 1
            if outcome is None:
                return
            self._learn(outcome)
            if self._goes_again(taken.item, outcome):
                back = _Taken(taken.item, outcome, taken.times + 1)
                self._again.put(back, taken.times)
            else:
                await self._done.put(outcome)
        finally:
            self._under_way -= 1
            self._came_back.set()

    async def _take(self) -> _Taken[T, R] | None:
        """Return the next item; `None` once there is none, and none may come back."""
        async with self._taking:
            while not self._is_over:
                taken = await self._next()
                if taken is not None:
                    self._under_way += 1
                    return taken
                if not self._under_way:
                    self._is_over = True
                else:  # what is under way may come back
                    self._came_back.clear()
                    await self._came_back.wait()
        return None

    async def _next(self) -> _Taken[T, R] | None:
        due = self._again.take_due()
        if due is not None:
            return due
        if not self._is_exhausted:
            self._taker = asyncio.current_task()
            try:
                return _Taken(await anext(self._items))
            except StopAsyncIteration:
                self._is_exhausted = True
            except asyncio.CancelledError:
                # By `stop`, unless somebody cancels it beside that.
                if not self._is_given_up or (self._taker and self._taker.uncancel()):
                    raise
                self._is_exhausted = True
            finally:
                self._taker = None
        return self._again.take_next()

    async def _wait_for_turn(self) -> None:
        is_reserved = False
        while not self._is_stopped:
            now = self._now()
            seconds = self._pace.wait(now)
            if not (seconds or is_reserved):
                seconds, is_reserved = self._pace.reserve(now), True
            if not seconds:
                return
            await self._runtime.sleep(min(seconds, _MOST_SLEEP), self._rouse)

    def _learn(self, outcome: R) -> None:
        was_open = self._pace.breaker.is_open
        self._pace.note(outcome, self._now())
        if self._pace.breaker.is_open is not was_open:
            self._tell_of_outage()
        self._start_workers()
        error = outcome.error
        forbidden = isinstance(error, PermissionDeniedError)
        self._forbidden = self._forbidden + 1 if forbidden else 0
        if isinstance(error, CallError) and self._is_the_end(error):
            self._fail(error)

    def _tell_of_outage(self) -> None:
        """Say that one has begun, or is over."""
        if self._pace.breaker.is_open:
            info = self.pace
            _logger.warning(
                "nothing gets through (%s): the next row is sent in %.0f s",
                info.reason,
                info.next_look,
            )
        else:
            _logger.warning("the gateway can be reached again: all rows go on")
            self._rouse.set()  # whoever waits for the next probe
            self._rouse.clear()

    def _is_the_end(self, error: CallError) -> bool:
        """Tell whether *error* shows why it makes no sense to go on."""
        if isinstance(error, AuthenticationError):
            return True
        if self._forbidden >= FORBIDDEN_IN_A_ROW:
            return True
        if self._pace.looks_unreachable:
            return not self._sending  # nothing is left that could be answered
        if self._pace.ending is Ending.PAUSE:
            return error.retry_after is not None
        return self._pace.ending is not None

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.stop()
