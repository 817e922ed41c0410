"""All that is wrong with an input, found before the first row is sent."""

import time
from collections.abc import Iterable

import attrs

from convergegate_async._core.money import EXPONENTS
from convergegate_async._core.operations import lives_long_enough

from .places import Places, Seen
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
