"""Whether a refund is made: one table over what is known of a session, no I/O.

A gateway has no way to ask for a refund whose id nobody knows. What tells is how much
of the session is paid back, and so one refund of a session is in doubt at a time.

Nor has it a way to tell whose refund a session shows. A journal may be a copy, or an
older backup, whose other self has made what is pending here. So what was paid back by
others is kept when a refund is planned, and one whose session shows anything else by
now is refused for good: it may be that very refund. If it was another one, by hand, a
batch of another name is planned against what is known then. It could not be held
instead: no later look at the session would tell more. Two copies that look at a session
at the same moment see nothing of each other, and a refund that fails hides one of the
same amount; there only the idempotency key is in the way.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias

import attrs

from convergegate_async._core.money import major_units, minor_units
from convergegate_async.bulk.journal.records import JournalRow, SessionFacts, State
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    PlannedRefund,
    RefundCode,
    RefundState,
)
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import SessionStatus

from .wanted_refunds import WantedRefund

_UNPAID = frozenset({SessionStatus.OPEN, SessionStatus.PENDING, SessionStatus.EXPIRED})


@attrs.frozen
class Make:
    """It is made.

    Attributes:
        refunded_before: What of the session is paid back, in minor units.
    """

    refunded_before: int


@attrs.frozen
class Hold:
    """It is pending: a later look may tell more.

    Attributes:
        code: What is in the way.
    """

    code: RefundCode


@attrs.frozen
class Refuse:
    """It is not made, whatever a later look tells.

    Attributes:
        code: What is in the way.
    """

    code: RefundCode


Decision: TypeAlias = Make | Hold | Refuse
"""What to do with a refund, now that its session was looked at."""


@attrs.frozen
class LeftOut:
    """Something that was to be paid back and is not planned.

    Attributes:
        row_id: Of the row.
        reason: Why, without an amount in it.
    """

    row_id: str
    reason: str


def paid_back(facts: SessionFacts, refunds: Iterable[JournalRefund]) -> int:
    """Return what of a session counts as paid back, in minor units.

    That is what the gateway says, or what the job has made, or what the gateway said
    when that was intended, whichever is more: it may lag behind, and the job does not
    know of refunds by hand. What is in doubt counts.
    """
    counted = [refund for refund in refunds if _counts(refund)]
    own = sum(refund.amount for refund in counted)
    seen = [(refund.refunded_before or 0) + refund.amount for refund in counted]
    return max(facts.amount_refunded or 0, own, *seen)


def by_others(facts: SessionFacts, refunds: Iterable[JournalRefund]) -> int:
    """Return what the gateway shows as paid back that this job cannot account for.

    It is less than nothing where the gateway is late, or a refund has failed.
    """
    own = sum(refund.amount for refund in refunds if _counts(refund))
    return (facts.amount_refunded or 0) - own


def is_made(refund: JournalRefund, facts: SessionFacts) -> bool:
    """Tell whether a refund that was in doubt shows in what is paid back.

    That has to have risen by exactly its amount; that it has not proves nothing. Who
    pays the same amount back by hand meanwhile cannot be told apart.
    """
    if facts.amount_refunded is None or refund.refunded_before is None:
        return False
    return facts.amount_refunded - refund.refunded_before == refund.amount


def vanished(
    refunds: Sequence[JournalRefund], facts: SessionFacts
) -> JournalRefund | None:
    """Return a refund that was known by a rise alone, which is undone by now.

    It may have failed, which nobody can ask for without its id.
    """
    missing = -by_others(facts, refunds)
    fitting = [
        refund
        for refund in refunds
        if refund.state is RefundState.CREATED
        and refund.refund_id is None
        and refund.amount <= missing
    ]
    is_told = facts.amount_refunded is not None
    if not fitting or not is_told or any(one.is_in_doubt for one in refunds):
        return None
    return fitting[-1]


def decide(
    refund: JournalRefund, others: Sequence[JournalRefund], facts: SessionFacts
) -> Decision:
    """Return what to do with a pending refund.

    Args:
        refund: It.
        others: The other refunds of its session, in whatever batch.
        facts: What the session is now.
    """
    held = _reason_to_wait(others, facts)
    if held is not None:
        return Hold(held)
    refused = _reason_to_refuse(refund, others, facts)
    if refused is not None:
        return Refuse(refused)
    return Make(paid_back(facts, others))


def _reason_to_wait(
    others: Sequence[JournalRefund], facts: SessionFacts
) -> RefundCode | None:
    """Return why a later look may tell more."""
    if any(other.is_in_doubt for other in others):
        return RefundCode.IN_DOUBT
    if None in (facts.currency, facts.amount_total, facts.amount_refunded):
        return RefundCode.NOT_TOLD
    return RefundCode.NOT_SHOWN if by_others(facts, others) < 0 else None


def _reason_to_refuse(
    refund: JournalRefund, others: Sequence[JournalRefund], facts: SessionFacts
) -> RefundCode | None:
    """Return why it is not made, whatever a later look tells."""
    if facts.currency != refund.currency:
        return RefundCode.CURRENCY_CHANGED
    if paid_back(facts, others) + refund.amount > (facts.amount_total or 0):
        return RefundCode.EXCEEDS_TOTAL
    if by_others(facts, others) != refund.refunded_elsewhere:
        return RefundCode.REFUNDED_ELSEWHERE
    return None


def plan(
    wanted: WantedRefund, known: JournalRow | None, refunds: Sequence[JournalRefund]
) -> PlannedRefund | LeftOut:
    """Return the refund of a row, as far as the journal can tell.

    Args:
        wanted: What is to be paid back of it.
        known: What the journal knows of it.
        refunds: Those of its session.
    """
    found = _refundable(known, refunds)
    if isinstance(found, str):
        return LeftOut(wanted.row_id, found)
    if found.left < 1:
        return LeftOut(wanted.row_id, "has nothing left to be paid back")
    try:
        amount = _minor_amount(wanted.amount, found)
    except InvalidFieldError as error:
        return LeftOut(wanted.row_id, f"has an {error.field} that {error.reason}")
    if amount < 1:
        return LeftOut(wanted.row_id, "is to be paid back nothing")
    if amount > found.left:
        return LeftOut(wanted.row_id, "has less than that left to be paid back")
    return PlannedRefund(
        row_id=wanted.row_id,
        session_id=found.session_id,
        currency=found.currency,
        amount=amount,
        refunded_elsewhere=found.elsewhere,
    )


@attrs.frozen(kw_only=True)
class _Refundable:
    """What can be paid back of a session, in minor units."""

    session_id: str
    currency: str
    left: int
    elsewhere: int


def _refundable(
    known: JournalRow | None, refunds: Sequence[JournalRefund]
) -> _Refundable | str:
    """Return what can be paid back of a row, or why nothing can."""
    if known is None or known.state is not State.CREATED or known.session_id is None:
        return "has no session in this job"
    facts = known.facts
    if facts is None or facts.amount_total is None or facts.currency is None:
        return "was not looked at: refresh the job first"
    if facts.amount_refunded is None:
        return "does not tell what is left of it"
    if facts.status in _UNPAID:
        return "was not paid when it was last looked at"
    if any(refund.is_in_doubt for refund in refunds):
        return "has a refund in doubt: `bulk resolve` ends that"
    pending = sum(
        refund.amount for refund in refunds if refund.state is RefundState.PENDING
    )
    return _Refundable(
        session_id=known.session_id,
        currency=facts.currency,
        left=facts.amount_total - paid_back(facts, refunds) - pending,
        elsewhere=max(0, by_others(facts, refunds)),
    )


def _minor_amount(amount: int | Decimal | None, session: _Refundable) -> int:
    """Return what is wanted in minor units: all that is left, if nothing is said.

    Raises:
        InvalidFieldError: It is not exact, or nobody could tell what a sum of it is.
    """
    major_units(session.left, session.currency)  # or its currency is none
    if isinstance(amount, Decimal):
        return minor_units(amount, session.currency)
    return session.left if amount is None else amount


def _counts(refund: JournalRefund) -> bool:
    return refund.is_in_doubt or refund.state is RefundState.CREATED
