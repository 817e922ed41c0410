"""The steps of an iteration: calls are seen by themselves, others are named by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

from convergegate_async.errors import CallError, Outcome
from convergegate_async.factory import AttemptInfo, CallEnded, PhaseTimings

from .recorder import Recorder, Result

PHASES = tuple(field.name for field in attrs.fields(PhaseTimings))
"""Of an attempt, in their order."""

_NANOSECONDS = 1_000_000_000
_RESULTS = {
    None: Result.OK,
    Outcome.REJECTED: Result.REJECTED,
    Outcome.NOT_SENT: Result.NOT_SENT,
    Outcome.UNKNOWN: Result.UNKNOWN,
}
_CANCELLED = "CancelledError"


class UnderWay:
    """An iteration under way.

    Args:
        recorder: Where its steps are counted.
        due: When it was to be sent, by *clock*.
        clock: Nanoseconds that only go forward.
    """

    def __init__(self, recorder: Recorder, due: int, clock: Callable[[], int]) -> None:
        self.recorder = recorder
        self.clock = clock
        self._due: int | None = due

    def end_step(self, name: str, took: int, result: Result, error: str | None) -> None:
        """Count a step, which took so many nanoseconds."""
        response = took
        if self._due is not None:  # the first of them had to wait for its turn, too
            response = self.clock() - self._due
            self._due = None
        step = self.recorder.step(name)
        step.count(result, error)
        step.record(response, took)


current: ContextVar[UnderWay | None] = ContextVar("current", default=None)
"""The iteration that a task belongs to."""


class StepWatch:
    """Sees the calls of iterations, as an observer of their factory."""

    def attempt_ended(self, attempt: AttemptInfo, /) -> None:
        """Keep where the time of an attempt went."""
        under_way = current.get()
        if under_way is None:
            return
        for name in PHASES:
            seconds = getattr(attempt.timings, name)
            if seconds is not None:
                under_way.recorder.phase(name).record(int(seconds * _NANOSECONDS))

    def call_ended(self, call: CallEnded, /) -> None:
        """Count a call as a step."""
        under_way = current.get()
        if under_way is None:
            return
        is_cut = call.error == _CANCELLED
        result = Result.CUT if is_cut else _RESULTS[call.outcome]
        error = None if is_cut else error_of(call.error, call.http_status)
        took = int(call.elapsed * _NANOSECONDS)
        under_way.end_step(call.operation, took, result, error)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Measure what a scenario does itself as a step of that name.

    Outside of a load test it does nothing.
    """
    under_way = current.get()
    if under_way is None:
        yield
        return
    started = under_way.clock()
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        under_way.end_step(name, under_way.clock() - started, *judged(error))


def judged(error: BaseException | None) -> tuple[Result, str | None]:
    """Return what it came to that something raised *error*, and the kind of that."""
    match error:
        case None:
            return Result.OK, None
        case CallError():
            kind = error_of(type(error).__name__, error.http_status)
            return _RESULTS[error.outcome], kind
        case Exception():
            return Result.FAILED, type(error).__name__
        case _:
            return Result.CUT, None


def error_of(name: str | None, http_status: int | None) -> str | None:
    """Return the kind of an error: its class, and its status if there was one."""
    return name if name is None or http_status is None else f"{name} {http_status}"
