"""JSONL as rows, one at a time: an object in each line."""

from collections.abc import Iterator
from typing import BinaryIO

from convergegate_async._core.bounded_lines import bounded_lines
from convergegate_async._core.strict_json import (
    DuplicateKeyError,
    TooDeepError,
    decode_exactly,
)

from .formats import MAX_LINE, TOO_LONG, UNREAD, Check, TableRow


def read_jsonl(file: BinaryIO, _: Check) -> Iterator[TableRow]:
    """Read the objects in *file*; there are no columns to check."""
    for number, line in enumerate(bounded_lines(file.readline, MAX_LINE), 1):
        if line is None:
            yield TableRow(line=number, cells={}, fault=TOO_LONG)
        elif line and not line.isspace():
            yield _read_object(number, line)


def _read_object(number: int, line: bytes) -> TableRow:
    try:
        value = decode_exactly(line)
        if isinstance(value, dict):
            return TableRow(line=number, cells=value)
        fault = "is not a JSON object"
    except (DuplicateKeyError, TooDeepError) as error:
        fault = str(error)
    except (ValueError, ArithmeticError):
        fault = "is not strict JSON in UTF-8"
    text = line.decode("utf-8", "surrogateescape")
    return TableRow(line=number, cells={UNREAD: text}, fault=fault)
