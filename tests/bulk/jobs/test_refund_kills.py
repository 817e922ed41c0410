"""A short run of ``benchmarks/refund_kills.py``, judged by the sandbox's own book."""

import random

import pytest
from harness.killed_refund import RefundPoint
from harness.killing import Kill
from refund_kills import kill_refunds, plan

from convergegate_async.bulk import RefundState

pytestmark = pytest.mark.timeout(600)

ROWS = 300  # of one job


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
async def test_no_refund_is_lost_or_made_twice(*, honoured: bool) -> None:
    """R1 to R7 hold over four random kills, and one in each of the crash points."""
    dice = random.Random(ROWS)  # noqa: S311 -- chance, not secrets

    verdict = await kill_refunds(
        plan(dice, moments=4, points=1, rows=ROWS), rows=ROWS, honoured=honoured
    )

    assert verdict.violations == []
    assert verdict.kills == {None: 4} | dict.fromkeys(RefundPoint, 1)
    assert {*verdict.states} <= {RefundState.CREATED, RefundState.UNKNOWN}


async def test_the_judge_sees_what_is_made_twice() -> None:
    """A job that trusts keys, before a gateway that ignores them, is found out."""
    kills = [Kill(RefundPoint.SEALED)]

    verdict = await kill_refunds(kills, rows=300, honoured=True, deceived=True)

    assert any("made twice" in violation for violation in verdict.violations)
