"""The refunds of a batch are made, each once: intended, sent, written down."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import attrs

from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.records import SessionFacts
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundCode,
    RefundState,
)
from convergegate_async.bulk.sending.outcomes import is_pending
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    ConfigurationError,
    InvalidFieldError,
)
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import Refund, RefundRequest

from .paced_activity import PacedActivity
from .paging import every_refund
from .refund_batch import BatchOrder, write_batch
from .refund_doubts import settle, settle_refunds
from .refund_results import (
    answered_result,
    coded_result,
    failed_result,
    with_result,
)
from .refund_rules import Hold, Make, Refuse, decide
from .session_facts import facts_of

_OPEN = (RefundState.PENDING, RefundState.SENT, RefundState.UNKNOWN)


@attrs.frozen(kw_only=True)
class RefundOutcome:
    """What became of a refund in this run.

    Attributes:
        refund: What is known of it now.
        held: What is in the way while it is pending, where that is no error.
        error: What went wrong.
    """

    refund: JournalRefund
    held: RefundCode | None = None
    error: CallError | InvalidFieldError | None = None

    @property
    def row_id(self) -> str:
        """The id of the row whose session is paid back."""
        return self.refund.row_id


class RefundRun(PacedActivity[JournalRefund, RefundOutcome]):
    """Makes the refunds of a batch that are pending; looks for those in doubt."""

    doing = "refund"
    _is_begun = False

    @property
    def is_begun(self) -> bool:
        """Whether it has begun, be it only to write its batch down."""
        return self._is_begun

    async def outcomes(
        self, order: BatchOrder, require_idle: Callable[[], object]
    ) -> AsyncGenerator[RefundOutcome, None]:
        """Make them, if nothing was begun since they were ordered; see `Job.refund`."""
        require_idle()
        self._is_begun = True
        await write_batch(self._journal, order, self._runtime.now())
        total = sum(
            one.count
            for one in await self._journal.refunds.counts()
            if one.batch == order.batch and one.state in _OPEN
        )
        left = every_refund(self._journal, order.batch, _OPEN)
        refunds = self._each(left, self._do, total)
        async with aclosing(refunds):
            async for outcome in refunds:
                yield outcome

    async def _do(
        self, factory: CheckoutSessionFactory, refund: JournalRefund
    ) -> RefundOutcome:
        """Look at the session, and pay it back if nothing is in the way."""
        try:
            session = await factory.retrieve(refund.session_id)
        except (CallError, InvalidFieldError) as error:
            return RefundOutcome(refund=refund, error=error)
        facts = facts_of(session, self._runtime.now())
        known = await settle_refunds(self._journal, factory, refund.session_id, facts)
        by_number = {one.number: one for one in known}
        current = by_number.pop(refund.number)
        if current.state is not RefundState.PENDING:
            await self._journal.sessions.see(current.row_id, facts)
            return RefundOutcome(refund=current)
        match decide(current, [*by_number.values()], facts):
            case Make(refunded_before):
                return await self._make(factory, current, refunded_before, facts)
            case Refuse(code):
                return await self._refuse(current, code, facts)
            case Hold(code):
                return RefundOutcome(refund=current, held=code)

    async def _refuse(
        self, refund: JournalRefund, code: RefundCode, facts: SessionFacts
    ) -> RefundOutcome:
        """Leave it for good; another batch goes by what was seen."""
        await self._journal.sessions.see(refund.row_id, facts)
        await self._journal.refunds.refuse(refund.number, code)
        result = coded_result(refund.number, RefundState.REJECTED, code)
        return RefundOutcome(refund=with_result(refund, result))

    async def _make(
        self,
        factory: CheckoutSessionFactory,
        refund: JournalRefund,
        before: int,
        facts: SessionFacts,
    ) -> RefundOutcome:
        """Intend it, send it, and write what came of that."""
        journal, now = self._journal, self._runtime.now()
        request = RefundRequest(session_id=refund.session_id, amount=refund.amount)
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
            return await self._note_error(refund, sent, error)
        return await self._note_answer(factory, sent, made, facts)

    async def _note_answer(
        self,
        factory: CheckoutSessionFactory,
        sent: JournalRefund,
        made: Refund,
        facts: SessionFacts,
    ) -> RefundOutcome:
        journal = self._journal
        is_of_amount = made.amount in {None, sent.amount}
        if not is_of_amount or await journal.refunds.known_as(made.id):
            return await self._note_crossed(factory, sent)
        result = answered_result(sent.number, made)
        await journal.refunds.complete(result)
        if result.state is RefundState.CREATED:
            back = (sent.refunded_before or 0) + sent.amount
            await journal.sessions.see(
                sent.row_id, attrs.evolve(facts, amount_refunded=back)
            )
        return RefundOutcome(refund=with_result(sent, result))

    async def _note_crossed(
        self, factory: CheckoutSessionFactory, sent: JournalRefund
    ) -> RefundOutcome:
        """Leave a refund in doubt that was answered with another one; look for it."""
        code = RefundCode.CROSSED
        result = coded_result(sent.number, RefundState.UNKNOWN, code)
        await self._journal.refunds.complete(result)
        known = with_result(sent, result)
        try:
            session = await factory.retrieve(sent.session_id)
        except CallError:  # it is in doubt all the same
            return RefundOutcome(refund=known)
        facts = facts_of(session, self._runtime.now())
        await self._journal.sessions.see(sent.row_id, facts)
        return RefundOutcome(refund=await settle(self._journal, known, facts))

    async def _note_error(
        self, pending: JournalRefund, sent: JournalRefund, error: CallError
    ) -> RefundOutcome:
        """Write what a call that failed has done: nothing, all, or nobody knows."""
        outcome = RefundOutcome(refund=pending, error=error)
        if is_pending(outcome) or isinstance(error, AuthenticationError):
            await self._journal.refunds.withdraw(pending.number)
            return outcome
        result = failed_result(sent.number, error)
        await self._journal.refunds.complete(result)
        known = with_result(sent, result)
        if error.session is not None:
            facts = facts_of(error.session, self._runtime.now())
            known = await settle(self._journal, known, facts)
            if known.state is RefundState.CREATED:
                await self._journal.sessions.see(sent.row_id, facts)
                return RefundOutcome(refund=known)
        return RefundOutcome(refund=known, error=error)


def refund_key(salt: bytes, refund: JournalRefund) -> str:
    """Return the idempotency key of a refund: the same in every run, and no other's."""
    what = f"{refund.batch} {refund.session_id} {refund.amount}"
    return derive_key(f"refund {salt.hex()}", what)
