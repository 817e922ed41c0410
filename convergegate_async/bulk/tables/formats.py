"""Tables in files: CSV, JSONL and Parquet as rows, one at a time.

What cannot be read becomes a row with a *fault*, and reading goes on.

A cell that a spreadsheet would run as a formula is written behind an apostrophe, and
read without it. Apostrophes that were there before count, so every text survives.
"""

import codecs
import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Literal, TextIO, TypeAlias, get_args

import attrs

from convergegate_async._core.strict_json import DuplicateKeyError, decode_exactly
from convergegate_async.errors import ConfigurationError

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]
Check: TypeAlias = Callable[[Sequence[str]], None]

OWN_PREFIX = "cg_"
UNREAD = "cg_row"

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_MAX_LINE = 2**20
_TOO_LONG = f"holds a line of more than {_MAX_LINE:,} characters"
_BATCH = 1_000


class SourceError(ConfigurationError):
    """The input itself, not one of its rows, cannot be read."""


@attrs.define(kw_only=True)
class TableRow:
    """One row of a table as it was read.

    Attributes:
        line: Where it begins, 1 for the first line of the file; the number of the
            row in Parquet, which has no lines.
        cells: Its values by column; the line's text under `UNREAD` after a fault.
        fault: Why it is no row, without a part of it.
        unread: The columns whose values cannot be read; their cells are `None`.
    """

    line: int
    cells: Mapping[str, object] = attrs.field(repr=False)
    fault: str | None = None
    unread: tuple[str, ...] = ()


def guess_format(path: str) -> Format:
    """Return the format that the suffix of *path* promises; ``-`` is CSV.

    Raises:
        SourceError: The suffix promises nothing.
    """
    if path == "-":
        return "csv"
    guess = _SUFFIXES.get(Path(path).suffix.lower())
    if guess is None:
        message = f"cannot tell the format of {path}: name it ({_known_formats()})"
        raise SourceError(message)
    return guess


def choose_format(path: str, name: str | None) -> Format:
    """Return the format called *name*, or else what `guess_format` says.

    Raises:
        SourceError: There is no such format.
    """
    if name is None:
        return guess_format(path)
    for known in get_args(Format):
        if name == known:
            chosen: Format = known
            return chosen
    message = f"the format must be one of {_known_formats()}"
    raise SourceError(message)


def read_table_rows(path: str, kind: Format, check: Check) -> Iterator[TableRow]:
    """Read the table in *path* (``-`` is stdin), with one row in memory at a time.

    Args:
        path: The file.
        kind: Its format.
        check: Gets the columns before the first row is read, and may refuse
            them; JSONL has none.

    Raises:
        SourceError: There is no such file, no header, or no such table in it.
    """
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    with _opened(path) as file:
        yield from readers[kind](file, check)


def import_parquet() -> tuple[ModuleType, ModuleType]:
    """Return the modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        SourceError: They are not installed.
    """
    if find_spec("pyarrow") is None:
        message = "Parquet needs pyarrow: pip install pyarrow"
        raise SourceError(message)
    return import_module("pyarrow"), import_module("pyarrow.parquet")


# -- formula cells -----------------------------------------------------------------

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escape_cell(text: str) -> str:
    """Return *text* so that no spreadsheet runs it; `unescape_cell` undoes it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(cell: str) -> str:
    """Return what `escape_cell` was given."""
    return cell[1:] if _ESCAPED.match(cell) else cell


# -- CSV ---------------------------------------------------------------------------

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
        line = self._file.readline(_MAX_LINE)
        if not line:
            raise StopIteration
        self._number += 1
        self._quotes += line.count('"')
        if len(line) < _MAX_LINE or line.endswith(("\r", "\n")):
            self._row.append(line)
            return line
        while line and not line.endswith(("\r", "\n")):
            line = self._file.readline(_MAX_LINE)
            self._quotes += line.count('"')
        raise csv.Error(_TOO_LONG)


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


def _read_csv(file: BinaryIO, check: Check) -> Iterator[TableRow]:
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


# -- JSONL -------------------------------------------------------------------------


def _read_jsonl(file: BinaryIO, _: Check) -> Iterator[TableRow]:
    number = 0
    while line := file.readline(_MAX_LINE):
        number += 1
        if len(line) == _MAX_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(_MAX_LINE)
            yield TableRow(line=number, cells={}, fault=_TOO_LONG)
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line and not line.isspace():
            yield _read_object(number, line)


def _read_object(number: int, line: bytes) -> TableRow:
    try:
        value = decode_exactly(line)
        if isinstance(value, dict):
            return TableRow(line=number, cells=value)
        fault = "is not a JSON object"
    except DuplicateKeyError as error:
        fault = str(error)
    except (ValueError, ArithmeticError, RecursionError):
        fault = "is not strict JSON in UTF-8"
    text = line.decode("utf-8", "surrogateescape")
    return TableRow(line=number, cells={UNREAD: text}, fault=fault)


# -- Parquet -----------------------------------------------------------------------

# A year beyond 9999, bytes that are not UTF-8, a time zone that nobody knows.
_ODD_VALUE = (ValueError, OverflowError, LookupError)

_NO_VALUE = object()
"""Stands in the place of a value that Python cannot hold."""


def _values(arrow: ModuleType, column: Any) -> list[object]:  # noqa: ANN401 -- arrow has no types
    """Return the values of *column* in Python."""
    kind = column.type
    if arrow.types.is_timestamp(kind) and kind.unit == "ns":
        # Python's times have microseconds, and sessions expire in whole seconds.
        column = column.cast(arrow.timestamp("us", kind.tz), safe=False)
    try:
        values: list[object] = column.to_pylist()
    except (*_ODD_VALUE, arrow.ArrowException):
        values = [_value(arrow, scalar) for scalar in column]
    return list(map(_mapping, values)) if arrow.types.is_map(kind) else values


def _value(arrow: ModuleType, scalar: Any) -> object:  # noqa: ANN401 -- arrow has no types
    try:
        return scalar.as_py()
    except (*_ODD_VALUE, arrow.ArrowException):
        return _NO_VALUE


def _mapping(pairs: object) -> object:
    """Return the pairs of Parquet's own kind of map as a mapping."""
    if not isinstance(pairs, list):
        return pairs
    mapping = dict(pairs)
    return mapping if len(mapping) == len(pairs) else _NO_VALUE


def _read_parquet(file: BinaryIO, check: Check) -> Iterator[TableRow]:
    arrow, parquet = import_parquet()
    if not file.seekable():
        message = "Parquet is read from its end, and so not from a pipe"
        raise SourceError(message)
    number = 0
    try:
        table = parquet.ParquetFile(file)
        names = table.schema_arrow.names
        check(names)
        for batch in table.iter_batches(_BATCH):
            columns = [_values(arrow, column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                number += 1
                cells = dict(zip(names, values, strict=True))
                unread = tuple(name for name in names if cells[name] is _NO_VALUE)
                cells.update(dict.fromkeys(unread))
                yield TableRow(line=number, cells=cells, unread=unread)
    except (arrow.ArrowException, OSError, ValueError):
        message = f"the input cannot be read as Parquet after row {number}"
    else:
        return
    raise SourceError(message)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 -- closed below
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        raise SourceError(message) from None
    with file:
        yield file


def _known_formats() -> str:
    return ", ".join(get_args(Format))
