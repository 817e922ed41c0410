"""A factory that is closed while a job runs, or was never opened: no row in doubt."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from job_rows import rows_of
from thread_runner import ThreadRunner

from convergegate_async import ConfigurationError
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    ResumeRules,
    RowCounts,
    RowOutcome,
)
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

PLAN = JobPlan(format="csv", rules=ResumeRules(keys_honoured=True))


def runs_of(job: Job) -> list[AsyncGenerator[RowOutcome, None]]:
    """Return *job* in both of its ways."""
    rows = rows_of(300)
    return [job.run(rows), job.run_on(ThreadRunner(), rows)]


@pytest.mark.parametrize("way", [0, 1], ids=["run", "run_on"])
async def test_an_unopened_factory_is_refused_before_a_row_is_noted(
    way: int, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends at once, and the job can be run: it has not begun."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    factory = sandbox.factory()
    folder = JobFolder("april", tmp_path)

    async with await Job.begin(folder, PLAN, factory) as job:
        with pytest.raises(ConfigurationError, match="unopened"):
            await anext(runs_of(job)[way])
        noted = await job.counts()
        async with factory:
            async for _ in runs_of(job)[way]:
                pass

    assert noted == RowCounts(rows=None)
    assert job.tally.created == 300


async def test_rows_that_a_closed_factory_refused_are_pending(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Closed in the middle: each row has its session or none, and the rest is sent."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.02, times=100))
    folder = JobFolder("april", tmp_path)
    factory = await sandbox.factory().open()

    async def exhaust(outcomes: AsyncGenerator[RowOutcome, None]) -> None:
        async for _ in outcomes:
            pass

    async with await Job.begin(folder, PLAN, factory) as job:
        outcomes = job.run(rows_of(300))
        await anext(outcomes)
        closing = asyncio.create_task(factory.aclose())
        with pytest.raises(ConfigurationError, match="closed"):
            await exhaust(outcomes)
        counts = await job.counts()
        await closing

    assert 0 < counts.created == len(sandbox.book.sessions) < 300
    assert counts == RowCounts(rows=None, created=counts.created)
