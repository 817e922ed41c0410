"""How a table is spelled: found from the table, before a row of it is read.

What is found is fixed, and kept with a job, so that every run reads the same.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import BinaryIO

import attrs

from convergegate_async._core.money import EXPONENTS

from .amounts import find_decimal
from .csv_file import read_head
from .dates import find_date_format
from .delimiters import find_delimiter
from .doubts import looks_major
from .encodings import ENCODINGS, find_encoding, take_census
from .formats import Format, SourceError
from .options import TableOptions, dialect_of
from .rows import shown
from .table_rows import read_table_rows

_HEAD = 1_000  # rows
_TELLING = ("amount", "currency", "expires_at")
_LONGEST = 100  # characters of a cell that tells
_ZIP = b"PK\x03\x04"
_WRITTEN: Collection[Format] = ("csv", "xlsx")
"""Formats that people write in; others are of programs, whose times may be UTC."""

_ZLOTY = "PLN"
_POLISH_TIME = "Europe/Warsaw"
_EXAMPLE = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
_NO_ZONE = "times need a zone (--timezone), as not all is paid in PLN"
_LATIN = "cp1250"
"""Any encoding of single bytes shows the ASCII in a table: its currencies, for one."""


@attrs.frozen(kw_only=True)
class Finding:
    """How a table is read.

    Attributes:
        options: With nothing left to be found.
        read_as: What was found or given, piece by piece, for whoever is to see it.
        doubts: What may be a slip of whoever asked, a sentence each.
    """

    options: TableOptions
    read_as: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"read as: {' · '.join(self.read_as)}"


def find_options(file: BinaryIO, kind: Format, options: TableOptions) -> Finding:
    """Find what *options* do not say, and go back to where *file* was.

    Delimiter, encoding, decimal mark and the format of dates are what the table shows.
    Times without a zone that people have written are in Europe/Warsaw where all is paid
    in złoty, and nowhere else unless an option says so.

    Args:
        file: The table; it can seek.
        kind: Its format.
        options: What is given is not looked for.

    Raises:
        SourceError: The table can be read in two ways, and they are shown.
    """
    if options.plain:
        return Finding(options=options)
    read_as: list[str] = []
    if kind == "csv":
        options = _find_dialect(file, options)
        dialect = dialect_of(options)
        delimiter = "tab" if dialect.delimiter == "\t" else dialect.delimiter
        read_as = [delimiter, ENCODINGS[dialect.encoding]]
    head = _Head(file, kind, options)
    doubts = () if options.amount_unit else tuple(head.doubts())
    options = attrs.evolve(options, amount_unit=options.amount_unit or "minor")
    if kind in _WRITTEN:
        options = _find_spellings(head, options)
        if options.amount_unit == "major" and options.decimal:
            read_as.append(f"49{options.decimal}99")
    if head.has("expires_at") and (kind in _WRITTEN or options.timezone):
        read_as += _times_as(options)
    return Finding(options=options, read_as=tuple(read_as), doubts=doubts)


def _find_spellings(head: "_Head", options: TableOptions) -> TableOptions:
    is_found = options.timezone is None and head.is_polish
    return attrs.evolve(
        options,
        decimal=options.decimal or find_decimal(head.texts("amount")),
        date_format=options.date_format or find_date_format(head.texts("expires_at")),
        timezone=_POLISH_TIME if is_found else options.timezone,
        zone_currency=_ZLOTY if is_found else options.zone_currency,
    )


def _find_dialect(file: BinaryIO, options: TableOptions) -> TableOptions:
    start = file.tell()
    if file.read(len(_ZIP)) == _ZIP:
        message = "the input is a workbook, or another zip: --format xlsx reads it"
        raise SourceError(message)
    file.seek(start)
    encoding = options.encoding
    if encoding is None:
        census = take_census(file)
        is_polish = bool(census.high) and _looks_polish(file, options)
        encoding = find_encoding(census, is_polish=is_polish)
    options = attrs.evolve(options, encoding=encoding)
    if options.delimiter is not None:
        return options
    head = read_head(file, dialect_of(options).encoding)
    return attrs.evolve(options, delimiter=find_delimiter(head))


def _looks_polish(file: BinaryIO, options: TableOptions) -> bool:
    """Tell whether all is paid in złoty: the ASCII in it is the same in all of them."""
    options = _find_dialect(file, attrs.evolve(options, encoding=_LATIN))
    return _Head(file, "csv", options).is_polish


def _times_as(options: TableOptions) -> Iterator[str]:
    zone = options.timezone or _NO_ZONE
    if options.date_format is None:
        yield zone
    else:
        yield f"{_EXAMPLE.strftime(options.date_format)}, {zone}"


class _Head:
    """The first rows of a table, as far as something is found by them."""

    def __init__(self, file: BinaryIO, kind: Format, options: TableOptions) -> None:
        start = file.tell()
        header: list[str] = []
        self._cells: dict[str, list[object]] = {field: [] for field in _TELLING}
        self._constants = options.constants
        self._column_of: dict[str | None, str] = {}
        with closing(read_table_rows(file, kind, header.extend, options)) as rows:
            for row in islice(rows, _HEAD):
                if header and not self._column_of:
                    options = options.as_spelled_in(header)
                    self._column_of = {options.target(name): name for name in header}
                if row.fault is None:
                    self._take(row.cells)
        file.seek(start)

    def _take(self, cells: Mapping[str, object]) -> None:
        """Keep what tells: whole rows may be of any size."""
        for field, kept in self._cells.items():
            cell = cells.get(self._column_of.get(field, field))
            is_long = isinstance(cell, str) and len(cell) > _LONGEST
            kept.append("" if is_long else cell)

    def has(self, field: str) -> bool:
        """Tell whether there is a column for *field*, or one text for all."""
        is_named = field in self._column_of or field in self._constants
        return is_named or any(self._cells[field])  # rows of JSON have no header

    def texts(self, field: str, *kinds: type) -> list[str]:
        """Return the cells for *field* of all rows, and nothing where one is no text.

        Values of further *kinds* are spelled as programs do.
        """
        cells = self._cells[field]
        if field in self._constants:
            return [self._constants[field]] * len(cells)
        texts = (str, *kinds)
        return [str(cell) if isinstance(cell, texts) else "" for cell in cells]

    @property
    def is_polish(self) -> bool:
        """Whether all is paid in złoty, as far as the cells name a currency.

        What is none of ISO 4217 spoils its own row, and not what is found for all.
        """
        currencies = {text.strip().upper() for text in self.texts("currency")}
        return currencies & EXPONENTS.keys() == {_ZLOTY}

    def doubts(self) -> Iterator[str]:
        """Yield what may be a slip in amounts of which nobody has told the unit."""
        amounts = self.texts("amount", int, float, Decimal)
        if looks_major(zip(amounts, self.texts("currency"), strict=False)):
            column = shown(self._column_of.get("amount", "amount"))
            yield (
                f"column {column} looks like major units (49.99), and is read as minor "
                "ones (4999): say which with --amount-unit"
            )
