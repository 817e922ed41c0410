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
from convergegate_async.sandbox._api import Api
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


class Shelf:
    """A book with a clock and a counter in front of it."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = Clock()
        self.book = Book(self.clock.show, seed)
        self.api = Api(self.book, "sk", honour_keys=True)

    def open(self, **changes: object) -> BookedSession:
        """Enter a session."""
        return self.book.open_session(attrs.evolve(ORDER, **changes), BASE)  # type: ignore[arg-type]  # its own rules check it

    def pay(self, session: BookedSession, code: str) -> int:
        """Hand a code in at the counter, and return the status of the answer."""
        reply = self.api.pay(session.id, urlencode({"blik_code": code}).encode())
        return reply.status

    def refund(self, session: BookedSession, amount: int | None = None) -> int:
        """Ask for a refund at the counter, and return the status of the answer."""
        form = {"session_id": session.id}
        if amount is not None:
            form["amount"] = str(amount)
        return self.api.refund(urlencode(form).encode(), None).status

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and let happen what is due."""
        self.clock.time += seconds
        self.book.tick()

    def events(self) -> list[str]:
        """Return the types of all events that nobody has taken, in order."""
        return [str(event.type) for event in self.book.outbox]


@pytest.fixture
def shelf() -> Shelf:
    """An empty book."""
    return Shelf()


# -- sessions over time ---------------------------------------------------------------


def test_a_session_expires_after_a_day(shelf: Shelf) -> None:
    """An open session is `expired` from the second on that it was promised for."""
    session = shelf.open()

    shelf.pass_time(DAY - 1)
    before = session.status
    shelf.pass_time(1)

    assert session.expires_at == NOW + DAY
    assert before is SessionStatus.OPEN
    assert session.status is SessionStatus.EXPIRED


def test_a_session_expires_when_it_was_asked_to(shelf: Shelf) -> None:
    """The request's *expires_at* takes the place of the day."""
    session = shelf.open(expires_at=datetime.fromtimestamp(NOW + 3 * 3600, UTC))

    shelf.pass_time(3 * 3600 - 1)
    before = session.status
    shelf.pass_time(1)

    assert before is SessionStatus.OPEN
    assert session.status is SessionStatus.EXPIRED


def test_a_paid_session_does_not_expire(shelf: Shelf) -> None:
    """`completed` stays, however late it gets."""
    session = shelf.open()
    shelf.pay(session, "123456")

    shelf.pass_time(10 * DAY)

    assert session.status is SessionStatus.COMPLETED
    assert shelf.events() == ["session.created", "session.completed"]


def test_looking_shows_what_is_due(shelf: Shelf) -> None:
    """Sessions and refunds are found as they stand now, without a tick in between."""
    session = shelf.open()
    shelf.pay(session, "012345")
    shelf.clock.time += 2
    found = shelf.book.find_session(session.id)
    status = found.status if found else None
    shelf.refund(session, 1)
    shelf.clock.time += 1
    refund = shelf.book.find_refund(session.refunds[0].id)

    assert status is SessionStatus.COMPLETED
    assert refund is not None
    assert refund.status is RefundStatus.SUCCEEDED


def test_a_confirmation_takes_two_seconds(shelf: Shelf) -> None:
    """A code that is confirmed later leaves the session `pending` until then."""
    session = shelf.open()
    shelf.pay(session, "012345")

    shelf.pass_time(1.9)
    before = (session.status, session.payments)
    shelf.pass_time(0.1)

    assert before == (SessionStatus.PENDING, 0)
    assert (session.status, session.payments) == (SessionStatus.COMPLETED, 1)


def test_a_code_that_nobody_confirms_pends_until_it_expires(shelf: Shelf) -> None:
    """Without a confirmation no money is taken."""
    session = shelf.open()
    shelf.pay(session, "300000")

    shelf.pass_time(DAY - 1)
    before = session.status
    shelf.pass_time(1)

    assert before is SessionStatus.PENDING
    assert (session.status, session.payments) == (SessionStatus.EXPIRED, 0)


def test_another_code_overtakes_a_confirmation(shelf: Shelf) -> None:
    """A session that is paid at once is not paid again when the first code confirms."""
    session = shelf.open()
    shelf.pay(session, "012345")
    shelf.pass_time(1)
    shelf.pay(session, "123456")

    shelf.pass_time(10)

    assert (session.status, session.payments) == (SessionStatus.COMPLETED, 1)
    assert shelf.events().count("session.completed") == 1


@pytest.mark.parametrize("code", ["200000", "400000"])
def test_a_refused_code_changes_nothing(code: str, shelf: Shelf) -> None:
    """A declined session is open as before, and no event tells of it."""
    session = shelf.open()

    status = shelf.pay(session, code)

    assert status == 402
    assert (session.status, session.payments) == (SessionStatus.OPEN, 0)
    assert shelf.events() == ["session.created"]


