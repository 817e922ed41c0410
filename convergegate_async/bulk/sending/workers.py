"""A few workers for many rows: no task per row, and no more rows than workers.

Whoever iterates gets the outcomes in the order in which rows are done. Workers are
started as the pace allows, and end when it asks for fewer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from convergegate_async.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
)
from convergegate_async.factory import (
    AttemptInfo,
    CallEnded,
    CheckoutSessionFactory,
    context_of,
)

from .outcomes import Rejected, RowOutcome
from .pace import Pace

T = TypeVar("T")

FORBIDDEN_IN_A_ROW = 3
_MOST_SLEEP = 60.0  # seconds


class Workers(Generic[T]):
    """Does *work* on *items*, as fast as the gateway likes it and no faster.

    Args:
        factory: What is called; a view of it, whose attempts are watched so that one
            ``Retry-After`` holds all.
        items: What to work on; at most one for each worker is taken ahead of time.
        work: What to do with the view and one item; returns `None` where there is
            nothing to tell.
        concurrency: The most workers.
        maximum_rps: The most items started in a second; `None` for no such limit.

    Raises:
        ConfigurationError: *concurrency* exceeds the factory's pool, or a limit is
            malformed.
    """

    def __init__(
        self,
        factory: CheckoutSessionFactory,
        items: AsyncIterator[T],
        work: Callable[[CheckoutSessionFactory, T], Awaitable[RowOutcome | None]],
        *,
        concurrency: int,
        maximum_rps: float | None = None,
    ) -> None:
        check_limits(factory, concurrency, maximum_rps)
        self._factory = factory.with_options(observers=[self])
        self._items = items
        self._work = work
        self._runtime = context_of(factory).runtime
        self._pace = Pace(concurrency, maximum_rps)
        self._taking = asyncio.Lock()
        self._done: asyncio.Queue[RowOutcome | None] = asyncio.Queue(concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False  # no item is taken any more
        self._is_stopped = False  # nor is one begun that was taken
        self._error: BaseException | None = None
        self._forbidden = 0
        self._rouse = asyncio.Event()

    async def outcomes(self) -> AsyncGenerator[RowOutcome, None]:
        """Yield what became of each item.

        Raises:
            AuthenticationError: The key is wrong; raised once what was under way is
                over.
            PermissionDeniedError: Three consecutive rows were answered 403.
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
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Begin no further item; what is under way goes on to its end."""
        self._is_over = self._is_stopped = True
        self._rouse.set()

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Let the pace learn from an attempt: workers observe their own calls."""
        self._pace.note_attempt(attempt, self._now())

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
            await self._done.put(None)
        if worker is not None:
            self._running.discard(worker)

    async def _do_one(self) -> None:
        async with self._taking:
            if self._is_over:
                return
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                self._is_over = True
                return
        await self._wait_for_turn()
        if self._is_stopped:
            return
        self._pace.breaker.let_through()
        outcome = await self._work(self._factory, item)
        if outcome is not None:
            self._learn(outcome)
            await self._done.put(outcome)

    async def _wait_for_turn(self) -> None:
        is_reserved = False
        while not self._is_stopped:
            seconds = self._pace.wait(self._now())
            if seconds <= 0 and is_reserved:
                return
            if seconds <= 0:
                seconds, is_reserved = self._pace.reserve(self._now()), True
            if seconds > 0:
                await self._runtime.sleep(min(seconds, _MOST_SLEEP), self._rouse)

    def _now(self) -> float:
        return self._runtime.clock()

    def _learn(self, outcome: RowOutcome) -> None:
        was_open = self._pace.breaker.is_open
        self._pace.note(outcome, self._now())
        if was_open and not self._pace.breaker.is_open:
            self._rouse.set()  # whoever waits for the next probe
            self._rouse.clear()
        self._start_workers()
        error = outcome.error if isinstance(outcome, Rejected) else None
        forbidden = isinstance(error, PermissionDeniedError)
        self._forbidden = self._forbidden + 1 if forbidden else 0
        if error is None:
            return
        if isinstance(error, AuthenticationError) or (
            self._forbidden >= FORBIDDEN_IN_A_ROW
        ):
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.stop()


def check_limits(
    factory: CheckoutSessionFactory, concurrency: object, maximum_rps: object
) -> None:
    """Refuse limits that cannot be kept.

    Raises:
        ConfigurationError: With the limit and what it may be.
    """
    message = None
    if type(concurrency) is not int or concurrency < 1:
        message = "concurrency must be a whole number above 0"
    elif concurrency > (limit := context_of(factory).limit):
        message = (
            f"concurrency {concurrency} is above PoolLimits.limit {limit}: "
            "raise that, or the rest would only wait"
        )
    elif maximum_rps is not None and not (
        type(maximum_rps) in (int, float) and 0 < maximum_rps < float("inf")  # type: ignore[operator]  # mypy does not narrow by type()
    ):
        message = "maximum_rps must be a finite number above 0"
    if message is not None:
        raise ConfigurationError(message)
