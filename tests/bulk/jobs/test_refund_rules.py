"""Whether a refund is made: nothing twice, nothing beyond a session's amount."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.bulk import (
    JournalRefund,
    JournalRow,
    LeftOut,
    RefundState,
    SessionFacts,
    State,
)
from convergegate_async.bulk.jobs.refund_rules import (
    Ruling,
    decide,
    is_made,
    paid_back,
    plan,
)

TOTAL = 1_000
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

    if decision.ruling is not Ruling.MAKE:
        assert decision.code
        assert decision.reason
        is_told = None not in (seen.currency, seen.amount_total, seen.amount_refunded)
        assert is_told or decision.ruling is Ruling.HOLD
        return
    own = [one.amount for one in others if one.state is RefundState.CREATED]
    assert not any(one.is_in_doubt for one in others)
    assert seen.currency == refund.currency
    assert decision.refunded_before == max(seen.amount_refunded or 0, sum(own))
    assert decision.refunded_before + refund.amount <= TOTAL


@given(refunds, st.lists(refunds, max_size=4), facts)
def test_nothing_is_made_beside_a_doubt(
    refund: JournalRefund, others: list[JournalRefund], seen: SessionFacts
) -> None:
    """It is held, not refused: it may be made once the doubt has an end."""
    doubt = attrs.evolve(refund, state=RefundState.UNKNOWN)

    assert decide(refund, [*others, doubt], seen).ruling is Ruling.HOLD


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

    decision = decide(refund, others, seen)
    doubt = attrs.evolve(
        refund,
        state=RefundState.UNKNOWN,
        refunded_before=decision.refunded_before,
    )

    assert decision.ruling is Ruling.MAKE
    for known in range(len(made) + 1):  # it catches up, one by one
        now = sum(made[:known]) + is_done * amount
        if known == len(made) or not is_done:
            later = SessionFacts(2.0, amount_refunded=now)
            assert is_made(doubt, later) is is_done


@given(
    known=st.none() | rows,
    amount=st.none() | st.integers(-5, 2 * TOTAL),
    others=st.lists(refunds, max_size=4),
)
def test_what_is_planned_can_be_paid_back(
    known: JournalRow | None, amount: int | None, others: list[JournalRefund]
) -> None:
    """As far as the journal knows: with all that other batches have planned, too."""
    found = plan("order-1", amount, known, others)

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
