"""CSV of any dialect as rows, one at a time.

A cell that a spreadsheet would run as a formula is written behind an apostrophe, and
read without it. Apostrophes that were there before count, so every text survives.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TextIO, TypeAlias

import attrs

from .delimiters import said_delimiter
from .encodings import ENCODINGS
from .fields import FIELDS
from .formats import MAX_LINE, TOO_LONG, UNREAD, Check, SourceError, TableRow

_FIELD_NAMES = {name: name for name in FIELDS}

_MAX_COLUMNS = 2**14
"""As many as a spreadsheet has."""

_HEAD = 2**18


@attrs.frozen(kw_only=True)
class Dialect:
    """How a table is spelled in CSV.

    Attributes:
        delimiter: What stands between cells.
        encoding: One of `ENCODINGS`; a byte order mark is passed over in each.
        strip: Space around cells is none of theirs, and rows of empty cells are none.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    strip: bool = False


PLAIN = Dialect()


def read_head(file: BinaryIO, encoding: str) -> str:
    """Return the first lines of *file*, which can seek, and go back to where it was.

    Raises:
        SourceError: It is to be UTF-16 of either order, and does not say which.
    """
    start = file.tell()
    head = file.read(_HEAD)
    file.seek(start)
    is_whole = len(head) < _HEAD
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    with _begun():
        text = decoder.decode(head, is_whole).removeprefix(_MARK)
    end = len(text) if is_whole else max(text.rfind("\n"), text.rfind("\r")) + 1
    return text[:end] or text


# -- formula cells -----------------------------------------------------------------

# An apostrophe that a text has itself is not to be taken for ours.
_RISKY = re.compile(r"'+[=+\-@\t\r]|[=@\t\r]|[+-](?![0-9]+(?: [0-9]+)*\Z)")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escape_cell(text: str) -> str:
    """Return *text* so that no spreadsheet runs it; `unescape_cell` undoes it.

    It gets an apostrophe if it begins with ``=``, ``@``, a tab or a line end, or with
    ``+`` or ``-`` before anything but digits, and single spaces between them.
    """
    return f"'{text}" if _RISKY.match(text) else text


def unescape_cell(cell: str) -> str:
    """Return what `escape_cell` was given; an apostrophe before ``+48`` goes, too."""
    return cell[1:] if _ESCAPED.match(cell) else cell


# -- reading -----------------------------------------------------------------------

_MARK = "\ufeff"
_TOO_LONG_ROW = f"is longer than {MAX_LINE:,} characters"
_TORN = " and leaves a quote open: nothing after it was read"

# What the codec leaves of bytes that are no text: in UTF-16, the sign for just that,
# and else lone surrogates, which become the same bytes again.
_LOST = re.compile("\ufffd")
_UNDECODED = re.compile("[\udc80-\udcff]")


@contextmanager
def _begun() -> Iterator[None]:
    """Refuse the one text that cannot be decoded at all."""
    try:
        yield
    except UnicodeError:
        message = "the input has no byte order mark: say utf-16-le or utf-16-be"
        raise SourceError(message) from None


class _Lines:
    """Hands lines to the parser, and remembers those of the row it is in.

    A byte order mark, and a first line that says the delimiter, are passed over.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._readline: Callable[[int], str] = self._read_first
        self._number = 0
        self._row: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start a row."""
        self._row.clear()
        self._quotes_left_out = 0
        self._left = MAX_LINE + 1
        self.first = self._number + 1

    @property
    def text(self) -> str:
        """The row so far, without what is too long."""
        return "".join(self._row)

    @property
    def torn(self) -> bool:
        """Whether the row ends within quotes, so that nobody knows where."""
        return (self.text.count('"') + self._quotes_left_out) % 2 == 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._readline(self._left)
        if not line:
            raise StopIteration
        self._number += 1
        self._left -= len(line)
        if self._left > 0:
            self._row.append(line)
            return line
        self._quotes_left_out = line.count('"')
        while line and not line.endswith(("\r", "\n")):
            line = self._readline(MAX_LINE)
            self._quotes_left_out += line.count('"')
        raise csv.Error(_TOO_LONG_ROW if self._row else TOO_LONG)

    def _read_first(self, size: int) -> str:
        self._readline = self._file.readline
        with _begun():
            line = self._readline(size + 1).removeprefix(_MARK)
        if said_delimiter(line) is None:
            return line
        self._number = 1
        self.first = 2
        return self._readline(size)


_CsvRow: TypeAlias = tuple[list[str], str | None]
"""The cells of a row, and what is wrong with it, if anything."""


def _csv_rows(lines: _Lines, dialect: Dialect) -> Iterator[_CsvRow]:
    """Read rows that are not blank; *lines* tells the last one's place and text."""
    strip = dialect.strip
    broken = _LOST if dialect.encoding.startswith("utf-16") else _UNDECODED
    rows = csv.reader(
        lines, delimiter=dialect.delimiter, skipinitialspace=strip, strict=True
    )
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
            fault = f"is not a row of CSV ({error}){_TORN if torn else ''}"
        text = lines.text
        if "\0" in text or (not text.isascii() and broken.search(text)):
            fault = (
                fault or f"is not {ENCODINGS[dialect.encoding]} text, or holds a NUL"
            )
        if strip:
            cells = [*map(str.strip, cells)]
        if "'" in text:
            cells = [*map(unescape_cell, cells)]
        if fault or (any(cells) if strip else cells):  # a blank line is neither
            yield cells, fault


def read_csv(
    file: BinaryIO, check: Check, dialect: Dialect = PLAIN
) -> Iterator[TableRow]:
    """Read the table in *file*.

    Args:
        file: Its bytes; left open.
        check: Gets the columns before the first row is read, and may refuse them.
        dialect: How it is spelled.

    Raises:
        SourceError: There is no header, or one of too many columns, or UTF-16 does
            not say its order.
    """
    errors = "replace" if dialect.encoding.startswith("utf-16") else "surrogateescape"
    text = io.TextIOWrapper(file, dialect.encoding, errors, newline="")
    try:
        lines = _Lines(text)
        rows = _csv_rows(lines, dialect)
        columns = _read_header(next(rows, None))
        check(columns)
        for cells, fault in rows:
            yield _read_row(columns, lines, cells, fault)
    finally:
        text.detach()  # stdin stays open


def _read_header(row: _CsvRow | None) -> list[str]:
    if row is None:
        message = "the input has no header"
        raise SourceError(message)
    columns, fault = row
    if fault is None and len(columns) > _MAX_COLUMNS:
        fault = f"has {len(columns):,} columns, more than {_MAX_COLUMNS:,}"
    if fault is not None:
        message = f"the header {fault}"
        raise SourceError(message)
    # As keywords Python finds them at once if they are the same objects as the names of
    # parameters, else letter by letter. To intern them would keep a customer's cells.
    return [_FIELD_NAMES.get(column, column) for column in columns]


def _read_row(
    columns: list[str], lines: _Lines, cells: list[str], fault: str | None
) -> TableRow:
    if fault is None and len(cells) != len(columns):
        fault = f"must have {len(columns)} cells, as the header, and has {len(cells)}"
    if fault is not None:
        return TableRow(line=lines.first, cells={UNREAD: lines.text}, fault=fault)
    by_column = dict(zip(columns, cells, strict=True))
    if len(by_column) < len(columns):  # several that have no name: one for them all
        unnamed = [cell for cell, name in zip(cells, columns, strict=True) if not name]
        by_column[""] = "".join(unnamed)
    return TableRow(line=lines.first, cells=by_column)
