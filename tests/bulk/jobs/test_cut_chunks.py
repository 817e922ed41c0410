"""A job that is cancelled: what its workers do then, by the sandbox's book."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from begun import begun, until_begun
from clusters import cluster_of, until_idle
from job_rows import rows_of

from convergegate_async.bulk import (
    Job,
    JobPlan,
    Journal,
    ResumeRules,
    State,
    every_row,
    new_header,
)
from convergegate_async.runners import DaskRunner, LocalRunner, Runner
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = 12
CONCURRENCY = 4


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["local", "dask"])
async def test_no_row_begins_once_a_job_is_cancelled(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes are killed and Dask's workers told; no row counts as not sent."""
    plan = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=CONCURRENCY)
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox())
        sandbox.faults.add(Fault(FaultKind.STALL))
        monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
        cluster = await stack.enter_async_context(cluster_of(1, tmp_path / "dask"))
        runner: Runner = LocalRunner(1)
        if kind == "dask":
            runner = DaskRunner(cluster.scheduler_address)
        checkout = await stack.enter_async_context(sandbox.factory())
        header = new_header(checkout, "april", plan)
        journal = stack.enter_context(
            Journal.create(tmp_path / "april.journal", header)
        )

        async def send() -> None:
            async with Job(journal, checkout, plan) as job:
                async for _ in job.run_on(runner, rows_of(ROWS)):
                    pass
            raise AssertionError

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            await until_begun(sandbox, CONCURRENCY)
            sending.cancel()
        before = begun(sandbox)
        sandbox.faults.clear()
        await until_idle(cluster)
    with Journal.read(tmp_path / "april.journal") as journal:
        states = [row.state async for row in every_row(journal)]

    assert len(before) == CONCURRENCY
    assert begun(sandbox) == before
    assert states == [State.SENT] * ROWS
