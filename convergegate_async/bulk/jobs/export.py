"""What became of a job, written beside all that its input says."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

import attrs

from convergegate_async._core.money import EXPONENTS
from convergegate_async.bulk.journal.database import Database
from convergegate_async.bulk.journal.records import JournalRow, State, failure
from convergegate_async.bulk.tables.delimiters import choose_delimiter
from convergegate_async.bulk.tables.formats import Format, SourceError, choose_format
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.row_counter import RowCounter
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.seen import SeenNumbers, SeenTexts
from convergegate_async.bulk.tables.validation import repeated_problem
from convergegate_async.bulk.tables.writers import write_results
from convergegate_async.errors import ConfigurationError

from .folder import JobFolder, files_of
from .job_plan import JobPlan, plan_of
from .paging import in_chunks
from .refund_report import RefundReport, report_of_refund
from .row_report import COLUMNS, RowReport, report_of, report_of_unsent

Record: TypeAlias = dict[str, object]
Chunks: TypeAlias = Iterator[list[Row | Problem]]

_PAGE = 1_000  # rows
_OWN = frozenset(COLUMNS.values())
_FROM_PYTHON = "the rows were handed to the job from Python"


@attrs.frozen(kw_only=True)
class Export:
    """What was written of a job.

    Attributes:
        rows: How many rows.
        gone: How many of them are at the end, as the input has them no more.
        missing: How many more the input had once: they left it before they were sent,
            and are not written.
        unread: Why the columns of the input were not to be had; `None` if they were,
            or were not asked for.
        unknown_currencies: Those that ISO 4217 does not know: their amounts are empty.
    """

    rows: int
    gone: int = 0
    missing: int = 0
    unread: str | None = None
    unknown_currencies: tuple[str, ...] = ()


class ExportOptions(TypedDict, total=False):
    """How an export is written.

    Attributes:
        by_completion: The rows that came to an end, in the order in which they did, and
            without the columns of the input.
        with_input: Read the input once more (the default); else the rows that were sent
            are written, without its columns.
        refunds: The refunds are written instead, as batches have planned them; those
            two say nothing then.
        format: ``csv``, ``jsonl``, ``parquet`` or ``xlsx``; by default what the suffix
            says.
        bom: CSV begins with a byte order mark, by which Excel knows UTF-8.
        delimiter: What stands between cells of CSV; that of the input if `None`.
        decimal: The decimal mark in CSV of what is not text; that of the input if
            `None`.
    """

    by_completion: bool
    with_input: bool
    refunds: bool
    format: str | None
    bom: bool
    delimiter: str | None
    decimal: str | None


def export(folder: JobFolder, path: str, **options: Unpack[ExportOptions]) -> Export:
    """Write what became of each row of a job to *path*, or to stdout for ``-``.

    Every row of the input is there once, in its order, as it was read: then, in columns
    that begin with ``cg_``, what became of it. What was sent and is not in the input
    any more comes last. An export can be read as an input: those columns are passed
    over. The refunds of the job are a table of their own: *refunds*.

    It needs no gateway, and blocks: in a program that awaits, ``await
    asyncio.to_thread(export, folder, path)``. Leave the job before, or use
    `Job.export`.

    Args:
        folder: Where the job's files are, and its name.
        path: A new file, or one to replace.
        options: How it is written; see `ExportOptions`.

    Raises:
        JournalError: There is no such job, its journal is refused, or a process works
            on it (`JournalInUseError`): wait for it to end.
        SourceError: The input breaks off, after it was begun to be read.
        ConfigurationError: *path* is the input or a file of the job; or as of
            `write_results`.
        OSError: The file cannot be written.
    """
    with closing(Database.read(folder.journal)) as database:
        return export_from(database, path, **options)


def export_from(
    database: Database, path: str, **options: Unpack[ExportOptions]
) -> Export:
    """Do as `export` does with a journal that is open."""
    plan, file_format = plan_of(database.header), options.get("format")
    by_completion = options.get("by_completion", False)
    _require_other_file(path, database, plan)
    kind = choose_format(path, file_format)
    delimiter, decimal = _dialect(kind, plan, options.get("delimiter"))
    walk = _Walk(database)
    chunks, unread = None, None
    if options.get("refunds", False):
        records = walk.refunds()
    else:
        if options.get("with_input", True) and not by_completion:
            chunks, unread = _begun(plan)
        records = walk.records(chunks, by_completion=by_completion)
    try:
        rows = write_results(
            path,
            map(_with_numbers, records) if kind == "jsonl" else records,
            format=file_format,
            bom=options.get("bom", False),
            delimiter=delimiter,
            decimal=options.get("decimal") or decimal,
        )
    except sqlite3.Error as error:
        raise failure(database.path, error) from None
    return Export(
        rows=rows,
        gone=0 if chunks is None else walk.gone,
        missing=0 if chunks is None else max(0, (database.header.total or 0) - rows),
        unread=unread,
        unknown_currencies=tuple(sorted(walk.unknown_currencies)),
    )


def _require_other_file(path: str, database: Database, plan: JobPlan) -> None:
    own = files_of(database.path) | {Path(plan.source)}
    if path != "-" and Path(path).resolve() in own:
        message = f"{path} belongs to the job: choose another name"
        raise ConfigurationError(message)


def _begun(plan: JobPlan) -> tuple[Chunks | None, str | None]:
    """Return the rows of the input, or why they are not to be had."""
    if not plan.source:
        return None, _FROM_PYTHON
    chunks = in_chunks(plan.rows())
    try:
        return chain([next(chunks, [])], chunks), None
    except SourceError as error:
        return None, str(error)


# -- the dialect -------------------------------------------------------------------


def _dialect(kind: Format, plan: JobPlan, delimiter: str | None) -> tuple[str, str]:
    """Return the delimiter and the decimal mark: those of the input, if both are CSV.

    Where the input shows no mark, the delimiter does: spreadsheets part cells by
    semicolons where a comma is the decimal mark.
    """
    if kind != "csv":
        return delimiter or ",", "."
    is_csv = plan.source and plan.file_format == "csv"
    table = plan.table if is_csv else TableOptions()
    chosen = choose_delimiter(delimiter or table.delimiter or ",")
    return chosen, table.decimal or ("," if chosen == ";" else ".")


def _with_numbers(record: Record) -> Record:
    """Return what JSON has read as numbers as what it writes as the same ones."""
    return {
        name: float(cell)
        if isinstance(cell, Decimal) and name not in _OWN and _is_float(cell)
        else cell
        for name, cell in record.items()
    }


def _is_float(number: Decimal) -> bool:
    return Decimal(repr(float(number))) == number


# -- the rows ----------------------------------------------------------------------


class _Walk:
    """Goes over the rows of a job, once.

    Attributes:
        gone: How many rows of the journal were not met in the input.
        unknown_currencies: Those that ISO 4217 does not know.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counter = RowCounter()
        self._met = SeenNumbers()
        self._unsent = SeenTexts()
        self.gone = 0
        self.unknown_currencies: set[str] = set()

    def records(
        self, chunks: Chunks | None, *, by_completion: bool
    ) -> Iterator[Record]:
        """Yield the rows of the input, and then those that only the journal has."""
        self._database.require_sound_rows()
        for chunk in chunks or ():
            yield from self._joined(chunk)
        if sum(self._database.counts().values()) > self._met.count:
            yield from self._rest(by_completion=by_completion)

    def refunds(self) -> Iterator[Record]:
        """Yield the refunds, as they were planned."""
        self._database.refunds.require_sound()
        after = 0
        while page := self._database.refunds.every(after, _PAGE):
            for refund in page:
                yield self._columns(report_of_refund(refund))
            after = page[-1].number

    def _rest(self, *, by_completion: bool) -> Iterator[Record]:
        after = 0
        while page := self._database.rows(
            tuple(State), by_completion=by_completion, after=after, limit=_PAGE
        ):
            for known in page:
                if known.position not in self._met:
                    self.gone += 1
                    yield self._columns(report_of(self._database.header, known))
            after = page[-1].position

    def _joined(self, chunk: list[Row | Problem]) -> Iterator[Record]:
        row_ids = [row.row_id for row in chunk if row.row_id is not None]
        known = self._database.lookup(row_ids)
        for row in chunk:
            if self._counter.take(row):  # it may have several problems
                report = self._report(row, known.get(row.row_id or ""))
                cells = row.raw.items()
                yield {
                    name: cell for name, cell in cells if name not in _OWN
                } | self._columns(report)

    def _report(self, row: Row | Problem, known: JournalRow | None) -> RowReport:
        header = self._database.header
        if known is not None and self._met.add(known.position):
            return report_of(header, known, row)
        if isinstance(row, Row) and (known or not self._unsent.add(row.row_id)):
            row = repeated_problem(row)
        return report_of_unsent(header, row)

    def _columns(self, report: RowReport | RefundReport) -> Record:
        currency = report.currency
        if currency is not None and EXPONENTS.get(currency) is None:
            self.unknown_currencies.add(currency)
        return report.columns()
