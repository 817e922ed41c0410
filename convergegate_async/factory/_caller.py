"""The one way to make a call: send, understand, try again, until the deadline.

tenacity is known here and nowhere else. The module is long because a call is read from
its top to its bottom.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import attrs

from convergegate_async._core.codec import read_fields
from convergegate_async._core.endpoints import Look
from convergegate_async._core.messages import (
    HttpResponse,
    build_request,
    parse_response,
)
from convergegate_async._core.operations import (
    Operation,
    retrieve_checkout_session,
)
from convergegate_async._core.retry import (
    RetryBudget,
    look_pause,
    may_repeat,
    next_pause,
)
from convergegate_async._core.settings import Settings
from convergegate_async._core.stray_answers import TRUSTED_AFTER, StrayCheck
from convergegate_async._core.strict_json import decode_json
from convergegate_async._core.verdicts import (
    Failure,
    Finding,
    Verdict,
    judge_cancelled,
    judge_failure,
)
from convergegate_async._transport import Marks, Transport
from convergegate_async.errors import (
    CallError,
    InvalidFieldError,
    OutcomeUnknownError,
    WaitTimeoutError,
)
from convergegate_async.models import Answer, CheckoutSession, SessionStatus
from convergegate_async.policy import RetryPolicy, Timeouts, is_duration

from ._call import Audience, Call
from ._lifecycle import Lifecycle
from ._observers import Observer, PoolStats
from ._reporter import LOGGING, Reporter
from ._runtime import Runtime

if TYPE_CHECKING:
    from tenacity import RetryCallState

A = TypeVar("A", bound=Answer)

_FINAL = frozenset({SessionStatus.COMPLETED, SessionStatus.EXPIRED})

_logger = logging.getLogger("convergegate_async")
_logger.addHandler(logging.NullHandler())


class _AttemptFailedError(Exception):
    """Carries a finding through tenacity."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


