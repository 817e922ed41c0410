"""What it takes to write what became of a job's rows beside all that its input says.

A journal is made without a gateway, of which every row has a session that was seen.
Each size and format is exported by a process of its own; once more after a tenth of the
rows has left the input. Goal: less than 200 MiB for a million rows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.figures import most_resident, table
from harness.seen_job import make_seen_job, write_input

from convergegate_async import CheckoutSessionFactory
from convergegate_async.bulk import JobFolder, export

MOST_MEMORY = 200  # MiB
URL = "https://api.example.com"


def measure(directory: str, suffix: str) -> None:
    """Export, and print seconds of processor and the most memory in MiB."""
    began = time.process_time()
    folder = JobFolder("benchmark", Path(directory))
    written = export(folder, str(folder.directory / f"results.{suffix}"))
    seconds = time.process_time() - began
    peak = most_resident() / 2**20
    print(json.dumps([written.rows, written.gone, seconds, peak]))


def main() -> None:
    """Export jobs of two sizes, and tell what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl", "parquet"])
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    lines = []
    most = 0.0
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as directory:
            folder = JobFolder("benchmark", Path(directory))
            make_seen_job(folder, rows, CheckoutSessionFactory("sk_test_x", URL))
            for suffix in [*options.formats, "gone"]:
                if suffix == "gone":
                    left = range(rows - rows // 10)
                    write_input(folder, left)
                words = ["--measure", directory, suffix.replace("gone", "csv")]
                output = subprocess.check_output(  # noqa: S603 -- our own
                    [sys.executable, __file__, *words]
                )
                written, gone, seconds, peak = json.loads(output)
                if (written, gone) != (rows, rows // 10 * (suffix == "gone")):
                    raise AssertionError(output)
                most = max(most, peak)
                what = "csv, a tenth gone" if suffix == "gone" else suffix
                cost = f"{seconds / rows * 1e6:.0f}"
                lines.append((f"{rows:,} rows, {what}", cost, f"{peak:.0f}"))
    print(table(("exported", "µs a row", "MiB"), lines))
    sys.exit(most > MOST_MEMORY)


if __name__ == "__main__":
    main()
