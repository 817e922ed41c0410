"""The steps of an iteration: calls are seen by themselves, others are named by hand."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

from convergegate_async.errors import CallError, Outcome
from convergegate_async.factory import AttemptInfo, CallEnded, PhaseTimings

from .recorder import Recorder, Result
from .times import NANOSECONDS

PHASES = tuple(field.name for field in attrs.fields(PhaseTimings))
"""Of an attempt, in their order."""

_RESULTS = {
    None: Result.OK,
    Outcome.REJECTED: Result.REJECTED,
    Outcome.NOT_SENT: Result.NOT_SENT,
    Outcome.UNKNOWN: Result.UNKNOWN,
}
_DOUBTS = (
    *(Result.UNKNOWN, Result.CUT, Result.FAILED, Result.REJECTED, Result.NOT_SENT),
)
_CANCELLED = "CancelledError"
_LONGEST = 300  # letters


@attrs.define(kw_only=True)
class UnderWay:
    """An iteration under way.

    Attributes:
        recorder: Where its steps are counted.
        late: Nanoseconds that it was sent after it was due; its first step bears them.
        clock: Nanoseconds that only go forward.
        is_cut: Tells whether the run is being ended, and the iteration with it.
    """

    recorder: Recorder
    late: int
    clock: Callable[[], int]
    is_cut: Callable[[], bool]

    def end_step(self, name: str, took: int, result: Result, error: str | None) -> None:
        """Count a step, which took so many nanoseconds."""
        step = self.recorder.step(name)
        step.count(result, error)
        step.record(took + self.late, took)
        self.late = 0


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
                under_way.recorder.phase(name).record(int(seconds * NANOSECONDS))

    def call_ended(self, call: CallEnded, /) -> None:
        """Count a call as a step."""
        under_way = current.get()
        if under_way is None:
            return
        result, error = _RESULTS[call.outcome], error_of(call.error, call.http_status)
        if call.error == _CANCELLED:  # by the end of the run, or by the scenario itself
            if under_way.is_cut():
                result, error = Result.CUT, None
            elif call.outcome is None:
                result = Result.UNKNOWN
        took = int(call.elapsed * NANOSECONDS)
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
        result, kind = judged(error, is_cut=under_way.is_cut())
        under_way.end_step(name, under_way.clock() - started, result, kind)


def judged(error: BaseException | None, *, is_cut: bool) -> tuple[Result, str | None]:
    """Return what it came to that something raised *error*, and the kind of that.

    Of several errors at once the one counts that leaves most in doubt.

    Args:
        error: What was raised, if anything was.
        is_cut: The run is being ended: what is cancelled is cut short by that.
    """
    match error:
        case None:
            return Result.OK, None
        case CallError():
            kind = error_of(type(error).__name__, error.http_status)
            return _RESULTS[error.outcome], kind
        case asyncio.CancelledError() if is_cut:
            return Result.CUT, None
        case BaseExceptionGroup():
            found = [judged(one, is_cut=is_cut) for one in error.exceptions]
            return min(found, key=lambda one: _DOUBTS.index(one[0]))
        case _:
            return Result.FAILED, type(error).__name__


def said(error: BaseException | None) -> str:
    """Return what an error says, in so many letters as a report has room for."""
    try:
        return "" if error is None else str(error)[:_LONGEST]
    except Exception:  # noqa: BLE001 -- it is of somebody else's class
        return ""


def error_of(name: str | None, http_status: int | None) -> str | None:
    """Return the kind of an error: its class, and its status if there was one."""
    return name if name is None or http_status is None else f"{name} {http_status}"
