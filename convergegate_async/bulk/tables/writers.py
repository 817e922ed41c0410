"""Results and dead letters, written whole or not at all.

A file takes its name when it is complete and on the disk; until then an old one
stays. It is readable by its owner only: it holds what the input holds.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from convergegate_async.errors import ConfigurationError

from .cell_texts import encoded, json_of
from .csv_writer import CsvDialect, write_csv
from .formats import Format, choose_format
from .parquet_writer import write_parquet
from .spool import Table
from .xlsx_writer import write_xlsx

_PLAIN = CsvDialect()


@attrs.frozen
class DeadLetter:
    """A row that came to nothing, and why.

    Keep it as input for another run::

        letter = DeadLetter(17, "DeclinedError", "no funds", {"id": "A-17"})
        write_dead_letters("failed.csv", [letter], format="csv")

    Attributes:
        line: Where it was in the input, from 1.
        code: The name of the error's class, such as ``DeclinedError``.
        message: The reason in words.
        raw: The row as it was read.
    """

    line: int
    code: str
    message: str
    raw: Mapping[str, object] = attrs.field(repr=False, hash=False)


def write_results(  # noqa: PLR0913 -- each is a separate choice of the caller
    path: str,
    records: Table,
    *,
    format: str | None = None,  # noqa: A002 -- as the option is called
    bom: bool = False,
    delimiter: str = ",",
    decimal: str = ".",
) -> int:
    r"""Write *records* to *path*, or to stdout for ``-``, and return how many.

    The columns of CSV, Parquet and XLSX are all that occur, in the order in which they
    do, and last those that begin with ``cg_``. What a format cannot hold is spelled in
    words, or refused: lone surrogates are ``\udcb3``, unless they were bytes of CSV or
    JSONL. Texts of XLSX are texts, and so are its numbers of more than 15 digits; as it
    has no time zones, its times are in UTC, to the millisecond.

    Args:
        path: A new file, or one to replace.
        records: Values by column; they are read once, a few at a time.
        format: ``csv``, ``jsonl``, ``parquet`` or ``xlsx``; by default what the suffix
            says.
        bom: CSV begins with a byte order mark, by which Excel knows UTF-8.
        delimiter: What stands between cells of CSV: a character, or ``comma``,
            ``semicolon`` or ``tab``.
        decimal: The decimal mark in CSV of numbers that are not whole: a point or a
            comma.

    Raises:
        ConfigurationError: There is no such format, or it is not CSV and has no such
            mark or delimiter; *path* is not a file; Parquet has no type for a column's
            values; XLSX has not so many rows, columns or characters in a cell.
        OSError: The file cannot be written.
    """
    kind = choose_format(path, format)
    dialect = CsvDialect(bom=bom, delimiter=delimiter, decimal=decimal)
    if kind != "csv" and dialect != _PLAIN:
        message = "only CSV has a byte order mark, a delimiter and a decimal mark"
        raise ConfigurationError(message)
    with _whole(path if path == "-" else _linked_by(path)) as file:
        if kind == "csv":
            return write_csv(file, records, dialect)
        return _WRITERS[kind](file, records)


def write_dead_letters(
    path: str,
    letters: Iterable[DeadLetter],
    *,
    format: str,  # noqa: A002 -- as the option is called
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> int:
    """Write the rows of *letters* as input for another run, and return how many.

    Each has its own columns, and ``cg_line``, ``cg_code`` and ``cg_message``, which
    are passed over when it is read.

    Args:
        path: A new file, or one to replace; ``-`` is stdout.
        letters: The rows; they are read once, a few at a time.
        format: That of the input: texts stay texts, and numbers numbers. What has no
            type that Parquet could write is spelled in texts.
        delimiter: That of the input, if it was CSV: the same options read both.
        encoding: Likewise. UTF-8 beside another delimiter than the comma is for a
            spreadsheet, and has a byte order mark.

    Raises:
        ConfigurationError: As `write_results` does.
        OSError: The file cannot be written.
    """
    rows = map(_as_row, letters)
    kind = choose_format(path, format)
    if kind == "parquet":
        with _whole(path) as file:
            return write_parquet(file, rows, spell=True)
    if kind != "csv":
        return write_results(path, rows, format=kind)
    dialect = CsvDialect.beside(delimiter, encoding)
    with _whole(path) as file:
        return write_csv(file, rows, dialect)


def _as_row(letter: DeadLetter) -> dict[str, object]:
    columns = {
        "cg_line": letter.line,
        "cg_code": letter.code,
        "cg_message": letter.message,
    }
    # They come last, also where the row was a dead letter before.
    return {
        name: letter.raw[name] for name in letter.raw if name not in columns
    } | columns


@contextmanager
def _whole(path: str) -> Iterator[BinaryIO]:
    """Give a file that becomes *path* if all goes well, and nothing otherwise."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    _require_file(path)
    target = Path(path)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".cg-")  # mode 0600
    draft = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 -- it is open already
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _linked_by(path: str) -> str:
    """Return what *path* stands for, if it is a link, which is not to be replaced."""
    _require_file(path)
    return os.path.realpath(path)


def _require_file(path: str) -> None:
    target = Path(path)
    if target.exists() and not target.is_file():
        # The rename would replace a device; a pipe would see half of it.
        message = f"{path} is not a regular file; write to - for stdout"
        raise ConfigurationError(message)


def _write_jsonl(file: BinaryIO, records: Table) -> int:
    count = 0
    for record in records:
        file.write(encoded(f"{json_of(record)}\n"))
        count += 1
    return count


_WRITERS: dict[Format, Callable[[BinaryIO, Table], int]] = {
    "jsonl": _write_jsonl,
    "parquet": write_parquet,
    "xlsx": write_xlsx,
}
