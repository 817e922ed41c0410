"""A job that is left in the middle of its run."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Self

import pytest
from job_rows import rows_of
from thread_runner import ThreadRunner

from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalError,
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
    assert await states_in(folder) == {State.CREATED: seen} | dict.fromkeys(
        (State.SENT, State.REJECTED, State.UNKNOWN), 0
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


class UnenteredRunner(ThreadRunner):
    async def __aenter__(self) -> Self:
        raise AssertionError


@pytest.mark.parametrize("way", ["run", "run_on"])
async def test_a_run_that_was_never_begun_is_not_begun_by_leaving(
    way: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, and no runner is entered."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    folder, rows = JobFolder("april", tmp_path), rows_of(1)

    async with (
        sandbox.factory() as checkout,
        await Job.begin(folder, PLAN, checkout) as job,
    ):
        outcomes = (
            job.run(rows) if way == "run" else job.run_on(UnenteredRunner(), rows)
        )

    assert await anext(outcomes, None) is None
    assert sandbox.count("create") == 0


async def test_another_task_may_be_at_the_run_of_a_job_that_is_left(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its row goes on to its end, and none is left in doubt."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.1))
    folder = JobFolder("april", tmp_path)

    async def follow(job: Job) -> int:
        return len([outcome async for outcome in job.run(rows_of(200))])

    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, PLAN, checkout) as job:
            following = asyncio.create_task(follow(job))
            while not sandbox.count("create"):  # noqa: ASYNC110 -- the wire has no event
                await asyncio.sleep(0.005)
        await asyncio.gather(following, return_exceptions=True)

    states = await states_in(folder)
    assert states[State.SENT] == 0
    assert states[State.CREATED] == sandbox.count("create") < 200


async def test_a_journal_that_fails_while_a_job_is_left_is_told(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """What was sent cannot be written down: leaving does not pass that over."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.3, times=20))
    folder = JobFolder("april", tmp_path)

    async def lose_the_journal(job: Job) -> None:
        async with job:
            async for _ in job.run(rows_of(100)):
                job.close()
                break

    async with sandbox.factory() as checkout:
        job = await Job.begin(folder, PLAN, checkout)
        with pytest.raises(JournalError):
            await lose_the_journal(job)
