"""What refunds come to: planned from the journal, a few rows at a time."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal

import attrs

from convergegate_async._core.money import major_units
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.bulk.journal.refund_records import JournalRefund, PlannedRefund
from convergegate_async.bulk.tables.seen import SeenTexts

from .paging import in_chunks_async
from .refund_rules import LeftOut, plan
from .wanted_refunds import RefundSelection, Wanted, WantedRefund

MOST_LISTED = 100


@attrs.frozen(kw_only=True)
class RefundPlan:
    """What a batch comes to.

    Attributes:
        batch: Its name.
        refunds: How many there are.
        sums: What they come to by currency (ISO 4217, in capitals), in minor units.
        is_begun: The batch was begun before, and is as it was planned then.
        left_out: The first of what is not a part of it, and why.
        more: How many are left out besides.
        reasons: How many are left out in all, by why.
        elsewhere: What others than this job have paid back of those sessions already,
            by currency, in minor units: by hand, or by a copy of its journal.
    """

    batch: str
    refunds: int
    sums: Mapping[str, int]
    is_begun: bool = False
    left_out: tuple[LeftOut, ...] = ()
    more: int = 0
    reasons: Mapping[str, int] = attrs.field(factory=dict)
    elsewhere: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def major_sums(self) -> dict[str, Decimal]:
        """The same in major units: what `Job.refund` is to expect."""
        # A sum may be more than any amount.
        return {code: major_units(1, code) * sum_ for code, sum_ in self.sums.items()}


class Planning:
    """Plans refunds, a few at a time, and keeps their sums.

    Args:
        journal: What is known of the rows.
        batch: The name of the batch.
    """

    def __init__(self, journal: Journal, batch: str) -> None:
        self._journal = journal
        self._batch = batch
        self._seen = SeenTexts()
        self._count = 0
        self._sums: Counter[str] = Counter()
        self._elsewhere: Counter[str] = Counter()
        self._left_out: list[LeftOut] = []
        self._reasons: Counter[str] = Counter()

    @property
    def result(self) -> RefundPlan:
        """What was planned so far."""
        return RefundPlan(
            batch=self._batch,
            refunds=self._count,
            sums=dict(self._sums),
            left_out=tuple(self._left_out),
            more=self._reasons.total() - len(self._left_out),
            reasons=dict(self._reasons),
            elsewhere=dict(+self._elsewhere),
        )

    async def plans(self, wanted: Wanted) -> AsyncIterator[list[PlannedRefund]]:
        """Yield what is planned, some refunds at a time."""
        async for some in self._chunks(wanted):
            rows = await self._journal.lookup([one.row_id for one in some])
            yield self._plan(some, rows, await self._refunds_of(rows.values()))

    async def compare(self, wanted: Wanted) -> None:
        """Leave out what is no part of the batch as it was begun."""
        async for some in self._chunks(wanted):
            rows = await self._journal.lookup([one.row_id for one in some])
            refunds = await self._refunds_of(rows.values())
            for one in some:
                known = rows.get(one.row_id)
                session_id = "" if known is None else known.session_id or ""
                self._compare(one, refunds.get(session_id, ()))

    def _chunks(self, wanted: Wanted) -> AsyncIterator[list[WantedRefund]]:
        if isinstance(wanted, RefundSelection):
            wanted = wanted.wanted(self._journal)
        return in_chunks_async(wanted)

    def _compare(self, wanted: WantedRefund, refunds: Sequence[JournalRefund]) -> None:
        own = [refund for refund in refunds if refund.batch == self._batch]
        if not own:
            reason = "is not in the batch as it was begun: another one may have it"
            self._leave_out(LeftOut(wanted.row_id, reason))
        elif not _is_amount_of(wanted, own[0]):
            reason = "is in the batch with another amount"
            self._leave_out(LeftOut(wanted.row_id, reason))

    async def _refunds_of(
        self, rows: Iterable[JournalRow]
    ) -> Mapping[str, Sequence[JournalRefund]]:
        ids = [row.session_id for row in rows if row.session_id is not None]
        found = defaultdict(list)
        for refund in await self._journal.refunds.of_sessions(*ids):
            found[refund.session_id].append(refund)
        return found

    def _plan(
        self,
        some: Sequence[WantedRefund],
        rows: Mapping[str, JournalRow],
        refunds: Mapping[str, Sequence[JournalRefund]],
    ) -> list[PlannedRefund]:
        planned = []
        for wanted in some:
            known = rows.get(wanted.row_id)
            session_id = "" if known is None else known.session_id or ""
            found = plan(wanted, known, refunds.get(session_id, ()))
            if isinstance(found, PlannedRefund) and not self._seen.add(session_id):
                reason = "is wanted more than once: add its amounts up"
                found = LeftOut(wanted.row_id, reason)
            if isinstance(found, LeftOut):
                self._leave_out(found)
                continue
            self._count += 1
            code = found.currency.upper()
            self._sums[code] += found.amount
            self._elsewhere[code] += found.refunded_elsewhere
            planned.append(found)
        return planned

    def _leave_out(self, left_out: LeftOut) -> None:
        self._reasons[left_out.reason] += 1
        if len(self._left_out) < MOST_LISTED:
            self._left_out.append(left_out)


def _is_amount_of(wanted: WantedRefund, refund: JournalRefund) -> bool:
    if isinstance(wanted.amount, Decimal):
        return wanted.amount == major_units(refund.amount, refund.currency)
    return wanted.amount in {None, refund.amount}
