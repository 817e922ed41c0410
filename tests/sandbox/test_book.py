"""The gateway's memory: what becomes of sessions, payments and refunds over time."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orders import an_order

from convergegate_async import (
    EventType,
    RefundRequest,
    RefundStatus,
    SessionStatus,
)
from convergegate_async.sandbox import CODES, BookedSession
from convergegate_async.sandbox._api import Api, ApiRequest
from convergegate_async.sandbox._book import Book

NOW = 1_700_000_000.0
DAY = 24 * 3600
BASE = "http://127.0.0.1:1"
ORDER = an_order(notification_url="http://127.0.0.1:2/hook")


class Clock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.time = NOW

    def show(self) -> float:
        """Return the time."""
        return self.time


class Gateway:
    """A book with a clock and a counter in front of it."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = Clock()
        self.book = Book(self.clock.show, seed)
        self.api = Api(self.book, "sk", self.clock.show, honour_keys=True)

    def open(self, **changes: object) -> BookedSession:
        """Enter a session."""
        return self.book.open_session(attrs.evolve(ORDER, **changes), BASE)  # type: ignore[arg-type]  # its own rules check it

    def pay(self, session: BookedSession, code: str) -> int:
        """Hand a code in at the counter, and return the status of the answer."""
        body = urlencode({"blik_code": code}).encode()
        reply = self.api.pay(ApiRequest(id=session.id, body=body))
        return reply.status

    def refund(self, session: BookedSession, amount: int | None = None) -> int:
        """Ask for a refund at the counter, and return the status of the answer."""
        form = {"session_id": session.id}
        if amount is not None:
            form["amount"] = str(amount)
        return self.api.refund(ApiRequest(body=urlencode(form).encode())).status

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and let happen what is due."""
        self.clock.time += seconds
        self.book.tick()

    def events(self) -> list[str]:
        """Return the types of all events that nobody has taken, in order."""
        return [str(event.type) for event in self.book.outbox]


@pytest.fixture
def gateway() -> Gateway:
    """An empty book."""
    return Gateway()


# -- sessions over time ---------------------------------------------------------------


def test_a_session_expires_after_a_day(gateway: Gateway) -> None:
    """An open session is `expired` from the second on that it was promised for."""
    session = gateway.open()

    gateway.pass_time(DAY - 1)
    before = session.status
    gateway.pass_time(1)

    assert session.expires_at == NOW + DAY
    assert before is SessionStatus.OPEN
    assert session.status is SessionStatus.EXPIRED


def test_a_session_expires_when_it_was_asked_to(gateway: Gateway) -> None:
    """The request's *expires_at* takes the place of the day."""
    session = gateway.open(expires_at=datetime.fromtimestamp(NOW + 3 * 3600, UTC))

    gateway.pass_time(3 * 3600 - 1)
    before = session.status
    gateway.pass_time(1)

    assert before is SessionStatus.OPEN
    assert session.status is SessionStatus.EXPIRED


def test_a_paid_session_does_not_expire(gateway: Gateway) -> None:
    """`completed` stays, however late it gets."""
    session = gateway.open()
    gateway.pay(session, "123456")

    gateway.pass_time(10 * DAY)

    assert session.status is SessionStatus.COMPLETED
    assert gateway.events() == ["session.created", "session.completed"]


def test_looking_shows_what_is_due(gateway: Gateway) -> None:
    """Sessions and refunds are found as they stand now, without a tick in between."""
    session = gateway.open()
    gateway.pay(session, "012345")
    gateway.clock.time += 2
    found = gateway.book.find_session(session.id)
    status = found.status if found else None
    gateway.refund(session, 1)
    gateway.clock.time += 1
    refund = gateway.book.find_refund(session.refunds[0].id)

    assert status is SessionStatus.COMPLETED
    assert refund is not None
    assert refund.status is RefundStatus.SUCCEEDED


def test_a_confirmation_takes_two_seconds(gateway: Gateway) -> None:
    """A code that is confirmed later leaves the session `pending` until then."""
    session = gateway.open()
    gateway.pay(session, "012345")

    gateway.pass_time(1.9)
    before = (session.status, session.payments)
    gateway.pass_time(0.1)

    assert before == (SessionStatus.PENDING, 0)
    assert (session.status, session.payments) == (SessionStatus.COMPLETED, 1)


