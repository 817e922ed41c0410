"""The rows of a sheet, as a stream: no more is in memory than one, and shared texts."""

import math
import re
from array import array
from collections.abc import Sequence
from datetime import date, datetime
from importlib import import_module
from typing import Any, TypeAlias

import attrs

from .bounded_xml import Attributes, XmlReader, refuse

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""No spreadsheet has more."""

_MAX_ROW_TEXT = 2**20
_MAX_SHARED, _MAX_SHARED_TEXT = 2**24, 2**28

_HOURS = re.compile("[hs]", re.IGNORECASE)
_ASIDE = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')  # what a format shows as it is
_WHOLE = re.compile("-?[0-9]{1,15}")  # more digits of a number are made up
_MOST_EXACT = 10**15
_LETTERS = re.compile("[A-Z]{1,3}")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")

Cells: TypeAlias = dict[int, object]


@attrs.frozen
class Unread:
    """Stands in the place of a value that cannot be read, and says why."""

    reason: str


class TextReader(XmlReader):
    """Reads texts, of which some are in several pieces, or have a reading aid."""

    def __init__(self) -> None:
        super().__init__()
        self._is_aside = False
        self.begins.update(t=self._begin_text, rPh=self._begin_aside)
        self.ends.update(t=self._pause, rPh=self._end_aside)

    def _begin_text(self, _: Attributes) -> None:
        if not self._is_aside:
            self._listen()

    def _begin_aside(self, _: Attributes) -> None:
        self._is_aside = True

    def _end_aside(self) -> None:
        self._is_aside = False


class SharedTexts(TextReader):
    """The texts that cells name by number; a text takes its own bytes and four."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()
        self._stops = array("I", [0])
        self.ends["si"] = self._add

    def _add(self) -> None:
        self._bytes += _unescaped(self._take_text()).encode()
        self._stops.append(len(self._bytes))
        if len(self._bytes) > _MAX_SHARED_TEXT or len(self._stops) > _MAX_SHARED:
            refuse(
                f"holds more than {_MAX_SHARED:,} texts, "
                f"or {_MAX_SHARED_TEXT:,} bytes of them: save it as CSV"
            )

    def __getitem__(self, number: int) -> str:
        if number < 0:
            raise IndexError
        start, stop = self._stops[number], self._stops[number + 1]
        return self._bytes[start:stop].decode()


class Numbers:
    """What the numbers of cells mean: some are dates, by their cell's format.

    openpyxl knows which formats are of dates, and what day is which number.

    Args:
        formats: The format of each style, as cells name them by number.
        is_1904: Days are counted from 1904, as they were on a Macintosh.
    """

    def __init__(self, formats: Sequence[str], *, is_1904: bool) -> None:
        styles = import_module("openpyxl.styles.numbers")
        self._dates = import_module("openpyxl.utils.datetime")
        self._epoch = self._dates.MAC_EPOCH if is_1904 else self._dates.WINDOWS_EPOCH
        self._kinds = [_kind(styles, code) for code in formats]

    def read(self, text: str, style: int) -> object:
        """Return what *text* is in a cell of that *style*: a date, a time, a number."""
        kind = self._kinds[style] if style < len(self._kinds) else ""
        if not kind and _WHOLE.fullmatch(text):
            return int(text)
        number = float(text)
        if not math.isfinite(number):
            return Unread("holds no number")
        if not kind:  # 100000.0 is an id as 100000 is
            is_whole = number.is_integer() and abs(number) < _MOST_EXACT
            return int(number) if is_whole else number
        try:
            moment = self._dates.from_excel(number, self._epoch, kind == "duration")
        except (ValueError, OverflowError):
            return Unread("holds a date that is in no calendar")
        if kind == "date" and isinstance(moment, datetime) and number.is_integer():
            return moment.date()
        return moment


def _kind(styles: Any, code: str) -> str:  # noqa: ANN401 -- openpyxl has no types
    if styles.is_timedelta_format(code):
        return "duration"
    if not styles.is_date_format(code):
        return ""
    return "time" if _HOURS.search(_ASIDE.sub("", code)) else "date"


