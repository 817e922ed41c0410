"""Observers for tests: one that remembers, one that raises."""

from collections.abc import Sequence

import attrs

from convergegate_async import (
    AttemptInfo,
    CallEnded,
    CallError,
    FailureKind,
    Outcome,
    PhaseTimings,
)

PHASES = ("", *attrs.fields_dict(PhaseTimings))
"""What an attempt comes through, one after the other; at first through nothing."""


class Watcher:
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.attempts: list[AttemptInfo] = []
        self.calls: list[CallEnded] = []

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Remember."""
        self.attempts.append(attempt)

    def call_ended(self, call: CallEnded) -> None:
        """Remember."""
        self.calls.append(call)

    def clear(self) -> None:
        """Forget."""
        self.attempts.clear()
        self.calls.clear()

    def agrees_with(self, result: object) -> None:
        """Check what was seen of one call against its answer or error."""
        (call,) = self.calls
        own = [one for one in self.attempts if one.operation == call.operation]
        error = result if isinstance(result, CallError) else None
        assert call.outcome == (error and error.outcome)
        assert call.failure == (error and error.failure)
        assert call.error == (error and type(error).__name__)
        assert call.history == tuple(self.attempts)
        assert call.attempts == len(own)
        assert error is None or call.attempts == error.attempts
        assert [one.attempt for one in own] == list(range(1, len(own) + 1))
        for attempt in self.attempts:
            _check_phases(attempt)
        if own:
            _check_end(call, own, self.attempts[-1])


class Broken:
    """Raises whatever it is told."""

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Fail."""
        raise ZeroDivisionError(attempt)

    def call_ended(self, call: CallEnded) -> None:
        """Fail."""
        raise ZeroDivisionError(call)


def last_phase(attempt: AttemptInfo) -> str:
    """Return the last phase that an attempt came through."""
    times = attrs.asdict(attempt.timings)
    return PHASES[sum(seconds is not None for seconds in times.values())]


def _check_end(
    call: CallEnded, own: Sequence[AttemptInfo], last_told: AttemptInfo
) -> None:
    """A call came to what its last attempt did, or the last that is in doubt."""
    last = own[-1]
    if call.outcome is None and last.outcome is not None:
        assert last_told is not last  # a look, which found it done
        assert last_told.outcome is None
        return
    if call.outcome is not None:
        doubtful = [one for one in own if one.outcome is Outcome.UNKNOWN]
        last = [*own, *doubtful][-1]
    assert (call.outcome, call.failure) == (last.outcome, last.failure)


def _check_phases(attempt: AttemptInfo) -> None:
    """An attempt came through its phases one after the other, and no further.

    What failed before its head was about to be written was not sent; later, it is in
    doubt.
    """
    phases = list(attrs.asdict(attempt.timings).values())
    came = [seconds is not None for seconds in phases]
    assert came == sorted(came, reverse=True)
    assert all(seconds is None or seconds >= 0 for seconds in phases)
    if attempt.http_status is not None:
        assert all(came)
    if attempt.failure is FailureKind.POOL_TIMEOUT:
        assert not any(came)
    if attempt.failure is not None:
        is_sent = attempt.timings.connect is not None
        assert attempt.outcome is (Outcome.UNKNOWN if is_sent else Outcome.NOT_SENT)
    assert (attempt.failure is None) is (attempt.http_status is not None)