def test_a_code_that_nobody_confirms_pends_until_it_expires(gateway: Gateway) -> None:
    """Without a confirmation no money is taken."""
    session = gateway.open()
    gateway.pay(session, "300000")

    gateway.pass_time(DAY - 1)
    before = session.status
    gateway.pass_time(1)

    assert before is SessionStatus.PENDING
    assert (session.status, session.payments) == (SessionStatus.EXPIRED, 0)


def test_another_code_overtakes_a_confirmation(gateway: Gateway) -> None:
    """A session that is paid at once is not paid again when the first code confirms."""
    session = gateway.open()
    gateway.pay(session, "012345")
    gateway.pass_time(1)
    gateway.pay(session, "123456")

    gateway.pass_time(10)

    assert (session.status, session.payments) == (SessionStatus.COMPLETED, 1)
    assert gateway.events().count("session.completed") == 1


@pytest.mark.parametrize("code", ["200000", "400000"])
def test_a_refused_code_changes_nothing(code: str, gateway: Gateway) -> None:
    """A declined session is open as before, and no event tells of it."""
    session = gateway.open()

    status = gateway.pay(session, code)

    assert status == 402
    assert (session.status, session.payments) == (SessionStatus.OPEN, 0)
    assert gateway.events() == ["session.created"]


@pytest.mark.parametrize("step", [0.5, 1.0, 3.0, 10.0])
def test_a_confirmation_after_the_end_comes_too_late(
    step: float, gateway: Gateway
) -> None:
    """A session that expires first is not paid, however seldom anybody looks."""
    session = gateway.open()
    gateway.pass_time(DAY - 1)
    gateway.pay(session, "012345")

    for _ in range(int(10 / step)):
        gateway.pass_time(step)

    assert (session.status, session.payments) == (SessionStatus.EXPIRED, 0)


def test_the_next_due_is_known(gateway: Gateway) -> None:
    """The book knows when something will happen, so that nobody has to poll it."""
    empty = gateway.book.next_due()
    session = gateway.open()
    opened = gateway.book.next_due()
    gateway.pay(session, "012345")

    assert empty is None
    assert opened == NOW + DAY
    assert gateway.book.next_due() == NOW + 2


# -- refunds --------------------------------------------------------------------------


def test_a_refund_succeeds_after_a_second(gateway: Gateway) -> None:
    """A refund is pending first, and counts from the start."""
    session = gateway.open()
    gateway.pay(session, "123456")
    gateway.refund(session, 1000)
    refund = session.refunds[0]
    before = (refund.status, session.amount_refunded)

    gateway.pass_time(1)

    assert before == (RefundStatus.PENDING, 1000)
    assert refund.status is RefundStatus.SUCCEEDED
    assert session.amount_refunded == 1000
    assert session.as_created()["refunded"] is False


def test_parts_add_up(gateway: Gateway) -> None:
    """Refunds are made until all is paid back, and no further."""
    session = gateway.open()
    gateway.pay(session, "123456")

    answers = [gateway.refund(session, amount) for amount in (1000, 3999, 1)]

    assert answers == [200, 200, 400]
    assert session.amount_refunded == 4999
    assert session.as_retrieved()["refunded"] is True
    assert session.status is SessionStatus.COMPLETED


def test_all_that_is_left_is_paid_back(gateway: Gateway) -> None:
    """A refund without an amount is the rest."""
    session = gateway.open()
    gateway.pay(session, "123456")
    gateway.refund(session, 1000)

    gateway.refund(session)

    assert [refund.amount for refund in session.refunds] == [1000, 3999]


def test_a_failed_refund_gives_its_amount_back(gateway: Gateway) -> None:
    """A refund of 6.66 fails after a second, and can be asked for again."""
    session = gateway.open(amount=700)
    gateway.pay(session, "123456")
    gateway.refund(session, 666)
    too_much = gateway.refund(session, 100)

    gateway.pass_time(1)

    assert too_much == 400
    assert session.refunds[0].status is RefundStatus.FAILED
    assert session.amount_refunded == 0
    assert gateway.refund(session) == 200
    assert session.refunds[1].amount == 700


def test_a_refund_is_spelled_as_the_sample(gateway: Gateway) -> None:
    """The wire sees the provider's fields, with nulls and empties where it has them."""
    session = gateway.open()
    gateway.pay(session, "123456")
    request = RefundRequest(session_id=session.id, amount=1, metadata={"a": "b"})

    refund = gateway.book.make_refund(session, request)

    assert refund.as_json() == {
        "id": refund.id,
        "amount": 1,
        "status": "pending",
        "reason": "",
        "created_at": int(NOW),
        "livemode": False,
        "metadata": {"a": "b"},
    }


