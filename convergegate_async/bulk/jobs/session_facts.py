"""What is kept of a session that was looked at."""

from convergegate_async.bulk.journal.records import SessionFacts
from convergegate_async.models import CheckoutSession
from convergegate_async.models.rules import MAX_AMOUNT

from .row_results import MOST_SHOWN


def facts_of(session: CheckoutSession, now: float) -> SessionFacts:
    """Return what is kept of *session*, which was seen at *now*, epoch seconds."""
    status, currency, expires_at = session.status, session.currency, session.expires_at
    return SessionFacts(
        seen_at=now,
        status=None if status is None else str(status)[:MOST_SHOWN],
        currency=None if currency is None else currency.lower()[:MOST_SHOWN],
        amount_total=_amount(session.amount_total),
        amount_refunded=_amount(session.amount_refunded),
        expires_at=None if expires_at is None else expires_at.timestamp(),
    )


def _amount(value: int | None) -> int | None:
    # What no amount can be is as good as not told.
    return value if value is not None and 0 <= value <= MAX_AMOUNT else None
