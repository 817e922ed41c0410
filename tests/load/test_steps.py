"""What steps of an iteration come to, and how late the first of them was."""

import asyncio

import pytest

from convergegate_async import NotSentError, OutcomeUnknownError
from convergegate_async.load.recorder import Recorder, Result
from convergegate_async.load.steps import UnderWay, current, judged, step

UNKNOWN = OutcomeUnknownError(operation="create")
NOT_SENT = NotSentError(operation="create")


def test_the_first_step_bears_that_its_iteration_was_late() -> None:
    """Later ones begin when the scenario comes to them."""
    recorder, now = Recorder(), 0
    current.set(
        UnderWay(
            recorder=recorder, late=7_000_000, clock=lambda: now, is_cut=lambda: False
        )
    )

    for name in ("first", "second"):
        with step(name):
            now += 2_000_000
    current.set(None)

    first, second = recorder.step("first"), recorder.step("second")
    assert first.response.longest == pytest.approx(0.009, rel=2e-3)
    assert first.service.longest == pytest.approx(0.002, rel=2e-3)
    assert second.response.longest == pytest.approx(0.002, rel=2e-3)


@pytest.mark.parametrize(
    ("error", "is_cut", "result"),
    [
        (None, False, Result.OK),
        (UNKNOWN, False, Result.UNKNOWN),
        (NOT_SENT, True, Result.NOT_SENT),
        (LookupError(), False, Result.FAILED),
        (asyncio.CancelledError(), True, Result.CUT),
        (asyncio.CancelledError(), False, Result.FAILED),
        (SystemExit(), False, Result.FAILED),
        (ExceptionGroup("", [LookupError(), UNKNOWN]), False, Result.UNKNOWN),
        (ExceptionGroup("", [NOT_SENT, LookupError()]), False, Result.FAILED),
        (ExceptionGroup("", [ExceptionGroup("", [UNKNOWN])]), False, Result.UNKNOWN),
    ],
)
def test_what_was_raised_is_judged(
    error: BaseException | None, is_cut: bool, result: Result
) -> None:
    """Cut is what the end of the run has cancelled; of several the worst counts."""
    assert judged(error, is_cut=is_cut)[0] is result
