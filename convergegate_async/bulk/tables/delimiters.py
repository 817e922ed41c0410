"""What stands between the cells of CSV: said in its first line, or found from its head.

Right is the delimiter by which the head is a table: its rows are as wide as its header.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice

from .formats import SourceError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""Those that are looked for, and what people call them."""

_ROWS = 50
_MARK = r'[^\w"\r\n ]'
_SAID = re.compile(rf'"?sep=({_MARK})\1*"?[\r\n]*', re.IGNORECASE)


def choose_delimiter(name: str) -> str:
    """Return the delimiter *name*, which may be the word for it: ``tab``.

    Raises:
        SourceError: It is not one character, or is one of those that cells are made of.
    """
    for delimiter, word in DELIMITERS.items():
        if name.lower() == word:
            return delimiter
    if re.fullmatch(_MARK, name) and name != "\0":
        return name
    words = ", ".join(DELIMITERS.values())
    message = f"the delimiter must be {words}, or one character such as |"
    raise SourceError(message)


def said_delimiter(line: str) -> str | None:
    """Return the delimiter that *line* says, as ``sep=;`` does, if it is no row."""
    said = _SAID.fullmatch(line)
    return said[1] if said else None


def find_delimiter(head: str) -> str:
    """Return the delimiter of the table that begins with *head*.

    By it the header has more than one cell, and at least half of the rows have as many.
    Of several such, it is that of the widest table; where there is none, that of the
    widest header. A table of one column has a comma.

    Args:
        head: Whole lines of it; some 50 rows are enough.

    Raises:
        SourceError: Two would be right.
    """
    lines = [*io.StringIO(head, newline="")]
    if lines and (said := said_delimiter(lines[0])):
        return said
    shapes = {delimiter: _shape(lines, delimiter) for delimiter in DELIMITERS}
    best = max(shapes.values())
    found = [delimiter for delimiter, shape in shapes.items() if shape == best]
    _, width = best
    if len(found) == 1 or width <= 1:
        return found[0]
    names = " and by ".join(DELIMITERS[delimiter] for delimiter in found)
    message = f"the header has {width} cells by {names}: say which with --delimiter"
    raise SourceError(message)


def _shape(lines: list[str], delimiter: str) -> tuple[bool, int]:
    """Tell whether *delimiter* makes a table, and how many cells the header has."""
    header, *rows = [*islice(_widths(lines, delimiter), _ROWS)] or [0]
    fitting = rows.count(header)
    return header > 1 and fitting * 2 >= len(rows), header


def _widths(lines: list[str], delimiter: str) -> Iterator[int]:
    """Yield how many cells each row has that is not empty; none if it is broken."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield 0
            continue
        if any(map(str.strip, row)):
            yield len(row)
