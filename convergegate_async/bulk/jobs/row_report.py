"""What became of a row, in the columns that an export adds to those of the input."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import attrs

from convergegate_async._core.idempotency import derive_key
from convergegate_async._core.money import major_units
from convergegate_async.bulk.journal.records import (
    DAMAGED,
    JobHeader,
    JournalRow,
    SessionFacts,
    State,
)
from convergegate_async.bulk.tables.formats import OWN_PREFIX
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import InvalidFieldError

from .header import fingerprint
from .row_results import INVALID, interrupted_result, reason_of

Word: TypeAlias = Literal["created", "rejected", "unknown", "pending"]

_CHANGED = "the input has another row under this id than was sent"
_MAY_BE_LOST = "the row may have been sent before the journal was damaged"
_WORDS: dict[State, Word] = {
    State.SENT: "unknown",
    State.CREATED: "created",
    State.REJECTED: "rejected",
    State.UNKNOWN: "unknown",
}


@attrs.frozen(kw_only=True)
class RowReport:
    """What became of a row.

    What it comes to is what its session was to be paid when it was last seen, else what
    its request asks for. That is left out where the input has another row by now, and
    where ISO 4217 knows no such currency: an amount in units that nobody knows would be
    taken for another.

    Attributes:
        line: Where it is in the input, if it is there.
        state: One of the four words of `RowCounts`.
        status: What the session was when it was last seen; likewise what follows.
        currency: In upper case.
        amount: In major units.
        amount_refunded: In major units.
        seen_at: When that was; to the second, in UTC.
        code: Why it has no session: the class of the error, or ``Invalid``.
        idempotency_key: What it was sent under, or is to be.
    """

    line: int | None = None
    row_id: str | None = None
    state: Word
    session_id: str | None = None
    url: str | None = attrs.field(default=None, repr=False)
    status: str | None = None
    currency: str | None = None
    amount: Decimal | None = None
    amount_refunded: Decimal | None = None
    expires_at: datetime | None = None
    seen_at: datetime | None = None
    attempts: int = 0
    http_status: int | None = None
    code: str | None = None
    message: str | None = None
    idempotency_key: str | None = None

    def columns(self) -> dict[str, object]:
        """Return it by the names of its columns."""
        return {column: getattr(self, name) for name, column in COLUMNS.items()}


COLUMNS = {field.name: OWN_PREFIX + field.name for field in attrs.fields(RowReport)}


def report_of(
    header: JobHeader, known: JournalRow, row: Row | Problem | None = None
) -> RowReport:
    """Return what became of a row that was sent.

    Args:
        header: What its job is.
        known: What its journal knows of it.
        row: What the input has under its id, if anything.
    """
    ended = interrupted_result(known.row_id) if known.state is State.SENT else known
    facts = known.facts or SessionFacts(seen_at=0.0)
    request = row.request if isinstance(row, Row) else None
    is_changed = request and fingerprint(request, header.salt) != known.fingerprint
    message = ended.message or (_CHANGED if is_changed else None)
    currency, amount = facts.currency, facts.amount_total
    if amount is None and request is not None and not is_changed:
        currency, amount = request.currency, request.amount
    return RowReport(
        line=None if row is None else row.line,
        row_id=known.row_id,
        state=_WORDS[known.state],
        session_id=known.session_id,
        url=known.url,
        status=facts.status,
        currency=currency and currency.upper(),
        amount=in_major(amount, currency),
        amount_refunded=in_major(facts.amount_refunded, currency),
        expires_at=moment_of(facts.expires_at),
        seen_at=None if known.facts is None else moment_of(facts.seen_at),
        attempts=known.attempts,
        http_status=ended.http_status,
        code=ended.code,
        message=message,
        idempotency_key=derive_key(header.job, known.row_id),
    )


def report_of_unsent(header: JobHeader, row: Row | Problem) -> RowReport:
    """Return what is to become of a row that its journal does not know.

    Args:
        header: What its job is.
        row: What it is in the input, or the first of its problems there.
    """
    if header.damaged_at is not None:
        end = RowReport(state="unknown", code=DAMAGED, message=_MAY_BE_LOST)
    elif isinstance(row, Problem):
        end = RowReport(state="rejected", code=INVALID, message=reason_of(row))
    else:
        end = RowReport(state="pending")
    report = attrs.evolve(end, line=row.line, row_id=row.row_id)
    if isinstance(row, Problem):
        return report
    request = row.request
    return attrs.evolve(
        report,
        currency=request.currency.upper(),
        amount=in_major(request.amount, request.currency),
        idempotency_key=derive_key(header.job, row.row_id),
    )


def in_major(amount: int | None, currency: str | None) -> Decimal | None:
    """Return an amount in major units, if its currency has any."""
    if amount is None or currency is None:
        return None
    try:
        return major_units(amount, currency)
    except InvalidFieldError:
        return None


def moment_of(at: float | None) -> datetime | None:
    """Return when that was, to the second, in UTC."""
    return None if at is None else datetime.fromtimestamp(int(at), UTC)
