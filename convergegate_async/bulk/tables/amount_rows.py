"""Ids and amounts of a table that is about rows of another one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal

import attrs

from convergegate_async.errors import InvalidFieldError

from .amounts import spell_plainly
from .fields import as_row_id, digits_of
from .finding import find_options
from .formats import TableRow, choose_format, opened, seekable
from .options import TableOptions, lacking, refuse, repeated
from .rows import shown
from .table_rows import CELLS, read_table_rows

_AMOUNT = "amount"
_REPEATS = "the header repeats"
_MOST_DIGITS = 20
_MINOR = re.compile("[0-9]{1,16}")


@attrs.frozen
class AmountRow:
    """A row of such a table.

    Attributes:
        line: Where it begins, as of a `Row`.
        row_id: The id that it is about; `None` if it cannot be read.
        amount: Minor units as an `int`, major ones as a `Decimal`; `None` where no
            column has amounts.
        fault: What is wrong with it, without a part of it; `None` if nothing is.
    """

    line: int
    row_id: str | None = None
    amount: int | Decimal | None = None
    fault: str | None = None


def read_amounts(
    path: str,
    options: TableOptions,
    amount_column: str | None = None,
    *,
    format: str | None = None,  # noqa: A002 -- as the option is called
) -> Iterator[AmountRow]:
    """Read the rows of *path* one by one, past all columns but two.

    Args:
        path: A file, or ``-`` for stdin.
        options: How to read it; its *columns*, and what is for requests, count nothing.
        amount_column: The column of the amounts, in any case; `None` if there is none.
        format: ``csv``, ``jsonl``, ``parquet`` or ``xlsx``; by default what the suffix
            says.

    Raises:
        SourceError: The file as a whole cannot be read, or lacks a column.
    """
    kind = choose_format(path, format)
    columns = {} if amount_column is None else {amount_column: _AMOUNT}
    options = attrs.evolve(
        options, columns=columns, constants={}, row_metadata=None, ignore_extra=True
    )
    with opened(path) as source, seekable(source) as file:
        options = find_options(file, kind, options).options
        reader = _Reader(options, has_amounts=amount_column is not None)
        typed = CELLS[kind] == "typed"
        with closing(read_table_rows(file, kind, reader.check, options)) as rows:
            for row in rows:
                yield reader.read(row, typed=typed)


class _Reader:
    def __init__(self, options: TableOptions, *, has_amounts: bool) -> None:
        self._options = options
        self._has_amounts = has_amounts
        self._column = next(iter(options.columns), "")

    def check(self, columns: Sequence[str]) -> None:
        """Refuse a header without a column that is needed.

        Raises:
            SourceError: With the column.
        """
        self._options = self._options.as_spelled_in(columns)
        targets = self._options.columns.items()
        if self._has_amounts:
            self._column = next(name for name, target in targets if target == _AMOUNT)
        wanted = {self._options.id_column: "--id-column"}
        if self._has_amounts:
            wanted[self._column] = "--amount-column"
        for column, option in wanted.items():
            if column not in columns:
                refuse(f"{lacking(column, columns)} (say which with {option})")
        for complaint in repeated(filter(wanted.__contains__, columns), _REPEATS):
            refuse(complaint)

    def read(self, row: TableRow, *, typed: bool) -> AmountRow:
        """Return what a row says."""
        if row.fault is not None:
            return AmountRow(row.line, fault=row.fault)
        column, row_id = self._options.id_column, None
        try:
            value = row.cells.get(column)
            row_id = as_row_id(digits_of(column, value) if typed else value)
            if row_id is None:
                return AmountRow(row.line, fault=f"column {shown(column)} has no id")
            amount = self._amount(row.cells) if self._has_amounts else None
        except InvalidFieldError as error:
            fault = f"column {shown(error.field)} {error.reason}"
            return AmountRow(row.line, row_id, fault=fault)
        return AmountRow(row.line, row_id, amount)

    def _amount(self, cells: Mapping[str, object]) -> int | Decimal:
        value, in_major = cells.get(self._column), self._options.amount_unit == "major"
        if isinstance(value, str):
            if in_major:
                decimal = self._options.decimal
                return Decimal(spell_plainly(self._column, value, decimal))
            if _MINOR.fullmatch(value):
                return int(value)
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            exact = Decimal(str(value))
            is_amount = exact.is_finite() and exact.adjusted() < _MOST_DIGITS
            if is_amount and in_major:
                return exact
            if is_amount and exact == exact.to_integral_value():
                return int(exact)
        unit = "a number of major units" if in_major else "whole minor units"
        raise InvalidFieldError(self._column, f"must be {unit}")
