"""CSV in the dialect of its reader: a program, or a spreadsheet of some country."""

import codecs
import csv
from collections.abc import Callable
from decimal import Decimal
from typing import BinaryIO, Self

import attrs

from convergegate_async.errors import ConfigurationError

from .cell_texts import encoded, text_of
from .csv_file import escape_cell
from .delimiters import choose_delimiter
from .encodings import choose_encoding
from .spool import Table, spooled

_MARK = "\ufeff"
_UTF_8 = "utf-8"
_AS_READ = "convergegate-as-read"


def _choose_decimal(mark: str) -> str:
    if mark not in {".", ","}:
        message = "decimal must be a point or a comma"
        raise ConfigurationError(message)
    return mark


@attrs.frozen(kw_only=True)
class CsvDialect:
    """How CSV is written.

    Attributes:
        bom: It begins with a byte order mark, by which Excel knows UTF-8.
        delimiter: What stands between cells, or the word for it.
        decimal: The decimal mark of numbers.
        encoding: One in which tables are read; a sign that it lacks becomes ``?``.

    Raises:
        ConfigurationError: There is no such delimiter, mark or encoding.
    """

    bom: bool = False
    delimiter: str = attrs.field(default=",", converter=choose_delimiter)
    decimal: str = attrs.field(default=".", converter=_choose_decimal)
    encoding: str = attrs.field(default=_UTF_8, converter=choose_encoding)

    @classmethod
    def beside(cls, delimiter: str | None, encoding: str | None) -> Self:
        """Return how CSV is written beside an input that was read by these options.

        UTF-8 beside another delimiter than the comma is for a spreadsheet, and has a
        byte order mark.
        """
        dialect = cls(delimiter=delimiter or ",", encoding=encoding or _UTF_8)
        is_for_people = dialect.delimiter != "," and dialect.encoding == _UTF_8
        return attrs.evolve(dialect, bom=is_for_people)


def _as_read(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for a sign that an encoding lacks.

    A byte that was none of its signs when it was read is the same byte again.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    error.end = error.start + 1  # one by one: not all of them may have been bytes
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return "?", error.end


codecs.register_error(_AS_READ, _as_read)


class _Encoded:
    """What `csv.writer` needs of a file of texts."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        encoder = codecs.getincrementalencoder(encoding)(_AS_READ)
        self._encode: Callable[[str], bytes] = (
            encoded if encoding == _UTF_8 else encoder.encode
        )

    def write(self, text: str) -> int:
        # A line with a NUL, which only JSON can hold, is refused when it is read.
        return self._file.write(self._encode(text.replace("\0", "\\u0000")))


def write_csv(file: BinaryIO, records: Table, dialect: CsvDialect) -> int:
    """Write *records* to *file*, and return how many."""
    text = _Encoded(file, dialect.encoding)
    with spooled(records) as spool:
        if dialect.bom:
            text.write(_MARK)
        rows = csv.writer(text, delimiter=dialect.delimiter)
        rows.writerow(map(escape_cell, spool.columns))
        for batch in spool.batches():
            rows.writerows(
                [_cell(record.get(name), dialect.decimal) for name in spool.columns]
                for record in batch
            )
    return spool.count


def _cell(value: object, mark: str) -> str:
    match value:
        case str():
            return escape_cell(value)
        case int():
            return text_of(value)
        case float() | Decimal() if (text := text_of(value))[-1].isdigit():
            return text.replace(".", mark)
        case _:  # -Infinity, too
            return escape_cell(text_of(value))
