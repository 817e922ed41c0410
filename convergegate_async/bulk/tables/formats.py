"""What formats of tables share: what a row is, who has which format, how one opens.

What cannot be read becomes a row with a *fault*, and reading goes on.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import BinaryIO, Literal, TypeAlias, get_args

import attrs

from convergegate_async.errors import ConfigurationError

Format: TypeAlias = Literal["csv", "jsonl", "parquet", "xlsx"]
Check: TypeAlias = Callable[[Sequence[str]], None]

OWN_PREFIX = "cg_"
UNREAD = "cg_row"

MAX_LINE = 2**20
TOO_LONG = f"holds a line of more than {MAX_LINE:,} characters"

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsm": "xlsx",
    ".xlsx": "xlsx",
}


class SourceError(ConfigurationError):
    """The input itself, not one of its rows, cannot be read."""


@attrs.define(kw_only=True)
class TableRow:
    """One row of a table as it was read.

    Attributes:
        line: Where it begins, 1 for the first line of the file or row of the sheet;
            the number of the row in Parquet, which has no lines.
        cells: Its values by column; the line's text under `UNREAD` after a fault.
        fault: Why it is no row, without a part of it.
        unread: The columns whose values cannot be read, and why; their cells are
            `None`.
    """

    line: int
    cells: Mapping[str, object] = attrs.field(repr=False)
    fault: str | None = None
    unread: Mapping[str, str] = MappingProxyType({})


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


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Give the bytes of *path* (``-`` is stdin, and stays open).

    Raises:
        SourceError: There is no such file, it is a pipe, or reading it fails.
    """
    if path == "-":
        yield sys.stdin.buffer
        return
    message = f"{path} is a pipe, and read once only: hand it over as -"
    try:
        if Path(path).is_fifo():  # to open it waits for a writer, perhaps for ever
            raise SourceError(message)
        file = Path(path).open("rb")  # noqa: SIM115 -- closed below
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        raise SourceError(message) from None
    with file:
        if not file.seekable():
            raise SourceError(message)
        try:
            yield file
        except OSError as error:
            message = f"cannot read {path}: {error.strerror}"
            raise SourceError(message) from None


@contextmanager
def seekable(source: BinaryIO) -> Iterator[BinaryIO]:
    """Give *source*, or a copy of it in a file without a name if it cannot seek."""
    if source.seekable():
        yield source
        return
    with TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


def _known_formats() -> str:
    return ", ".join(get_args(Format))
