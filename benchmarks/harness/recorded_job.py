"""A process that works on a journal, to be recorded; what it was told is in a log.

The log lies beside the journal, and a line is written before the process acts on it:
what a shop knows once the line is there, the journal has to know for ever.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import attrs

from convergegate_async.bulk import Journal
from convergegate_async.bulk.journal.records import (
    Intent,
    JobHeader,
    RowResult,
    SessionFacts,
    State,
)
from convergegate_async.bulk.journal.refund_records import (
    Batch,
    JournalRefund,
    PlannedRefund,
    RefundResult,
    RefundState,
)

T = TypeVar("T")

JOURNAL = "april.journal"
LOG = "log"
_WORKERS = 8
_AMOUNT = 4999

HEADER = JobHeader(
    job="april",
    base_url="https://api.example.com",
    live=False,
    api_key_fingerprint="0123456789abcdef",
    keys_honoured=True,
    salt=b"salt, 16 bytes !",
    sdk_version="0.1.0",
    source="orders.csv",
    options='{"concurrency": 64}',
)
"""What a journal says of its job, where no gateway is asked."""


def header(salt: bytes) -> JobHeader:
    """Return what the journal says of its job."""
    return attrs.evolve(HEADER, salt=salt, begun_at=0.0)


class Shop:
    """Works on a journal, and keeps the log.

    Args:
        journal: Of its job.
        folder: Where the log is.
    """

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._log = os.open(folder / LOG, flags, 0o600)

    async def work(self, rows: range) -> None:
        """Open the sessions of *rows*, settle doubts, look at them, pay them back."""
        await self._side_by_side(self._send, rows)
        await self._side_by_side(self._resolve, [n for n in rows if n % 14 == 0])
        done = [number for number in rows if number % 7]
        await self._side_by_side(self._look, done)
        refunds, batch = self._journal.refunds, f"from-{rows.start}"
        await refunds.begin(Batch(batch, 0.0))
        await refunds.plan(batch, [_refund_of(number) for number in done])
        await refunds.seal(batch)
        await self._side_by_side(self._pay_back, await refunds.listed(batch))
        doubts = [one for one in await refunds.listed(batch) if one.is_in_doubt]
        await self._side_by_side(self._end_doubt, doubts[::2])

    async def _side_by_side(
        self, act: Callable[[T], Awaitable[None]], items: Iterable[T]
    ) -> None:
        waiting = iter(items)

        async def work() -> None:
            for item in waiting:
                await act(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(work())

    async def _send(self, number: int) -> None:
        row_id, session_id = f"order-{number}", f"session-{number}"
        await self._journal.intend(Intent(row_id, number, bytes(16), 0.0))
        self._note("sent", row_id)
        if number % 7 == 0:
            return  # it stays under way
        await self._journal.complete(RowResult(row_id, State.CREATED, session_id))
        self._note("done", row_id)

    async def _resolve(self, number: int) -> None:
        row_id = f"order-{number}"
        found = RowResult(row_id, State.CREATED, f"session-{number}")
        await self._journal.resolve(found, None, by="somebody", now=1.0)
        self._note("resolved", row_id)

    async def _look(self, number: int) -> None:
        row_id = f"order-{number}"
        facts = SessionFacts(1.0, "completed", "pln", _AMOUNT, 0)
        await self._journal.sessions.see(row_id, facts)
        self._note("seen", row_id)

    async def _pay_back(self, refund: JournalRefund) -> None:
        number, name = refund.number, refund.session_id
        if number % 11 == 0:
            return  # it stays pending
        await self._journal.refunds.intend(number, 0, 1.0)
        self._note("refunding", name)
        if number % 5 == 0:
            return  # it stays in doubt
        made = RefundResult(number, RefundState.CREATED, name)
        await self._journal.refunds.complete(made)
        self._note("refunded", name)

    async def _end_doubt(self, refund: JournalRefund) -> None:
        name = refund.session_id
        made = RefundResult(refund.number, RefundState.CREATED, name)
        await self._journal.resolve_refund(made, by="somebody", now=1.0)
        self._note("resolved", name)

    def _note(self, word: str, name: str) -> None:
        os.write(self._log, f"{word} {name}\n".encode())


def _refund_of(number: int) -> PlannedRefund:
    return PlannedRefund(f"order-{number}", f"session-{number}", "pln", _AMOUNT)


async def _run(folder: Path, rows: range, salt: bytes, *, is_killed: bool) -> None:
    path = folder / JOURNAL
    journal = (
        Journal.open(path) if path.exists() else Journal.create(path, header(salt))
    )
    await Shop(journal, folder).work(rows)
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
