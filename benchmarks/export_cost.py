"""What it takes to write what became of a job's rows beside all that its input says.

A journal is made without a gateway, of which every row has a session that was seen.
Each size and format is exported by a process of its own; once more after a tenth of the
rows has left the input. Goal: less than 200 MiB for a million rows.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from harness.figures import most_resident, table

from convergegate_async.bulk import (
    Intent,
    JobFolder,
    JobHeader,
    JobPlan,
    Row,
    RowResult,
    SessionFacts,
    State,
    export,
)
from convergegate_async.bulk.jobs.header import fingerprint
from convergegate_async.bulk.journal.database import Database

MOST_MEMORY = 200  # MiB
FIELDS = (
    *("id", "amount", "currency", "customer_email", "customer_firstname"),
    *("customer_lastname", "customer_phone", "success_url"),
)
SALT = bytes(16)


def write_input(path: Path, numbers: range) -> None:
    """Write an order for each of *numbers*."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for n in numbers:
            writer.writerow(
                [
                    *(f"order-{n}", n % 90_000 + 1, "pln", f"klient{n}@example.pl"),
                    *("Łukasz", "Gżegżółka", "+48601234567"),
                    "https://shop.example/ok",
                ]
            )


def make_job(folder: JobFolder, rows: int) -> None:
    """Make a job that has opened and seen a session for each of so many rows."""
    source = folder.directory / "orders.csv"
    write_input(source, range(rows))
    plan = JobPlan(source=str(source)).kept_in(folder)
    header = JobHeader(
        job=folder.job,
        base_url="https://api.example.com",
        live=False,
        api_key_fingerprint="0" * 16,
        keys_honoured=False,
        salt=SALT,
        sdk_version="0",
        source=plan.source,
        options=plan.to_json(),
    )
    Database.create(folder.journal, header)
    with closing(Database.open(folder.journal)) as database, database.transaction():
        for row in plan.rows():
            if not isinstance(row, Row):
                raise TypeError(row)
            mark = fingerprint(row.request, SALT)
            database.intend(Intent(row.row_id, row.position, mark, time.time()))
            session_id = f"cs_{row.position:019}"
            url = f"https://checkout.example.com/shop/pay/{session_id}"
            database.complete(RowResult(row.row_id, State.CREATED, session_id, url))
            amount = row.request.amount
            facts = SessionFacts(time.time(), "open", "pln", amount, 0, 4e9)
            database.sessions.see(row.row_id, facts)


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
            make_job(folder, rows)
            for suffix in [*options.formats, "gone"]:
                if suffix == "gone":
                    left = range(rows - rows // 10)
                    write_input(folder.directory / "orders.csv", left)
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
