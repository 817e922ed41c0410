"""What somebody wants to be paid back: named row by row, by a table, or by a status."""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from decimal import Decimal
from typing import Literal, TypeAlias, TypedDict

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow, SessionCount
from convergegate_async.bulk.tables.amount_rows import AmountRow, read_amounts
from convergegate_async.bulk.tables.amounts import Mark
from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.errors import ConfigurationError, InvalidFieldError

from .job_plan import plan_of
from .paging import every_row, in_chunks


class TableSpelling(TypedDict, total=False):
    """How a table is spelled; see `TableOptions`."""

    id_column: str
    amount_unit: Literal["minor", "major"]
    decimal: Mark
    delimiter: str
    encoding: str


_Amount: TypeAlias = int | Decimal | None


def _is_exact(_: object, field: "attrs.Attribute[_Amount]", amount: _Amount) -> None:
    if not (amount is None or is_exact(amount)):
        reason = "must be an int of minor units, or a Decimal of major ones"
        raise InvalidFieldError(field.name, reason)


def is_exact(amount: object) -> bool:
    """Tell whether an amount is one, unlike a float, a text or a truth."""
    return isinstance(amount, int | Decimal) and not isinstance(amount, bool)


@attrs.frozen
class WantedRefund:
    """A row whose session is to be paid back.

    All of one session, and a part of another::

        wanted = [WantedRefund("A-1"), WantedRefund("A-2", Decimal("10.00"))]
        plan = await job.plan_refunds("may", wanted)

    Attributes:
        row_id: The row's id in the input of the job.
        amount: Minor units as an `int`, or major units as a `Decimal`; `None` is all
            that is left.

    Raises:
        InvalidFieldError: *amount* is of another type.
    """

    row_id: str
    amount: _Amount = attrs.field(default=None, validator=_is_exact)


def _refuse_fault(row: AmountRow) -> None:
    message = f"line {row.line}: {row.fault}"
    raise SourceError(message)


@attrs.frozen(kw_only=True)
class RefundSelection:
    """Rows of a job that are to be paid back, as a table or a status has them.

    See what it comes to, before anything is paid back::

        damaged = RefundSelection(rows="refunds.csv", amount_column="amount")
        plan = await job.plan_refunds("damaged", damaged)

    Attributes:
        rows: A table of the ids of rows; `None` is the input of the job.
        status: Only rows whose session had it when it was last seen.
        amount_column: The amounts in that table; `None` pays all back that is left.
        table: How *rows* is spelled: its ids and amounts as those of the input, and the
            rest as it is found, where nothing is said.
        on_fault: Called with each row of the table that cannot be read, which is then
            passed over; by default a `SourceError` tells the first.

    Raises:
        ConfigurationError: There is neither a table nor a status.
    """

    rows: str | None = None
    status: str | None = None
    amount_column: str | None = None
    table: TableSpelling = attrs.field(factory=TableSpelling, hash=False)
    on_fault: Callable[[AmountRow], object] = _refuse_fault

    def __attrs_post_init__(self) -> None:
        if self.rows is None and self.status is None:
            message = "say what to pay back: a table of rows, or a status"
            raise ConfigurationError(message)

    async def wanted(self, journal: Journal) -> AsyncIterator[WantedRefund]:
        """Yield what is to be paid back.

        Args:
            journal: That of the job.

        Raises:
            ConfigurationError: No session has the status.
            SourceError: The table cannot be read.
        """
        self.require_status(await journal.sessions.counts())
        names_rows = self.rows is not None or self.amount_column is not None
        if self.status is None or names_rows:
            found = self._named(journal)
        else:
            found = sessions_in(journal, self.status)
        async for one in found:
            yield one

    def require_status(self, counts: Iterable[SessionCount]) -> None:
        """Refuse a status that no session of the job has: it may be a slip.

        Args:
            counts: What `Job.sessions` returns.

        Raises:
            ConfigurationError: With those that there are.
        """
        if self.status is None:
            return
        known = [one.status or "no status" for one in counts if one.seen_at is not None]
        if self.status not in known:
            seen = ", ".join(dict.fromkeys(known))
            there_are = seen or "none was looked at: `bulk refresh` does that"
            message = f"no session has the status {self.status} ({there_are})"
            raise ConfigurationError(message)

    async def _named(self, journal: Journal) -> AsyncIterator[WantedRefund]:
        for some in in_chunks(self._read(journal)):
            known = await journal.lookup([row.row_id for row in some if row.row_id])
            for row in some:
                if not self._is_meant(known.get(row.row_id or "")):
                    continue
                if row.fault is not None or row.row_id is None:
                    self.on_fault(row)
                else:
                    yield WantedRefund(row.row_id, row.amount)

    def _is_meant(self, known: JournalRow | None) -> bool:
        facts = None if known is None else known.facts
        return self.status is None or (
            facts is not None and facts.status == self.status
        )

    def _read(self, journal: Journal) -> Iterator[AmountRow]:
        plan = plan_of(journal.header)
        if self.rows is None:
            return read_amounts(
                plan.source, plan.table, self.amount_column, format=plan.format
            )
        as_before = TableOptions(
            id_column=plan.table.id_column, amount_unit=plan.table.amount_unit
        )
        options = attrs.evolve(as_before, **self.table)
        return read_amounts(self.rows, options, self.amount_column)


Wanted: TypeAlias = (
    Iterable[WantedRefund] | AsyncIterable[WantedRefund] | RefundSelection
)


async def sessions_in(journal: Journal, status: str) -> AsyncIterator[WantedRefund]:
    """Yield all rows whose session had that *status* when it was last seen."""
    async for row in every_row(journal):
        if row.facts is not None and row.facts.status == status:
            yield WantedRefund(row.row_id)
