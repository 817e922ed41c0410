"""What is left of a job whose journal lost something: no row of it is sent again."""

import time
from collections.abc import Collection, Iterator

from convergegate_async.bulk.journal import salvage
from convergegate_async.bulk.journal.records import Intent, JobHeader, JournalError
from convergegate_async.bulk.tables.row_counter import RowCounter
from convergegate_async.bulk.tables.rows import Problem, Row

from .folder import JobFolder
from .header import fingerprint
from .job_plan import plan_of
from .row_counts import RowCounts


def write_off(
    folder: JobFolder,
    rows: Collection[Row | Problem] | None = None,
    *,
    now: float | None = None,
) -> RowCounts:
    """Write down every row that is not done as unknown, as it may have been sent.

    The journal is sound afterwards. No later run sends those rows again, nor any that
    the journal does not know, whatever its rules; `reconcile` finds their sessions.

    Args:
        folder: Where the job's files are, and its name.
        rows: The whole input, as it was; that of the plan's file if `None`.
        now: Epoch seconds; the clock's if `None`.

    Returns:
        How many rows are where.

    Raises:
        JournalError: The journal is sound; or so damaged that only a copy can help;
            or the input has more or fewer rows than it had.
        SourceError: The input cannot be read, and the journal is as it was.
    """
    moment = time.time() if now is None else now
    header = salvage.damaged_header(folder.journal)
    for _ in _intents(header, rows):  # what is wrong with it shows before all is locked
        pass
    states = salvage.write_off(folder.journal, _intents(header, rows), moment)
    return RowCounts.of(states, header)


def _intents(
    header: JobHeader, given: Collection[Row | Problem] | None
) -> Iterator[Intent]:
    rows = plan_of(header).rows() if given is None else given
    begun_at = header.begun_at or 0.0
    counter = RowCounter()
    for row in rows:
        counter.take(row)
        if isinstance(row, Row):
            mark = fingerprint(row.request, header.salt)
            yield Intent(row.row_id, counter.count, mark, begun_at)
    if header.total not in {None, counter.count}:
        message = (
            f"the input has {counter.count:,} rows, and had {header.total:,} when the "
            "job was begun: put it back as it was"
        )
        raise JournalError(message)
