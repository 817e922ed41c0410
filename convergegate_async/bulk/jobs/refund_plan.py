"""What a batch is to pay back: planned from the journal, whole, before any of it."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias, TypeVar

import attrs

from convergegate_async._core.money import major_units, minor_units
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.bulk.journal.refund_records import (
    Batch,
    JournalRefund,
    PlannedRefund,
)
from convergegate_async.bulk.tables.seen import SeenTexts
from convergegate_async.errors import ConfigurationError, InvalidFieldError

from .folder import require_name
from .paging import every_row
from .refund_rules import LeftOut, plan

T = TypeVar("T")

MOST_LISTED = 100
_TOGETHER = 256  # rows that are looked up together


@attrs.frozen
class WantedRefund:
    """A row whose session is to be paid back.

    Attributes:
        row_id: The row's id in the input of the job.
        amount: Minor units as an `int`, or major units as a `Decimal`; `None` is all
            that is left.
    """

    row_id: str
    amount: int | Decimal | None = None


def _is_name(_: object, __: object, name: str) -> None:
    require_name(name, "a batch's name")


Wanted: TypeAlias = Iterable[WantedRefund] | AsyncIterable[WantedRefund]


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
    """

    batch: str
    refunds: int
    sums: Mapping[str, int]
    is_begun: bool = False
    left_out: tuple[LeftOut, ...] = ()
    more: int = 0

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
        self._left_out: list[LeftOut] = []
        self._more = 0

    @property
    def result(self) -> RefundPlan:
        """What was planned so far."""
        return RefundPlan(
            batch=self._batch,
            refunds=self._count,
            sums=dict(self._sums),
            left_out=tuple(self._left_out),
            more=self._more,
        )

    async def plans(self, wanted: Wanted) -> AsyncIterator[list[PlannedRefund]]:
        """Yield what is planned, some refunds at a time."""
        async for some in _together(wanted):
            rows = await self._journal.lookup([one.row_id for one in some])
            yield self._plan(some, rows, await self._refunds_of(rows.values()))

    async def compare(self, wanted: Wanted) -> None:
        """Leave out what is no part of the batch as it was begun."""
        async for some in _together(wanted):
            rows = await self._journal.lookup([one.row_id for one in some])
            refunds = await self._refunds_of(rows.values())
            for one in some:
                known = rows.get(one.row_id)
                session_id = "" if known is None else known.session_id or ""
                self._compare(one, refunds.get(session_id, ()))

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
            found = _plan_one(wanted, known, refunds.get(session_id, ()))
            if isinstance(found, PlannedRefund) and self._seen.before(session_id):
                found = LeftOut(wanted.row_id, "is in the batch already")
            if isinstance(found, LeftOut):
                self._leave_out(found)
                continue
            self._count += 1
            self._sums[found.currency.upper()] += found.amount
            planned.append(found)
        return planned

    def _leave_out(self, left_out: LeftOut) -> None:
        if len(self._left_out) < MOST_LISTED:
            self._left_out.append(left_out)
        else:
            self._more += 1


def _plan_one(
    wanted: WantedRefund, known: JournalRow | None, refunds: Sequence[JournalRefund]
) -> PlannedRefund | LeftOut:
    amount = wanted.amount
    found = plan(wanted.row_id, None, known, refunds)
    if isinstance(found, LeftOut):
        return found
    try:
        major_units(found.amount, found.currency)  # or its sum cannot be told
        if isinstance(amount, Decimal):
            amount = minor_units(amount, found.currency)
    except InvalidFieldError as error:
        return LeftOut(wanted.row_id, f"has an {error.field} that {error.reason}")
    return plan(wanted.row_id, amount, known, refunds)


def _is_amount_of(wanted: WantedRefund, refund: JournalRefund) -> bool:
    if isinstance(wanted.amount, Decimal):
        return wanted.amount == major_units(refund.amount, refund.currency)
    return wanted.amount in {None, refund.amount}


