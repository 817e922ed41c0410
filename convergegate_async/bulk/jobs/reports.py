"""What a journal and its input tell together: results, and rows without a session."""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any

from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.bulk.tables.rows import Problem, Row

LOOKS_AHEAD = 256  # rows whose fate is looked up together
_PAGE = 10_000  # rows


def in_chunks(rows: Iterable[Row | Problem]) -> Iterator[list[Row | Problem]]:
    """Yield *rows*, as many together as are looked up together."""
    source = iter(rows)
    while chunk := list(islice(source, LOOKS_AHEAD)):
        yield chunk


async def every_row(
    journal: Journal, *, by_completion: bool = False
) -> AsyncIterator[JournalRow]:
    """Yield all rows that were ever sent, a page at a time."""
    after = 0
    while page := await journal.rows(
        by_completion=by_completion, after=after, limit=_PAGE
    ):
        for row in page:
            yield row
        after = page[-1].position


def result_of(row: JournalRow, job: str) -> dict[str, Any]:
    """Return the line of the results file."""
    return {
        "position": row.position,
        "row_id": row.row_id,
        "state": str(row.state),
        "session_id": row.session_id,
        "url": row.url,
        "idempotency_key": derive_key(job, row.row_id),
        "attempts": row.attempts,
        "http_status": row.http_status,
        "code": row.code,
        "message": row.message,
    }
