"""The input of a job that lies elsewhere now: taken if it holds the same rows."""

from collections.abc import Iterable

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalError
from convergegate_async.bulk.tables.row_counter import RowCounter
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.factory import CheckoutSessionFactory

from .folder import JobFolder
from .header import fingerprint, require_same_home
from .job_plan import JobPlan
from .paging import in_chunks

_SAME, _CHANGED, _SPOILT = 1, 2, 3


@attrs.frozen
class _Difference:
    """How many rows of a job another input lacks, has otherwise, or has besides."""

    missing: int
    changed: int
    added: int

    def __str__(self) -> str:
        counts = attrs.asdict(self)
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


async def move_source(
    journal: Journal, factory: CheckoutSessionFactory, folder: JobFolder, source: str
) -> None:
    """Note where the input of a job is now; it is read as it was before.

    Every row of the journal has to be in it as it was sent, and as many rows as the job
    had in all, if that is known. In what order they are does not matter.

    Args:
        journal: What is known of the rows.
        factory: For the gateway and the key that the job was begun with.
        folder: Where the job's files are, and its name.
        source: The path of the file.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode; or the file
            holds other rows, and how many is told. Nothing is changed.
        ConfigurationError: The job has no file, or *source* is of another format.
        SourceError: It cannot be read.
    """
    require_same_home(journal.header, factory)
    plan = JobPlan.from_header(journal.header).moved_to(source, folder)
    difference = str(await _compared(journal, plan.rows()))
    if difference:
        message = f"{source} does not hold the rows of the job as they were: "
        raise JournalError(message + difference)
    await journal.set_source(plan.source, plan.to_json())


async def _compared(journal: Journal, rows: Iterable[Row | Problem]) -> _Difference:
    fates, counter, salt = bytearray(), RowCounter(), journal.header.salt
    for batch in in_chunks(rows):
        known = await journal.lookup([row.row_id or "" for row in batch])
        for row in batch:
            counter.take(row)
            record = known.get(row.row_id or "")
            if record is None:
                continue
            fates.extend(bytes(max(0, record.position + 1 - len(fates))))
            if fates[record.position] in {_SAME, _CHANGED}:
                continue  # of two rows under one id the first was sent
            fate = _SPOILT
            if isinstance(row, Row):
                is_same = fingerprint(row.request, salt) == record.fingerprint
                fate = _SAME if is_same else _CHANGED
            fates[record.position] = fate
    counts = await journal.counts()
    missing = sum(counts.values()) - (len(fates) - fates.count(0))
    total = journal.header.total
    # Rows that were never sent are known by their number alone.
    more = 0 if total is None else counter.count - (total - missing)
    return _Difference(
        missing=missing + max(0, -more),
        changed=fates.count(_CHANGED) + fates.count(_SPOILT),
        added=max(0, more),
    )
