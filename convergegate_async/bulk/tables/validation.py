"""All that is wrong with an input, found before the first row is sent."""

import time
from array import array
from collections import defaultdict
from collections.abc import Iterable

import attrs

from convergegate_async._core.money import EXPONENTS
from convergegate_async._core.operations import lives_long_enough

from .rows import Problem, Row


@attrs.frozen(kw_only=True)
class Validation:
    """What is wrong with an input.

    Attributes:
        total: How many rows it has, good and bad.
        problems: The first problems, in the order of the rows.
        more: How many there are besides.
        unknown_currencies: What is sent and is in no list of ISO 4217 that we know:
            a currency of tomorrow, or a typing error.
    """

    total: int
    problems: tuple[Problem, ...]
    more: int
    unknown_currencies: tuple[str, ...] = ()


def check(
    rows: Iterable[Row | Problem], *, most: int = 1_000, now: float | None = None
) -> Validation:
    """Read all *rows*, and tell what is wrong with them.

    Ids that are given twice count, and sessions that would expire too soon if they were
    opened now. A currency that ISO 4217 does not know is told, and may be sent.

    Args:
        rows: What `read_table` gives.
        most: How many problems to keep; the others are only counted.
        now: The time, in epoch seconds; the clock's if `None`.
    """
    moment = time.time() if now is None else now
    problems: list[Problem] = []
    currencies: set[str] = set()
    seen, places = Seen(), Places()
    found = 0
    for row in rows:
        wrongs = [row] if isinstance(row, Problem) else []
        if isinstance(row, Row):
            currencies.add(row.request.currency.upper())
            if not lives_long_enough(row.request.expires_at, moment):
                # A mapping may have read it from a column of another name.
                reason = "expires_at must be at least 2.5 hours ahead"
                wrongs.append(_problem(row, reason))
        is_new = places.take(row)
        if is_new and row.row_id is not None and seen.before(row.row_id):
            wrongs.append(_problem(row, "has the id of an earlier row"))
        found += len(wrongs)
        problems += wrongs[: most - len(problems)]
    return Validation(
        total=places.count,
        problems=tuple(problems),
        more=found - len(problems),
        unknown_currencies=tuple(sorted(currencies - EXPONENTS.keys())),
    )


def _problem(row: Row | Problem, reason: str) -> Problem:
    return Problem(
        position=row.position,
        line=row.line,
        row_id=row.row_id,
        column=None,
        reason=reason,
        raw=row.raw,
    )


class Places:
    """Numbers the rows that are given, whatever file each is of and where in it.

    The problems of a row follow each other, and have one place.

    Attributes:
        count: The place of the last row, from 1.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self._last: Problem | None = None

    def take(self, row: Row | Problem) -> bool:
        """Count *row*, and say so, unless it is a further problem of the last one."""
        last, self._last = self._last, row if isinstance(row, Problem) else None
        is_same = (
            last is not None
            and self._last is not None
            and last.position == row.position
            and last.raw is row.raw  # or it is the row of another file
        )
        self.count += not is_same
        return not is_same


class Seen:
    """Remembers texts in some nine bytes each, where a `set` takes eighty.

    Two texts are taken for one with a chance of 1 in 370,000 for 10^7 of them, and
    with other ones in the next process.
    """

    def __init__(self) -> None:
        self._shelves: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))

    def before(self, text: str) -> bool:
        """Tell whether *text* was seen before; now it was."""
        mark = hash(text)
        shelf = self._shelves[mark % 2**16]
        if mark in shelf:
            return True
        shelf.append(mark)
        return False
