"""CSV, in which no cell is a formula."""

import csv
from decimal import Decimal
from typing import BinaryIO

from .cell_texts import encoded, text_of
from .csv_file import escape_cell
from .spool import Table, spooled


class _Encoded:
    """What `csv.writer` needs of a file of texts."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(encoded(text))


def write_csv(file: BinaryIO, records: Table) -> int:
    """Write *records* to *file*, and return how many."""
    text = _Encoded(file)
    with spooled(records) as spool:
        rows = csv.writer(text)
        rows.writerow(map(escape_cell, spool.columns))
        for batch in spool.batches():
            rows.writerows(
                [_cell(record.get(name)) for name in spool.columns] for record in batch
            )
    return spool.count


def _cell(value: object) -> str:
    match value:
        case str():
            return escape_cell(value)
        case int():
            return text_of(value)
        case float() | Decimal() if (text := text_of(value))[-1].isdigit():
            return text
        case _:  # -Infinity, too
            return escape_cell(text_of(value))
