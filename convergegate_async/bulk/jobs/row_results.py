"""How a row ends, in the journal's words: a row speaks for all its runs.

What was sent once and not answered may have a session, whatever is said of it later:
a refusal does not end the doubt, and is told beside it.
"""

from typing import Any

import attrs

from convergegate_async.bulk.journal.records import JournalRow, RowResult, State
from convergegate_async.bulk.sending.outcomes import (
    Created,
    NotSent,
    Rejected,
    RowOutcome,
    Unknown,
)
from convergegate_async.bulk.tables.rows import Problem, shown
from convergegate_async.errors import CallError, OutcomeUnknownError
from convergegate_async.models import CheckoutSession
from convergegate_async.models.code_generation import new_draft, sealed

INVALID = "Invalid"
"""The code of a row that cannot be sent as it is."""

INTERRUPTED = "Interrupted"
"""The code of a row that was on its way when the job was killed."""

MOST_SHOWN = 200  # characters


def row_outcome(
    known: JournalRow | None, outcome: RowOutcome, *, is_lost: bool = False
) -> RowOutcome:
    """Return what became of a row, where *outcome* is that of its last call.

    Args:
        known: What was known of the row before that call; `None` if nothing.
        outcome: What came of the call alone.
        is_lost: A worker was lost that may have sent it, too.
    """
    in_doubt = is_lost or _is_in_doubt(known)
    if not in_doubt or not isinstance(outcome, Rejected | NotSent):
        return outcome
    return Unknown(
        index=outcome.index,
        row_id=outcome.row_id,
        request=outcome.request,
        idempotency_key=outcome.idempotency_key,
        error=_doubt_beside(outcome),
    )


def _doubt_beside(outcome: Rejected | NotSent) -> OutcomeUnknownError:
    """Return the doubt that was there before, with what was answered now."""
    error = outcome.error
    said = error.reason if isinstance(error, CallError) else str(error)
    last = "was rejected" if isinstance(outcome, Rejected) else "was not sent"
    answer: dict[str, Any] = {
        field.name: getattr(error, field.name, field.default)
        for field in attrs.fields(CallError)
    }
    return OutcomeUnknownError(
        **answer
        | {
            "operation": "create",
            "reason": f"it may have been sent before, and now {last}: {said}",
            "idempotency_key": outcome.idempotency_key,
            "phase": "sent",
        }
    )


def outcome_result(
    row_id: str,
    outcome: RowOutcome,
    known: JournalRow | None = None,
    *,
    is_lost: bool = False,
) -> RowResult:
    """Return what becomes of a row whose call ended so.

    Args:
        row_id: The row's.
        outcome: What came of the call alone.
        known: What was known of the row before that call; `None` if nothing.
        is_lost: A worker was lost that may have sent it, too.
    """
    if isinstance(outcome, Created):
        return session_result(row_id, outcome.session)
    error = outcome.error
    in_doubt = is_lost or _is_in_doubt(known)
    failed = isinstance(outcome, Rejected) and not in_doubt
    return RowResult(
        row_id=row_id,
        state=State.REJECTED if failed else State.UNKNOWN,
        http_status=getattr(error, "http_status", None),
        code=type(error).__name__,
        message=str(error)[:MOST_SHOWN],
    )


def session_result(row_id: str, session: CheckoutSession) -> RowResult:
    """Return what becomes of a row that has its session."""
    result = new_draft(RowResult)
    result.row_id = row_id
    result.state = State.CREATED
    result.session_id = session.id
    result.url = session.url
    result.http_status = result.code = result.message = None
    return sealed(result, RowResult)


def interrupted_result(row_id: str) -> RowResult:
    """Return what becomes of a row that was on its way when the job was killed."""
    return RowResult(
        row_id=row_id,
        state=State.UNKNOWN,
        code=INTERRUPTED,
        message="the job was ended while the row was on its way",
    )


def reason_of(problem: Problem) -> str:
    """Return why a row cannot be sent."""
    column = "" if problem.column is None else f"column {shown(problem.column)}: "
    return f"{column}{problem.reason}"


def _is_in_doubt(known: JournalRow | None) -> bool:
    return known is not None and known.is_in_doubt
