"""What became of a refund, in the columns of an export."""

from datetime import datetime
from decimal import Decimal

import attrs

from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundCode,
    RefundState,
)
from convergegate_async.bulk.tables.formats import OWN_PREFIX

from .refund_results import coded_result, with_result
from .row_report import in_major, moment_of


@attrs.frozen(kw_only=True)
class RefundReport:
    """What became of a refund.

    Attributes:
        state: ``created``, ``rejected``, ``unknown`` or ``pending``.
        refund_id: The gateway's, where it is known.
        currency: In upper case.
        amount: In major units; `None` where ISO 4217 knows no such currency.
        sent_at: When that was; to the second, in UTC.
        code: A `RefundCode`, or the class of the error.
    """

    batch: str
    row_id: str
    session_id: str
    state: str
    refund_id: str | None
    currency: str
    amount: Decimal | None
    sent_at: datetime | None
    code: str | None
    message: str | None

    def columns(self) -> dict[str, object]:
        """Return it by the names of its columns."""
        own = attrs.fields_dict(type(self))
        return {OWN_PREFIX + name: getattr(self, name) for name in own}


def report_of_refund(refund: JournalRefund) -> RefundReport:
    """Return what became of a refund, whose job is not at work."""
    if refund.state is RefundState.SENT:
        code = RefundCode.INTERRUPTED
        ended = coded_result(refund.number, RefundState.UNKNOWN, code)
        refund = with_result(refund, ended)
    return RefundReport(
        batch=refund.batch,
        row_id=refund.row_id,
        session_id=refund.session_id,
        state=refund.state.value,
        refund_id=refund.refund_id,
        currency=refund.currency.upper(),
        amount=in_major(refund.amount, refund.currency),
        sent_at=moment_of(refund.sent_at),
        code=refund.code,
        message=refund.message,
    )
