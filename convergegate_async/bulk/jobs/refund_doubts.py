"""What a look at a session tells of its refunds, in doubt or thought to be made."""

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import SessionFacts
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundCode,
    RefundResult,
    RefundState,
)
from convergegate_async.errors import CallError, InvalidFieldError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import RefundStatus

from .refund_results import coded_result, failed_since, with_result
from .refund_rules import by_others, is_made, vanished


async def settle_refunds(
    journal: Journal,
    factory: CheckoutSessionFactory,
    session_id: str,
    facts: SessionFacts,
) -> list[JournalRefund]:
    """Return the refunds of a session as they are now that it was seen; write that.

    Args:
        journal: It knows them.
        factory: Open, to ask for those that may have failed since they were made.
        session_id: The session's.
        facts: What it is now.
    """
    found = await journal.refunds.of_sessions(session_id)
    known = [await settle(journal, refund, facts) for refund in found]
    expected = max((refund.refunded_elsewhere for refund in known), default=0)
    if facts.amount_refunded is None or by_others(facts, known) == expected:
        return known
    known = [await _ask_for(journal, factory, refund) for refund in known]
    doubtful = vanished(known, facts)
    if doubtful is None:
        return known
    await journal.refunds.reopen(doubtful.number)
    result = coded_result(doubtful.number, RefundState.UNKNOWN, RefundCode.NOT_SHOWN)
    return [with_result(one, result) if one is doubtful else one for one in known]


async def _ask_for(
    journal: Journal, factory: CheckoutSessionFactory, refund: JournalRefund
) -> JournalRefund:
    """Return a refund as it is now that the gateway was asked, if it was made."""
    if refund.state is not RefundState.CREATED or refund.refund_id is None:
        return refund
    try:
        answer = await factory.retrieve_refund(refund.refund_id)
    except (CallError, InvalidFieldError):  # it counts as made, as before
        return refund
    if answer.status is not RefundStatus.FAILED:
        return refund
    await journal.refunds.fail(refund.number)
    return with_result(refund, failed_since(refund.number, refund.refund_id))


async def settle(
    journal: Journal, refund: JournalRefund, facts: SessionFacts
) -> JournalRefund:
    """Return a refund as it is now that its session was seen; write that.

    In doubt it was made if so much more is paid back, and stays in doubt if not.
    """
    if not refund.is_in_doubt or refund.number in journal.refunds.under_way:
        return refund
    if is_made(refund, facts):
        result = RefundResult(refund.number, RefundState.CREATED)
    elif refund.state is RefundState.SENT:
        code = RefundCode.INTERRUPTED
        result = coded_result(refund.number, RefundState.UNKNOWN, code)
    else:
        return refund
    await journal.refunds.complete(result)
    return with_result(refund, result)
