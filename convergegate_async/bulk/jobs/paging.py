"""How long sequences are taken: some at a time."""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Collection,
    Iterable,
    Iterator,
)
from itertools import islice
from typing import TypeVar

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.bulk.journal.refund_records import JournalRefund, RefundState

T = TypeVar("T")

_CHUNK = 256  # rows that are looked up together
_PAGE = 10_000  # rows


def in_chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield *items*, as many together as are looked up together."""
    source = iter(items)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


async def in_chunks_async(
    items: Iterable[T] | AsyncIterable[T],
) -> AsyncIterator[list[T]]:
    """Yield *items* as `in_chunks` does, whichever kind of iterable they are."""
    if not isinstance(items, AsyncIterable):
        for chunk in in_chunks(items):
            yield chunk
        return
    chunk = []
    async for item in items:
        chunk.append(item)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
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


async def every_refund(
    journal: Journal, batch: str, states: Collection[RefundState]
) -> AsyncIterator[JournalRefund]:
    """Yield the refunds of a batch that are in one of *states*, a page at a time."""
    after = 0
    while page := await journal.refunds.listed(batch, states, after=after):
        for refund in page:
            yield refund
        after = page[-1].number
