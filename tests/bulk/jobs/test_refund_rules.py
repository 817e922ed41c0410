"""Whether a refund is made: nothing twice, nothing beyond a session's amount."""

from collections import Counter
from random import Random
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.bulk import (
    JournalRefund,
    JournalRow,
    LeftOut,
    RefundCode,
    RefundState,
    SessionFacts,
    State,
    WantedRefund,
)
from convergegate_async.bulk.jobs.refund_rules import (
    Decision,
    Hold,
    Make,
    Refuse,
    decide,
    is_made,
    paid_back,
    plan,
)
from convergegate_async.bulk.journal.refund_records import PlannedRefund

TOTAL = 1_000
NOT_SHOWN = Hold(RefundCode.NOT_SHOWN)
ELSEWHERE = Refuse(RefundCode.REFUNDED_ELSEWHERE)
AMOUNTS = st.integers(1, TOTAL)
STATES = st.sampled_from(RefundState)
refunds = st.builds(
    JournalRefund,
    number=st.integers(1, 99),
    batch=st.sampled_from(["march", "april"]),
    row_id=st.just("order-1"),
    session_id=st.just("session-1"),
    currency=st.sampled_from(["pln", "eur"]),
    amount=AMOUNTS,
    state=STATES,
    refunded_before=st.none() | st.integers(0, TOTAL),
    refunded_elsewhere=st.integers(0, TOTAL),
)
facts = st.builds(
    SessionFacts,
    seen_at=st.just(17.0),
    status=st.sampled_from(["completed", "open", None]),
    currency=st.sampled_from(["pln", None]),
    amount_total=st.none() | st.just(TOTAL),
    amount_refunded=st.none() | st.integers(0, TOTAL),
)
rows = st.builds(
    JournalRow,
    row_id=st.just("order-1"),
    position=st.just(1),
    fingerprint=st.just(bytes(16)),
    state=st.sampled_from([State.CREATED, State.UNKNOWN]),
    attempts=st.just(1),
    sent_at=st.just(1.0),
    session_id=st.just("session-1"),
    facts=st.none() | facts,
)


@given(refunds, st.lists(refunds, max_size=4), facts)
def test_what_is_made_exceeds_nothing(
    refund: JournalRefund, others: list[JournalRefund], seen: SessionFacts
) -> None:
    """Not by what the gateway says, nor by what the job itself made, or may have."""
    decision = decide(refund, others, seen)

    if not isinstance(decision, Make):
        is_told = None not in (seen.currency, seen.amount_total, seen.amount_refunded)
        assert is_told or isinstance(decision, Hold)
        return
    own = [one.amount for one in others if one.state is RefundState.CREATED]
    assert not any(one.is_in_doubt for one in others)
    assert seen.currency == refund.currency
    assert seen.amount_refunded == refund.refunded_elsewhere + sum(own)
    assert decision.refunded_before == paid_back(seen, others)
    assert decision.refunded_before + refund.amount <= TOTAL


@given(refunds, st.lists(refunds, max_size=4), facts)
def test_nothing_is_made_beside_a_doubt(
    refund: JournalRefund, others: list[JournalRefund], seen: SessionFacts
) -> None:
    """It is held, not refused: it may be made once the doubt has an end."""
    doubt = attrs.evolve(refund, state=RefundState.UNKNOWN)

    assert isinstance(decide(refund, [*others, doubt], seen), Hold)


@given(refunds, st.integers(0, TOTAL))
def test_only_a_rise_by_its_amount_ends_a_doubt(
    refund: JournalRefund, later: int
) -> None:
    """Whatever else the gateway says, or does not say, proves nothing."""
    seen = SessionFacts(1.0, amount_refunded=later)

    before = refund.refunded_before
    assert is_made(refund, seen) is (
        before is not None and later == before + refund.amount
    )
    assert not is_made(refund, SessionFacts(1.0))


@given(
    made=st.lists(AMOUNTS, min_size=1, max_size=3),
    lag=st.integers(0, 3),
    amount=AMOUNTS,
    is_done=st.booleans(),
)
def test_a_gateway_that_lags_behind_misleads_nobody(
    made: list[int], lag: int, amount: int, *, is_done: bool
) -> None:
    """What it shows late of earlier refunds is not taken for the one in doubt."""
    others = [
        JournalRefund(
            *(number, f"b{number}", "order-1", "session-1", "pln", one),
            RefundState.CREATED,
        )
        for number, one in enumerate(made)
    ]
    shown = sum(made[: len(made) - min(lag, len(made))])
    seen = SessionFacts(1.0, "completed", "pln", 10 * TOTAL, shown)
    refund = JournalRefund(
        *(99, "now", "order-1", "session-1", "pln", amount), RefundState.PENDING
    )

    early = decide(refund, others, seen)
    decision = decide(refund, others, attrs.evolve(seen, amount_refunded=sum(made)))
    assert isinstance(decision, Make)
    doubt = attrs.evolve(
        refund,
        state=RefundState.UNKNOWN,
        refunded_before=decision.refunded_before,
    )

    assert early == (NOT_SHOWN if lag else decision)
    for known in range(len(made) + 1):  # it catches up, one by one
        now = sum(made[:known]) + is_done * amount
        if known == len(made) or not is_done:
            later = SessionFacts(2.0, amount_refunded=now)
            assert is_made(doubt, later) is is_done


