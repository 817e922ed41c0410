"""What it takes to look at all sessions of a job again, and if its memory stays flat.

A journal is made without a gateway, of which every row has a session that is open. Each
size is refreshed once by a process of its own, as fast as it goes, against a gateway in
another one. Goal: less than 100 MiB for a million rows.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.figures import most_resident, table
from harness.seen_job import make_seen_job
from harness.stub import running_stub

from convergegate_async import CheckoutSessionFactory
from convergegate_async.bulk import Job, JobFolder

JOB, KEY = "benchmark", "sk_test_x"
MOST_MEMORY = 100  # MiB
MOST_TIME = 3_600  # seconds that a job may take


async def measure(directory: str, base_url: str) -> None:
    """Refresh; print how many were seen, in which seconds, and the most memory in MiB.

    Seconds are those of the clock, and of the processor.
    """
    began, worked, seen = time.perf_counter(), time.process_time(), 0
    folder = JobFolder(JOB, Path(directory))
    async with (
        CheckoutSessionFactory(KEY, base_url) as factory,
        await Job.resume(folder, factory) as job,
    ):
        async for outcome in job.refresh():
            seen += outcome.session is not None
    seconds = time.perf_counter() - began, time.process_time() - worked
    peak = most_resident() / 2**20
    print(json.dumps([seen, *seconds, peak]))


def refreshed(rows: int) -> tuple[float, float, float]:
    """Return both seconds, and the MiB, that a job of so many *rows* takes."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_stub(pinned=False) as base_url,
    ):
        folder = JobFolder(JOB, Path(directory))
        make_seen_job(folder, rows, CheckoutSessionFactory(KEY, base_url))
        output = subprocess.check_output(  # noqa: S603 -- our own
            [sys.executable, __file__, "--measure", directory, base_url],
            timeout=MOST_TIME,
        )
    seen, seconds, worked, peak = json.loads(output)
    if seen != rows:
        raise AssertionError(output)
    return seconds, worked, peak


def main() -> None:
    """Refresh jobs of two sizes, and tell what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        asyncio.run(measure(*options.measure))
        return
    lines, most = [], 0.0
    for rows in options.rows:
        seconds, worked, peak = refreshed(rows)
        most = max(most, peak)
        costs = (f"{spent / rows * 1e6:,.0f}" for spent in (seconds, worked))
        lines.append((f"{rows:,} sessions", f"{seconds:,.0f}", *costs, f"{peak:.0f}"))
    print(table(("refreshed", "s", "µs a row", "µs of processor", "MiB"), lines))
    sys.exit(most > MOST_MEMORY)


if __name__ == "__main__":
    main()
