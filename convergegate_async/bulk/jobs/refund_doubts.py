"""Refunds in doubt, and what ends that: how much of their session is paid back."""

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import SessionFacts
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundResult,
    RefundState,
)

from .refund_rules import is_made


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
        result = RefundResult(
            refund.number,
            RefundState.UNKNOWN,
            code="Interrupted",
            message="the job was ended while the refund was on its way",
        )
    else:
        return refund
    await journal.refunds.complete(result)
    return with_result(refund, result)


def with_result(refund: JournalRefund, result: RefundResult) -> JournalRefund:
    """Return what is known of a refund once *result* is written."""
    changes = attrs.asdict(result)
    del changes["number"]
    return attrs.evolve(refund, **changes)
