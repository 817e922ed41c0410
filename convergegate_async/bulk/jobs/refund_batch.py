"""A batch of refunds: found as it was begun, or else written down whole."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import attrs

from convergegate_async._core.money import THOUSANDS
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.refund_records import Batch
from convergegate_async.errors import ConfigurationError

from .folder import require_name
from .refund_plan import Planning, RefundPlan
from .wanted_refunds import RefundSelection, Wanted, is_exact


def _is_name(_: object, __: object, name: str) -> None:
    require_name(name, "a batch's name")


def _are_sums(_: object, __: object, sums: Mapping[str, Decimal]) -> None:
    for code, amount in sums.items():
        if not (is_exact(amount) and Decimal(amount).is_finite()):
            message = f"the sum that is expected of {code} must be a Decimal"
            raise ConfigurationError(message)
    if len({code.upper() for code in sums}) < len(sums):
        message = f"{', '.join(sums)}: a sum is expected once for each currency"
        raise ConfigurationError(message)


@attrs.frozen
class BatchOrder:
    """What somebody has ordered to be paid back.

    Attributes:
        batch: The name of the batch.
        wanted: What to pay back, if the batch is not there yet.
        expect_sum: What it is to come to, in major units by currency.
        leaves_out: What cannot be paid back is left out, instead of refused.

    Raises:
        ConfigurationError: It cannot be a name, or a sum is none.
    """

    batch: str = attrs.field(validator=_is_name)
    wanted: Wanted = attrs.field(repr=False)
    expect_sum: Mapping[str, Decimal] = attrs.field(validator=_are_sums)
    leaves_out: bool = attrs.field(kw_only=True)


async def plan_refunds(journal: Journal, batch: str, wanted: Wanted) -> RefundPlan:
    """Return what a batch would come to; nothing is written or sent.

    Args:
        journal: That of the job; reading it is enough.
        batch: A name as jobs have them. One that was begun is as it was planned; what
            is wanted now, and is no part of it, is left out.
        wanted: What to pay back, such as `sessions_in` gives.

    Raises:
        ConfigurationError: It cannot be a name, or is another batch's but for a slip.
        JournalError: The journal was damaged, or is broken.
    """
    require_name(batch, "a batch's name")
    await journal.refunds.require_undamaged()
    known = await find_batch(journal, batch)
    planning = Planning(journal, batch)
    if known is None:
        await _require_own_name(journal, batch)
        async for _ in planning.plans(wanted):
            pass
        return planning.result
    await planning.compare(wanted)
    found = planning.result
    return attrs.evolve(
        known, left_out=found.left_out, more=found.more, reasons=found.reasons
    )


async def write_batch(journal: Journal, order: BatchOrder, now: float) -> RefundPlan:
    """Write a batch down whole, unless it is, and return what it comes to.

    One of nothing is none: its name is as new.

    Raises:
        ConfigurationError: It comes to another sum, some of it cannot be paid back, no
            session has the status that is wanted, or its name is another batch's but
            for a slip.
        JournalError: The journal was damaged, or is broken.
    """
    await journal.refunds.require_undamaged()
    known = await find_batch(journal, order.batch)
    if known is not None:
        if isinstance(order.wanted, RefundSelection):
            order.wanted.require_status(await journal.sessions.counts())
        _require_sum(order, known)
        return known
    await _require_own_name(journal, order.batch)
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
    if found.refunds:
        await refunds.seal(order.batch)
    return found


async def find_batch(journal: Journal, name: str) -> RefundPlan | None:
    """Return what the batch of that name comes to, if it was begun."""
    batch = await journal.refunds.batch(name)
    if batch is None or not batch.is_whole:
        return None
    counts = [one for one in await journal.refunds.counts() if one.batch == name]
    sums: Counter[str] = Counter()
    for one in counts:
        sums[one.currency.upper()] += one.amount
    refunds = sum(one.count for one in counts)
    return RefundPlan(batch=name, refunds=refunds, sums=dict(sums), is_begun=True)


async def _require_own_name(journal: Journal, name: str) -> None:
    """Refuse a name by which a slip would pay part of an amount back once more."""
    for other in await journal.refunds.alike(name):
        message = (
            f"there is a batch {other} already: go on with it by that name, or choose "
            "one that differs in more than its case and last dots"
        )
        raise ConfigurationError(message)


def _require_sum(order: BatchOrder, found: RefundPlan) -> None:
    expected = {code.upper(): amount for code, amount in order.expect_sum.items()}
    if expected != found.major_sums:
        message = (
            f"the batch {found.batch} comes to {_listed(found.major_sums)}, and "
            f"{_listed(expected)} was expected"
        )
        raise ConfigurationError(message)


def _listed(sums: Mapping[str, Decimal]) -> str:
    apart = {code: f"{total:,}".replace(",", THOUSANDS) for code, total in sums.items()}
    return ", ".join(f"{code} {total}" for code, total in apart.items()) or "nothing"
