"""What follows from a claim and from a handler's end, without either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.webhooks import Claim, WebhookReply
from convergegate_async.webhooks._decisions import (
    Act,
    End,
    Patience,
    Work,
    after_claim,
    after_work,
    keep_seconds,
)

PATIENCE = Patience()
SECONDS = st.floats(0.001, 1e6)


def test_the_times_are_those_that_are_promised() -> None:
    """15 s of lease, 10 s to the handler's end, 5 s for a claim, 1 s for each try."""
    assert (PATIENCE.lease, PATIENCE.handler, PATIENCE.claim, PATIENCE.complete) == (
        15,
        10,
        5,
        1,
    )


@given(SECONDS)
def test_a_handler_and_three_tries_fit_into_the_lease(handler: float) -> None:
    """However the times are scaled, nothing of a delivery outlives its lease."""
    patience = Patience(handler)

    assert patience.claim < patience.handler
    assert patience.handler + 3 * patience.complete < patience.lease


@pytest.mark.parametrize(
    ("claim", "elapsed", "act", "status"),
    [
        pytest.param(Claim.MINE, 0.0, Act.WORK, None, id="mine"),
        pytest.param(Claim.MINE, 5.0, Act.WORK, None, id="mine-just-in-time"),
        pytest.param(Claim.MINE, 5.001, Act.RELEASE, 503, id="mine-late"),
        pytest.param(Claim.BUSY, 0.0, Act.NOTHING, 503, id="busy"),
        pytest.param(Claim.DONE, 0.0, Act.NOTHING, 200, id="done"),
        pytest.param(Claim.DONE, 60.0, Act.NOTHING, 200, id="done-late"),
        pytest.param(None, 5.0, Act.RELEASE, 503, id="no-answer"),
    ],
)
def test_a_claim_leads_to(
    claim: Claim | None, elapsed: float, act: Act, status: int | None
) -> None:
    """Work on what is mine and in time, and on nothing else."""
    decision = after_claim(claim, elapsed, PATIENCE)

    assert decision.act is act
    assert (decision.reply and decision.reply.status) == status


@given(
    claim=st.none() | st.sampled_from(Claim),
    share=st.floats(0, 100),
    handler=SECONDS,
)
def test_200_is_said_of_a_claim_only_if_it_is_done(
    claim: Claim | None, share: float, handler: float
) -> None:
    """Whoever is not told DONE is told to come again, or works, with time enough."""
    patience = Patience(handler)

    decision = after_claim(claim, share * handler, patience)

    if decision.reply is None:
        assert decision.act is Act.WORK
        assert claim is Claim.MINE
        assert share * handler <= patience.claim
    else:
        assert decision.reply.status == (200 if claim is Claim.DONE else 503)
        assert decision.act is not Act.WORK


@pytest.mark.parametrize("work", Work)
def test_the_end_of_work_leads_to(work: Work) -> None:
    """What has acted is kept and never released; what has not is the next one's."""
    error = ZeroDivisionError() if work is Work.FAILED else None

    decision = after_work(End(work, error))

    reply = decision.reply
    assert (decision.act, reply and (reply.status, reply.error)) == {
        Work.CONFIRMED: (Act.WORK, None),
        Work.DENIED: (Act.RELEASE, (200, None)),
        Work.HANDLED: (Act.COMPLETE, (200, None)),
        Work.FAILED: (Act.RELEASE, (500, error)),
    }[work]


def test_a_reply_does_not_show_its_error() -> None:
    """What apps write into their errors does not get into a log by the reply's repr."""
    reply = WebhookReply(500, "deliver again", ValueError("john@example.com"))

    assert "john" not in repr(reply)


@given(
    oldest=SECONDS, tolerance=st.none() | SECONDS, ahead=st.floats(-1, 1), now=SECONDS
)
def test_what_is_done_is_kept_for_longer_than_it_can_be_played_back(
    oldest: float, tolerance: float | None, ahead: float, now: float
) -> None:
    """A delivery that was signed ahead of us is too old, too, before that."""
    signed = now + ahead * oldest

    forgotten = now + keep_seconds(oldest, tolerance)

    assert forgotten - signed > oldest


def test_by_default_it_is_a_week() -> None:
    """Twice 3.5 days, the tolerance, and an hour."""
    assert keep_seconds(302_400, 300) == 608_700
    assert keep_seconds(302_400, None) == 608_400
