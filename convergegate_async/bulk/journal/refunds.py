"""The refunds of a job as the event loop sees them: orders to the journal's thread."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from .ordering import Order
from .refund_records import (
    Batch,
    JournalRefund,
    PlannedRefund,
    RefundCode,
    RefundCount,
    RefundResult,
    RefundState,
)
from .refund_table import RefundTable


class Refunds:
    """The refunds that a journal knows. Orders are carried out as they come in.

    Attributes:
        under_way: The numbers of those that this process has sent and has no result of.
    """

    def __init__(self, order: Order, table: RefundTable) -> None:
        self._order = order
        self._table = table
        self.under_way: set[int] = set()

    async def require_undamaged(self) -> None:
        """Refuse refunds for good if the journal was written off.

        Raises:
            JournalError: It was, or it is broken.
        """
        await self._order(self._table.require_undamaged)

    async def begin(self, batch: Batch) -> Batch:
        """Return the batch of that name; begin it if there is none that is whole.

        One that was being written down at a kill has made nothing, and is begun anew.
        """
        return await self._order(partial(self._table.begin, batch))

    async def plan(
        self, name: str, refunds: Sequence[PlannedRefund]
    ) -> list[PlannedRefund]:
        """Write down a part of a batch that is not whole yet.

        Returns:
            Those whose sessions it pays back already: they are left out.

        Raises:
            JournalError: There is no such batch, or it is whole; or the journal is
                broken.
        """
        return await self._order(partial(self._table.plan, name, refunds))

    async def seal(self, name: str) -> None:
        """Say that a batch is whole: its refunds may be made."""
        await self._order(partial(self._table.seal, name))

    async def batch(self, name: str) -> Batch | None:
        """Return the batch of that name, if there is one."""
        return await self._order(partial(self._table.batch, name))

    async def alike(self, name: str) -> list[str]:
        """Return the names of whole batches that differ in case or last dots."""
        return await self._order(partial(self._table.alike, name))

    async def listed(
        self,
        name: str,
        states: Collection[RefundState] = tuple(RefundState),
        *,
        after: int = 0,
        limit: int = 1_000,
    ) -> list[JournalRefund]:
        """Return a page of the refunds of a batch that are in one of *states*.

        Args:
            name: The batch's.
            states: Which refunds to return.
            after: The number of the last refund of the page before; 0 for the first.
            limit: How many refunds a page has at most.
        """
        page = partial(self._table.listed, name, states, after, limit)
        return await self._order(page)

    async def of_sessions(self, *session_ids: str) -> list[JournalRefund]:
        """Return the refunds of 500 sessions at most, of whatever batch is whole.

        What was planned and never begun is worth nothing.
        """
        return await self._order(partial(self._table.of_sessions, session_ids))

    async def known_as(self, refund_id: str) -> list[JournalRefund]:
        """Return the refunds that the gateway calls so."""
        return await self._order(partial(self._table.known_as, refund_id))

    async def intend(self, number: int, refunded_before: int, now: float) -> None:
        """Make a refund durably `SENT`; only when this returns may it be sent.

        Args:
            number: The refund's.
            refunded_before: What of its session was paid back before, in minor units.
            now: Epoch seconds.

        Raises:
            JournalError: It must not be sent: it is not pending, its batch is not
                whole, another refund of its session is in doubt, the journal was
                damaged, or it is broken.
        """
        await self._order(partial(self._table.intend, number, refunded_before, now))
        self.under_way.add(number)

    def complete(self, result: RefundResult) -> Awaitable[None]:
        """Write what became of a refund that was sent.

        It is on its way when this returns, and durable when the awaitable is done.

        Raises:
            JournalError: From the awaitable: it is not in doubt, or the journal is
                broken.
        """
        self.under_way.discard(result.number)
        return self._order(partial(self._table.complete, result))

    async def refuse(self, number: int, code: RefundCode) -> None:
        """Write that a pending refund is not made, and why.

        Raises:
            JournalError: It is not pending, or the journal is broken.
        """
        await self._order(partial(self._table.refuse, number, code))

    async def fail(self, number: int) -> None:
        """Write that a refund that was `CREATED` has failed since.

        Raises:
            JournalError: It was not made, or the journal is broken.
        """
        await self._order(partial(self._table.fail, number))

    async def reopen(self, number: int) -> None:
        """Write that a refund, `CREATED` by all signs, is in doubt again.

        Raises:
            JournalError: It was not made, the gateway's id of it is known, or the
                journal is broken.
        """
        await self._order(partial(self._table.reopen, number))

    def withdraw(self, number: int) -> Awaitable[None]:
        """Withdraw an intent, as provably nothing was done for it: it is pending again.

        Raises:
            JournalError: From the awaitable: it was not sent, or the journal is broken.
        """
        self.under_way.discard(number)
        return self._order(partial(self._table.withdraw, number))

    async def counts(self) -> list[RefundCount]:
        """Return how many refunds are alike, and what they come to."""
        ask: Callable[[], list[RefundCount]] = self._table.counts
        return await self._order(ask)
