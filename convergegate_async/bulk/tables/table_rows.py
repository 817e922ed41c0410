"""Which reader reads which format."""

from collections.abc import Generator
from typing import BinaryIO

from .csv_file import read_csv
from .fields import CellKind
from .formats import Check, Format, TableRow
from .jsonl_file import read_jsonl
from .options import TableOptions, dialect_of
from .parquet_file import read_parquet
from .xlsx_file import read_xlsx

CELLS: dict[Format, CellKind] = {
    "csv": "text",
    "jsonl": "json",
    "parquet": "typed",
    "xlsx": "typed",
}
"""What is in the cells of each."""


def read_table_rows(
    file: BinaryIO, kind: Format, check: Check, options: TableOptions
) -> Generator[TableRow, None, None]:
    """Read the table in *file*, with one row in memory at a time.

    Args:
        file: Its bytes; left open.
        kind: Its format.
        check: Gets the columns before the first row is read, and may refuse them; JSONL
            has none.
        options: With nothing left to be found, as far as the format needs it.

    Raises:
        SourceError: There is no header, or no such table in it.
    """
    match kind:
        case "csv":
            yield from read_csv(file, check, dialect_of(options))
        case "jsonl":
            yield from read_jsonl(file, check)
        case "parquet":
            yield from read_parquet(file, check)
        case "xlsx":
            yield from read_xlsx(file, check)
