"""Lists that may be long, shown newest first in pages that newer rows do not shift.

Rows are numbered from 0 by when they came; a page begins after a number, and no more
of the list is walked than lies before its end.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Reversible
from itertools import islice
from typing import Generic, TypeVar
from urllib.parse import urlencode

import attrs

from convergegate_async.sandbox._numbered import numbered

T = TypeVar("T")

ROWS = 50
"""How many rows a page shows."""

REACH = 10_000
"""How many rows are searched for a page: the sandbox serves nobody meanwhile."""

_LONGEST_NUMBER = 15  # digits
_LONGEST_TEXT = 100  # characters


@attrs.frozen(kw_only=True)
class Listed(Generic[T]):
    """A page of a list.

    Attributes:
        total: How many rows there ever were, whether they are wanted or not.
        older: What the next page's numbers lie below, if there is one.
        newer: What the previous page's numbers lie above, if there is one.
        searched: How many rows were searched, where more of them are wanted perhaps.
    """

    rows: list[T]
    total: int
    older: int | None = None
    newer: int | None = None
    searched: int | None = None


@attrs.frozen
class Query:
    """What of the lists is asked for, as it stands in the address.

    Attributes:
        given: The pairs of the query that the page knows.
    """

    given: Mapping[str, str]

    @classmethod
    def of(cls, pairs: Mapping[str, str], names: Iterable[str]) -> "Query":
        """Read the pairs called *names*; what is empty or too long is left out."""
        return cls(
            {
                name: pairs[name]
                for name in names
                if 0 < len(pairs.get(name, "")) <= _LONGEST_TEXT
            }
        )

    def __getitem__(self, name: str) -> str:
        return self.given.get(name, "")

    def number(self, name: str) -> int | None:
        """Return a row's number; `None` if the query has none."""
        text = self[name]
        is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
        return int(text) if is_number else None

    def spell(self, **changes: object) -> str:
        """Return the query with *changes*: what is `None` is left out."""
        pairs = {**self.given, **changes}
        kept = {name: value for name, value in pairs.items() if value is not None}
        return f"?{urlencode(kept)}" if kept else ""


def list_page(
    rows: Reversible[T],
    count: int,
    query: Query,
    name: str,
    *,
    wanted: Callable[[T], bool] | None = None,
) -> Listed[T]:
    """Return the page of a list that *query* asks for.

    Args:
        rows: All that are left, oldest first; they may be walked twice.
        count: How many there ever were.
        query: Asks for rows before the number *name*_before, or after *name*_after.
        name: That of the list.
        wanted: Tells which rows to show; all if `None`.
    """
    after = query.number(f"{name}_after")
    if after is not None:
        newer = _newer_page(rows, count, after, wanted)
        if newer is not None:
            return newer
        # Less than a page is newer: the first one it is.
    before = query.number(f"{name}_before")
    start = count if before is None or after is not None else min(before, count)
    walked = numbered(reversed(rows), count, start)
    found: list[tuple[int, T]] = []
    number = start
    for number, row in islice(walked, None if wanted is None else REACH):
        if wanted is None or wanted(row):
            found.append((number, row))
        if len(found) > ROWS:
            break
    shown = found[:ROWS]
    is_full = len(found) > ROWS
    is_cut = not is_full and next(walked, None) is not None
    return Listed(
        rows=[row for _, row in shown],
        total=count,
        older=shown[-1][0] if is_full else number if is_cut else None,
        newer=None if start == count else (shown[0][0] if shown else start - 1),
        searched=REACH if is_cut else None,
    )


def _newer_page(
    rows: Reversible[T], count: int, after: int, wanted: Callable[[T], bool] | None
) -> Listed[T] | None:
    """Return the rows next above the number *after*; `None` if they are the newest."""
    end = count if wanted is None else min(count, after + 1 + REACH)
    walked = islice(numbered(reversed(rows), count, end), max(0, end - 1 - after))
    found = deque(
        ((number, row) for number, row in walked if wanted is None or wanted(row)),
        ROWS + 1,
    )
    is_full = len(found) > ROWS
    if not is_full and end == count:
        return None
    shown = list(found)[1:] if is_full else list(found)
    return Listed(
        rows=[row for _, row in shown],
        total=count,
        older=shown[-1][0] if is_full else after + 1,
        newer=shown[0][0] if is_full else end - 1,
        searched=None if is_full else REACH,
    )