async def _together(wanted: Wanted) -> AsyncIterator[list[WantedRefund]]:
    some: list[WantedRefund] = []
    async for one in _each(wanted):
        some.append(one)
        if len(some) == _TOGETHER:
            yield some
            some = []
    if some:
        yield some


async def _each(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for item in items:
        yield item


@attrs.frozen
class BatchOrder:
    """What somebody has ordered to be paid back.

    Attributes:
        batch: The name of the batch.
        wanted: What to pay back, if the batch is not there yet.
        expect_sum: What it is to come to, in major units by currency.
        leaves_out: What cannot be paid back is left out, instead of refused.

    Raises:
        ConfigurationError: It cannot be a name.
    """

    batch: str = attrs.field(validator=_is_name)
    wanted: Wanted = attrs.field(repr=False)
    expect_sum: Mapping[str, Decimal]
    leaves_out: bool = attrs.field(kw_only=True)


async def sessions_in(journal: Journal, status: str) -> AsyncIterator[WantedRefund]:
    """Yield all rows whose session had that *status* when it was last seen."""
    async for row in every_row(journal):
        if row.facts is not None and row.facts.status == status:
            yield WantedRefund(row.row_id)


async def plan_refunds(journal: Journal, batch: str, wanted: Wanted) -> RefundPlan:
    """Return what a batch would come to; nothing is written or sent.

    Args:
        journal: That of the job; reading it is enough.
        batch: A name as jobs have them. One that was begun is as it was planned; what
            is wanted now, and is no part of it, is left out.
        wanted: What to pay back, such as `sessions_in` gives.

    Raises:
        ConfigurationError: It cannot be a name.
        JournalError: The journal was damaged, or is broken.
    """
    order = BatchOrder(batch, wanted, {}, leaves_out=True)
    await journal.refunds.require_undamaged()
    known = await _begun(journal, order.batch)
    planning = Planning(journal, batch)
    if known is None:
        async for _ in planning.plans(wanted):
            pass
        return planning.result
    await planning.compare(wanted)
    found = planning.result
    return attrs.evolve(known, left_out=found.left_out, more=found.more)


async def written_down(journal: Journal, order: BatchOrder, now: float) -> RefundPlan:
    """Write a batch down whole, unless it is, and return what it comes to.

    Raises:
        ConfigurationError: It comes to another sum, or some of it cannot be paid back.
        JournalError: The journal was damaged, or is broken.
    """
    await journal.refunds.require_undamaged()
    known = await _begun(journal, order.batch)
    if known is not None:
        _require_sum(order, known)
        return known
    refunds = journal.refunds
    await refunds.begin(Batch(order.batch, now))
    planning = Planning(journal, order.batch)
    async for some in planning.plans(order.wanted):
        await refunds.plan(order.batch, some)
    found = planning.result
    if found.left_out and not order.leaves_out:
        count = len(found.left_out) + found.more
        first = found.left_out[0]
        message = (
            f"{count:,} of what is wanted cannot be paid back: row {first.row_id} "
            f"{first.reason}"
        )
        raise ConfigurationError(message)
    _require_sum(order, found)
    await refunds.seal(order.batch)
    return found


async def _begun(journal: Journal, name: str) -> RefundPlan | None:
    batch = await journal.refunds.batch(name)
    if batch is None or not batch.is_whole:
        return None
    counts = [one for one in await journal.refunds.counts() if one.batch == name]
    sums: Counter[str] = Counter()
    for one in counts:
        sums[one.currency.upper()] += one.amount
    refunds = sum(one.count for one in counts)
    return RefundPlan(batch=name, refunds=refunds, sums=dict(sums), is_begun=True)


def _require_sum(order: BatchOrder, found: RefundPlan) -> None:
    expected = {code.upper(): amount for code, amount in order.expect_sum.items()}
    if expected != found.major_sums:
        message = (
            f"the batch {found.batch} comes to {_listed(found.major_sums)}, and "
            f"{_listed(expected)} was expected"
        )
        raise ConfigurationError(message)


def _listed(sums: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{code} {total}" for code, total in sums.items()) or "nothing"
