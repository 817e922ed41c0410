"""Parquet, whose columns have one type each."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, BinaryIO, NoReturn

from convergegate_async.errors import ConfigurationError

from .cell_texts import without_surrogates
from .parquet_file import import_parquet
from .spool import Batch, Spool, Table, spooled


def write_parquet(file: BinaryIO, records: Table) -> int:
    """Write *records* to *file*, and return how many.

    Decimals of a column have the largest scale that one of them has, and times with a
    zone are in UTC.

    Raises:
        ConfigurationError: A column's values have no type that holds them all.
    """
    arrow, parquet = import_parquet()
    with spooled(records) as spool:
        try:
            schema = _schema(arrow, spool)
            with parquet.ParquetWriter(file, schema) as writer:
                for batch in spool.batches():
                    writer.write_table(_table(arrow, batch, spool.columns, schema))
        except (arrow.ArrowException, OverflowError) as error:
            refusal = type(error).__name__
        else:
            return spool.count
    return _refuse(f"values of several kinds, or too large ones ({refusal})")


def _refuse(what: str) -> NoReturn:
    message = f"a column holds {what}: use JSONL"
    raise ConfigurationError(message)


def _schema(arrow: ModuleType, spool: Spool) -> Any:  # noqa: ANN401 -- arrow has no types
    """Return the type of each column that all of its values have."""
    schema = arrow.schema([])
    for batch in spool.batches():
        seen = _table(arrow, batch, spool.columns).schema
        schema = arrow.unify_schemas([schema, seen], promote_options="permissive")
    if any(map(arrow.types.is_decimal256, schema.types)):  # few programs read them
        _refuse("decimals of more than 38 digits")
    return schema


def _table(
    arrow: ModuleType, batch: Batch, columns: Sequence[str], schema: object = None
) -> Any:  # noqa: ANN401 -- arrow has no types
    values = [_column([record.get(name) for record in batch]) for name in columns]
    names = None if schema else [without_surrogates(name) for name in columns]
    return arrow.table(values, names, schema)


def _column(values: list[object]) -> list[object]:
    times = {value.tzinfo is None for value in values if isinstance(value, datetime)}
    if len(times) > 1:  # arrow would take all for the first's kind
        _refuse("times with a zone and without one")
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