@pytest.mark.parametrize("step", [0.5, 1.0, 3.0, 10.0])
def test_a_confirmation_after_the_end_comes_too_late(step: float, shelf: Shelf) -> None:
    """A session that expires first is not paid, however seldom anybody looks."""
    session = shelf.open()
    shelf.pass_time(DAY - 1)
    shelf.pay(session, "012345")

    for _ in range(int(10 / step)):
        shelf.pass_time(step)

    assert (session.status, session.payments) == (SessionStatus.EXPIRED, 0)


def test_the_next_due_is_known(shelf: Shelf) -> None:
    """The book knows when something will happen, so that nobody has to poll it."""
    empty = shelf.book.next_due()
    session = shelf.open()
    opened = shelf.book.next_due()
    shelf.pay(session, "012345")

    assert empty is None
    assert opened == NOW + DAY
    assert shelf.book.next_due() == NOW + 2


# -- refunds --------------------------------------------------------------------------


def test_a_refund_succeeds_after_a_second(shelf: Shelf) -> None:
    """A refund is pending first, and counts from the start."""
    session = shelf.open()
    shelf.pay(session, "123456")
    shelf.refund(session, 1000)
    refund = session.refunds[0]
    before = (refund.status, session.amount_refunded)

    shelf.pass_time(1)

    assert before == (RefundStatus.PENDING, 1000)
    assert refund.status is RefundStatus.SUCCEEDED
    assert session.amount_refunded == 1000
    assert session.as_created()["refunded"] is False


def test_parts_add_up(shelf: Shelf) -> None:
    """Refunds are made until all is paid back, and no further."""
    session = shelf.open()
    shelf.pay(session, "123456")

    answers = [shelf.refund(session, amount) for amount in (1000, 3999, 1)]

    assert answers == [200, 200, 400]
    assert session.amount_refunded == 4999
    assert session.as_retrieved()["refunded"] is True
    assert session.status is SessionStatus.COMPLETED


def test_all_that_is_left_is_paid_back(shelf: Shelf) -> None:
    """A refund without an amount is the rest."""
    session = shelf.open()
    shelf.pay(session, "123456")
    shelf.refund(session, 1000)

    shelf.refund(session)

    assert [refund.amount for refund in session.refunds] == [1000, 3999]


def test_a_failed_refund_gives_its_amount_back(shelf: Shelf) -> None:
    """A refund of 6.66 fails after a second, and can be asked for again."""
    session = shelf.open(amount=700)
    shelf.pay(session, "123456")
    shelf.refund(session, 666)
    too_much = shelf.refund(session, 100)

    shelf.pass_time(1)

    assert too_much == 400
    assert session.refunds[0].status is RefundStatus.FAILED
    assert session.amount_refunded == 0
    assert shelf.refund(session) == 200
    assert session.refunds[1].amount == 700


def test_a_refund_is_spelled_as_the_sample(shelf: Shelf) -> None:
    """The wire sees the provider's fields, with nulls and empties where it has them."""
    session = shelf.open()
    shelf.pay(session, "123456")
    request = RefundRequest(session_id=session.id, amount=1, metadata={"a": "b"})

    refund = shelf.book.make_refund(session, request)

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


def test_all_six_events_come_in_order(shelf: Shelf) -> None:
    """Every change of a session or a refund is an event once, as it happens."""
    session, other = shelf.open(), shelf.open()
    shelf.pay(session, "123456")
    shelf.refund(session, 1)
    shelf.pass_time(1)
    shelf.refund(session, 666)
    shelf.pass_time(DAY)

    events = [(str(event.type), event.session_id) for event in shelf.book.outbox]
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
    assert len({event.id for event in shelf.book.outbox}) == 8


def test_an_event_tells_what_it_is_about(shelf: Shelf) -> None:
    """Session events carry the status of their time, refund events their refund."""
    session = shelf.open()
    shelf.pay(session, "123456")
    shelf.refund(session, 1)
    created, completed, refunded = shelf.book.outbox

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


def test_who_gave_no_address_gets_no_event(shelf: Shelf) -> None:
    """Without a *notification_url* there are no events."""
    session = shelf.open(notification_url=None)
    shelf.pay(session, "123456")
    shelf.refund(session)
    shelf.pass_time(DAY)

    assert shelf.events() == []


# -- kept elsewhere, and forgotten ----------------------------------------------------


def test_what_is_due_comes_back_with_a_session(shelf: Shelf) -> None:
    """A restored book confirms, expires and refunds as the first would have."""
    confirming, expiring, refunding = shelf.open(), shelf.open(), shelf.open()
    shelf.pay(confirming, "012345")
    shelf.pay(refunding, "123456")
    shelf.refund(refunding, 1)
    other = Shelf(seed=1)
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


