"""A job that is left in the middle of its run."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from job_rows import rows_of
from thread_runner import ThreadRunner

from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Journal,
    ResumeRules,
    State,
)
from convergegate_async.runners import LocalRunner
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

PLAN = JobPlan(format="csv", rules=ResumeRules(keys_honoured=True))
ROWS = 2_100  # more than two chunks hold


async def states_in(folder: JobFolder) -> Counter[State]:
    """Return how many rows of a job are in each state."""
    with Journal.read(folder.journal) as journal:
        return Counter(await journal.counts())


@pytest.mark.parametrize("error", [None, LookupError], ids=["break", "error"])
@pytest.mark.parametrize("way", ["run", "run_on"])
async def test_what_was_under_way_is_in_the_journal(
    way: str,
    error: type[Exception] | None,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Left by `break` or an error: every session that was opened has its row."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.05, times=200))
    folder, rows = JobFolder("april", tmp_path), rows_of(ROWS)

    async with sandbox.factory() as checkout:
        with nullcontext() if error is None else pytest.raises(error):
            async with await Job.begin(folder, PLAN, checkout) as job:
                run = (
                    job.run(rows) if way == "run" else job.run_on(LocalRunner(1), rows)
                )
                async for _ in run:
                    if error is not None:
                        raise error
                    break
        seen = sandbox.count("create")
        await asyncio.sleep(0.2)

    assert sandbox.count("create") == seen == len(sandbox.book.sessions) < ROWS
    assert await states_in(folder) == {State.DONE: seen} | dict.fromkeys(
        (State.SENT, State.FAILED, State.UNKNOWN), 0
    )
    assert job.tally.created == seen


async def test_a_job_that_is_cancelled_does_not_wait(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Rows that hang are cut: what became of them is in doubt."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=30, times=3))
    folder = JobFolder("april", tmp_path)
    met = asyncio.Event()

    async def leave_nothing(job: Job) -> None:
        async with job:
            async for _ in job.run(rows_of(20)):
                met.set()
                await asyncio.Event().wait()

    async with sandbox.factory() as checkout:
        job = await Job.begin(folder, PLAN, checkout)
        leaving = asyncio.create_task(leave_nothing(job))
        await met.wait()
        leaving.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([leaving])

    assert leaving.cancelled()
    assert (await states_in(folder))[State.SENT] >= 1


async def test_a_run_that_was_never_begun_is_not_begun_by_leaving(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nothing is sent, and no runner is entered."""
    folder = JobFolder("april", tmp_path)

    async with (
        sandbox.factory() as checkout,
        await Job.begin(folder, PLAN, checkout) as job,
    ):
        outcomes = job.run_on(ThreadRunner(), rows_of(1))

    assert await anext(outcomes, None) is None
    assert sandbox.count("create") == 0
