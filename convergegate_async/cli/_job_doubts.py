"""What ``bulk`` does about rows in doubt: a person says what became of them."""

import asyncio

from convergegate_async.bulk import (
    JobFolder,
    Journal,
    JournalRefund,
    RefundCount,
    RowCounts,
    resolve_not_created,
    resolve_refund_not_created,
)

from ._gateway import Gateway
from ._job_status import lines_of_batch
from ._jobs import open_job
from ._streams import print_note, printable


def by_session(
    folder: JobFolder, gateway: Gateway, row_id: str, session_id: str
) -> None:
    """Give a row in doubt its session, and tell so."""

    async def resolve() -> None:
        async with open_job(folder, gateway) as job:
            row = await job.resolve(row_id, session_id=session_id)
            session = f"session {row.session_id}, which no other row of this job has"
            print_note(printable(f"Row {row_id} is created, with {session}."))
            if row.message is not None:
                print_note(f"Look at it once more: {row.message}.")
            print_note(f"{folder.job}: {await job.counts()}")

    asyncio.run(resolve())


def as_not_created(folder: JobFolder, row_id: str) -> None:
    """Have it written that a row in doubt has no session, and tell so."""

    async def resolve(journal: Journal) -> None:
        await resolve_not_created(journal, row_id)
        again = f"`convergegate bulk retry-failed {folder.job}` sends it again"
        print_note(printable(f"Row {row_id} is rejected: {again}."))
        counts = RowCounts.of(await journal.counts(), journal.header)
        print_note(f"{folder.job}: {counts}")

    with Journal.open(folder.journal) as journal:
        asyncio.run(resolve(journal))


def refund_by_id(
    folder: JobFolder, gateway: Gateway, row_id: str, batch: str, refund_id: str
) -> None:
    """Say of a refund in doubt which one of the gateway it is, and tell so."""

    async def resolve() -> None:
        async with open_job(folder, gateway) as job:
            refund = await job.resolve_refund(row_id, batch, refund_id=refund_id)
            print_note(printable(f"The refund of row {row_id} is {refund.state}."))
            _show_batch(refund, await job.refunds())

    asyncio.run(resolve())


def refund_as_not_created(folder: JobFolder, row_id: str, batch: str) -> None:
    """Have it written that a refund in doubt was not made, and tell so."""

    async def resolve(journal: Journal) -> None:
        refund = await resolve_refund_not_created(journal, row_id, batch)
        again = "another batch may make it"
        print_note(printable(f"The refund of row {row_id} was not made: {again}."))
        _show_batch(refund, await journal.refunds.counts())

    with Journal.open(folder.journal) as journal:
        asyncio.run(resolve(journal))


def _show_batch(refund: JournalRefund, counts: list[RefundCount]) -> None:
    for line in lines_of_batch(refund.batch, counts):
        print_note(line)
