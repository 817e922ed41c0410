"""Rows numbered from 0 by when they came: newer ones shift no page of a list."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def numbered(
    newest_first: Iterable[T],
    count: int,
    before: int | None = None,
    wanted: Callable[[T], bool] | None = None,
) -> Iterator[tuple[int, T]]:
    """Yield the rows that are wanted with their numbers, the newest first.

    Args:
        newest_first: All rows that are left.
        count: How many there ever were.
        before: The number that all of them lie below, if they have to.
        wanted: Tells which; all if `None`.
    """
    start = count if before is None else min(before, count)
    rows = islice(newest_first, count - start, None)
    for number, row in zip(range(start - 1, -1, -1), rows, strict=False):
        if wanted is None or wanted(row):
            yield number, row
