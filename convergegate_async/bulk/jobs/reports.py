"""What a journal and its input tell together: results, and rows without a session."""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any

from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow, State
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.writers import DeadLetter

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


async def dead_letters(
    journal: Journal, rows: Iterable[Row | Problem]
) -> AsyncIterator[DeadLetter]:
    """Yield each row of the input that came to no session, with the reason."""
    last = 0
    for chunk in in_chunks(rows):
        ids = [row.row_id for row in chunk if isinstance(row, Row)]
        known = await journal.lookup(ids)
        for row in chunk:
            letter = None
            if isinstance(row, Problem) and row.position != last:
                letter = DeadLetter(
                    line=row.line, code="Invalid", message=row.reason, raw=row.raw
                )
            elif isinstance(row, Row):
                letter = _dead_letter(row, known.get(row.row_id))
            last = row.position
            if letter is not None:
                yield letter


def _dead_letter(row: Row, known: JournalRow | None) -> DeadLetter | None:
    if known is None or known.state is not State.FAILED:
        return None
    return DeadLetter(
        line=row.line,
        code=known.code or "",
        message=known.message or "",
        raw=row.raw,
    )
