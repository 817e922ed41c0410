"""CSV as rows, one at a time.

A cell that a spreadsheet would run as a formula is written behind an apostrophe, and
read without it. Apostrophes that were there before count, so every text survives.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, TextIO

import attrs

from .formats import MAX_LINE, TOO_LONG, UNREAD, Check, SourceError, TableRow

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escape_cell(text: str) -> str:
    """Return *text* so that no spreadsheet runs it; `unescape_cell` undoes it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(cell: str) -> str:
    """Return what `escape_cell` was given."""
    return cell[1:] if _ESCAPED.match(cell) else cell


# -- reading -----------------------------------------------------------------------

# What the codec left of bytes that are not UTF-8 are lone surrogates.
_UNDECODED = re.compile("[\udc80-\udcff]")
_NOT_TEXT = "is not UTF-8 text, or holds a NUL"


def _is_text(line: str) -> bool:
    return "\0" not in line and (line.isascii() or not _UNDECODED.search(line))


class _Lines:
    """Hands lines to the parser, and remembers those of the row it is in."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._number = 0
        self._row: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start a row."""
        self._row.clear()
        self._quotes = 0
        self.first = self._number + 1

    @property
    def text(self) -> str:
        """The row so far, without what is too long."""
        return "".join(self._row)

    @property
    def torn(self) -> bool:
        """Whether the row ends within quotes, so that nobody knows where."""
        return self._quotes % 2 == 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE)
        if not line:
            raise StopIteration
        self._number += 1
        self._quotes += line.count('"')
        if len(line) < MAX_LINE or line.endswith(("\r", "\n")):
            self._row.append(line)
            return line
        while line and not line.endswith(("\r", "\n")):
            line = self._file.readline(MAX_LINE)
            self._quotes += line.count('"')
        raise csv.Error(TOO_LONG)


@attrs.define
class _CsvRow:
    line: int
    text: str
    cells: list[str]
    fault: str | None


def _csv_rows(lines: _Lines) -> Iterator[_CsvRow]:
    rows = csv.reader(lines, strict=True)
    torn = False
    while not torn:
        lines.begin()
        cells: list[str] = []
        fault = None
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            torn = lines.torn
            fault = f"is not a row of CSV ({error})"
            if torn:
                fault += " and leaves a quote open: nothing after it was read"
        else:
            fault = None if _is_text(lines.text) else _NOT_TEXT
        if cells or fault:  # a blank line is neither
            yield _CsvRow(lines.first, lines.text, cells, fault)


def read_csv(file: BinaryIO, check: Check) -> Iterator[TableRow]:
    """Read the table in *file*.

    Args:
        file: Its bytes; left open.
        check: Gets the columns before the first row is read, and may refuse them.

    Raises:
        SourceError: There is no header.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    try:
        rows = _csv_rows(_Lines(text))
        header = next(rows, None)
        if header is None:
            message = "the input has no header"
            raise SourceError(message)
        if header.fault:
            message = f"the header {header.fault}"
            raise SourceError(message)
        columns = [unescape_cell(cell) for cell in header.cells]
        check(columns)
        for row in rows:
            yield _read_row(columns, row)
    finally:
        text.detach()  # stdin stays open


def _read_row(columns: list[str], row: _CsvRow) -> TableRow:
    fault = row.fault
    if fault is None and len(row.cells) != len(columns):
        fault = (
            f"must have {len(columns)} cells, as the header, and has {len(row.cells)}"
        )
    if fault is not None:
        return TableRow(line=row.line, cells={UNREAD: row.text}, fault=fault)
    cells = [*map(unescape_cell, row.cells)] if "'" in row.text else row.cells
    by_column = dict(zip(columns, cells, strict=True))
    if len(by_column) < len(columns):  # several that have no name: one for them all
        unnamed = [cell for cell, name in zip(cells, columns, strict=True) if not name]
        by_column[""] = "".join(unnamed)
    return TableRow(line=row.line, cells=by_column)
