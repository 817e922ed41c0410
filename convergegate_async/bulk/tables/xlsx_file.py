"""XLSX as rows, one at a time: the one sheet of a workbook that is not hidden."""

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from .csv_file import unescape_cell
from .formats import UNREAD, Check, SourceError, TableRow
from .rows import shown
from .sheet_rows import Cells, Unread
from .workbooks import Sheet, Workbook, opened_workbook

_MAX_SHOWN = 20


def read_xlsx(file: BinaryIO, check: Check) -> Iterator[TableRow]:
    """Read the table in *file*, whose first row that is not empty is the header.

    Numbers, dates and truth values are what they are, and texts have no space at
    either end. Rows that are empty are passed over, and so are hidden sheets.

    Args:
        file: Its bytes; left open.
        check: Gets the columns before the first row is read, and may refuse them.

    Raises:
        SourceError: It is a pipe or no workbook, has no header or several sheets, or
            takes too much to read; or openpyxl is not installed.
    """
    with opened_workbook(file) as workbook:
        rows = _filled_rows(workbook, _only_sheet(workbook))
        header = next(rows, None)
        if header is None:
            message = "the input has no header"
            raise SourceError(message)
        columns = _columns(header[1])
        check(columns)
        for line, cells in rows:
            yield _read_row(columns, line, cells)


def _only_sheet(workbook: Workbook) -> Sheet:
    """Return the sheet that holds something: which of several is meant, who knows."""
    filled = [
        sheet
        for sheet in workbook.sheets
        if any(True for _ in islice(_filled_rows(workbook, sheet), 1))
    ]
    if len(filled) > 1:
        names = ", ".join(shown(sheet.name) for sheet in filled[:_MAX_SHOWN])
        message = (
            f"several sheets hold data: {names}; hide all but one, or save that one "
            "in a file of its own"
        )
        raise SourceError(message)
    if not filled:
        message = "the input has no header"
        raise SourceError(message)
    return filled[0]


def _filled_rows(workbook: Workbook, sheet: Sheet) -> Iterator[tuple[int, Cells]]:
    """Yield the rows of *sheet* that are not empty: numbers, and values by column."""
    for line, cells in workbook.rows(sheet):
        filled = {
            column: value
            for column, cell in cells.items()
            if (value := _stripped(cell)) != ""
        }
        if filled:
            yield line, filled


def _stripped(cell: object) -> object:
    return unescape_cell(cell.strip()) if isinstance(cell, str) else cell


def _columns(header: Cells) -> list[str]:
    names = [header.get(place, "") for place in range(1, max(header) + 1)]
    return ["" if isinstance(name, Unread) else str(name) for name in names]


def _read_row(columns: list[str], line: int, cells: Cells) -> TableRow:
    if max(cells) > len(columns):
        fault = f"must have {len(columns)} cells, as the header, and has {max(cells)}"
        text = "\t".join(map(str, cells.values()))
        return TableRow(line=line, cells={UNREAD: text}, fault=fault)
    by_column: dict[str, object] = dict.fromkeys(columns)
    unread: dict[str, str] = {}
    for place, value in cells.items():
        name = columns[place - 1]
        if isinstance(value, Unread):
            unread[name] = value.reason
        elif name or by_column[name] is None:
            by_column[name] = value
    return TableRow(line=line, cells=by_column, unread=unread)
