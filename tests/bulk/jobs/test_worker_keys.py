"""Workers without the job's key, and workers that are lost: what is known of rows."""

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from distributed import Nanny, Scheduler
from job_rows import rows_of
from thread_runner import ThreadRunner
from twice_runner import TwiceRunner

from convergegate_async import AuthenticationError, CallError, ConfigurationError
from convergegate_async.bulk import (
    Job,
    JobPlan,
    Journal,
    ResumeRules,
    RowOutcome,
    State,
    Unknown,
    new_header,
)
from convergegate_async.runners import DaskRunner, Runner
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

C = TypeVar("C")
R = TypeVar("R")

KEY = "CONVERGEGATE_API_KEY"
PLAN = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=4)


class Run:
    """One run of a new job on a runner, to its end, whatever that is."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.path = folder / "april.journal"
        self.outcomes: list[RowOutcome] = []
        self.error: Exception | None = None

    async def __call__(
        self, runner: Runner, count: int = 20, plan: JobPlan = PLAN
    ) -> "Run":
        """Make it."""
        async with self.sandbox.factory() as checkout:
            if not self.path.exists():
                header = new_header(checkout, "april", plan)
                Journal.create(self.path, header).close()
            with Journal.open(self.path) as journal:
                job = Job(journal, checkout, plan)
                try:
                    async for outcome in job.run_on(runner, rows_of(count)):
                        self.outcomes.append(outcome)
                except (CallError, ConfigurationError) as error:
                    self.error = error
                self.counts = await journal.counts()
        return self


class LateRunner(ThreadRunner):
    """Has a worker that comes after the others were checked, with another key."""

    async def everywhere(self, work: Callable[[C], R], item: C) -> list[R]:
        """Find nothing wrong."""
        del work, item
        return []


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A job that is not begun yet, in a process that has its key."""
    monkeypatch.setenv(KEY, sandbox.api_key)
    return Run(sandbox, tmp_path)


# -- keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "sk_test_other"])
async def test_keys_are_checked_before_the_first_row_is_noted(
    key: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the key ends the job: no row was sent or is in doubt."""
    monkeypatch.delenv(KEY) if key is None else monkeypatch.setenv(KEY, key)

    await run(ThreadRunner())

    assert isinstance(run.error, ConfigurationError)
    assert KEY in str(run.error)
    assert (sum(run.counts.values()), list(run.sandbox.seen)) == (0, [])


@pytest.mark.parametrize("key", [None, "sk_test_other"])
async def test_a_worker_that_comes_later_is_checked_as_well(
    key: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunk is withdrawn: the rows are pending, and sent by the next run."""
    monkeypatch.delenv(KEY) if key is None else monkeypatch.setenv(KEY, key)

    await run(LateRunner())

    assert isinstance(run.error, ConfigurationError)
    assert (sum(run.counts.values()), list(run.sandbox.seen)) == (0, [])

    monkeypatch.setenv(KEY, run.sandbox.api_key)
    rest = await Run(run.sandbox, run.path.parent)(ThreadRunner())

    assert rest.counts[State.CREATED] == 20


async def test_rows_that_a_chunk_did_not_come_to_are_pending(run: Run) -> None:
    """A key that the gateway refuses ends a chunk: what was not begun was not sent."""
    run.sandbox.faults.add(Fault(FaultKind.STATUS, status=401, operation="create"))

    await run(ThreadRunner(), 500)

    assert isinstance(run.error, AuthenticationError)
    assert sum(run.counts.values()) == 0
    assert run.sandbox.count("create") <= PLAN.concurrency + 3


async def test_a_429_is_sent_again_in_the_same_run(run: Run) -> None:
    """By another chunk, and no row is rejected."""
    run.sandbox.faults.add(Fault(FaultKind.STATUS, status=429, times=30))
    run.sandbox.faults.add(Fault(FaultKind.RESET, times=3))

    await run(ThreadRunner(), 60)

    assert run.error is None
    assert run.counts[State.REJECTED] == 0
    assert run.counts[State.CREATED] == 60


# -- losses ----------------------------------------------------------------------------


async def test_a_row_that_a_lost_worker_may_have_sent_is_not_withdrawn(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second worker sent nothing; the first may have: the row is unknown."""
    runner = TwiceRunner(lambda: monkeypatch.setenv(KEY, "sk_test_other"))

    await run(runner)

    assert isinstance(run.error, ConfigurationError)
    assert len(run.sandbox.book.sessions) == 20
    assert (run.counts[State.UNKNOWN], run.counts[State.SENT]) == (20, 0)

    monkeypatch.setenv(KEY, run.sandbox.api_key)
    rest = await Run(run.sandbox, run.path.parent)(ThreadRunner())

    assert rest.counts[State.CREATED] == len(run.sandbox.book.sessions) == 20


@pytest.mark.parametrize("status", [400, 429])
async def test_a_refusal_does_not_say_what_a_lost_worker_did(
    status: int, run: Run
) -> None:
    """Rejected by the second worker, a row may have its session by the first."""
    fault = Fault(FaultKind.STATUS, status=status, operation="create")
    plan = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=4, max_outage=0.1)

    await run(TwiceRunner(lambda: run.sandbox.faults.add(fault)), 3, plan)

    assert {type(outcome) for outcome in run.outcomes} <= {Unknown}
    assert (run.counts[State.UNKNOWN], run.counts[State.REJECTED]) == (3, 0)


# -- on Dask ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_dask_worker_without_the_key_puts_no_row_in_doubt(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker of two has it: nothing is noted or sent."""
    monkeypatch.delenv(KEY)
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(
            Scheduler(
                host="127.0.0.1",
                port=0,
                dashboard=False,
                dashboard_address="127.0.0.1:0",
            )
        )
        workers = [
            await stack.enter_async_context(
                Nanny(
                    scheduler.address,
                    nthreads=1,
                    env={**os.environ, **environ},
                    local_directory=str(tmp_path / name),
                )
            )
            for name, environ in (("with", {KEY: run.sandbox.api_key}), ("without", {}))
        ]
        await run(DaskRunner(scheduler.address), 400)

        assert isinstance(run.error, ConfigurationError)
        assert (sum(run.counts.values()), list(run.sandbox.seen)) == (0, [])

        await workers[1].close(timeout=60)
        rest = await Run(run.sandbox, tmp_path)(DaskRunner(scheduler.address), 400)
        assert rest.counts[State.CREATED] == 400
