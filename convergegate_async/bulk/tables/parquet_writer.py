"""Parquet, whose columns have one type each."""

from collections.abc import Sequence
from typing import BinaryIO

from convergegate_async.errors import ConfigurationError

from .parquet_file import import_parquet
from .spool import Batch, Table, spooled


def write_parquet(file: BinaryIO, records: Table) -> int:
    """Write *records* to *file*, and return how many.

    Raises:
        ConfigurationError: A column's values have no type that holds them all.
    """
    arrow, parquet = import_parquet()
    with spooled(records) as spool:
        try:
            schema = arrow.schema([])
            for batch in spool.batches():
                seen = arrow.table(_turned(batch, spool.columns)).schema
                schema = arrow.unify_schemas(
                    [schema, seen], promote_options="permissive"
                )
            with parquet.ParquetWriter(file, schema) as writer:
                for batch in spool.batches():
                    columns = _turned(batch, spool.columns)
                    writer.write_table(arrow.table(columns, schema=schema))
        except arrow.ArrowException as error:
            refusal = type(error).__name__
        else:
            return spool.count
    message = f"a column holds values of several kinds ({refusal}): use JSONL"
    raise ConfigurationError(message)


def _turned(batch: Batch, columns: Sequence[str]) -> dict[str, list[object]]:
    return {name: [record.get(name) for record in batch] for name in columns}
