"""Who watches calls, and what they are told: one value an attempt, one a call.

Logging is the first observer. Nothing is paid where there is none.
"""

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import attrs

from convergegate_async._core.settings import Settings
from convergegate_async._core.verdicts import Finding, Verdict
from convergegate_async._transport import Marks
from convergegate_async.errors import CallError, FailureKind, Outcome
from convergegate_async.models import Answer

from ._call import Call

T = TypeVar("T")

_OUTCOMES = {
    Verdict.DONE: None,
    Verdict.NOT_SENT: Outcome.NOT_SENT,
    Verdict.REJECTED: Outcome.REJECTED,
    Verdict.UNKNOWN: Outcome.UNKNOWN,
}

_logger = logging.getLogger("convergegate_async")


@attrs.frozen(kw_only=True)
class PhaseTimings:
    """How long the phases of an attempt took, in seconds; `None` if it came not so far.

    Attributes:
        pool_wait: Until it had a place in the pool.
        connect: From there until its head was about to be written: looking up the
            name, connecting and TLS, or nearly nothing over an open connection.
        first_byte: From there until the head of the answer was read.
        body: From there until the body was read.
    """

    pool_wait: float | None = None
    connect: float | None = None
    first_byte: float | None = None
    body: float | None = None


@attrs.frozen(kw_only=True)
class _Target:
    """What was called.

    Attributes:
        operation: The name of the factory's method; the looks of `pay` and `refund` are
            ``retrieve``.
        path: The template of the path, such as ``/v1/checkout/sessions/{id}``.
    """

    operation: str
    path: str
    server_address: str
    server_port: int


@attrs.frozen(kw_only=True)
class AttemptInfo(_Target):
    """An attempt that is over.

    Attributes:
        attempt: Which of its call it was, from 1.
        outcome: What it proves; `None` if it was done.
        http_status: Of the answer, if there was one.
        retry_after: Seconds that the gateway asked to wait.
        failure: What broke, where no whole answer came.
        timings: Where the time went.
    """

    attempt: int
    outcome: Outcome | None
    http_status: int | None
    retry_after: float | None
    failure: FailureKind | None
    timings: PhaseTimings


@attrs.frozen(kw_only=True)
class CallEnded(_Target):
    """A call that is over, with all its attempts.

    Attributes:
        outcome: What is known of it; `None` if it was done.
        attempts: How often it was tried, tries that were never sent included.
        unknown_attempts: How many of them may have been done.
        elapsed: Seconds from its start.
        idempotency_key: The key that every attempt carried.
        http_status: Of the answer that the error quotes; `None` if it was done.
        failure: What broke, where the outcome hangs on that.
    """

    outcome: Outcome | None
    attempts: int
    unknown_attempts: int
    elapsed: float
    idempotency_key: str | None
    http_status: int | None
    failure: FailureKind | None


@attrs.frozen
class PoolStats:
    """How busy a factory's pool is.

    Attributes:
        in_flight: Attempts that have a place in the pool.
        waiting: Attempts that wait for one.
        connections: Connections that are open, idle ones included.
        repeats_left: What the retry budget still allows.
    """

    in_flight: int
    waiting: int
    connections: int
    repeats_left: int


class Observer(Protocol):
    """Sees what calls come to. Both are plain functions, quick, and must not raise.

    One that raises is logged once, by the classes' names, and passed over.
    """

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """See an attempt that is over, whatever it came to; also a cancelled one."""
        ...

    def call_ended(self, call: CallEnded) -> None:
        """See a call that is over; also a cancelled one."""
        ...


class LoggingObserver:
    """Writes a DEBUG line for each attempt; safe to paste."""

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Say what an attempt came to."""
        words = ["done" if attempt.outcome is None else str(attempt.outcome)]
        if attempt.failure is not None:
            words.append(str(attempt.failure))
        if attempt.http_status is not None:
            words.append(f"HTTP {attempt.http_status}")
        _logger.debug(
            "%s, attempt %d: %s", attempt.operation, attempt.attempt, ", ".join(words)
        )

    def call_ended(self, call: CallEnded) -> None:
        """Say nothing: the attempts have."""


LOGGING = LoggingObserver()


class Reporter:
    """Tells observers what attempts and calls came to.

    Args:
        settings: What is called.
        observers: Who is told, apart from logging.
    """

    def __init__(self, settings: Settings, observers: tuple[Observer, ...]) -> None:
        self.observers = observers
        self._address, self._port = settings.server
        self._complained: set[int] = set()

    def audience(self) -> tuple[Observer, ...]:
        """Return who is told just now: logging, too, while it is on."""
        if _logger.isEnabledFor(logging.DEBUG):
            return (LOGGING, *self.observers)
        return self.observers

    def attempt_ended(
        self,
        call: Call[Answer],
        finding: Finding | None,
        http_status: int | None,
        marks: Marks,
    ) -> None:
        """Tell of an attempt: what it showed, or that it was done."""
        info = AttemptInfo(
            operation=call.operation.endpoint.name,
            path=call.operation.endpoint.path,
            server_address=self._address,
            server_port=self._port,
            attempt=call.tries,
            outcome=None if finding is None else _OUTCOMES[finding.verdict],
            http_status=http_status,
            retry_after=None if finding is None else finding.retry_after,
            failure=None if finding is None else finding.failure,
            timings=PhaseTimings(
                pool_wait=_between(marks.entered, marks.slot),
                connect=_between(marks.slot, marks.sent),
                first_byte=_between(marks.sent, marks.head),
                body=_between(marks.head, marks.body),
            ),
        )
        for observer in call.audience:
            self._tell(observer, observer.attempt_ended, info)

    def call_ended(
        self, call: Call[Answer], now: float, error: CallError | None
    ) -> None:
        """Tell of a call: that it was done, or which error speaks for it."""
        info = CallEnded(
            operation=call.operation.endpoint.name,
            path=call.operation.endpoint.path,
            server_address=self._address,
            server_port=self._port,
            outcome=None if error is None else error.outcome,
            attempts=call.tries,
            unknown_attempts=call.unknown_attempts,
            elapsed=now - call.started,
            idempotency_key=call.operation.idempotency_key,
            http_status=error.http_status if error is not None else None,
            failure=error.failure if error is not None else None,
        )
        for observer in call.audience:
            self._tell(observer, observer.call_ended, info)

    def _tell(self, observer: Observer, method: Callable[[T], None], info: T) -> None:
        try:
            method(info)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the call goes on
            if id(observer) not in self._complained:
                self._complained.add(id(observer))
                _logger.error(  # noqa: TRY400 -- what apps put into errors is not ours
                    "the observer %s raised %s and missed that event (said once)",
                    type(observer).__name__,
                    type(error).__name__,
                )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