# -- events ---------------------------------------------------------------------------


def test_all_six_events_come_in_order(gateway: Gateway) -> None:
    """Every change of a session or a refund is an event once, as it happens."""
    session, other = gateway.open(), gateway.open()
    gateway.pay(session, "123456")
    gateway.refund(session, 1)
    gateway.pass_time(1)
    gateway.refund(session, 666)
    gateway.pass_time(DAY)

    events = [(str(event.type), event.session_id) for event in gateway.book.outbox]
    assert events == [
        ("session.created", session.id),
        ("session.created", other.id),
        ("session.completed", session.id),
        ("refund.created", session.id),
        ("refund.succeeded", session.id),
        ("refund.created", session.id),
        ("refund.failed", session.id),
        ("session.expired", other.id),
    ]
    assert {kind for kind, _ in events} == set(EventType)
    assert len({event.id for event in gateway.book.outbox}) == 8


def test_an_event_tells_what_it_is_about(gateway: Gateway) -> None:
    """Session events carry the status of their time, refund events their refund."""
    session = gateway.open()
    gateway.pay(session, "123456")
    gateway.refund(session, 1)
    created, completed, refunded = gateway.book.outbox

    assert (created.status, created.refund_id) == (SessionStatus.OPEN, None)
    assert (completed.status, completed.refund_id) == (SessionStatus.COMPLETED, None)
    assert (refunded.status, refunded.refund_id) == (None, session.refunds[0].id)
    assert refunded.as_json() == {
        "id": refunded.id,
        "type": "refund.created",
        "version": "1",
        "created_at": int(NOW),
        "data": {"session_id": session.id, "refund_id": session.refunds[0].id},
    }


def test_who_gave_no_address_gets_no_event(gateway: Gateway) -> None:
    """Without a *notification_url* there are no events."""
    session = gateway.open(notification_url=None)
    gateway.pay(session, "123456")
    gateway.refund(session)
    gateway.pass_time(DAY)

    assert gateway.events() == []


# -- kept elsewhere, and forgotten ----------------------------------------------------


def test_what_is_due_comes_back_with_a_session(gateway: Gateway) -> None:
    """A restored book confirms, expires and refunds as the first would have."""
    confirming, expiring, refunding = gateway.open(), gateway.open(), gateway.open()
    gateway.pay(confirming, "012345")
    gateway.pay(refunding, "123456")
    gateway.refund(refunding, 1)
    other = Gateway(seed=1)
    for session in (confirming, expiring, refunding):
        other.book.restore(session)

    other.pass_time(2)
    confirmed = (confirming.status, confirming.payments)
    ended = other.book.refunds[refunding.refunds[0].id].status
    other.pass_time(DAY)

    assert confirmed == (SessionStatus.COMPLETED, 1)
    assert ended is RefundStatus.SUCCEEDED
    assert expiring.status is SessionStatus.EXPIRED
    assert other.events() == [
        "refund.succeeded",
        "session.completed",
        "session.expired",
    ]


def test_what_is_over_does_not_come_back(gateway: Gateway) -> None:
    """Final sessions and ended refunds are restored as they are, in silence."""
    paid, expired = gateway.open(), gateway.open()
    gateway.pay(paid, "123456")
    gateway.refund(paid, 1)
    gateway.pass_time(DAY)
    other = Gateway(seed=1)
    for session in (paid, expired):
        other.book.restore(session)

    other.pass_time(10 * DAY)

    assert paid.status is SessionStatus.COMPLETED
    assert expired.status is SessionStatus.EXPIRED
    assert other.book.find_session(paid.id) is paid
    assert other.events() == []


def test_a_session_that_expired_meanwhile_is_expired_at_once(gateway: Gateway) -> None:
    """What fell due while the book was closed happens when it is opened."""
    session = gateway.open()
    other = Gateway(seed=1)
    other.clock.time += 2 * DAY
    other.book.restore(session)

    other.book.tick()

    assert session.status is SessionStatus.EXPIRED


