"""How a row is read: from the header of its table to its request, or its problems."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest
from convergegate_async.models.code_generation import new_draft, sealed

from .fields import (
    FIELDS,
    MAX_ID,
    REQUIRED,
    CellKind,
    Reader,
    TextReader,
    as_row_id,
    broken_rules,
    read_entries,
    readers,
    text_reader,
)
from .finding import find_options
from .formats import Format, TableRow, choose_format, opened, seekable
from .options import TableOptions, lacking, refuse, repeated, spellings_of
from .phones import NO_CODE, lacks_code
from .row_plans import RowPlan, straight_way
from .rows import Problem, Row, listed, shown
from .table_rows import CELLS, read_table_rows

_INDEX = re.compile("__index_level_[0-9]{1,3}__")  # one without a name
_MOST_PLANS = 16
_WIDE = 10_000  # letters of columns: a plan of more is kept alone
_CONSTANT = "constant "
"""Begins the name of a column that all rows have in the place of one in the file."""


def read_table(
    path: str,
    options: TableOptions,
    *,
    format: str | None = None,  # noqa: A002 -- as the option is called
) -> Iterator[Row | Problem]:
    """Read the rows of *path* one by one; a row is held in memory no longer than used.

    Args:
        path: A file, or ``-`` for stdin.
        options: How to read it.
        format: ``csv``, ``jsonl``, ``parquet`` or ``xlsx``; by default what the suffix
            says.

    Raises:
        SourceError: The file as a whole cannot be read, or its columns do not fit.
    """
    kind = choose_format(path, format)
    with opened(path) as source, seekable(source) as file:
        options = find_options(file, kind, options).options
        reader = RowReader(options, _cells_of(kind, options))
        with closing(read_table_rows(file, kind, reader.check, options)) as rows:
            for position, row in enumerate(rows, 1):
                yield from reader.read(position, row)


def _cells_of(kind: Format, options: TableOptions) -> CellKind:
    """Return what is in the cells; in a plain table they are what they are."""
    cells = CELLS[kind]
    return "json" if options.plain and cells == "typed" else cells


# -- columns -----------------------------------------------------------------------


class RowReader:
    """Fills in a request for every row."""

    def __init__(self, options: TableOptions, kind: CellKind) -> None:
        self.options: TableOptions = options
        self._unnamed: list[int] = []
        in_major = options.amount_unit == "major"
        self.read_text: TextReader = text_reader(kind)
        self.readers: Mapping[str, Reader] = readers(
            kind, in_major=in_major, spellings=spellings_of(options)
        )
        self.constants: dict[str, object] = {
            f"{_CONSTANT}{field}": text for field, text in options.constants.items()
        }
        self._plans: dict[tuple[str, ...], RowPlan] = {}  # by their columns

    def check(self, columns: Sequence[str]) -> None:
        """Refuse a header that does not fit.

        Raises:
            SourceError: Names the columns that are unknown, missing or doubled.
        """
        self.options = self.options.as_spelled_in(columns)
        self._unnamed = [place for place, name in enumerate(columns, 1) if not name]
        if complaints := [*self._complaints([*columns, *self.constants])]:
            refuse("; ".join(complaints))

    def _complaints(self, columns: list[str]) -> Iterator[str]:
        options = self.options
        targets = [target for name in columns if (target := self.target(name))]
        if options.id_column not in columns:
            hint = "say which with --id-column; the first row has to be a header"
            there = columns[: len(columns) - len(self.constants)]
            yield f"{lacking(options.id_column, there)} ({hint})"
            if len(targets) <= len(self.constants):
                return  # a first row of data: its cells are not for a message
        unknown = [name for name in columns if name and self.target(name) is None]
        if unknown:
            hint = "--map COLUMN=FIELD reads one, --map COLUMN= or --ignore-extra "
            hint += "leaves it out"
            index = next(filter(_INDEX.fullmatch, unknown), None)
            if index is not None:
                hint += f"; the index that pandas wrote is left out by `--map {index}=`"
            yield f"unknown columns: {listed(unknown)} ({hint})"
        wanted = [name for name, target in options.columns.items() if target]
        absent = [name for name in wanted if name not in columns]
        if absent:
            yield f"the mapping names columns that are not there: {listed(absent)}"
        yield from repeated(filter(None, columns), "the header repeats")
        if options.row_metadata is not None:
            targets.append(f"metadata[{options.row_metadata}]")
        yield from repeated(targets, "two columns are for")
        missing = [name for name in REQUIRED if name not in targets]
        if missing:
            hint = f"--map COLUMN={missing[0]}, or --set {missing[0]}=TEXT for all rows"
            yield f"the input has no column for {listed(missing)} ({hint})"

    def read(self, position: int, row: TableRow) -> Sequence[Row | Problem]:
        """Return the row, or else each of its problems."""
        if row.fault is None and not row.unread:
            cells = self._cells(row)
            straight = self._plan_of(cells).straight
            found = None if straight is None else straight.read(cells)
            if found is not None:
                return [_good_row(position, row, *found)]
        return self.read_carefully(position, row)

    def read_carefully(self, position: int, row: TableRow) -> Sequence[Row | Problem]:
        """Return what `read` does, by the way that tells what is wrong."""
        if row.fault is not None:
            return [_problem(position, row, None, None, row.fault)]
        cells = self._cells(row)
        plan = self._plan_of(cells)
        unnamed = self._unnamed_value(cells) if plan.is_unnamed else None
        if unnamed is not None and self._unnamed and position == 1:
            refuse(unnamed)  # as the index that pandas writes: all rows have one
        reading = _CarefulReading(self, plan, row, cells)
        row_id, request = reading.row_id, reading.request
        if row_id is None or request is None or unnamed is not None:
            wrongs = {} if unnamed is None else {None: unnamed}
            return [
                _problem(position, row, row_id, column, reason)
                for column, reason in (wrongs | reading.wrongs).items()
            ]
        return [_good_row(position, row, row_id, request)]

    def _cells(self, row: TableRow) -> Mapping[str, object]:
        return {**row.cells, **self.constants} if self.constants else row.cells

    def _plan_of(self, cells: Mapping[str, object]) -> RowPlan:
        columns = tuple(cells)
        plan = self._plans.get(columns)
        if plan is None:
            if len(self._plans) == _MOST_PLANS or len("".join(columns)) > _WIDE:
                self._plans.clear()  # a line of JSON may have any columns
            plan = self._plans[columns] = self._planned(columns)
        return plan

    def _planned(self, columns: Sequence[str]) -> RowPlan:
        plan = RowPlan(columns)
        for column in columns:
            target = self.target(column)
            if target is None and column:
                plan.wrongs[column] = "is not a field of a request"
            elif target is None:  # it is told with its place
                plan.is_unnamed = True
            elif target == "metadata":
                plan.metadata.append((column, None))
            elif target in FIELDS:
                plan.fields.append((column, target))
            elif target:
                key = target.removeprefix("metadata[").removesuffix("]")
                plan.metadata.append((column, key))
        plan.has_twins = len({field for _, field in plan.fields}) < len(plan.fields)
        plan.straight = straight_way(plan, self.options, self.readers, self.read_text)
        return plan

    def target(self, column: str) -> str | None:
        """Return the field that *column* is for, ``""`` for none, `None` if unknown."""
        if column in self.constants:
            return column.removeprefix(_CONSTANT)
        return self.options.target(column)

    def _unnamed_value(self, cells: Mapping[str, object]) -> str | None:
        """Return what is wrong with a value whose column has no name, if anything."""
        if cells[""] in (None, ""):
            return None
        places = ", ".join(map(str, self._unnamed))
        which = f"column {places} has" if places else "a column has"
        if len(self._unnamed) > 1:
            which = f"columns {places} have"
        return f"{which} no name: give it one, or leave it out (`--map =`)"

    def column(self, field: str) -> str:
        """Return the column that *field* is read from."""
        if field in self.options.constants:
            return f"{_CONSTANT}{field}"
        targets = self.options.columns.items()
        return next((name for name, target in targets if target == field), field)


def _good_row(
    position: int, row: TableRow, row_id: str, request: CheckoutSessionRequest
) -> Row:
    good = new_draft(Row)
    good.position = position
    good.line = row.line
    good.raw = row.cells
    good.row_id = row_id
    good.request = request
    return sealed(good, Row)


def _problem(
    position: int, row: TableRow, row_id: str | None, column: str | None, reason: str
) -> Problem:
    return Problem(
        position=position,
        line=row.line,
        row_id=row_id,
        column=column,
        reason=reason,
        raw=row.cells,
    )


# -- values ------------------------------------------------------------------------


class _CarefulReading:
    """One row while it is read.

    Attributes:
        row_id: Its id, if it has one.
        request: What it asks for; `None` if anything is wrong with that.
        wrongs: What is wrong with it: reasons by column.
    """

    def __init__(
        self,
        reader: RowReader,
        plan: RowPlan,
        row: TableRow,
        cells: Mapping[str, object],
    ) -> None:
        self._reader = reader
        self._plan = plan
        self._cells = cells
        self.wrongs: dict[str, str] = plan.wrongs.copy()
        id_column = reader.options.id_column
        for column, reason in row.unread.items():
            if column == id_column or reader.target(column):
                self.wrongs[column] = reason
        self.row_id: str | None = self._read_id()
        self.request: CheckoutSessionRequest | None = self._fill_in()

    def _read_id(self) -> str | None:
        column = self._reader.options.id_column
        row_id = as_row_id(self._digits(column, self._cells.get(column)))
        if row_id is None:
            reason = f"must be 1 to {MAX_ID} printable characters, with no space at "
            self.wrongs.setdefault(column, f"{reason}either end")
        return row_id

    def _fill_in(self) -> CheckoutSessionRequest | None:
        column_of = self._reader.column
        fields = self._set_fields()
        for name, read in self._reader.readers.items():
            if name not in fields:
                continue
            try:
                fields[name] = read(name, fields)
            except InvalidFieldError as error:
                fields[name] = None
                self.wrongs[column_of(name)] = error.reason
        if metadata := self._metadata():
            fields["metadata"] = metadata
        first: dict[str, str] = {}
        if not self.wrongs and fields.keys() >= set(REQUIRED):
            try:
                return CheckoutSessionRequest(**fields)
            except InvalidFieldError as error:
                first = {column_of(error.field): error.reason}
        for name, reason in broken_rules(fields):
            is_phone = name == "customer_phone" and not self._reader.options.plain
            has_remedy = is_phone and lacks_code(fields.get(name))
            self.wrongs.setdefault(column_of(name), NO_CODE if has_remedy else reason)
        if not self.wrongs:  # no row may vanish
            self.wrongs.update(first)
        return None

    def _set_fields(self) -> dict[str, Any]:
        """Return the fields that are set, as they are in the cells."""
        cells = self._cells
        if self._plan.has_twins:
            self._note_twins()
        return {
            field: value
            for column, field in self._plan.fields
            if (value := cells[column]) is not None and value != ""
        }

    def _note_twins(self) -> None:
        """Note which cells give a field that another column has given before."""
        given = set()
        for column, field in self._plan.fields:
            if self._cells[column] in (None, ""):
                continue
            if field in given:
                self._note_second(column, field)
            given.add(field)

    def _metadata(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for column, key in self._plan.metadata:
            value = self._cells[column]
            if value is None or value == "":
                continue
            if key is None:
                self._take_entries(column, found)
            else:
                self._put(found, column, key, value)
                found[key] = self._digits(column, value)
        options = self._reader.options
        if options.row_metadata is not None and self.row_id is not None:
            self._put(found, options.id_column, options.row_metadata, self.row_id)
        return found

    def _digits(self, column: str, value: object) -> object:
        """Return the digits of a number that a program has made of a text."""
        try:
            return self._reader.read_text(column, value)
        except InvalidFieldError as error:
            self.wrongs[column] = error.reason
            return None

    def _take_entries(self, column: str, found: dict[str, object]) -> None:
        try:
            entries = read_entries(column, self._cells)
        except InvalidFieldError as error:
            self.wrongs[column] = error.reason
            return
        for key, text in entries.items():
            self._put(found, column, str(key), text)  # Parquet has other keys

    def _put(
        self, found: dict[str, object], column: str, key: str, value: object
    ) -> None:
        """Add an entry to the metadata in *found*, and note if its key was there."""
        if key in found:
            self._note_second(column, f"metadata[{key}]")
        found[key] = value

    def _note_second(self, column: str, target: str) -> None:
        self.wrongs[column] = f"gives {shown(target)} a second time"
