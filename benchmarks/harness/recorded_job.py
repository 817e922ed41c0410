"""A process that works on a journal, to be recorded; what it was told is in a log.

The log lies beside the journal, and a line is written before the process acts on it:
what a shop knows once the line is there, the journal has to know for ever.
"""

import argparse
import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from convergegate_async.bulk import Journal
from convergegate_async.bulk.journal.records import (
    Intent,
    JobHeader,
    RowResult,
    State,
)

JOURNAL = "april.journal"
LOG = "log"
_WORKERS = 8


def header(salt: bytes) -> JobHeader:
    """Return what the journal says of its job."""
    return JobHeader(
        job="april",
        base_url="https://api.example.com",
        live=False,
        api_key_fingerprint="0123456789abcdef",
        keys_honoured=True,
        salt=salt,
        sdk_version="0.1.0",
        begun_at=0.0,
    )


async def _work(journal: Journal, numbers: Iterator[int], log: int) -> None:
    for number in numbers:
        row_id, session_id = f"order-{number}", f"session-{number}"
        await journal.intend(Intent(row_id, number, bytes(16), 0.0))
        os.write(log, f"sent {row_id}\n".encode())
        if number % 7 == 0:
            continue  # it stays under way
        await journal.complete(RowResult(row_id, State.CREATED, session_id))
        os.write(log, f"done {row_id}\n".encode())


async def _run(folder: Path, rows: range, salt: bytes, *, is_killed: bool) -> None:
    path = folder / JOURNAL
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    journal = (
        Journal.open(path) if path.exists() else Journal.create(path, header(salt))
    )
    numbers = iter(rows)
    async with asyncio.TaskGroup() as group:
        for _ in range(_WORKERS):
            group.create_task(_work(journal, numbers, log))
    if is_killed:
        os._exit(9)
    journal.close()


def main() -> None:
    """Work on the rows that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("salt", type=bytes.fromhex)
    parser.add_argument("--killed", action="store_true")
    given = parser.parse_args()
    rows = range(given.first, given.end)
    asyncio.run(_run(given.folder, rows, given.salt, is_killed=given.killed))


if __name__ == "__main__":
    main()
