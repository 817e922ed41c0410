"""A durable job that dies by its own hand, in the middle of its work.

It is run, killed and judged by ``kills.py``; the gateway and the key come from the
environment. The traps are in what the job is built from, and so in nothing that ships.
"""

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Awaitable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import attrs

from convergegate_async import CheckoutSessionFactory, RetryPolicy
from convergegate_async.bulk import (
    Job,
    JobPlan,
    Journal,
    ResumeRules,
    TableOptions,
    new_header,
)
from convergegate_async.bulk.journal.records import Intent, RowResult
from harness.killing import BEGUN

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

JOB = "april"
TABLE = TableOptions(row_metadata="row")


class CrashPoint(StrEnum):
    """Where a job can die."""

    READ = "read, intent not committed"
    INTENDED = "intent committed, nothing sent"
    SENT = "first bytes sent, no answer"
    ANSWERED = "answered, outcome not enqueued"
    ENQUEUED = "outcome enqueued, not committed"
    COMMITTED = "outcome committed, not reported"


@attrs.define
class Trap:
    """Kills this process when it comes by *point* as often as is *left*."""

    point: StrEnum | None
    left: int

    def step_on(self, point: StrEnum) -> None:
        """Come by *point*."""
        if point is self.point:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class TrappedJournal(Journal):
    """A journal with the trap around its writes."""

    trap: Trap

    async def intend(self, row: Intent) -> None:
        """Have a trap before and after it."""
        self.trap.step_on(CrashPoint.READ)
        await super().intend(row)
        self.trap.step_on(CrashPoint.INTENDED)

    def complete(self, outcome: RowResult) -> Awaitable[None]:
        """Have a trap before it, after it was asked, and after it is durable."""
        self.trap.step_on(CrashPoint.ANSWERED)
        written = super().complete(outcome)
        self.trap.step_on(CrashPoint.ENQUEUED)
        return self._committed(written)

    async def _committed(self, written: Awaitable[None]) -> None:
        await written
        self.trap.step_on(CrashPoint.COMMITTED)


class TrappedSocket(socket.socket):
    """A socket with the trap behind its writes."""

    trap: Trap

    def send(self, data: "ReadableBuffer", flags: int = 0, /) -> int:
        """Have a trap once the first bytes are the kernel's."""
        sent = super().send(data, flags)
        self.note(bytes(data))
        return sent

    def note(self, _: bytes) -> None:
        """Come by the point at which something was sent."""
        self.trap.step_on(CrashPoint.SENT)


def trapped_connector(
    trap: Trap, kind: type[TrappedSocket] = TrappedSocket
) -> aiohttp.TCPConnector:
    """Return a connector for a factory, whose sockets have the trap."""

    def make(address: aiohttp.AddrInfoType) -> socket.socket:
        made = kind(*address[:3])
        made.trap = trap
        return made

    return aiohttp.TCPConnector(limit=0, socket_factory=make)


def open_journal(
    path: Path, factory: CheckoutSessionFactory, plan: JobPlan, trap: Trap
) -> TrappedJournal:
    """Open the journal; make it first, if no earlier run came so far."""
    if path.exists():
        journal = TrappedJournal.open(path)
    else:
        header = new_header(factory, JOB, plan)
        journal = TrappedJournal.create(path, header)
    journal.trap = trap
    return journal


async def work(orders: str, path: Path, rules: ResumeRules, trap: Trap) -> None:
    """Begin the job, or go on with it, to the end."""
    plan = JobPlan(source=orders, table=TABLE, rules=rules, concurrency=64)
    policy = RetryPolicy(base_delay=0.01)  # the gateway is near
    async with (
        trapped_connector(trap) as connector,
        CheckoutSessionFactory.from_env(retry=policy, connector=connector) as factory,
        open_journal(path, factory, plan, trap) as journal,
    ):
        job = Job(journal, factory, plan)
        async for _ in job.run():
            pass


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("orders")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--keys-honoured", action="store_true")
    parser.add_argument("--point", choices=[point.name for point in CrashPoint])
    parser.add_argument("--passes", type=int, default=1)
    options = parser.parse_args()
    point = None if options.point is None else CrashPoint[options.point]
    print(BEGUN, flush=True)
    rules = ResumeRules(keys_honoured=options.keys_honoured)
    trap = Trap(point, options.passes)
    asyncio.run(work(options.orders, options.journal, rules, trap))


if __name__ == "__main__":
    main()
