"""One call under way."""

from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

from convergegate_async._core.answer_headers import Headers
from convergegate_async._core.messages import HttpRequest
from convergegate_async._core.operations import Operation
from convergegate_async._core.retry import conclude
from convergegate_async._core.verdicts import Finding, Verdict
from convergegate_async.errors import CallError, NotSentError, OutcomeUnknownError
from convergegate_async.models import Answer, CallInfo, CheckoutSession
from convergegate_async.models.code_generation import new_draft, sealed

from ._observers import AttemptInfo, Observer

LONGEST_HISTORY = 1_000
"""How many attempts of a call are kept to its end: a wait can take days."""

NO_HEADERS = Headers(tuple)
A_co = TypeVar("A_co", bound=Answer, covariant=True)


class Audience:
    """Who watches a call and its looks, and what they saw so far."""

    __slots__ = ("history", "observers")

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self.observers = observers
        self.history: deque[AttemptInfo] = deque(maxlen=LONGEST_HISTORY)

    def let_in(self, observers: tuple[Observer, ...]) -> None:
        """Let *observers* watch, too, from now on; who is there is not there twice."""
        there = [*map(id, self.observers)]
        self.observers += tuple(one for one in observers if id(one) not in there)


class Call(Generic[A_co]):
    """One call under way: what was asked, until when, and what was found so far.

    It *started* once; each attempt *began*, and *ended* when it was understood.

    Attributes:
        findings: What its attempts came to that brought no answer; not those of the
            looks of a wait, which may take days.
        unknown_attempts: How many attempts may have been done, looks included.
    """

    __slots__ = (
        "audience",
        "began",
        "deadline",
        "ended",
        "findings",
        "operation",
        "pause",
        "request",
        "session",
        "started",
        "tries",
        "unknown_attempts",
    )

    def __init__(
        self,
        operation: Operation[A_co],
        request: HttpRequest,
        started: float,
        deadline: float,
        audience: Audience | None,
    ) -> None:
        self.operation = operation
        self.request = request
        self.started = started
        self.deadline = deadline
        self.audience = audience
        self.findings: list[Finding] = []
        self.unknown_attempts = 0
        self.tries = 0
        self.began = started
        self.ended = started
        self.pause = 0.0
        self.session: CheckoutSession | None = None

    @property
    def is_unsent(self) -> bool:
        """Provably nothing of its attempts was sent."""
        return all(one.verdict is Verdict.NOT_SENT for one in self.findings)

    def note(self, finding: Finding) -> None:
        """Note what an attempt came to."""
        self.findings.append(finding)
        if finding.verdict is Verdict.UNKNOWN:
            self.unknown_attempts += 1

    def take_back(self) -> None:
        """Forget the last finding, of an attempt that was done after all."""
        if self.findings.pop().verdict is Verdict.UNKNOWN:
            self.unknown_attempts -= 1

    def account(
        self,
        http_status: int | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> CallInfo:
        """Return what an answer or an error tells of the call so far."""
        info = new_draft(CallInfo)
        info.idempotency_key = self.operation.idempotency_key
        info.attempts = self.tries
        info.unknown_attempts = self.unknown_attempts
        info.elapsed = self.ended - self.started
        info.request_id = request_id
        info.http_status = http_status
        info.headers = headers
        info.misread = ()
        return sealed(info, CallInfo)

    def error(self, now: float) -> CallError:
        """Return the error that speaks for all attempts."""
        self.ended = now
        return conclude(self.operation, self.findings, self.account(), self.session)

    def cancelled(self, now: float) -> CallError:
        """Return the error that would speak for it, now that it is cancelled."""
        if self.findings and self.tries == len(self.findings):
            return self.error(now)
        kind = OutcomeUnknownError if self.tries else NotSentError
        name = self.operation.endpoint.name
        return kind(operation=name, reason="it was cancelled")