class SheetRows(TextReader):
    """The rows of a sheet that hold a value.

    Args:
        texts: Those that cells share.
        numbers: What numbers mean.
    """

    def __init__(self, texts: SharedTexts, numbers: Numbers) -> None:
        super().__init__()
        self._texts = texts
        self._numbers = numbers
        self._rows: list[tuple[int, Cells]] = []
        self._row = 0
        self._cells: Cells = {}
        self._column = 0
        self._columns: dict[str, int] = {}
        self._kind, self._style = "n", 0
        self._has_formula = False
        self._size = 0  # of the row
        self.begins.update(
            row=self._begin_row,
            c=self._begin_cell,
            f=self._begin_formula,
            v=self._listen,
        )
        self.ends.update(row=self._end_row, c=self._end_cell, v=self._pause)

    def take(self) -> list[tuple[int, Cells]]:
        """Return the rows that were completed since: numbers, and values by column.

        Both are counted from 1. What cannot be read is an `Unread`.
        """
        rows, self._rows = self._rows, []
        return rows

    def _begin_row(self, attributes: Attributes) -> None:
        number = int(attributes.get("r", self._row + 1))
        if number <= self._row:
            refuse(f"has a row that is out of place after row {self._row}")
        if number > MAX_ROWS:
            refuse(f"has more than {MAX_ROWS:,} rows")
        self._row = number
        self._column = self._size = 0

    def _end_row(self) -> None:
        if self._cells:
            self._rows.append((self._row, self._cells))
            self._cells = {}

    def _begin_cell(self, attributes: Attributes) -> None:
        self._kind = attributes.get("t", "n")
        self._style = int(attributes.get("s", "0"))
        self._column = self._place(attributes.get("r"))
        self._pieces.clear()
        self._has_formula = False

    def _begin_formula(self, _: Attributes) -> None:
        self._has_formula = True

    def _place(self, coordinate: str | None) -> int:
        """Return the column of a cell: where none is told, the next one."""
        column = self._column + 1
        if coordinate is not None:
            letters = coordinate.rstrip("0123456789")
            column = self._columns.get(letters) or self._named(letters)
            if coordinate[len(letters) :] != str(self._row) or column <= self._column:
                refuse(f"has a cell that is out of place in row {self._row}")
        if column > MAX_COLUMNS:
            refuse(f"has more than {MAX_COLUMNS:,} columns in row {self._row}")
        return column

    def _named(self, letters: str) -> int:
        if not _LETTERS.fullmatch(letters):
            refuse(f"has a cell that is out of place in row {self._row}")
        column = 0
        for letter in letters:
            column = column * 26 + ord(letter) - ord("A") + 1
        self._columns[letters] = column
        return column

    def _end_cell(self) -> None:
        text = self._take_text()
        if self._has_formula and not text and self._kind != "str":
            self._cells[self._column] = _NEVER_COMPUTED
        elif text:
            value = self._cells[self._column] = self._value(text)
            self._size += len(value) if isinstance(value, str) else 0
            if self._size > _MAX_ROW_TEXT:
                refuse(f"has more than {_MAX_ROW_TEXT:,} characters in row {self._row}")

    def _value(self, text: str) -> object:
        match self._kind:
            case "n":
                return self._numbers.read(text, self._style)
            case "s":
                return self._texts[int(text)]
            case "b":
                return text in {"1", "true"}
            case "e":
                return Unread("holds an error of the spreadsheet, such as #N/A")
            case "d":
                return _iso(text)
            case _:
                return _unescaped(text)


_NEVER_COMPUTED = Unread(
    "holds a formula without its result: open the file in a spreadsheet and save it"
)


def _iso(text: str) -> object:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return day


def _unescaped(text: str) -> str:
    """Return *text* with the characters that XML cannot hold, such as ``_x000D_``."""
    if "_x" not in text:
        return text
    whole = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    pairs = whole.encode("utf-16", "surrogatepass")
    return pairs.decode("utf-16", "replace")
