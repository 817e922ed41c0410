"""The refunds of a batch are made, each once: intended, sent, written down."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import attrs

from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.records import SessionFacts
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundResult,
    RefundState,
)
from convergegate_async.bulk.sending.outcomes import is_pending
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    ConfigurationError,
    InvalidFieldError,
    OutcomeUnknownError,
)
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import RefundRequest, RefundStatus

from .paced_activity import PacedActivity
from .refund_doubts import looked_over, settle, with_result
from .refund_plan import BatchOrder, written_down
from .refund_rules import Ruling, decide
from .row_results import MOST_SHOWN
from .session_facts import facts_of


@attrs.frozen(kw_only=True)
class RefundOutcome:
    """What became of a refund in this run.

    Attributes:
        refund: What is known of it now.
        held: Why it is still pending, where that is not for an error.
        error: What went wrong.
    """

    refund: JournalRefund
    held: str = ""
    error: CallError | InvalidFieldError | None = None


class RefundRun(PacedActivity[JournalRefund, RefundOutcome]):
    """Makes the refunds of a batch that are pending; looks for those in doubt."""

    doing = "refund"
    _batch = ""

    async def outcomes(self, order: BatchOrder) -> AsyncGenerator[RefundOutcome, None]:
        """Make them; see `Job.refund`."""
        self._batch = order.batch
        await written_down(self._journal, order, self._runtime.now())
        total = sum(
            one.count
            for one in await self._journal.refunds.counts()
            if one.batch == order.batch and one.state in _OPEN
        )
        refunds = self._each(self._open(), self._do, total)
        async with aclosing(refunds):
            async for outcome in refunds:
                yield outcome

    async def _open(self) -> AsyncIterator[JournalRefund]:
        after = 0
        refunds = self._journal.refunds
        while page := await refunds.listed(self._batch, _OPEN, after=after):
            for refund in page:
                yield refund
            after = page[-1].number

    async def _do(
        self, factory: CheckoutSessionFactory, refund: JournalRefund
    ) -> RefundOutcome:
        """Look at the session, and pay it back if nothing is in the way."""
        try:
            request = RefundRequest(session_id=refund.session_id, amount=refund.amount)
            session = await factory.retrieve(refund.session_id)
        except (CallError, InvalidFieldError) as error:
            return RefundOutcome(refund=refund, error=error)
        facts = facts_of(session, self._runtime.now())
        known = await looked_over(self._journal, factory, refund.session_id, facts)
        others = [one for one in known if one.number != refund.number]
        [refund] = [one for one in known if one.number == refund.number]
        if refund.state is not RefundState.PENDING:
            await self._journal.sessions.see(refund.row_id, facts)
            return RefundOutcome(refund=refund)
        decision = decide(refund, others, facts)
        if decision.ruling is Ruling.HOLD:
            return RefundOutcome(refund=refund, held=decision.reason)
        if decision.ruling is Ruling.REFUSE:
            refunds = self._journal.refunds
            await self._journal.sessions.see(refund.row_id, facts)
            await refunds.refuse(refund.number, decision.code, decision.reason)
            refused = RefundResult(
                refund.number,
                RefundState.REJECTED,
                code=decision.code,
                message=decision.reason,
            )
            return RefundOutcome(refund=with_result(refund, refused))
        return await self._make(
            factory, refund, request, facts, decision.refunded_before
        )

    async def _make(
        self,
        factory: CheckoutSessionFactory,
        refund: JournalRefund,
        request: RefundRequest,
        facts: SessionFacts,
        before: int,
    ) -> RefundOutcome:
        journal = self._journal
        now = self._runtime.now()
        await journal.refunds.intend(refund.number, before, now)
        sent = attrs.evolve(
            refund, state=RefundState.SENT, refunded_before=before, sent_at=now
        )
        key = refund_key(journal.header.salt, refund)
        try:
            made = await factory.refund(request, idempotency_key=key)
        except ConfigurationError:  # the factory is closed: nothing was sent
            await journal.refunds.withdraw(refund.number)
            raise
        except CallError as error:
            outcome = RefundOutcome(refund=sent, error=error)
            if is_pending(outcome) or isinstance(error, AuthenticationError):
                await journal.refunds.withdraw(refund.number)
                return RefundOutcome(refund=refund, error=error)
            return await self._failed(sent, error)
        if made.amount not in {None, refund.amount} or (
            await journal.refunds.known_as(made.id)
        ):
            return await self._crossed(factory, sent)
        is_failed = made.status is RefundStatus.FAILED
        result = RefundResult(
            number=refund.number,
            state=RefundState.REJECTED if is_failed else RefundState.CREATED,
            refund_id=made.id,
            code="Failed" if is_failed else None,
        )
        await journal.refunds.complete(result)
        if not is_failed:
            less = attrs.evolve(facts, amount_refunded=before + refund.amount)
            await journal.sessions.see(refund.row_id, less)
        return RefundOutcome(refund=with_result(sent, result))

    async def _crossed(
        self, factory: CheckoutSessionFactory, refund: JournalRefund
    ) -> RefundOutcome:
        """Leave a refund in doubt that was answered with another one; look for it."""
        result = RefundResult(
            refund.number,
            RefundState.UNKNOWN,
            code="Crossed",
            message="the gateway answered with another refund",
        )
        await self._journal.refunds.complete(result)
        known = with_result(refund, result)
        try:
            session = await factory.retrieve(refund.session_id)
        except CallError:  # it is in doubt all the same
            return RefundOutcome(refund=known)
        facts = facts_of(session, self._runtime.now())
        await self._journal.sessions.see(refund.row_id, facts)
        return RefundOutcome(refund=await settle(self._journal, known, facts))

    async def _failed(self, refund: JournalRefund, error: CallError) -> RefundOutcome:
        is_unknown = isinstance(error, OutcomeUnknownError)
        result = RefundResult(
            number=refund.number,
            state=RefundState.UNKNOWN if is_unknown else RefundState.REJECTED,
            http_status=error.http_status,
            code=type(error).__name__,
            message=str(error)[:MOST_SHOWN],
        )
        await self._journal.refunds.complete(result)
        known = with_result(refund, result)
        if error.session is not None:
            facts = facts_of(error.session, self._runtime.now())
            known = await settle(self._journal, known, facts)
            if known.state is RefundState.CREATED:
                await self._journal.sessions.see(refund.row_id, facts)
                return RefundOutcome(refund=known)
        return RefundOutcome(refund=known, error=error)


_OPEN = (RefundState.PENDING, RefundState.SENT, RefundState.UNKNOWN)


def refund_key(salt: bytes, refund: JournalRefund) -> str:
    """Return the idempotency key of a refund: the same in every run, and no other's."""
    what = f"{refund.batch} {refund.session_id} {refund.amount}"
    return derive_key(f"refund {salt.hex()}", what)
