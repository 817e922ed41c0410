"""What reading a table takes as an accountant's spreadsheet wrote it, beside plain CSV.

Each file has the same rows and is read to its requests by a process of its own, in
turns. Goal: what a program wrote is read as fast as if it had been said, and 100,000
rows of anything take less than 200 MiB.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from harness.figures import most_resident, spread, table

from convergegate_async.bulk import TableOptions, check, read_table

MOST_MEMORY = 200  # MiB
FIELDS = (
    *("id", "amount", "currency", "customer_email", "customer_firstname"),
    *("customer_lastname", "customer_phone", "success_url", "expires_at"),
)
READINGS = {
    "CSV, said to be plain": ("plain.csv", {"plain": True}),
    "CSV, found to be": ("plain.csv", {}),
    "semicolons, Windows-1250, 49,99": ("excel.csv", {"amount_unit": "major"}),
    "XLSX": ("excel.xlsx", {"amount_unit": "major"}),
}


def rows(number: int, amount: str, moment: str) -> Iterator[list[str]]:
    """Yield so many rows, by how an amount and a moment are spelled."""
    for n in range(number):
        yield [
            *(f"ZAM/{n:06}", amount.format(n % 900 + 100, n % 90 + 10), "PLN"),
            *(f"klient{n}@example.pl", "Łukasz", "Gżegżółka", "+48601234567"),
            *("https://shop.example/ok", moment),
        ]


def write_all(folder: Path, number: int) -> None:
    """Write the same rows as programs and as spreadsheets do."""
    with (folder / "plain.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows(rows(number, "{}{}", "2096-12-31T23:59+01:00"))
    with (folder / "excel.csv").open("w", newline="", encoding="cp1250") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(FIELDS)
        writer.writerows(rows(number, "{},{}", "31.12.2096 23:59"))
    book = import_module("openpyxl").Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(FIELDS)
    for row in rows(number, "{},{}", "31.12.2096 23:59"):
        sheet.append(row)
    book.save(folder / "excel.xlsx")


def measure(path: str, options: dict[str, object]) -> None:
    """Read a file, and print its seconds of processor and its most memory in MiB."""
    began = time.process_time()
    found = check(read_table(path, TableOptions(**options)))  # type: ignore[arg-type]  # our own
    seconds = time.process_time() - began
    if found.mistakes:
        raise AssertionError(found.mistakes[0])
    peak = most_resident() / 2**20
    print(json.dumps([seconds, peak]))


def main() -> None:
    """Read all of them in turns, and tell what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], json.loads(options.measure[1]))
        return
    seconds: dict[str, list[float]] = {name: [] for name in READINGS}
    memory = dict.fromkeys(READINGS, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder), options.rows)
        for _ in range(options.rounds):
            for name, (file, said) in READINGS.items():
                words = ["--measure", str(Path(folder, file)), json.dumps(said)]
                output = subprocess.check_output(  # noqa: S603 -- our own
                    [sys.executable, __file__, *words]
                )
                took, peak = json.loads(output)
                seconds[name].append(took)
                memory[name] = max(memory[name], peak)
    first = next(iter(seconds.values()))
    lines = [
        (
            name,
            f"{min(found) / options.rows * 1e6:.1f}",
            spread(one / plain for one, plain in zip(found, first, strict=True)),
            f"{memory[name]:.0f}",
        )
        for name, found in seconds.items()
    ]
    print(table(("read as", "µs a row", "of plain CSV", "MiB"), lines))
    sys.exit(max(memory.values()) > MOST_MEMORY)


if __name__ == "__main__":
    main()