@pytest.mark.parametrize(
    ("shown", "own", "others", "decision"),
    [
        (700, 600, 100, Make(700)),
        (600, 600, 0, Make(600)),
        (0, 600, 0, NOT_SHOWN),  # its own failed, or the gateway is late
        (500, 600, 0, NOT_SHOWN),  # that, and a copy's
        (800, 600, 0, ELSEWHERE),
        (200, 0, 300, ELSEWHERE),  # one failed, and a copy's
    ],
)
def test_what_does_not_add_up_is_not_made(
    shown: int, own: int, others: int, decision: Decision
) -> None:
    """Neither where more is shown than is known, nor less, which hides a copy's."""
    what = ("order-1", "session-1", "pln")
    made = JournalRefund(1, "one", *what, own, RefundState.CREATED)
    refund = JournalRefund(
        *(2, "two", *what, 100), RefundState.PENDING, refunded_elsewhere=others
    )
    seen = SessionFacts(1.0, "completed", "pln", TOTAL, shown)

    assert decide(refund, [made] if own else [], seen) == decision


@given(
    known=st.none() | rows,
    amount=st.none() | st.integers(-5, 2 * TOTAL),
    others=st.lists(refunds, max_size=4),
)
def test_what_is_planned_can_be_paid_back(
    known: JournalRow | None, amount: int | None, others: list[JournalRefund]
) -> None:
    """As far as the journal knows: with all that other batches have planned, too."""
    found = plan(WantedRefund("order-1", amount), known, others)

    if isinstance(found, LeftOut):
        assert not any(sign.isdigit() for sign in found.reason.replace("1 or", ""))
        return
    assert known is not None
    assert known.state is State.CREATED
    assert known.facts is not None
    counted = [one for one in others if one.state is not RefundState.REJECTED]
    assert not any(one.is_in_doubt for one in others)
    own = sum(one.amount for one in counted)
    assert 0 < found.amount <= TOTAL - own
    assert found.amount <= TOTAL - paid_back(known.facts, others)
    if amount is not None:
        assert found.amount == amount


# -- copies of a journal -------------------------------------------------------------

Copy: TypeAlias = dict[str, JournalRefund]
"""What one of them knows of the refunds of a session, by their batches."""

Step: TypeAlias = tuple[str, int, str, int]
"""What is done, in which copy, in which batch, and how much it comes to."""

COPIES = 2
steps = st.tuples(
    st.sampled_from(["plan", "make", "make", "lose", "copy", "by hand"]),
    st.integers(0, COPIES - 1),
    st.sampled_from(["march", "april"]),
    st.integers(1, TOTAL // 3),
)


class Gateway:
    """One session that is paid back, under no idempotency key, from several copies."""

    def __init__(self) -> None:
        self.copies: list[Copy] = [{} for _ in range(COPIES)]
        self.made: Counter[tuple[str, int]] = Counter()
        self.back = 0
        self._number = 0

    def take(self, step: Step) -> None:
        """Do one thing, from its look at the session to the end."""
        what, copy, batch, amount = step
        known = self.copies[copy]
        if what == "copy":
            self.copies[(copy + 1) % COPIES] = dict(known)
        elif what == "by hand":
            self.back += min(amount, TOTAL - self.back)
        elif what == "plan" and batch not in known:
            self._plan(known, batch, amount)
        elif what in {"make", "lose"} and batch in known:
            self._make(known, batch, is_lost=what == "lose")

    def seen(self) -> SessionFacts:
        """Return what a look tells."""
        return SessionFacts(1.0, "completed", "pln", TOTAL, self.back)

    def _plan(self, known: Copy, batch: str, amount: int) -> None:
        row = JournalRow(
            row_id="order-1",
            position=1,
            fingerprint=bytes(16),
            state=State.CREATED,
            attempts=1,
            sent_at=1.0,
            session_id="session-1",
            facts=self.seen(),
        )
        wanted = WantedRefund("order-1", amount)
        found = plan(wanted, row, [*known.values()])
        if isinstance(found, PlannedRefund):
            self._number += 1
            known[batch] = JournalRefund(
                number=self._number,
                batch=batch,
                state=RefundState.PENDING,
                **attrs.asdict(found),
            )

    def _make(self, known: Copy, batch: str, *, is_lost: bool) -> None:
        seen, refund = self.seen(), known[batch]
        for name, one in known.items():
            if one.is_in_doubt and is_made(one, seen):
                known[name] = attrs.evolve(one, state=RefundState.CREATED)
        if refund.state is not RefundState.PENDING:
            return
        others = [one for name, one in known.items() if name != batch]
        match decide(refund, others, seen):
            case Make(before):
                self.made[batch, refund.number] += 1
                self.back += refund.amount
                state = RefundState.UNKNOWN if is_lost else RefundState.CREATED
                known[batch] = attrs.evolve(refund, state=state, refunded_before=before)
            case Refuse():
                known[batch] = attrs.evolve(refund, state=RefundState.REJECTED)
            case Hold():
                pass


@given(st.lists(steps, max_size=20))
def test_no_copy_of_a_journal_makes_what_another_has_made(history: list[Step]) -> None:
    """Whatever was planned, lost, copied or paid by hand between them."""
    gateway = Gateway()
    planned_and_copied = [("plan", 0, "march", 100), ("copy", 0, "", 0)]

    for step in [*planned_and_copied, *history]:
        gateway.take(step)

    assert set(gateway.made.values()) <= {1}
    assert gateway.back <= TOTAL


@given(st.lists(AMOUNTS, min_size=2, max_size=4), st.randoms())
def test_all_that_one_journal_has_planned_is_made(
    amounts: list[int], dice: Random
) -> None:
    """In whatever order its batches are begun, and with what was by hand before."""
    gateway = Gateway()
    gateway.take(("by hand", 0, "", 77))
    parts = [max(1, amount // 5) for amount in amounts]
    for number, amount in enumerate(parts):
        gateway.take(("plan", 0, f"b{number}", amount))
    order = [f"b{number}" for number in range(len(parts))]
    dice.shuffle(order)

    for batch in order:
        gateway.take(("make", 0, batch, 0))

    assert gateway.back == 77 + sum(parts)
