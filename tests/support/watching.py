"""Observers for tests: one that remembers, one that raises."""

import attrs

from convergegate_async import AttemptInfo, CallEnded, CallError, FailureKind


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


class Broken:
    """Raises whatever it is told."""

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Fail."""
        raise ZeroDivisionError(attempt)

    def call_ended(self, call: CallEnded) -> None:
        """Fail."""
        raise ZeroDivisionError(call)


def _check_phases(attempt: AttemptInfo) -> None:
    """An attempt came through its phases one after the other, and no further."""
    phases = list(attrs.asdict(attempt.timings).values())
    came = [seconds is not None for seconds in phases]
    assert came == sorted(came, reverse=True)
    assert all(seconds is None or seconds >= 0 for seconds in phases)
    if attempt.http_status is not None:
        assert all(came)
    if attempt.failure is FailureKind.POOL_TIMEOUT:
        assert not any(came)
    assert (attempt.failure is None) or attempt.outcome is not None
