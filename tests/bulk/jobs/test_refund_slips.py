"""Slips of whoever pays back from Python: each is told, and nothing is sent."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from paid_job import ROWS, paid

from convergegate_async.bulk import (
    Job,
    JobFolder,
    JournalError,
    RefundOutcome,
    WantedRefund,
)
from convergegate_async.errors import ConfigurationError, InvalidFieldError
from convergegate_async.sandbox import Sandbox

WANTED = [WantedRefund(f"order-{number}", 1) for number in range(1, ROWS + 1)]
EXPECTED = {"PLN": Decimal("0.08")}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The gateway."""
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def job(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Job]:
    """A job whose sessions are all paid, and looked at."""
    async with paid(sandbox, JobFolder("april", tmp_path)) as job:
        yield job


@pytest.mark.parametrize("amount", [10.5, float("nan"), True, "10", b"1"], ids=repr)
def test_an_amount_is_exact(amount: Any) -> None:  # noqa: ANN401 -- a slip
    """It is an int of minor units or a Decimal of major ones, and nothing else."""
    with pytest.raises(InvalidFieldError, match="amount must be an int"):
        WantedRefund("order-1", amount)


@pytest.mark.parametrize(
    "amount", ["0.08", 0.08, True, None, Decimal("NaN"), Decimal("sNaN")], ids=repr
)
async def test_an_expected_sum_is_exact(
    sandbox: Sandbox,
    job: Job,
    amount: Any,  # noqa: ANN401 -- a slip
) -> None:
    """Else it is told what it has to be, and not that two alike sums differ."""
    with pytest.raises(ConfigurationError, match=r"of PLN must be a Decimal"):
        job.refund("march", WANTED, expect_sum={"PLN": amount})

    assert sandbox.count("refund") == 0


async def test_a_currency_is_expected_once(sandbox: Sandbox, job: Job) -> None:
    """Two sums for the same currency are refused, though the last were the right."""
    sums = {"pln": Decimal(99), **EXPECTED}
    with pytest.raises(ConfigurationError, match="once for each currency"):
        job.refund("march", WANTED, expect_sum=sums)

    assert sandbox.count("refund") == 0


async def test_a_sum_of_whole_units_may_be_an_int(job: Job) -> None:
    """As `minor_units` reads it."""
    whole: Any = 10
    with pytest.raises(ConfigurationError, match="and PLN 10 was expected"):
        await anext(job.refund("march", WANTED, expect_sum={"pln": whole}))


async def test_of_refunds_made_at_once_one_goes_on(sandbox: Sandbox, job: Job) -> None:
    """Generators made before any has begun are told apart at their first step."""
    made = [job.refund(name, WANTED, expect_sum=EXPECTED) for name in ("a", "a", "b")]

    async def outcomes_of(number: int) -> list[RefundOutcome]:
        return [one async for one in made[number]]

    first, *others = await asyncio.gather(
        *map(outcomes_of, range(3)), return_exceptions=True
    )

    assert isinstance(first, list)
    assert len(first) == ROWS
    assert [type(other) for other in others] == [JournalError] * 2
    assert ["before what the job does now" in str(other) for other in others] == [
        *[True] * 2
    ]
    assert sandbox.count("refund") == ROWS


async def test_a_refund_waits_for_a_run_that_began_since(job: Job) -> None:
    """What else has begun since it was made is in its way, too, and then no more."""
    refunds = job.refund("march", WANTED, expect_sum=EXPECTED)
    refreshing = job.refresh(final=True)
    await anext(refreshing)

    with pytest.raises(JournalError, match="before what the job does now"):
        await anext(refunds)

    await refreshing.aclose()
    later = job.refund("march", WANTED, expect_sum=EXPECTED)
    assert len([outcome async for outcome in later]) == ROWS


@pytest.mark.parametrize("slip", ["March", "MARCH", "march.", "mARCH.."])
async def test_a_slip_in_a_name_is_no_other_batch(
    sandbox: Sandbox, job: Job, slip: str
) -> None:
    """A part of an amount would be paid back twice: the batch that is meant is told."""
    wanted, expected = [WantedRefund("order-8", 1)], {"PLN": Decimal("0.01")}
    async for _ in job.refund("march", wanted, expect_sum=expected):
        pass

    with pytest.raises(ConfigurationError, match="a batch march already"):
        await job.plan_refunds(slip, wanted)
    with pytest.raises(ConfigurationError, match="a batch march already"):
        await anext(job.refund(slip, wanted, expect_sum=expected))
    other = job.refund("march.2", wanted, expect_sum=expected)

    assert len([outcome async for outcome in other]) == 1
    assert sandbox.count("refund") == 2


async def test_a_name_that_was_refused_is_not_taken(sandbox: Sandbox, job: Job) -> None:
    """Of a batch that was never whole nothing is known, and nothing in the way."""
    with pytest.raises(ConfigurationError, match="was expected"):
        await anext(job.refund("March", WANTED, expect_sum={}))

    outcomes = job.refund("march", WANTED, expect_sum=EXPECTED)

    assert len([outcome async for outcome in outcomes]) == sandbox.count("refund")
