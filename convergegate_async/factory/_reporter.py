"""Tells observers what attempts and calls came to. Logging is the first of them.

Nothing is paid where there is none.
"""

import logging
from copy import copy

from convergegate_async._core.settings import Settings
from convergegate_async._core.verdicts import Finding, Verdict
from convergegate_async._transport import Marks
from convergegate_async.errors import CallError, Outcome
from convergegate_async.models import Answer

from ._call import Call
from ._observers import AttemptInfo, CallEnded, Observer, PhaseTimings

_OUTCOMES = {
    Verdict.DONE: None,
    Verdict.NOT_SENT: Outcome.NOT_SENT,
    Verdict.REJECTED: Outcome.REJECTED,
    Verdict.UNKNOWN: Outcome.UNKNOWN,
}

_logger = logging.getLogger("convergegate_async")


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
        observers: Who is told, apart from logging, which is while it is on.
    """

    def __init__(self, settings: Settings, observers: tuple[Observer, ...]) -> None:
        self.observers = observers
        self._address, self._port = settings.server
        self._complained: set[tuple[type, type]] = set()

    def joined_by(self, observers: tuple[Observer, ...]) -> "Reporter":
        """Return one that tells *observers*, too, and complains no second time."""
        both = copy(self)
        both.observers = (*self.observers, *observers)
        return both

    def attempt_ended(
        self,
        call: Call[Answer],
        now: float,
        result: Answer | Finding,
        http_status: int | None,
        marks: Marks,
    ) -> None:
        """Tell of an attempt: what it showed, or that it was done."""
        if not call.audience:
            return
        finding = result if isinstance(result, Finding) else None
        named = result if isinstance(result, Finding) else result.call
        info = AttemptInfo(
            operation=call.operation.endpoint.name,
            method=call.operation.endpoint.method,
            path=call.operation.endpoint.path,
            server_address=self._address,
            server_port=self._port,
            elapsed=now - call.began,
            ended_at=now,
            attempt=call.tries,
            outcome=None if finding is None else _OUTCOMES[finding.verdict],
            http_status=http_status,
            request_id=named.request_id,
            retry_after=None if finding is None else finding.retry_after,
            failure=None if finding is None else finding.failure,
            timings=PhaseTimings(
                pool_wait=_between(marks.entered, marks.slot),
                connect=_between(marks.slot, marks.sent),
                first_byte=_between(marks.sent, marks.head),
                body=_between(marks.head, marks.body),
            ),
        )
        call.audience.history.append(info)
        for observer in call.audience.observers:
            self._tell(observer, info)

    def call_ended(
        self,
        call: Call[Answer],
        now: float,
        error: CallError | None,
        raised: type[BaseException] | None = None,
    ) -> None:
        """Tell of a call: that it was done, or which error speaks for it.

        Args:
            call: What was asked, and came of it.
            now: When it was over.
            error: What speaks for it.
            raised: What is raised in place of that.
        """
        if not call.audience:
            return
        if raised is None and error is not None:
            raised = type(error)
        info = CallEnded(
            operation=call.operation.endpoint.name,
            method=call.operation.endpoint.method,
            path=call.operation.endpoint.path,
            server_address=self._address,
            server_port=self._port,
            elapsed=now - call.started,
            ended_at=now,
            outcome=None if error is None else error.outcome,
            attempts=call.tries,
            unknown_attempts=call.unknown_attempts,
            idempotency_key=call.operation.idempotency_key,
            http_status=error.http_status if error is not None else None,
            failure=error.failure if error is not None else None,
            error=raised.__name__ if raised is not None else None,
            history=tuple(call.audience.history),
        )
        for observer in call.audience.observers:
            self._tell(observer, info)

    def _tell(self, observer: Observer, info: AttemptInfo | CallEnded) -> None:
        try:
            if isinstance(info, AttemptInfo):
                observer.attempt_ended(info)
            else:
                observer.call_ended(info)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the call goes on
            kinds = type(observer), type(error)
            if kinds not in self._complained:
                self._complained.add(kinds)
                _logger.error(  # noqa: TRY400 -- what apps put into errors is not ours
                    "the observer %s raised %s and missed that event (said once)",
                    *[kind.__name__ for kind in kinds],
                )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
