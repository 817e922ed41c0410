"""Parquet, whose columns have one type each."""

import io
from collections.abc import Collection
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, BinaryIO

from convergegate_async.errors import ConfigurationError

from .cell_texts import text_of, without_surrogates
from .parquet_file import import_parquet
from .spool import Batch, Spool, Table, spooled


class _NoTypeError(Exception):
    """A column has no type of Parquet that holds all of its values."""

    def __init__(self, what: str, column: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.column = column


def write_parquet(file: BinaryIO, records: Table, *, spell: bool = False) -> int:
    """Write *records* to *file*, and return how many.

    Decimals of a column have the largest scale that one of them has, and times with a
    zone are in UTC.

    Args:
        file: Where it goes.
        records: Values by column; they are read once, a few at a time.
        spell: A column whose values have no type that holds them all is one of texts,
            by which they are read again, and not refused.

    Raises:
        ConfigurationError: A column's values have no type that holds them all.
    """
    arrow, parquet = import_parquet()
    with spooled(records) as spool:
        spelled = _typeless(arrow, parquet, spool) if spell else ()
        try:
            schema = _schema(arrow, parquet, spool, spelled)
            with parquet.ParquetWriter(file, schema) as writer:
                for batch in spool.batches():
                    writer.write_table(_table(arrow, batch, schema, spool, spelled))
        except _NoTypeError as error:
            refusal = error
        else:
            return spool.count
    column = without_surrogates(refusal.column)
    message = f"column {column!r} holds {refusal.what}: use JSONL"
    raise ConfigurationError(message)


def _typeless(arrow: ModuleType, parquet: ModuleType, spool: Spool) -> set[str]:
    """Return the columns that have no type, each of which may hide the next one."""
    found: set[str] = set()
    while True:
        try:
            schema = _schema(arrow, parquet, spool, found)
            for batch in spool.batches():
                _table(arrow, batch, schema, spool, found)
        except _NoTypeError as error:
            found.add(error.column)
        else:
            return found


def _schema(
    arrow: ModuleType, parquet: ModuleType, spool: Spool, spelled: Collection[str]
) -> Any:  # noqa: ANN401 -- arrow has no types
    """Return the type of each column that all of its values have."""
    types = dict.fromkeys(spool.columns, arrow.null())
    for batch in spool.batches():
        for name in spool.columns:
            seen = _array(arrow, batch, name, spelled).type
            types[name] = _wider(arrow, name, types[name], seen)
    for name, kind in types.items():
        if arrow.types.is_decimal256(kind):  # few programs read them
            what = "decimals of more than 38 digits"
            raise _NoTypeError(what, name)
        try:
            parquet.ParquetWriter(io.BytesIO(), arrow.schema([("", kind)])).close()
        except arrow.ArrowException as error:
            raise _of_no_type(error, name) from None
    fields = [(without_surrogates(name), kind) for name, kind in types.items()]
    return arrow.schema(fields)


def _wider(arrow: ModuleType, name: str, one: object, other: object) -> object:
    """Return the type that holds what two types do."""
    if {one, other} == {arrow.int64(), arrow.uint64()}:
        return arrow.uint64()  # arrow would take the other one
    schemas = [arrow.schema([("", kind)]) for kind in (one, other)]
    try:
        [kind] = arrow.unify_schemas(schemas, promote_options="permissive").types
    except arrow.ArrowException as error:
        raise _of_no_type(error, name) from None
    return kind


def _table(
    arrow: ModuleType,
    batch: Batch,
    schema: Any,  # noqa: ANN401 -- arrow has no types
    spool: Spool,
    spelled: Collection[str],
) -> Any:  # noqa: ANN401 -- arrow has no types
    columns = [
        _array(arrow, batch, name, spelled, kind)
        for name, kind in zip(spool.columns, schema.types, strict=True)
    ]
    return arrow.table(columns, schema=schema)


def _array(
    arrow: ModuleType,
    batch: Batch,
    name: str,
    spelled: Collection[str],
    kind: object = None,
) -> Any:  # noqa: ANN401 -- arrow has no types
    """Return the values of a column, of type *kind* if there is one yet."""
    values = [record.get(name) for record in batch]
    if name in spelled:
        values = [None if value is None else text_of(value) for value in values]
    try:
        typed = _column(values)
        try:
            return arrow.array(typed, kind)
        except OverflowError:
            # Parquet has whole numbers to 2**64, of which arrow itself does not think.
            return arrow.array(typed, arrow.uint64())
    except _NoTypeError as error:
        raise _NoTypeError(error.what, name) from None
    except (arrow.ArrowException, OverflowError) as error:
        raise _of_no_type(error, name) from None


def _of_no_type(error: Exception, name: str) -> _NoTypeError:
    what = f"values of several kinds, or too large ones ({type(error).__name__})"
    return _NoTypeError(what, name)


def _column(values: list[object]) -> list[object]:
    times = {value.tzinfo is None for value in values if isinstance(value, datetime)}
    if len(times) > 1:  # arrow would take all for the first's kind
        what = "times with a zone and without one"
        raise _NoTypeError(what)
    return list(map(_typed, values))


def _typed(value: object) -> object:
    """Return *value* as arrow takes it."""
    match value:
        case str():
            return without_surrogates(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC)
        case list() | tuple():
            return list(map(_typed, value))
        case dict():
            return {_typed(name): _typed(part) for name, part in value.items()}
        case _:
            return value