def test_what_is_over_does_not_come_back(shelf: Shelf) -> None:
    """Final sessions and ended refunds are restored as they are, in silence."""
    paid, expired = shelf.open(), shelf.open()
    shelf.pay(paid, "123456")
    shelf.refund(paid, 1)
    shelf.pass_time(DAY)
    other = Shelf(seed=1)
    for session in (paid, expired):
        other.book.restore(session)

    other.pass_time(10 * DAY)

    assert paid.status is SessionStatus.COMPLETED
    assert expired.status is SessionStatus.EXPIRED
    assert other.book.find_session(paid.id) is paid
    assert other.events() == []


def test_a_session_that_expired_meanwhile_is_expired_at_once(shelf: Shelf) -> None:
    """What fell due while the book was closed happens when it is opened."""
    session = shelf.open()
    other = Shelf(seed=1)
    other.clock.time += 2 * DAY
    other.book.restore(session)

    other.book.tick()

    assert session.status is SessionStatus.EXPIRED


def test_everything_is_forgotten(shelf: Shelf) -> None:
    """A cleared book knows no session, refund, key or event, and nothing is due."""
    session = shelf.open()
    shelf.pay(session, "123456")
    shelf.api.refund(urlencode({"session_id": session.id}).encode(), "key")
    shelf.open()

    shelf.book.clear()
    shelf.pass_time(2 * DAY)

    assert shelf.book.find_session(session.id) is None
    assert shelf.book.find_refund(session.refunds[0].id) is None
    assert shelf.book.answers == {}
    assert shelf.events() == []
    assert shelf.book.next_due() is None


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


def act(shelf: Shelf, session: BookedSession, deed: Act) -> None:
    """Do one of the `ACTS`."""
    match deed:
        case ("pay", str(code)):
            shelf.pay(session, code)
        case ("refund", int() | None as amount):
            shelf.refund(session, amount)
        case ("time", float(seconds)):
            shelf.pass_time(seconds)
        case _:
            raise AssertionError


@given(deeds=st.lists(ACTS, max_size=25), amount=st.integers(1, 3000))
def test_whatever_is_done_the_books_are_right(
    deeds: Sequence[Act], amount: int
) -> None:
    """One payment at most, no more back than was paid, and what is final stays so."""
    shelf = Shelf()
    session = shelf.open(amount=amount)

    statuses = [session.status]
    for deed in deeds:
        act(shelf, session, deed)
        statuses.append(session.status)
        assert session.payments == (session.status is SessionStatus.COMPLETED)
        assert 0 <= session.amount_refunded <= amount * session.payments
        assert session.amount_refunded == session.as_retrieved()["amount_refunded"]

    ends = [status for status in statuses if status in ("completed", "expired")]
    assert len(set(ends)) <= 1
    assert statuses[len(statuses) - len(ends) :] == ends


@given(deeds=st.lists(ACTS, max_size=25))
def test_whatever_is_done_is_one_event(deeds: Sequence[Act]) -> None:
    """The events tell each change once: one start, one end at most, every refund."""
    shelf = Shelf()
    session = shelf.open(amount=3000)
    for deed in deeds:
        act(shelf, session, deed)
    shelf.pass_time(10)

    events = shelf.events()
    ended = {"session.completed", "session.expired"}
    statuses = [refund.status for refund in session.refunds]
    assert events[0] == "session.created"
    assert events.count("session.created") == 1
    assert sum(kind in ended for kind in events) == session.is_final
    assert events.count("refund.created") == len(statuses)
    assert events.count("refund.succeeded") == statuses.count(RefundStatus.SUCCEEDED)
    assert events.count("refund.failed") == statuses.count(RefundStatus.FAILED)


@example(age=DAY - 1, deeds=[("pay", "012345")], pieces=[1.0, 1.0])
@given(
    age=st.sampled_from([0, DAY - 2, DAY - 1]),
    deeds=st.lists(ACTS, max_size=3),
    pieces=st.lists(QUARTERS, min_size=1, max_size=8),
)
def test_it_does_not_matter_how_often_anybody_looks(
    age: int, deeds: Sequence[Act], pieces: Sequence[float]
) -> None:
    """The same time in one step or in many comes to the same."""
    ends = []
    for steps in (pieces, [sum(pieces)]):
        shelf = Shelf()
        session = shelf.open(amount=3000)
        shelf.pass_time(age)
        for deed in deeds:
            act(shelf, session, deed)
        for step in steps:
            shelf.pass_time(step)
        ends.append((session.status, session.payments, shelf.events()))

    assert ends[0] == ends[1]


@given(seed=st.integers(0, 2**32))
def test_ids_fit_where_they_are_used(seed: int) -> None:
    """Ids look as in the provider's samples: 22 characters, safe in a path."""
    shelf = Shelf(seed)

    ids = [shelf.open().id for _ in range(20)]

    assert len(set(ids)) == 20
    assert all(re.fullmatch("[A-Za-z0-9_-]{22}", one) for one in ids)