class Caller:
    """Makes described calls over one transport."""

    def __init__(  # noqa: PLR0913 -- what a factory consists of
        self,
        *,
        settings: Settings,
        policy: RetryPolicy,
        timeouts: Timeouts,
        transport: Transport,
        runtime: Runtime,
        observers: tuple[Observer, ...],
        limit: int,
    ) -> None:
        self.settings = settings
        self.runtime = runtime
        self.lifecycle = Lifecycle(transport)
        self.policy = policy
        self.limit = limit
        self.timeouts = timeouts
        self._transport = transport
        self._budget = RetryBudget(policy)
        self._strays = StrayCheck(settings.echo_fields)
        self._reporter = Reporter(settings, observers)
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def view(
        self,
        policy: RetryPolicy | None,
        timeouts: Timeouts | None,
        observers: tuple[Observer, ...],
    ) -> "Caller":
        """Return a caller over the same pool, budget and lifecycle."""
        view = copy(self)
        view.policy = policy or self.policy
        view.timeouts = timeouts or self.timeouts
        view._reporter = self._reporter.joined_by(observers)  # noqa: SLF001 -- its own class
        return view

    def watched_for_failures(self, observer: Observer) -> "Caller":
        """Return a view that tells *observer* of calls, from a first failure on."""
        view = copy(self)
        view._reporter = self._reporter.joined_late_by(observer)  # noqa: SLF001 -- its own class
        return view

    def stats(self) -> PoolStats:
        """Return how busy the pool is at this moment."""
        return PoolStats(*self._transport.load(), repeats_left=int(self._budget.tokens))

    async def warm_up(self) -> None:
        """Load what the first call or the first failure would have to wait for.

        These are not imported with the package, so that programs which only import it
        start sooner. The event loop goes on between the steps. A thread would not do:
        a fork meanwhile would leave its child an import lock that nobody releases.
        """
        import_module("tenacity")
        await asyncio.sleep(0)
        decode_json(b"{}")  # imports msgspec, if it is there
        await asyncio.sleep(0)
        read_fields(CheckoutSession, {})  # plans how it is read

    async def run(
        self, operation: Operation[A] | InvalidFieldError, timeout: float | None
    ) -> A:
        """Make the call that *operation* describes.

        Args:
            operation: What to call, or why it cannot be described.
            timeout: The deadline of the whole call in seconds; `Timeouts.total` if
                `None`.

        Raises:
            CallError: No attempt brought an answer; the error speaks for all of them.
            ConfigurationError: The factory is not open here.
            InvalidFieldError: *operation* is one, or *timeout* is not a finite number
                of seconds above 0.
        """
        call = self._enter(operation, timeout)
        try:
            # As `_send` does, without its coroutine: every call comes by here.
            result = await self._attempt(call)
            if isinstance(result, Finding):
                result = await self._repeat(call, result)
                if isinstance(result, Finding):
                    result = await self._look_after(call, result) or result
        except asyncio.CancelledError:
            endpoint, key = call.operation.endpoint, call.operation.idempotency_key
            cancelled = self._report_cancelled(call)
            if endpoint.writes and isinstance(cancelled, OutcomeUnknownError):
                self.lifecycle.note_unknown(key)
                _logger.warning(
                    "%s was cancelled under way and may have been done%s",
                    endpoint.name,
                    _under(key),
                )
            raise
        finally:
            self.lifecycle.leave(call)
        if not isinstance(result, Finding):
            if call.audience:
                self._reporter.call_ended(call, self.runtime.clock(), None)
            return result
        now = self.runtime.clock()
        error = call.error(now)
        self._reporter.call_ended(call, now, error)
        if isinstance(error, OutcomeUnknownError):
            self.lifecycle.note_unknown(error.idempotency_key)
        raise error

    async def wait(
        self,
        look: Operation[CheckoutSession] | InvalidFieldError,
        timeout: float | None,
    ) -> CheckoutSession:
        """Look at a session until it is final; temporary failures are ignored.

        Raises:
            WaitTimeoutError: Time ran out, or the factory was closed.
            CallError: The session cannot be looked at.
            ConfigurationError: The factory is not open here.
            InvalidFieldError: *look* is one, or *timeout* is not a finite number of
                seconds above 0.
        """
        call = self._enter(look, timeout)
        try:
            result = await self._follow(call)
        except asyncio.CancelledError:
            self._report_cancelled(call)
            raise
        finally:
            self.lifecycle.leave(call)
        now = self.runtime.clock()
        if isinstance(result, CheckoutSession):
            self._reporter.call_ended(call, now, None)
            return self._as_answer_to(result, call)
        error: CallError
        if isinstance(result, Finding):
            error = call.error(now)
        else:
            is_cut = self.lifecycle.cut
            error = WaitTimeoutError(
                operation=call.operation.endpoint.name,
                reason="the factory was closed" if is_cut else "time ran out",
                attempts=call.tries,
                elapsed=now - call.started,
                session=call.session,
                phase="status",
            )
        self._reporter.call_ended(call, now, error)
        raise error

    def wake(self, session_id: str) -> None:
        """Let whoever waits for the session look at once."""
        for watcher in self._watchers.get(session_id, ()):
            watcher.set()

    # -- what a call is made of --------------------------------------------------------

    def _enter(
        self, operation: Operation[A] | InvalidFieldError, timeout: float | None
    ) -> Call[A]:
        if isinstance(operation, InvalidFieldError):
            raise operation
        self.lifecycle.require_open()
        if timeout is not None and not is_duration(timeout):
            field, reason = "timeout", "must be a finite number of seconds above 0"
            raise InvalidFieldError(field, reason)
        total = self.timeouts.total if timeout is None else timeout
        observers = self._reporter.observers
        if _logger.isEnabledFor(logging.DEBUG):
            observers = (LOGGING, *observers)
        audience = Audience(observers) if observers else None
        now = self.runtime.clock()
        request = build_request(operation, self.settings)
        call = Call(operation, request, now, now + total, audience)
        self.lifecycle.enter(call)
        return call

    def _report_cancelled(self, call: Call[Answer]) -> CallError:
        now = self.runtime.clock()
        error = call.cancelled(now)
        self._reporter.call_ended(call, now, error, asyncio.CancelledError)
        return error

    def _new_look(
        self, look: Operation[CheckoutSession], call: Call[Answer]
    ) -> Call[CheckoutSession]:
        """Return what looks after *call*, and ends when it does."""
        # What the call has sent is to be hidden in the answer to its look, too.
        look = attrs.evolve(look, noun=call.operation.noun)
        request = build_request(look, self.settings)
        now = self.runtime.clock()
        return Call(look, request, now, call.deadline, call.audience)

    async def _send(self, call: Call[A]) -> A | Finding:
        """Send, and send again as long as that is allowed and may help."""
        result = await self._attempt(call)
        if isinstance(result, Finding):
            return await self._repeat(call, result)
        return result

    async def _attempt(self, call: Call[A]) -> A | Finding:
        """Send once, and understand what came back."""
        call.tries += 1
        call.began = self.runtime.clock()
        patience = min(self.timeouts.attempt, call.deadline - call.began)
        marks = Marks()
        if call.audience:
            marks.is_timed = True
        try:
            outcome = await self._transport.send(call.request, patience, marks)
        except asyncio.CancelledError:
            finding = judge_cancelled(unsent=marks.is_unsent)
            call.note(finding)
            self._reporter.let_in_late(call)
            self._reporter.attempt_ended(
                call, self.runtime.clock(), finding, None, marks
            )
            raise
        if isinstance(outcome, Failure):
            result: A | Finding = judge_failure(outcome)
        else:
            result = self._understand(call, outcome)
        if isinstance(result, Finding):
            call.note(result)
            self._reporter.let_in_late(call)
        else:
            self._budget.earn()
        if call.audience:  # else the clock need not be read
            status = outcome.status if isinstance(outcome, HttpResponse) else None
            now = self.runtime.clock()
            self._reporter.attempt_ended(call, now, result, status, marks)
        return result

    def _understand(self, call: Call[A], response: HttpResponse) -> A | Finding:
        """Read what came back, and check that it is ours."""
        call.ended = self.runtime.clock()
        result = parse_response(
            call.operation,
            response,
            settings=self.settings,
            account=call.account,
            now=self.runtime.now(),
        )
        if not isinstance(result, Finding):
            stray = self._strays.judge(call.operation, result, response.connection)
            if stray is None:
                return result
            result = stray
        if result.verdict is Verdict.UNKNOWN or response.may_be_late:
            # The answer that was due may still come, and the next caller would read it.
            # Two fields that differ are another's answer, and there may be more such on
            # other connections; one may have been rewritten on its way.
            everything = result.mistrusted > 1
            self._transport.distrust(response, everything=everything)
        return result

    async def _repeat(self, call: Call[A], first: Finding) -> A | Finding:
        """Send again until it succeeds or must not, or cannot, be sent again.

        tenacity is entered only here, after a *first* failure that is to be repeated,
        with an instance of its own per call; it is handed that failure first, so that
        its counts are right.
        """
        if not self._plan_repeat(call, first):
            return first
        from tenacity import AsyncRetrying  # noqa: PLC0415 -- ready since `warm_up`

        known = [first]

        async def attempt() -> A:
            result = known.pop() if known else await self._attempt(call)
            if isinstance(result, Finding):
                raise _AttemptFailedError(result)
            return result

        def goes_again(state: "RetryCallState") -> bool:
            # Anything but our own failure, cancellation above all, passes through.
            error = state.outcome.exception() if state.outcome is not None else None
            if not isinstance(error, _AttemptFailedError):
                return False
            return error.finding is first or self._plan_repeat(call, error.finding)

        with self._waker() as waker, suppress(_AttemptFailedError):
            retrying = AsyncRetrying(
                retry=goes_again,
                wait=lambda _: call.pause,
                sleep=lambda seconds: self.runtime.sleep(seconds, waker),
                reraise=True,
            )
            return await retrying(attempt)
        return call.findings[-1]

    def _plan_repeat(self, call: Call[Answer], finding: Finding) -> bool:
        """Decide whether to repeat; if so, pay for it and set the pause."""
        operation = call.operation
        repeat = operation.endpoint.repeat
        if self.lifecycle.cut or not may_repeat(finding, repeat, self.policy):
            return False
        pause = next_pause(
            finding,
            self.policy,
            attempt=len(call.findings),
            remaining=call.deadline - self.runtime.clock(),
            spread=self.runtime.spread(),
        )
        if pause is None or not self._budget.spend():
            return False
        call.pause = pause
        doubtful = finding.verdict is Verdict.UNKNOWN and operation.endpoint.writes
        if doubtful and call.unknown_attempts == 1:  # the first: told once
            _logger.warning(
                "%s has an unknown outcome (%s) and is repeated%s",
                operation.endpoint.name,
                finding.reason,
                _under(operation.idempotency_key),
            )
        return True

    async def _look_after(self, call: Call[A], finding: Finding) -> A | None:
        """Return the answer to a call of unknown outcome, if a look shows it."""
        operation = call.operation
        call.session = finding.named
        if self.policy.max_attempts == 1:  # one request was asked for
            return None
        if finding.named is not None:
            return await self._look_into(call, finding, finding.named.id)
        aim = operation.endpoint.look
        if aim is Look.NONE or aim is Look.BARE:
            return None
        error = call.error(self.runtime.clock())
        if operation.identifier is None or not isinstance(error, OutcomeUnknownError):
            return None
        look = retrieve_checkout_session(operation.identifier)
        looking = self._new_look(look, call)
        seen: CheckoutSession | Finding | None
        match aim:
            case Look.ONCE:
                seen = await self._send(looking)
                call.session = None if isinstance(seen, Finding) else seen
            case Look.UNTIL_FINAL:
                seen = await self._follow(looking)
                call.session = looking.session
                if isinstance(seen, operation.endpoint.answer):
                    return self._as_answer_to(seen, call)
        return None

    async def _look_into(
        self, call: Call[A], finding: Finding, session_id: str
    ) -> A | None:
        """Look once whether the session that a bare answer named is the one opened."""
        try:
            look = retrieve_checkout_session(session_id)
        except InvalidFieldError:
            return None  # its name is none that can be asked for
        looking = self._new_look(look, call)
        looking.tries = call.tries  # the look is an attempt of the call
        try:
            seen = await self._attempt(looking)
        finally:
            call.tries = looking.tries
        why: str | None = "its session could not be looked at"
        if isinstance(seen, CheckoutSession):
            why = self._strays.why_not(call.operation, seen)
        if self._strays.learn(is_right=why is None):
            _logger.warning(
                "%d answers in a row repeated nothing of what was sent and were right: "
                "such answers are taken from now on, until one repeats something",
                TRUSTED_AFTER,
            )
        if why is None and isinstance(seen, call.operation.endpoint.answer):
            call.take_back()
            return self._as_answer_to(seen, call)
        call.findings[-1] = finding._replace(reason=f"{finding.reason}, and {why}")
        return None

    async def _follow(
        self, call: Call[CheckoutSession]
    ) -> CheckoutSession | Finding | None:
        """Look until the session is final; `None` if that was not in time."""
        session_id = call.operation.identifier
        looks = 0
        with self._waker(session_id) as waker:
            while call.deadline > self.runtime.clock():
                waker.clear()
                looking = self._new_look(call.operation, call)
                looking.tries = call.tries  # looks are numbered through
                try:
                    result = await self._send(looking)
                except asyncio.CancelledError:
                    if looks == 0 and looking.is_unsent:
                        call.findings = looking.findings  # they speak for it
                    raise
                finally:  # also of a look that was cancelled
                    call.unknown_attempts += looking.unknown_attempts
                    call.tries = looking.tries
                if not isinstance(result, Finding):
                    call.session = result
                    if result.status in _FINAL:
                        return result
                elif not (
                    self.lifecycle.cut
                    or may_repeat(result, call.operation.endpoint.repeat, self.policy)
                ):
                    # The last look speaks for the wait: the others were looked past.
                    call.findings = [result]
                    return result
                if self.lifecycle.cut:
                    return None
                looks += 1
                left = call.deadline - self.runtime.clock()
                pause = min(left, look_pause(looks, self.runtime.spread()))
                await self.runtime.sleep(max(0.0, pause), waker)
        return None

    def _as_answer_to(self, answer: A, call: Call[Answer]) -> A:
        """Return *answer* as that to *call*, and not only to its last look."""
        before = answer.call
        call.ended = self.runtime.clock()
        call_info = call.account(before.http_status, before.request_id, before.headers)
        call_info = attrs.evolve(call_info, misread=before.misread)
        return attrs.evolve(answer, call=call_info)

    @contextmanager
    def _waker(self, session_id: str | None = None) -> Iterator[asyncio.Event]:
        """Yield an event that is set by closing, and by news of the session."""
        waker = asyncio.Event()
        self.lifecycle.add_waker(waker)
        if session_id is not None:
            self._watchers[session_id].add(waker)
        try:
            yield waker
        finally:
            self.lifecycle.remove_waker(waker)
            if session_id is not None:
                self._watchers[session_id].discard(waker)
                if not self._watchers[session_id]:
                    del self._watchers[session_id]


def _under(key: str | None) -> str:
    return "" if key is None else f" under the idempotency key {key}"
