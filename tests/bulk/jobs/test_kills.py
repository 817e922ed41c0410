"""A short run of ``benchmarks/kills.py``, judged by the sandbox's own book."""

import random

import pytest
from harness.killed_job import CrashPoint
from harness.killing import Kill
from kills import kill_jobs, plan

from convergegate_async.bulk import State

pytestmark = pytest.mark.timeout(600)

ROWS = 1_000  # of one job


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
async def test_no_row_is_lost_or_opened_twice(*, honoured: bool) -> None:
    """I1 to I6 hold over ten random kills, and one in each of the crash points."""
    dice = random.Random(ROWS)  # noqa: S311 -- chance, not secrets

    verdict = await kill_jobs(
        plan(dice, moments=10, points=1, rows=ROWS), rows=ROWS, honoured=honoured
    )

    assert verdict.violations == []
    assert verdict.kills == {None: 10} | dict.fromkeys(CrashPoint, 1)
    assert verdict.states.total() == ROWS * verdict.jobs
    assert verdict.states[State.REJECTED] == 0
    assert (verdict.states[State.UNKNOWN] == 0) is honoured


async def test_the_judge_sees_what_is_opened_twice() -> None:
    """A job that trusts keys, before a gateway that ignores them, is found out."""
    kills = [Kill(CrashPoint.ANSWERED, passes=50)]

    verdict = await kill_jobs(kills, rows=200, honoured=True, deceived=True)

    assert any(
        violation.startswith("I5: opened twice") for violation in verdict.violations
    )
