"""How fast rows become durable, how small they stay, and how soon a job goes on.

Tasks intend and complete rows with no HTTP in between; the last rows stay under way.
Then the journal is opened anew and asked for those.
Goals: 20,000 rows a second; 160 bytes a row; what was under way found in 1 s.
"""

import argparse
import asyncio
import base64
import os
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from platform import python_version
from sqlite3 import sqlite_version
from tempfile import TemporaryDirectory

import attrs
from harness.figures import most_resident, table
from harness.recorded_job import HEADER
from harness.workers import share

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import Intent, RowResult, State

LINK = "https://checkout.example.com/shop/pay/"
"""With the session id behind it, as documented, 60 characters."""

PROBE = 0.005
"""Seconds between two looks at how late the loop is."""


@attrs.frozen(kw_only=True)
class JournalCost:
    """What it took, in seconds and bytes.

    Attributes:
        wall: To write all rows.
        cpu: Of the processor, to write all rows.
        lag: How late the loop was, p99.
        scan: To open the journal and find what was under way.
        size: The file's, when it is closed.
    """

    wall: float
    cpu: float
    lag: float
    scan: float
    size: int


async def write(journal: Journal, rows: int, tasks: int) -> None:
    """Intend and complete so many rows, but for the last: one of each task."""

    async def work(positions: Iterator[int]) -> None:
        for position in positions:
            row_id, session_id = f"order-{position:06}", new_session_id()
            intent = Intent(row_id, position, os.urandom(16), sent_at=time.time())
            await journal.intend(intent)
            if position <= rows - tasks:
                link = LINK + session_id
                await journal.complete(
                    RowResult(row_id, State.CREATED, session_id, link, http_status=200)
                )

    await share(range(1, rows + 1), work, tasks)


def new_session_id() -> str:
    """Return one as the gateway makes them: 22 characters."""
    return base64.urlsafe_b64encode(os.urandom(16))[:22].decode()


async def look(ticks: list[float]) -> None:
    """Note the time, again and again."""
    while True:
        ticks.append(time.perf_counter())
        await asyncio.sleep(PROBE)


async def measure(path: Path, rows: int, tasks: int) -> JournalCost:
    """Write a journal at *path*, and read it."""
    ticks: list[float] = []
    with Journal.create(path, HEADER) as journal:
        watch = asyncio.create_task(look(ticks))
        wall, cpu = time.perf_counter(), time.process_time()
        await write(journal, rows, tasks)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        watch.cancel()
    scan = time.perf_counter()
    with Journal.open(path) as journal:
        under_way = await journal.under_way()
        scan = time.perf_counter() - scan
        if len(under_way) != tasks or await journal.check():
            message = "the journal is not what was written"
            raise SystemExit(message)
    lags = [later - earlier - PROBE for earlier, later in pairwise(ticks)]
    lag = statistics.quantiles(lags, n=100)[-1]
    return JournalCost(wall=wall, cpu=cpu, lag=lag, scan=scan, size=path.stat().st_size)  # noqa: ASYNC240 -- nothing else runs


def main() -> None:
    """Print what was found beside what is aimed at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    options = parser.parse_args()
    rows = options.rows
    with TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "benchmark.journal")
        taken = asyncio.run(measure(path, rows, options.tasks))
    rate, size = rows / taken.wall, taken.size / rows
    memory = most_resident() / 2**20
    print(f"{rows:,} rows, {options.tasks} tasks")
    print(f"Python {python_version()}, SQLite {sqlite_version}")
    lines = [
        ("durable rows a second", f"{rate:,.0f}", "20,000 or more"),
        ("bytes a row", f"{size:.1f}", "160 or fewer"),
        ("open, and find what was under way", f"{taken.scan * 1e3:.1f} ms", "1 s"),
        ("processor time a row", f"{taken.cpu / rows * 1e6:.1f} µs", ""),
        ("loop lag p99", f"{taken.lag * 1e3:.1f} ms", ""),
        ("most memory", f"{memory:.0f} MiB", ""),
    ]
    print(table(("of the journal", "found", "goal"), lines))
    raise SystemExit(rate < 20_000 or size > 160 or taken.scan >= 1)  # noqa: PLR2004 -- the goals


if __name__ == "__main__":
    main()
