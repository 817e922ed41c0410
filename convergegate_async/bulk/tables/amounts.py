"""Amounts as people write them: the decimal mark that a column has, and plain texts.

A mark is read only where it can mean one thing: ``1,234`` may be a thousand, or one and
a bit. No amount is a float here, and no reason repeats one.
"""

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

from convergegate_async.errors import InvalidFieldError

Mark: TypeAlias = Literal[".", ","]

_WORDS: dict[Mark, str] = {".": "point", ",": "comma"}
_NO_NUMBER = (
    'must be a decimal number without a currency, such as "49.99" or "1 234,50"'
)
_TWO_READINGS = (
    "has one mark before three digits, which may be the decimal mark or part "
    "thousands: say which with --decimal"
)


def _spelling(mark: Mark) -> re.Pattern[str]:
    """Return what matches an amount whose decimal mark is *mark*."""
    other = "," if mark == "." else "."
    # Spaces (no-break, thin and narrow ones too), an apostrophe, or the other mark.
    group = rf"[ \u00a0\u2009\u202f'\u2019{other}]"
    whole = rf"[0-9]+|[1-9][0-9]{{0,2}}(?:({group})[0-9]{{3}})(?:\2[0-9]{{3}})*"
    return re.compile(rf"(-?(?:{whole}))(?:{re.escape(mark)}([0-9]+))?")


_SPELLINGS: dict[Mark, re.Pattern[str]] = {".": _spelling("."), ",": _spelling(",")}


def find_decimal(texts: Iterable[str]) -> Mark | None:
    """Return the decimal mark of a column: the one by which all its texts can be read.

    A text counts that only one mark can read: ``49,99``, ``1.234,50``, ``1.234.567``.

    Args:
        texts: Cells of the column, such as those of its first thousand rows.

    Returns:
        The mark; `None` where no text tells, or where they tell different ones.
    """
    found = {mark for text in texts if (mark := _only_mark(text))}
    return found.pop() if len(found) == 1 else None


def spell_plainly(field: str, text: str, decimal: Mark | None) -> str:
    """Return the amount in *text* as digits and a point: ``1 234,50`` is ``1234.50``.

    Args:
        field: What the amount is for.
        text: The amount; its thousands may be parted, always by the same sign.
        decimal: The decimal mark, so that the other one can only part thousands; `None`
            reads what can mean one thing only, whatever its mark.

    Returns:
        What `minor_units` reads; all decimals are kept.

    Raises:
        InvalidFieldError: It is no number, has another decimal mark than *decimal*, or,
            where that is `None`, may mean two numbers.
    """
    if _is_plain(text):
        return text
    marks = _SPELLINGS if decimal is None else [decimal]
    readings = {plain for mark in marks if (plain := _read(text, mark)) is not None}
    if len(readings) == 1:
        return readings.pop()
    reason = _TWO_READINGS if readings else _NO_NUMBER
    if decimal is not None and _only_mark(text) is not None:
        reason = f"must have a {_WORDS[decimal]} as its decimal mark, and no other"
    raise InvalidFieldError(field, reason)


def _is_plain(text: str) -> bool:
    """Tell whether *text* has neither a mark nor parted thousands, as most have."""
    return text.isascii() and text.isdigit()


def _only_mark(text: str) -> Mark | None:
    """Return the only decimal mark by which *text* is an amount, if it is only one."""
    if _is_plain(text):
        return None
    point, comma = (pattern.fullmatch(text) for pattern in _SPELLINGS.values())
    if point is None:
        return None if comma is None else ","
    return "." if comma is None else None


def _read(text: str, mark: Mark) -> str | None:
    """Return the amount as *mark* reads it, plainly."""
    match = _SPELLINGS[mark].fullmatch(text)
    if match is None:
        return None
    whole, group, fraction = match.groups()
    if group:
        whole = whole.replace(group, "")
    return f"{whole}.{fraction}" if fraction else whole
