"""JSONL as rows, one at a time: an object in each line."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from convergegate_async._core.strict_json import (
    DuplicateKeyError,
    TooDeepError,
    decode_exactly,
)

from .formats import MAX_LINE, TOO_LONG, UNREAD, Check, TableRow


def read_jsonl(file: BinaryIO, _: Check) -> Iterator[TableRow]:
    """Read the objects in *file*; there are no columns to check."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield TableRow(line=number, cells={}, fault=TOO_LONG)
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
    except (DuplicateKeyError, TooDeepError) as error:
        fault = str(error)
    except (ValueError, ArithmeticError):
        fault = "is not strict JSON in UTF-8"
    text = line.decode("utf-8", "surrogateescape")
    return TableRow(line=number, cells={UNREAD: text}, fault=fault)
