"""A job on Dask: a worker is killed in the middle, and every row is done once."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import attrs
import psutil
import pytest
import worker_functions
from clusters import cluster_of
from distributed import LocalCluster, Nanny, Scheduler

from convergegate_async import CheckoutSessionRequest, ConfigurationError
from convergegate_async.bulk import (
    Created,
    Job,
    JobPlan,
    Journal,
    ResumeRules,
    Row,
    State,
    every_row,
    new_header,
)
from convergegate_async.bulk.jobs.chunks import CHUNK_ROWS
from convergegate_async.runners import DaskRunner, WorkersLostError
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = 6_000
WORKERS = 2


def rows(order: CheckoutSessionRequest, count: int) -> Iterator[Row]:
    """Yield rows that the sandbox's book can tell apart: by their amount."""
    for number in range(1, count + 1):
        yield Row(
            position=number,
            line=number,
            row_id=f"order-{number}",
            request=attrs.evolve(order, amount=number),
            raw={},
        )


@pytest.fixture
async def cluster(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[LocalCluster]:
    """A cluster of the user's, whose workers have the API key in their environment."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    async with cluster_of(WORKERS, tmp_path) as cluster:
        yield cluster


async def kill_one_at_work(cluster: LocalCluster, sandbox: Sandbox) -> None:
    """SIGKILL a worker that talks to *sandbox* just now, so that its chunk is lost."""
    port = int(sandbox.base_url.rpartition(":")[2])
    while True:
        for nanny in cluster.workers.values():
            peers = psutil.Process(nanny.pid).net_connections("tcp")
            if any(peer.raddr and peer.raddr.port == port for peer in peers):
                os.kill(nanny.pid, signal.SIGKILL)
                return
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_killed_worker_neither_loses_nor_doubles_a_row(
    cluster: LocalCluster,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
    tmp_path: Path,
) -> None:
    """6,000 rows, one SIGKILL among them: one session each, by the sandbox's book."""
    plan = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=16)
    seen: Counter[str | None] = Counter()

    async with sandbox.factory() as checkout:
        header = new_header(checkout, "april", plan)
        with Journal.create(tmp_path / "april.journal", header) as journal:
            job = Job(journal, checkout, plan)
            runner = DaskRunner(cluster.scheduler_address)
            killed = None
            outcomes = job.run_on(runner, rows(order, ROWS))
            async for outcome in outcomes:
                assert isinstance(outcome, Created)
                seen[outcome.idempotency_key] += 1
                if seen.total() == ROWS // 4:
                    killed = asyncio.create_task(kill_one_at_work(cluster, sandbox))
            assert killed is not None
            await killed
            counts, problems = await journal.counts(), await journal.check()
            noted = [row.session_id async for row in every_row(journal)]

    booked = sandbox.book.sessions.values()
    assert sorted(session.request.amount for session in booked) == list(
        range(1, ROWS + 1)
    )
    assert sorted(map(str, noted)) == sorted(session.id for session in booked)
    assert len(seen) == seen.total() == job.tally.created == ROWS
    assert counts[State.CREATED] == ROWS
    assert problems == []
    # The lost chunk was under way indeed: some of its rows were sent twice.
    assert any(request.replayed for request in sandbox.seen)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_killed_worker_leaves_its_rows_in_doubt(
    cluster: LocalCluster,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
    tmp_path: Path,
) -> None:
    """A gateway that refuses all after the SIGKILL does not undo a session."""
    plan = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=16)
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.1))

    async def kill_then_refuse() -> None:
        while len(sandbox.book.sessions) < CHUNK_ROWS // 10:  # noqa: ASYNC110 -- of a server
            await asyncio.sleep(0.01)
        await kill_one_at_work(cluster, sandbox)
        sandbox.faults.clear()
        sandbox.faults.add(Fault(FaultKind.STATUS, status=400, operation="create"))

    async with sandbox.factory() as checkout:
        header = new_header(checkout, "april", plan)
        with Journal.create(tmp_path / "april.journal", header) as journal:
            job = Job(journal, checkout, plan)
            runner = DaskRunner(cluster.scheduler_address)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kill_then_refuse())
                async for _ in job.run_on(runner, rows(order, 2 * CHUNK_ROWS)):
                    pass
            noted = {row.position: row async for row in every_row(journal)}

    states = Counter(row.state for row in noted.values())
    assert states.total() == 2 * CHUNK_ROWS
    assert states[State.UNKNOWN] >= CHUNK_ROWS
    assert states[State.REJECTED]  # of the chunk whose worker was not lost
    for booked in sandbox.book.sessions.values():
        assert noted[booked.request.amount].state is not State.REJECTED


@pytest.mark.slow
async def test_a_lost_scheduler_is_reported(tmp_path: Path) -> None:
    """An error of our own, and not a cancellation that nobody asked for."""
    scheduler = await Scheduler(
        host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0"
    )
    worker = await Nanny(scheduler.address, nthreads=1, local_directory=str(tmp_path))

    async def chunks() -> AsyncIterator[float]:
        yield 60.0

    async with (
        DaskRunner(scheduler.address) as runner,
        aclosing(runner.map(worker_functions.sleep, chunks())) as results,
    ):
        minute = asyncio.ensure_future(anext(results))
        await asyncio.sleep(0.2)
        await worker.close(timeout=0.1)
        await scheduler.close()
        with pytest.raises(WorkersLostError, match="scheduler"):
            await minute


async def test_dask_needs_keys_that_are_honoured(
    sandbox: Sandbox, order: CheckoutSessionRequest, tmp_path: Path
) -> None:
    """Without them nothing is started, noted or sent: a lost chunk could not be."""
    plan = JobPlan()
    before = psutil.Process().children()

    async with sandbox.factory() as checkout:
        header = new_header(checkout, "april", plan)
        with Journal.create(tmp_path / "april.journal", header) as journal:
            job = Job(journal, checkout, plan)
            outcomes = job.run_on(DaskRunner("local:2"), rows(order, 3))
            with pytest.raises(ConfigurationError, match="keys_honoured"):
                await anext(outcomes)
            assert not any((await journal.counts()).values())

    assert psutil.Process().children() == before
    assert not sandbox.seen
