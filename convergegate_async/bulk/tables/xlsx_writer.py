"""XLSX with a type for each cell: what is a text stays one, whatever it looks like."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, NoReturn

from convergegate_async.errors import ConfigurationError

from .bounded_xml import MAX_TEXT
from .cell_texts import text_of, without_surrogates
from .sheet_rows import MAX_COLUMNS, MAX_ROWS
from .spool import Table, spooled
from .workbooks import require_openpyxl

_WIDTH = 20  # of a column: a narrower one shows times as ####

_TEXT, _WHOLE, _DAY, _TIME = "@", "0", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
_MOST_DIGITS = 15
_MOST_DECIMALS = 30  # that a format can show
_MOST_EXPONENT = 300
_YEARS = range(1901, 9999)  # which every spreadsheet counts alike, in any zone

# XML holds no control characters, and takes \r for \n; spreadsheets spell them so.
_SPELLED = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def write_xlsx(file: BinaryIO, records: Table) -> int:
    """Write *records* to *file* as a sheet, and return how many.

    Texts are texts, and so are numbers of more than 15 digits and times that no
    spreadsheet has. A sheet knows no time zone: times that have one are in UTC, to the
    millisecond.

    Raises:
        ConfigurationError: There are more rows, columns or characters in a cell than a
            spreadsheet takes, or openpyxl is not installed.
    """
    require_openpyxl()
    with spooled(records) as spool:
        if spool.count >= MAX_ROWS:
            _refuse(f"{MAX_ROWS:,} rows, the header included")
        if len(spool.columns) > MAX_COLUMNS:
            _refuse(f"{MAX_COLUMNS:,} columns")
        with _sheet(file) as sheet:
            cells = _Cells(sheet)
            sheet.append(cells.of(name) for name in spool.columns)
            for batch in spool.batches():
                for record in batch:
                    sheet.append(cells.of(record.get(name)) for name in spool.columns)
    return spool.count


def _refuse(most: str) -> NoReturn:
    message = f"a spreadsheet has at most {most}: use CSV or Parquet"
    raise ConfigurationError(message)


@contextmanager
def _sheet(file: BinaryIO) -> Iterator[Any]:
    """Give the sheet of a workbook that goes to *file* when it is complete."""
    book = import_module("openpyxl").Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.sheet_format.defaultColWidth = _WIDTH
    # One that seeks would go back over what `>>` had found in stdout.
    stream = SimpleNamespace(write=file.write, flush=file.flush)
    try:
        yield sheet
        book.save(stream)
    except BaseException:
        # An archive that was given up writes its end once it is collected.
        stream.write, stream.flush = len, lambda: None
        raise
    finally:
        try:
            if not sheet.closed:
                sheet.close()
        finally:  # openpyxl keeps its draft, which holds the rows, until we exit
            Path(sheet._writer.out).unlink(missing_ok=True)  # noqa: SLF001 -- told nowhere else


class _Cells:
    """Makes one cell of each format: openpyxl writes it before it asks for the next."""

    def __init__(self, sheet: Any) -> None:  # noqa: ANN401 -- openpyxl has no types
        self._sheet = sheet
        self._new = import_module("openpyxl.cell").WriteOnlyCell
        self._by_format: dict[str, Any] = {}

    def of(self, value: object) -> Any:  # noqa: ANN401 -- openpyxl has no types
        """Return a cell that holds *value*, to be written at once."""
        if isinstance(value, bool):
            return value  # as it is: what has no format is openpyxl's own cell
        kind, number_format, held = _typed(value)
        if held == "":
            return None
        cell = self._by_format.get(number_format)
        if cell is None:
            cell = self._by_format[number_format] = self._new(self._sheet)
            cell.number_format = number_format
        cell.value = held
        cell.data_type = kind  # or "=1+1" would be a formula
        return cell


def _typed(value: object) -> tuple[str, str, object]:
    """Return the type, the number format and the content of a cell for *value*."""
    match value:
        case float():
            return _typed(Decimal(repr(value)))
        case int() | Decimal() if number_format := _number_format(Decimal(value)):
            return "n", number_format, value
        case datetime() if value.year in _YEARS:
            moment = value if value.tzinfo is None else value.astimezone(UTC)
            return "d", _TIME, moment.replace(tzinfo=None)
        case date() if value.year in _YEARS:
            return "d", _DAY, value
    return "s", _TEXT, _xml_text(text_of(value))


def _number_format(number: Decimal) -> str:
    """Return the format that shows all decimals; none for what would be inexact."""
    _, digits, exponent = number.as_tuple()
    if (
        not isinstance(exponent, int)  # infinity
        or len(digits) > _MOST_DIGITS
        or exponent < -_MOST_DECIMALS
        or number.adjusted() > _MOST_EXPONENT
    ):
        return ""
    return f"{_WHOLE}.{'0' * -exponent}" if exponent < 0 else _WHOLE


def _xml_text(text: str) -> str:
    spelled = _SPELLED.sub(
        lambda found: f"_x{ord(found[0]):04X}_", without_surrogates(text)
    )
    if len(spelled.encode("utf-16-le")) > 2 * MAX_TEXT:
        _refuse(f"{MAX_TEXT:,} characters in a cell")
    return spelled
