"""Orders in a file, and a job that opens their sessions."""

from collections.abc import AsyncIterator
from pathlib import Path

from convergegate_async import CheckoutSessionFactory
from convergegate_async.bulk import (
    Job,
    JobPlan,
    Journal,
    RowOutcome,
    TableOptions,
    new_header,
    read_table,
)
from harness.calls import FORM


def write_orders(path: Path, rows: int) -> str:
    """Write so many equal orders under ids of their own."""
    columns, order = ",".join(FORM), ",".join(FORM.values())  # nothing to be quoted
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"id,{columns}\r\n")
        file.writelines(f"order-{number},{order}\r\n" for number in range(rows))
    return str(path)


async def exhaust(outcomes: AsyncIterator[RowOutcome]) -> None:
    """Let a job run to its end."""
    async for _ in outcomes:
        pass


async def run_job(
    checkout: CheckoutSessionFactory, folder: Path, rows: int, concurrency: int
) -> None:
    """Open the sessions of so many orders, by way of a journal in *folder*."""
    source = write_orders(folder / "orders.csv", rows)
    header = new_header(checkout, "bench")
    with Journal.create(folder / "bench.journal", header) as journal:
        job = Job(journal, checkout, JobPlan(concurrency=concurrency))
        await exhaust(job.run(read_table(source, TableOptions())))
