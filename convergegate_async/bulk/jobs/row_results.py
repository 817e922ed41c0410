"""How a row ends, in the journal's words."""

from convergegate_async.bulk.journal.records import RowResult, State
from convergegate_async.bulk.sending.outcomes import Created, Rejected, RowOutcome
from convergegate_async.models import CheckoutSession

_MOST_SHOWN = 200  # characters


def outcome_result(row_id: str, outcome: RowOutcome) -> RowResult:
    """Return what becomes of a row whose call ended so."""
    if isinstance(outcome, Created):
        return session_result(row_id, outcome.session)
    error = outcome.error
    return RowResult(
        row_id=row_id,
        state=State.FAILED if isinstance(outcome, Rejected) else State.UNKNOWN,
        http_status=getattr(error, "http_status", None),
        code=type(error).__name__,
        message=str(error)[:_MOST_SHOWN],
    )


def session_result(row_id: str, session: CheckoutSession) -> RowResult:
    """Return what becomes of a row that has its session."""
    return RowResult(
        row_id=row_id, state=State.DONE, session_id=session.id, url=session.url
    )


def interrupted_result(row_id: str) -> RowResult:
    """Return what becomes of a row that was on its way when the job was killed."""
    return RowResult(
        row_id=row_id,
        state=State.UNKNOWN,
        code="Interrupted",
        message="the job was ended while the row was on its way",
    )
