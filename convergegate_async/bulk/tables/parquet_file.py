"""Parquet as rows, one at a time."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, BinaryIO

from .formats import Check, SourceError, TableRow

_BATCH = 1_000
_MAX_UNPACKED = 2**30

# A year beyond 9999, bytes that are not UTF-8, a time zone that nobody knows.
_ODD_VALUE = (ValueError, OverflowError, LookupError)

_NO_VALUE = object()
"""Stands in the place of a value that Python cannot hold."""


def import_parquet() -> tuple[ModuleType, ModuleType]:
    """Return the modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        SourceError: They are not installed.
    """
    if find_spec("pyarrow") is None:
        message = "Parquet needs pyarrow: pip install pyarrow"
        raise SourceError(message)
    return import_module("pyarrow"), import_module("pyarrow.parquet")


def _values(arrow: ModuleType, column: Any) -> list[object]:  # noqa: ANN401 -- arrow has no types
    """Return the values of *column* in Python."""
    kind = column.type
    if arrow.types.is_dictionary(kind):  # a text that all rows have is there once
        words = _values(arrow, column.dictionary)
        places = column.indices.to_pylist()
        return [None if place is None else words[place] for place in places]
    if arrow.types.is_timestamp(kind) and kind.unit == "ns":
        # Python's times have microseconds, and sessions expire in whole seconds.
        column = column.cast(arrow.timestamp("us", kind.tz), safe=False)
    try:
        values: list[object] = column.to_pylist()
    except (*_ODD_VALUE, arrow.ArrowException):
        values = [_value(arrow, scalar) for scalar in column]
    if arrow.types.is_map(kind):
        return list(map(_mapping, values))
    if arrow.types.is_floating(kind):  # pandas' word for no value is NaN
        return [None if value != value else value for value in values]  # noqa: PLR0124
    return values


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


def _opened(arrow: ModuleType, parquet: ModuleType, file: BinaryIO) -> Any:  # noqa: ANN401 -- arrow has no types
    """Return the table in *file*, whose texts are read once where they repeat."""
    found = parquet.ParquetFile(file)
    for number in range(found.metadata.num_row_groups):
        if found.metadata.row_group(number).total_byte_size > _MAX_UNPACKED:
            message = (
                f"row group {number + 1} of the input unpacks to more than "
                f"{_MAX_UNPACKED:,} bytes: write it in smaller ones"
            )
            raise SourceError(message)
    is_text = {arrow.string(), arrow.large_string()}.__contains__
    texts = [field.name for field in found.schema_arrow if is_text(field.type)]
    return parquet.ParquetFile(file, read_dictionary=texts)


def read_parquet(file: BinaryIO, check: Check) -> Iterator[TableRow]:
    """Read the table in *file*.

    Args:
        file: Its bytes; left open.
        check: Gets the columns before the first row is read, and may refuse them.

    Raises:
        SourceError: It is a pipe or no such table, or pyarrow is not installed.
    """
    arrow, parquet = import_parquet()
    number = 0
    try:
        table = _opened(arrow, parquet, file)
        names = table.schema_arrow.names
        check(names)
        for batch in table.iter_batches(_BATCH):
            columns = [_values(arrow, column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                number += 1
                cells = dict(zip(names, values, strict=True))
                lost = [name for name in names if cells[name] is _NO_VALUE]
                cells.update(dict.fromkeys(lost))
                unread = dict.fromkeys(lost, "holds a value that cannot be read")
                yield TableRow(line=number, cells=cells, unread=unread)
    except (arrow.ArrowException, OSError, ValueError):
        message = f"the input cannot be read as Parquet after row {number}"
    else:
        return
    raise SourceError(message)
