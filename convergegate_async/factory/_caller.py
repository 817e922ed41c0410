"""The one way to make a call: send, understand, try again, until the deadline.

tenacity is known here and nowhere else.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

import attrs
from tenacity import AsyncRetrying, RetryCallState

from convergegate_async._core.messages import (
    HttpRequest,
    build_request,
    parse_response,
)
from convergegate_async._core.operations import Operation
from convergegate_async._core.retry import (
    RetryBudget,
    conclude,
    may_repeat,
    next_pause,
)
from convergegate_async._core.settings import Settings
from convergegate_async._core.verdicts import Failure, Finding, Verdict, judge_failure
from convergegate_async._transport import Transport
from convergegate_async.errors import (
    ConfigurationError,
    InvalidFieldError,
    OutcomeUnknownError,
)
from convergegate_async.models import Answer, CallInfo
from convergegate_async.policy import RetryPolicy, Timeouts, is_duration

A = TypeVar("A", bound=Answer)
A_co = TypeVar("A_co", bound=Answer, covariant=True)

_logger = logging.getLogger("convergegate_async")
_logger.addHandler(logging.NullHandler())


async def _sleep(seconds: float, interrupt: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await interrupt.wait()


@attrs.frozen(kw_only=True)
class World:
    """Where the shell touches time and chance; tests bring their own.

    Attributes:
        clock: Seconds that only go forward.
        now: Epoch seconds.
        sleep: Waits so many seconds, or until the event is set.
        spread: Rolls a number from 0 to 1.
        dice: Rolls 16 bytes for an idempotency key.
    """

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float, asyncio.Event], Awaitable[None]] = _sleep
    spread: Callable[[], float] = random.random
    dice: Callable[[], bytes] = lambda: os.urandom(16)


class _AttemptFailedError(Exception):
    """Carries a finding through tenacity."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


class _Call(Generic[A_co]):
    """One call under way: what was asked, until when, and what was found so far."""

    __slots__ = ("deadline", "findings", "operation", "pause", "request", "started")

    def __init__(
        self,
        operation: Operation[A_co],
        request: HttpRequest,
        started: float,
        total: float,
    ) -> None:
        self.operation = operation
        self.request = request
        self.started = started
        self.deadline = started + total
        self.findings: list[Finding] = []
        self.pause = 0.0

    def account(self, now: float, *, attempts: int) -> CallInfo:
        """Return what an answer or an error tells of the call so far."""
        return CallInfo(
            idempotency_key=self.operation.idempotency_key,
            attempts=attempts,
            unknown_attempts=self.unknown_attempts,
            elapsed=now - self.started,
        )

    @property
    def unknown_attempts(self) -> int:
        return sum(finding.verdict is Verdict.UNKNOWN for finding in self.findings)


