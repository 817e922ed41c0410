"""How a refund ends, in the journal's words: what an answer makes of it, no I/O."""

import attrs

from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundCode,
    RefundResult,
    RefundState,
)
from convergegate_async.errors import CallError, OutcomeUnknownError
from convergegate_async.models import Refund, RefundStatus

from .row_results import MOST_SHOWN


def with_result(refund: JournalRefund, result: RefundResult) -> JournalRefund:
    """Return what is known of a refund once *result* is written."""
    changes = attrs.asdict(result)
    del changes["number"]
    return attrs.evolve(refund, **changes)


def coded_result(number: int, state: RefundState, code: RefundCode) -> RefundResult:
    """Return how a refund ends for a reason that no error of a call tells."""
    return RefundResult(number, state, code=code.value, message=code.reason)


def answered_result(number: int, made: Refund) -> RefundResult:
    """Return how a refund ends that the gateway has answered with *made*."""
    if made.status is RefundStatus.FAILED:
        return failed_since(number, made.id)
    return RefundResult(number, RefundState.CREATED, made.id)


def failed_since(number: int, refund_id: str) -> RefundResult:
    """Return how a refund ends that the gateway has taken, and could not make."""
    result = coded_result(number, RefundState.REJECTED, RefundCode.FAILED)
    return attrs.evolve(result, refund_id=refund_id)


def failed_result(number: int, error: CallError) -> RefundResult:
    """Return how a refund ends that was sent, where its call has failed."""
    is_unknown = isinstance(error, OutcomeUnknownError)
    # Without the key there is room for the request id.
    shown = attrs.evolve(error, idempotency_key=None)
    return RefundResult(
        number=number,
        state=RefundState.UNKNOWN if is_unknown else RefundState.REJECTED,
        http_status=error.http_status,
        code=type(error).__name__,
        message=str(shown)[:MOST_SHOWN],
    )
