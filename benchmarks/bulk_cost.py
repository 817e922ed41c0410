"""What a durable job costs beside `create` alone, and whether its memory stays flat.

Rounds of `create`, of `create_many`, and of a job from a CSV file through the journal
take turns in one process, at the same concurrency. Goals: at least
0.95 of the calls a second with `create_many`, 0.85 with the journal.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator
from itertools import islice, repeat
from pathlib import Path

from harness.calls import by_factory, order
from harness.figures import resident, table
from harness.orders import exhaust, write_orders
from harness.stub import running_stub
from harness.workers import make

from convergegate_async import CheckoutSessionFactory
from convergegate_async.bulk import (
    Job,
    JobPlan,
    Journal,
    Problem,
    Row,
    TableOptions,
    create_many,
    new_header,
    read_table,
)

CONCURRENCY = 32


def size_of(path: Path) -> int:
    """Return the bytes of a closed journal."""
    return path.stat().st_size


async def timed(work: Awaitable[None], calls: int) -> float:
    """Return the calls a second that *work* made."""
    started = time.perf_counter()
    await work
    return calls / (time.perf_counter() - started)


def line(name: str, rates: dict[str, list[float]]) -> list[str]:
    """Return a line of the table: medians, and the spread of the ratio to `create`."""
    pairs = zip(rates[name], rates["create"], strict=True)
    ratios = [mine / alone for mine, alone in pairs]
    low, *_, high = statistics.quantiles(ratios, n=10)
    return [
        name,
        f"{statistics.median(rates[name]):,.0f}",
        f"{statistics.median(ratios):.2f}",
        f"{low:.2f} to {high:.2f}",
    ]


async def compare(base_url: str, *, rounds: int, calls: int) -> None:
    """Print a line for each way, and how memory grew."""
    rates: dict[str, list[float]] = {"create": [], "create_many": [], "job": []}
    memory: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        source = write_orders(Path(folder, "orders.csv"), rounds * calls)
        rows: Iterator[Row | Problem] = read_table(source, TableOptions())
        async with CheckoutSessionFactory("sk_test_x", base_url) as checkout:
            header = new_header(checkout, "bench")
            with Journal.create(Path(folder, "bench.journal"), header) as journal:
                for _ in range(rounds):
                    many = create_many(
                        checkout,
                        (order() for _ in repeat(None, calls)),
                        concurrency=CONCURRENCY,
                    )
                    job = Job(journal, checkout, JobPlan(concurrency=CONCURRENCY))
                    durable = job.run(islice(rows, calls))
                    for name, work in (
                        ("create", make(by_factory(checkout), calls, CONCURRENCY)),
                        ("create_many", exhaust(many)),
                        ("job", exhaust(durable)),
                    ):
                        rate = await timed(work, calls)
                        rates[name].append(rate)
                    memory.append(resident())
            size = size_of(Path(folder, "bench.journal"))
    print(f"{rounds * calls:,} rows, {CONCURRENCY} at once\n")
    head = ("way", "calls/s", "to create", "p10 to p90")
    print(table(head, [line(name, rates) for name in rates]))
    print()
    first, last = memory[0] / 2**20, memory[-1] / 2**20
    print(f"memory: {first:.0f} MiB at first, {last:.0f} at last")
    print(f"journal: {size / rounds / calls:.0f} bytes a row")


def main() -> None:
    """Compare; a million rows take some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=5_000)
    options = parser.parse_args()
    with running_stub() as base_url:
        asyncio.run(compare(base_url, rounds=options.rounds, calls=options.calls))


if __name__ == "__main__":
    main()
