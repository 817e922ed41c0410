"""The refunds of a batch are made, each once: intended, sent, written down."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import attrs

from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import SessionFacts
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundResult,
    RefundState,
)
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import is_pending
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.bulk.sending.workers import Workers
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    ConfigurationError,
    InvalidFieldError,
    OutcomeUnknownError,
)
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models import RefundRequest, RefundStatus

from .progress_file import JobProgress, noted_progress
from .refund_doubts import settle, with_result
from .refund_plan import BatchOrder, written_down
from .refund_rules import Act, decide
from .row_counts import RowCounts
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


class RefundRun:
    """Makes the refunds of a batch that are pending; looks for those in doubt.

    Args:
        journal: What is known of rows and refunds.
        factory: Open, with the retry policy of the job.
        limits: How fast.
        order: What to pay back.
        path: Where it is written down how far it is; nowhere if `None`.
    """

    def __init__(
        self,
        journal: Journal,
        factory: CheckoutSessionFactory,
        limits: Limits,
        order: BatchOrder,
        path: Path | None = None,
    ) -> None:
        self._journal = journal
        self._factory = factory
        self._limits = limits
        self._order = order
        self._batch = order.batch
        self._path = path
        self._runtime = context_of(factory).runtime
        self._workers: Workers[JournalRefund, RefundOutcome] | None = None
        self._is_stopped = False
        self._done = 0
        self._total: int | None = None
        self._counts = RowCounts(rows=None)

    @property
    def is_begun(self) -> bool:
        """Whether it has begun to look."""
        return self._workers is not None

    @property
    def progress(self) -> JobProgress:
        """How far it is."""
        return JobProgress(
            at=self._runtime.now(),
            doing="refund",
            done=self._done,
            total=self._total,
            counts=self._counts,
        )

    @property
    def pace(self) -> PaceInfo | None:
        """What holds refunds back just now; `None` before it begins."""
        return None if self._workers is None else self._workers.pace

    def stop(self) -> None:
        """Begin no further refund; what is under way goes on to its end."""
        self._is_stopped = True
        if self._workers is not None:
            self._workers.stop()

    async def outcomes(self) -> AsyncGenerator[RefundOutcome, None]:
        """Make them; see `Job.refund`."""
        journal = self._journal
        await written_down(journal, self._order, self._runtime.now())
        self._counts = RowCounts.of(await journal.counts(), journal.header)
        self._total = sum(
            one.count
            for one in await journal.refunds.counts()
            if one.batch == self._batch and one.state in _OPEN
        )
        self._workers = Workers(
            self._factory,
            self._open(),
            self._do,
            self._limits,
            goes_again=lambda _, outcome: is_pending(outcome),
        )
        if self._is_stopped:
            self._workers.stop()
        async with (
            noted_progress(self._path, lambda: self.progress),
            aclosing(self._workers.outcomes()) as outcomes,
        ):
            async for outcome in outcomes:
                self._done += 1
                yield outcome

    async def _open(self) -> AsyncIterator[JournalRefund]:
        after = 0
        while page := await self._journal.refunds.open_in(self._batch, after=after):
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
        refund, others = await self._settled(refund, facts)
        if refund.state is not RefundState.PENDING:
            await self._journal.sessions.see(refund.row_id, facts)
            return RefundOutcome(refund=refund)
        decision = decide(refund, others, facts)
        if decision.act is Act.HOLD:
            return RefundOutcome(refund=refund, held=decision.reason)
        if decision.act is Act.REFUSE:
            refunds = self._journal.refunds
            await refunds.refuse(refund.number, decision.code, decision.reason)
            return RefundOutcome(refund=_refused(refund, decision.code))
        return await self._make(
            factory, refund, request, facts, decision.refunded_before
        )

    async def _settled(
        self, refund: JournalRefund, facts: SessionFacts
    ) -> tuple[JournalRefund, Sequence[JournalRefund]]:
        """End the doubts of a session that what was seen of it ends.

        Returns:
            The refund, and the others of its session, as they are now.
        """
        found = await self._journal.refunds.of_sessions(refund.session_id)
        known = [await settle(self._journal, one, facts) for one in found]
        [own] = [one for one in known if one.number == refund.number]
        return own, [one for one in known if one.number != refund.number]

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
            await journal.refunds.forget(refund.number)
            raise
        except CallError as error:
            outcome = RefundOutcome(refund=sent, error=error)
            if is_pending(outcome) or isinstance(error, AuthenticationError):
                await journal.refunds.forget(refund.number)
                return RefundOutcome(refund=refund, error=error)
            return await self._failed(sent, error)
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


def _refused(refund: JournalRefund, code: str) -> JournalRefund:
    return attrs.evolve(refund, state=RefundState.REJECTED, code=code)
