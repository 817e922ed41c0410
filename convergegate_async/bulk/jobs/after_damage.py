"""What is left of a job whose journal lost something: no row of it is sent again."""

import time
from collections.abc import Iterator
from contextlib import closing

from convergegate_async.bulk.journal.damaged import DamagedJournal
from convergegate_async.bulk.journal.records import Intent, JobHeader, State
from convergegate_async.bulk.tables.rows import Row

from .folder import JobFolder
from .header import fingerprint
from .plan import plan_of


def write_off(folder: JobFolder, now: float | None = None) -> dict[State, int]:
    """Write down every row that is not done as unknown, as it may have been sent.

    The journal is sound afterwards. No later run sends those rows again, whatever its
    rules; `reconcile` finds their sessions.

    Args:
        folder: Where the job's files are, and its name.
        now: Epoch seconds; the clock's if `None`.

    Returns:
        How many rows are in each state.

    Raises:
        JournalError: The journal is sound; or so damaged that only a copy can help.
        SourceError: The input cannot be read, and the journal is as it was.
    """
    moment = time.time() if now is None else now
    with closing(DamagedJournal.open(folder.journal)) as journal:
        return journal.write_off(_intents(journal.header), moment)


def _intents(header: JobHeader) -> Iterator[Intent]:
    begun_at = header.begun_at or 0.0
    for row in plan_of(header).rows():
        if isinstance(row, Row):
            mark = fingerprint(row.request, header.salt)
            yield Intent(row.row_id, row.position, mark, begun_at)
