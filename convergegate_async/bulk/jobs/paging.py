"""How long sequences are taken: some at a time."""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice

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