class Caller:
    """Makes described calls over one transport, from `open` to `aclose`."""

    def __init__(
        self,
        *,
        settings: Settings,
        policy: RetryPolicy,
        timeouts: Timeouts,
        transport: Transport,
        world: World,
    ) -> None:
        self.settings = settings
        self.world = world
        self._policy = policy
        self._timeouts = timeouts
        self._transport = transport
        self._budget = RetryBudget(policy)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closed = False
        self._running: set[_Call[Answer]] = set()
        self._drained = asyncio.Event()
        self._cut = asyncio.Event()
        self._left_unknown: list[str] = []

    @property
    def state(self) -> str:
        """Tell in a word whether calls can be made."""
        if self._closed:
            return "closed"
        return "unopened" if self._loop is None else "open"

    async def open(self) -> None:
        """Get ready on the running event loop."""
        if self.state != "unopened":
            message = f"a factory is opened once, and this one is {self.state}"
            raise ConfigurationError(message)
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        await self._transport.open()

    async def aclose(self, drain: float) -> tuple[str, ...]:
        """Refuse new calls, let running ones finish for *drain* seconds, cut the rest.

        Returns:
            The idempotency keys of the calls whose outcome was left unknown.
        """
        if self.state != "open":
            self._closed = True
            return tuple(self._left_unknown)
        self._require_home()
        self._closed = True
        if self._running and drain > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    await self._drained.wait()
        self._cut.set()
        await self._transport.aclose()
        if self._running:
            await self._drained.wait()
        if self._left_unknown:
            _logger.warning(
                "closed over calls of unknown outcome; idempotency keys: %s",
                ", ".join(self._left_unknown),
            )
        return tuple(self._left_unknown)

    async def run(self, operation: Operation[A], timeout: float | None) -> A:
        """Make the call that *operation* describes.

        Args:
            operation: What to call.
            timeout: The deadline of the whole call in seconds; `Timeouts.total` if
                `None`.

        Raises:
            CallError: No attempt brought an answer; the error speaks for all of them.
            ConfigurationError: The factory is not open here.
            InvalidFieldError: *timeout* is no duration.
        """
        self._require_open()
        if timeout is not None and not is_duration(timeout):
            field, reason = "timeout", "must be a finite number of seconds above 0"
            raise InvalidFieldError(field, reason)
        call = _Call(
            operation,
            build_request(operation, self.settings),
            started=self.world.clock(),
            total=self._timeouts.total if timeout is None else timeout,
        )
        self._running.add(call)
        try:
            result = await self._attempt(call)
            if isinstance(result, Finding):
                result = await self._repeat(call)
        except asyncio.CancelledError:
            if operation.writes:
                _logger.warning(
                    "%s was cancelled under way and may have been done; "
                    "idempotency key: %s",
                    operation.name,
                    operation.idempotency_key,
                )
            raise
        finally:
            self._running.discard(call)
            if self._closed and not self._running:
                self._drained.set()
        if not isinstance(result, Finding):
            self._budget.earn()
            return result
        now = self.world.clock()
        account = call.account(now, attempts=len(call.findings))
        error = conclude(operation, call.findings, account)
        if self._cut.is_set() and isinstance(error, OutcomeUnknownError):
            self._left_unknown.extend(filter(None, [error.idempotency_key]))
        raise error

    async def _attempt(self, call: _Call[A]) -> A | Finding:
        """Send once, and understand what came back."""
        number = len(call.findings) + 1
        patience = min(self._timeouts.attempt, call.deadline - self.world.clock())
        outcome = await self._transport.send(call.request, patience)
        result: A | Finding
        if isinstance(outcome, Failure):
            result = judge_failure(outcome)
        else:
            result = parse_response(
                call.operation,
                outcome,
                settings=self.settings,
                call=call.account(self.world.clock(), attempts=number),
                now=self.world.now(),
            )
        if isinstance(result, Finding):
            call.findings.append(result)
            if result.mistrusted:
                self._transport.retire()
        if _logger.isEnabledFor(logging.DEBUG):
            told = result.reason if isinstance(result, Finding) else "done"
            _logger.debug("%s, attempt %d: %s", call.operation.name, number, told)
        return result

    async def _repeat(self, call: _Call[A]) -> A | Finding:
        """Send again as long as that is allowed, may help and fits the deadline.

        tenacity is entered only here, after a first failure, with an instance of its
        own per call; it is handed that failure first, so that its counts are right.
        """
        known = [call.findings[-1]]

        async def attempt() -> A:
            result = known.pop() if known else await self._attempt(call)
            if isinstance(result, Finding):
                raise _AttemptFailedError(result)
            return result

        def goes_again(state: RetryCallState) -> bool:
            # Anything but our own failure, cancellation above all, passes through.
            error = state.outcome.exception() if state.outcome is not None else None
            return isinstance(error, _AttemptFailedError) and self._goes_again(
                call, error.finding
            )

        retrying = AsyncRetrying(
            retry=goes_again,
            wait=lambda _: call.pause,
            sleep=lambda seconds: self.world.sleep(seconds, self._cut),
            reraise=True,
        )
        with suppress(_AttemptFailedError):
            return await retrying(attempt)
        return call.findings[-1]

    def _goes_again(self, call: _Call[Answer], finding: Finding) -> bool:
        """Decide, take a repeat out of the budget, and leave word of the pause."""
        operation = call.operation
        if self._cut.is_set() or not may_repeat(
            finding, operation.repeat, self._policy
        ):
            return False
        pause = next_pause(
            finding,
            self._policy,
            attempt=len(call.findings),
            remaining=call.deadline - self.world.clock(),
            spread=self.world.spread(),
        )
        if pause is None or not self._budget.spend():
            return False
        call.pause = pause
        doubtful = finding.verdict is Verdict.UNKNOWN and operation.writes
        if doubtful and call.unknown_attempts == 1:
            _logger.warning(
                "%s has an unknown outcome (%s) and is repeated under the same "
                "idempotency key: %s",
                operation.name,
                finding.reason,
                operation.idempotency_key,
            )
        return True

    def _require_open(self) -> None:
        if self.state != "open":
            message = (
                f"the factory is {self.state}: make calls inside `async with`, "
                "or between open() and aclose()"
            )
            raise ConfigurationError(message)
        self._require_home()

    def _require_home(self) -> None:
        if os.getpid() != self._pid:
            message = "the factory was opened before a fork: open one in each process"
            raise ConfigurationError(message)
        if asyncio.get_running_loop() is not self._loop:
            message = "the factory was opened on another event loop: open one on each"
            raise ConfigurationError(message)
