"""Tells observers what attempts and calls came to. Logging is the first of them.

Nothing is paid where there is none.
"""

import logging
from copy import copy
from typing import Any

from convergegate_async._core.settings import Settings
from convergegate_async._core.verdicts import Finding, Verdict
from convergegate_async._transport import Marks
from convergegate_async.errors import CallError, Outcome
from convergegate_async.models import Answer
from convergegate_async.models.code_generation import new_draft, sealed

from ._call import Audience, Call
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
        self._late: tuple[Observer, ...] = ()
        self._address, self._port = settings.server
        self._complained: set[tuple[type, type]] = set()

    def joined_by(self, observers: tuple[Observer, ...]) -> "Reporter":
        """Return one that tells *observers*, too, and complains no second time."""
        both = copy(self)
        both.observers = (*self.observers, *observers)
        return both

    def joined_late_by(self, observer: Observer) -> "Reporter":
        """Return one that also tells *observer* of calls, from a first failure on."""
        both = copy(self)
        both._late = (*self._late, observer)  # noqa: SLF001 -- its own class
        return both

    def let_in_late(self, call: Call[Answer]) -> None:
        """Let those watch *call* who are told of failures: an attempt of it failed."""
        if self._late:
            call.audience = call.audience or Audience(())
            call.audience.let_in(self._late)

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
        draft = self._draft(AttemptInfo, call, call.began, now)
        draft.attempt = call.tries
        draft.http_status = http_status
        draft.timings = _timings(marks)
        if isinstance(result, Finding):
            draft.outcome = _OUTCOMES[result.verdict]
            draft.request_id = result.request_id
            draft.retry_after = result.retry_after
            draft.failure = result.failure
        else:
            draft.outcome = draft.retry_after = draft.failure = None
            draft.request_id = result.call.request_id
        info = sealed(draft, AttemptInfo)
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
        draft = self._draft(CallEnded, call, call.started, now)
        draft.attempts = call.tries
        draft.unknown_attempts = call.unknown_attempts
        draft.idempotency_key = call.operation.idempotency_key
        draft.error = raised.__name__ if raised is not None else None
        draft.history = tuple(call.audience.history)
        if error is None:
            draft.outcome = draft.http_status = draft.failure = None
        else:
            draft.outcome = error.outcome
            draft.http_status = error.http_status
            draft.failure = error.failure
        info = sealed(draft, CallEnded)
        for observer in call.audience.observers:
            self._tell(observer, info)

    def _draft(
        self,
        kind: type[AttemptInfo | CallEnded],
        call: Call[Answer],
        began: float,
        now: float,
    ) -> Any:  # noqa: ANN401 -- it is written, and what it becomes is frozen
        """Begin what is told: what was called, and when it was over."""
        draft = new_draft(kind)
        endpoint = call.operation.endpoint
        draft.operation = endpoint.name
        draft.method = endpoint.method
        draft.path = endpoint.path
        draft.server_address = self._address
        draft.server_port = self._port
        draft.elapsed = now - began
        draft.ended_at = now
        return draft

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


def _timings(marks: Marks) -> PhaseTimings:
    draft = new_draft(PhaseTimings)
    draft.pool_wait = _between(marks.queued_at, marks.placed_at)
    draft.connect = _between(marks.placed_at, marks.sent_at)
    draft.first_byte = _between(marks.sent_at, marks.head_at)
    draft.body = _between(marks.head_at, marks.body_at)
    return sealed(draft, PhaseTimings)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
