"""Workers end and tell so, also where a task's first step runs at its creation."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from eager import EAGER_OR_LAZY, begin_tasks
from orders import an_order
from scripted import DONE, REFUSED, ScriptedTransport, scripted_factory

from convergegate_async import CheckoutSessionRequest, RetryPolicy
from convergegate_async.bulk import Created, Job, JobPlan, Row, create_many, new_header
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.sandbox import Sandbox

ROWS = [0, 1, 2, 9, 40]
WORKERS = [1, 2, 8, 100]
PATIENCE = 60  # seconds: a hang is no hang of the whole suite

table = pytest.mark.parametrize("workers", WORKERS)
many = pytest.mark.parametrize("rows", ROWS)
eager_or_lazy = pytest.mark.parametrize("eagerly", EAGER_OR_LAZY)


def orders(rows: int) -> list[CheckoutSessionRequest]:
    """Return *rows* requests that differ in their amount."""
    return [an_order(amount=amount) for amount in range(1, rows + 1)]


@eager_or_lazy
@table
@many
async def test_answers_that_never_wait_end_the_workers(
    *, rows: int, workers: int, eagerly: bool
) -> None:
    """A call that is over in its first step is yielded once, and the end comes."""
    begin_tasks(eagerly=eagerly)
    transport = ScriptedTransport(*[DONE] * rows)

    async with (
        asyncio.timeout(PATIENCE),
        scripted_factory(transport) as checkout,
    ):
        outcomes = [
            outcome.index
            async for outcome in create_many(
                checkout, orders(rows), concurrency=workers
            )
        ]

    assert sorted(outcomes) == list(range(rows))


@eager_or_lazy
@table
@many
async def test_answers_on_the_wire_end_the_workers(
    *, rows: int, workers: int, eagerly: bool
) -> None:
    """The same over sockets, where a worker may find nothing left in its first step."""
    begin_tasks(eagerly=eagerly)

    async with (
        asyncio.timeout(PATIENCE),
        Sandbox() as sandbox,
        sandbox.factory() as checkout,
    ):
        outcomes = [
            type(outcome)
            async for outcome in create_many(
                checkout, orders(rows), concurrency=workers
            )
        ]

    assert outcomes == [Created] * rows


@eager_or_lazy
@table
@many
async def test_a_job_ends_with_its_last_row(
    *, rows: int, workers: int, eagerly: bool, tmp_path: Path
) -> None:
    """Every row is durable and told, and the job ends."""
    begin_tasks(eagerly=eagerly)
    transport = ScriptedTransport(
        *(
            attrs.evolve(DONE, body=DONE.body.replace(b"AW-", b"A%d-" % number))
            for number in range(rows)
        )
    )
    met = [
        Row(
            position=number,
            line=number,
            row_id=f"order-{number}",
            request=request,
            raw={},
        )
        for number, request in enumerate(orders(rows), 1)
    ]
    plan = JobPlan(concurrency=workers)

    async with asyncio.timeout(PATIENCE), scripted_factory(transport) as checkout:
        path = tmp_path / "april.journal"
        with Journal.create(path, new_header(checkout, "april", plan)) as journal:
            job = Job(journal, checkout, plan)
            outcomes = [outcome.index async for outcome in job.run(met)]

    assert sorted(outcomes) == list(range(rows))
    assert job.tally.created == rows


@eager_or_lazy
@table
async def test_an_input_that_breaks_at_once_is_told(
    *, workers: int, eagerly: bool
) -> None:
    """An error of the input's first step is raised, and does not hang."""
    begin_tasks(eagerly=eagerly)

    def broken() -> Iterator[CheckoutSessionRequest]:
        yield from orders(0)
        message = "the cursor was closed"
        raise OSError(message)

    async with (
        asyncio.timeout(PATIENCE),
        scripted_factory(ScriptedTransport()) as checkout,
    ):
        with pytest.raises(OSError, match="the cursor was closed"):
            async for _ in create_many(checkout, broken(), concurrency=workers):
                pass


@eager_or_lazy
async def test_a_gateway_that_is_down_ends_the_workers(*, eagerly: bool) -> None:
    """Rows that could not be sent are told, and the end comes, too."""
    begin_tasks(eagerly=eagerly)
    transport = ScriptedTransport(*[REFUSED] * 9)

    async with (
        asyncio.timeout(PATIENCE),
        scripted_factory(transport, retry=RetryPolicy(max_attempts=1)) as checkout,
    ):
        outcomes = [one async for one in create_many(checkout, orders(9))]

    assert Counter(one.index for one in outcomes) == Counter(range(9))
