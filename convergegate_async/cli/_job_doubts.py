"""What ``bulk`` does about rows in doubt: a person says what became of them."""

import asyncio

from convergegate_async.bulk import (
    JobFolder,
    Journal,
    JournalRow,
    RowCounts,
    plan_of,
    resolve_created,
    resolve_not_created,
    resolve_refund_created,
    resolve_refund_not_created,
)

from ._gateway import Gateway
from ._job_status import lines_of_batch
from ._jobs import factory_for, of_job
from ._streams import print_note, printable


def by_session(
    folder: JobFolder, gateway: Gateway, row_id: str, session_id: str
) -> None:
    """Give a row in doubt its session, and tell so."""

    async def resolve(journal: Journal) -> None:
        plan = plan_of(journal.header)
        async with factory_for(of_job(gateway, journal.header), plan) as factory:
            row = await resolve_created(
                journal, factory, plan.rows(), row_id, session_id
            )
        what = f"created, with session {row.session_id}"
        await _tell(journal, row, f"{what}, which no other row of this job has")
        if row.message is not None:
            print_note(f"Look at it once more: {row.message}.")

    with Journal.open(folder.journal) as journal:
        asyncio.run(resolve(journal))


def as_not_created(folder: JobFolder, row_id: str) -> None:
    """Have it written that a row in doubt has no session, and tell so."""

    async def resolve(journal: Journal) -> None:
        row = await resolve_not_created(journal, row_id)
        again = f"`convergegate bulk retry-failed {folder.job}` sends it again"
        await _tell(journal, row, f"rejected: {again}")

    with Journal.open(folder.journal) as journal:
        asyncio.run(resolve(journal))


def refund(
    folder: JobFolder, gateway: Gateway, row_id: str, batch: str, refund_id: str | None
) -> None:
    """Say whether a refund in doubt was made, and which it is; tell so."""

    async def resolve(journal: Journal) -> None:
        if refund_id is None:
            found = await resolve_refund_not_created(journal, row_id, batch)
        else:
            plan = plan_of(journal.header)
            async with factory_for(of_job(gateway, journal.header), plan) as factory:
                found = await resolve_refund_created(
                    journal, factory, row_id, batch, refund_id
                )
        print_note(printable(f"The refund of row {row_id} is {found.state}."))
        for line in lines_of_batch(batch, await journal.refunds.counts()):
            print_note(line)

    with Journal.open(folder.journal) as journal:
        asyncio.run(resolve(journal))


async def _tell(journal: Journal, row: JournalRow, what: str) -> None:
    print_note(printable(f"Row {row.row_id} is {what}."))
    counts = RowCounts.of(await journal.counts(), journal.header)
    print_note(f"{journal.header.job}: {counts}")
