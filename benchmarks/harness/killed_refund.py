"""A batch of refunds that dies by its own hand, in the middle of its work.

It is run, killed and judged by ``refund_kills.py``; the gateway and the key come from
the environment. The traps are in what the job is built from, and so in nothing that
ships.
"""

import argparse
import asyncio
import csv
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from convergegate_async import CheckoutSessionFactory, RetryPolicy
from convergegate_async.bulk import Job, JobFolder, Journal, WantedRefund, plan_of
from convergegate_async.bulk.journal.database import Database
from convergegate_async.bulk.journal.ordering import Order
from convergegate_async.bulk.journal.refund_records import (
    PlannedRefund,
    RefundResult,
    RefundState,
)
from convergegate_async.bulk.journal.refund_table import RefundTable
from convergegate_async.bulk.journal.refunds import Refunds
from harness.killed_job import Trap, TrappedSocket, trapped_connector
from harness.killing import BEGUN

JOB = "april"
AMOUNTS = "amounts.csv"
"""What the first batch pays back, by row; the other ones pay all back that is left."""

REPORTED = "reported"
"""The numbers of the refunds that somebody was told are made."""


class RefundPoint(StrEnum):
    """Where a batch can die."""

    PLANNED = "some of the batch written down"
    SEALED = "batch whole, nothing intended"
    INTENDED = "intent committed, nothing sent"
    SENT = "first bytes sent, no answer"
    ANSWERED = "answered, result not enqueued"
    COMMITTED = "result committed, not told"


class TrappedRefunds(Refunds):
    """What a journal knows of refunds, with the trap around its writes."""

    def __init__(self, order: Order, table: RefundTable, trap: Trap) -> None:
        super().__init__(order, table)
        self._trap = trap

    async def plan(
        self, name: str, refunds: Sequence[PlannedRefund]
    ) -> list[PlannedRefund]:
        """Have a trap after it."""
        left_out = await super().plan(name, refunds)
        self._trap.step_on(RefundPoint.PLANNED)
        return left_out

    async def seal(self, name: str) -> None:
        """Have a trap after it."""
        await super().seal(name)
        self._trap.step_on(RefundPoint.SEALED)

    async def intend(self, number: int, refunded_before: int, now: float) -> None:
        """Have a trap after it."""
        await super().intend(number, refunded_before, now)
        self._trap.step_on(RefundPoint.INTENDED)

    def complete(self, result: RefundResult) -> Awaitable[None]:
        """Have a trap before it, and after it is durable."""
        self._trap.step_on(RefundPoint.ANSWERED)
        return self._committed(super().complete(result))

    def withdraw(self, number: int) -> Awaitable[None]:
        """Have a trap before it, and after it is durable."""
        self._trap.step_on(RefundPoint.ANSWERED)
        return self._committed(super().withdraw(number))

    async def _committed(self, written: Awaitable[None]) -> None:
        await written
        self._trap.step_on(RefundPoint.COMMITTED)


class TrappedJournal(Journal):
    """A journal with the trap in what it writes of refunds."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._refund_table = database.refunds

    def lay(self, trap: Trap) -> None:
        """Lay a trap."""
        self.refunds = TrappedRefunds(self._order, self._refund_table, trap)


class RefundSocket(TrappedSocket):
    """A socket with the trap behind the first bytes of a refund."""

    def note(self, data: bytes) -> None:
        """Come by the point if *data* is of a refund, and not of a look."""
        if data.startswith(b"POST "):
            self.trap.step_on(RefundPoint.SENT)


def wanted_in(path: Path) -> list[WantedRefund]:
    """Return what a file of amounts says."""
    with path.open(newline="") as file:
        return [WantedRefund(name, int(amount)) for name, amount in csv.reader(file)]


async def pay_back(
    folder: JobFolder, batch: str, expect_sum: dict[str, Decimal], trap: Trap
) -> None:
    """Begin the batch, or go on with it, to the end; note whom it tells of."""
    report = os.open(
        folder.directory / REPORTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND
    )
    policy = RetryPolicy(base_delay=0.01)  # the gateway is near
    async with (
        trapped_connector(trap, RefundSocket) as connector,
        CheckoutSessionFactory.from_env(retry=policy, connector=connector) as factory,
        TrappedJournal.open(folder.journal) as journal,
    ):
        journal.lay(trap)
        job = Job(journal, factory, plan_of(journal.header), folder)
        outcomes = job.refund(
            batch, wanted(job, folder, batch), expect_sum=expect_sum, leaves_out=True
        )
        async for outcome in outcomes:
            if outcome.refund.state is RefundState.CREATED:
                os.write(report, f"{outcome.refund.number}\n".encode())


def wanted(
    job: Job, folder: JobFolder, batch: str
) -> list[WantedRefund] | AsyncIterator[WantedRefund]:
    """Return what is to be paid back: amounts of a file, or all that is left."""
    if batch == "part":
        return wanted_in(folder.directory / AMOUNTS)
    return job.sessions_in("completed")


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("batch")
    parser.add_argument("--expect", nargs=2, action="append", default=[])
    parser.add_argument("--point", choices=[point.name for point in RefundPoint])
    parser.add_argument("--passes", type=int, default=1)
    options = parser.parse_args()
    point = None if options.point is None else RefundPoint[options.point]
    print(BEGUN, flush=True)
    folder = JobFolder(JOB, options.directory)
    expect_sum = {code: Decimal(amount) for code, amount in options.expect}
    trap = Trap(point, options.passes)
    asyncio.run(pay_back(folder, options.batch, expect_sum, trap))


if __name__ == "__main__":
    main()