def test_everything_is_forgotten(gateway: Gateway) -> None:
    """A cleared book knows no session, refund, key or event, and nothing is due."""
    session = gateway.open()
    gateway.pay(session, "123456")
    body = urlencode({"session_id": session.id}).encode()
    gateway.api.refund(ApiRequest(body=body, key="key"))
    gateway.open()

    gateway.book.clear()
    gateway.pass_time(2 * DAY)

    assert gateway.book.find_session(session.id) is None
    assert gateway.book.find_refund(session.refunds[0].id) is None
    assert gateway.book.answers == {}
    assert gateway.events() == []
    assert gateway.book.next_due() is None


# -- whatever is done -----------------------------------------------------------------

Act = tuple[str, object]

QUARTERS = st.integers(0, 16).map(lambda number: number / 4)

ACTS: st.SearchStrategy[Act] = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from([*CODES, "999999"])),
    st.tuples(
        st.just("refund"),
        st.one_of(st.none(), st.just(666), st.integers(1, 3000)),
    ),
    st.tuples(
        st.just("time"),
        # Quarters, so that sums are exact; and times around the end of a session.
        st.one_of(QUARTERS, st.sampled_from([3600.0, DAY - 2.0, DAY - 1.0, DAY + 0.0])),
    ),
)


def act(gateway: Gateway, session: BookedSession, action: Act) -> None:
    """Do one of the `ACTS`."""
    match action:
        case ("pay", str(code)):
            gateway.pay(session, code)
        case ("refund", int() | None as amount):
            gateway.refund(session, amount)
        case ("time", float(seconds)):
            gateway.pass_time(seconds)
        case _:
            raise AssertionError


@given(actions=st.lists(ACTS, max_size=25), amount=st.integers(1, 3000))
def test_whatever_is_done_the_books_are_right(
    actions: Sequence[Act], amount: int
) -> None:
    """One payment at most, no more back than was paid, and what is final stays so."""
    gateway = Gateway()
    session = gateway.open(amount=amount)

    statuses = [session.status]
    for action in actions:
        act(gateway, session, action)
        statuses.append(session.status)
        assert session.payments == (session.status is SessionStatus.COMPLETED)
        assert 0 <= session.amount_refunded <= amount * session.payments
        assert session.amount_refunded == session.as_retrieved()["amount_refunded"]

    ends = [status for status in statuses if status in ("completed", "expired")]
    assert len(set(ends)) <= 1
    assert statuses[len(statuses) - len(ends) :] == ends


@given(actions=st.lists(ACTS, max_size=25))
def test_whatever_is_done_is_one_event(actions: Sequence[Act]) -> None:
    """The events tell each change once: one start, one end at most, every refund."""
    gateway = Gateway()
    session = gateway.open(amount=3000)
    for action in actions:
        act(gateway, session, action)
    gateway.pass_time(10)

    events = gateway.events()
    ended = {"session.completed", "session.expired"}
    statuses = [refund.status for refund in session.refunds]
    assert events[0] == "session.created"
    assert events.count("session.created") == 1
    assert sum(kind in ended for kind in events) == session.is_final
    assert events.count("refund.created") == len(statuses)
    assert events.count("refund.succeeded") == statuses.count(RefundStatus.SUCCEEDED)
    assert events.count("refund.failed") == statuses.count(RefundStatus.FAILED)


@example(age=DAY - 1, actions=[("pay", "012345")], pieces=[1.0, 1.0])
@given(
    age=st.sampled_from([0, DAY - 2, DAY - 1]),
    actions=st.lists(ACTS, max_size=3),
    pieces=st.lists(QUARTERS, min_size=1, max_size=8),
)
def test_it_does_not_matter_how_often_anybody_looks(
    age: int, actions: Sequence[Act], pieces: Sequence[float]
) -> None:
    """The same time in one step or in many comes to the same."""
    ends = []
    for steps in (pieces, [sum(pieces)]):
        gateway = Gateway()
        session = gateway.open(amount=3000)
        gateway.pass_time(age)
        for action in actions:
            act(gateway, session, action)
        for step in steps:
            gateway.pass_time(step)
        ends.append((session.status, session.payments, gateway.events()))

    assert ends[0] == ends[1]


@given(seed=st.integers(0, 2**32))
def test_ids_fit_where_they_are_used(seed: int) -> None:
    """Ids look as in the provider's samples: 22 characters, safe in a path."""
    gateway = Gateway(seed)

    ids = [gateway.open().id for _ in range(20)]

    assert len(set(ids)) == 20
    assert all(re.fullmatch("[A-Za-z0-9_-]{22}", one) for one in ids)
