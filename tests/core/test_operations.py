from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orders import an_order

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionRequest,
    InvalidFieldError,
    Refund,
    RefundRequest,
)
from convergegate_async._core.endpoints import (
    CREATE,
    ENDPOINTS,
    PAY,
    REFUND,
    RETRIEVE,
    RETRIEVE_REFUND,
    Look,
    Repeat,
)
from convergegate_async._core.operations import (
    Operation,
    create_checkout_session,
    create_refund,
    pay_checkout_session,
    retrieve_checkout_session,
    retrieve_refund,
    wait_for_checkout_session,
)
from convergegate_async._core.secret import Secret

NOW = 1_800_000_000.0
LIFETIME = 9_000.0  # 2.5 hours


def create(
    request: CheckoutSessionRequest,
    **changes: Any,  # noqa: ANN401 -- handed through
) -> Operation[CheckoutSession]:
    """Describe the opening of a session in which nothing is unusual but *changes*."""
    return create_checkout_session(
        request, **{"key": "cg1-7", "own_key": False, "now": NOW, **changes}
    )


def expiring(epoch_seconds: float) -> CheckoutSessionRequest:
    """Build a request whose session expires at a given time."""
    return an_order(expires_at=datetime.fromtimestamp(epoch_seconds, UTC))


IDS = st.from_regex(r"[A-Za-z0-9_+=-]{1,128}", fullmatch=True)
CODE = Secret("123456")
PART = RefundRequest(
    session_id="s1", amount=1000, reason="duplicated", metadata={"order": "A-17"}
)


@given(IDS)
@example("AW-kLcRRC5P8U68CYe0kVA")
@example("a+b==")
def test_an_id_is_one_segment_of_the_path(session_id: str) -> None:
    """The server reads the very id that was given, and nothing around it."""
    paths = [
        retrieve_checkout_session(session_id).path,
        pay_checkout_session(session_id, CODE).path,
        retrieve_refund(session_id).path,
    ]

    assert [unquote(path) for path in paths] == [
        f"/v1/checkout/sessions/{session_id}",
        f"/v1/checkout/sessions/{session_id}/pay",
        f"/v1/refunds/{session_id}",
    ]


@given(IDS)
def test_an_id_is_percent_encoded(session_id: str) -> None:
    """No character of an id has a meaning of its own in a path."""
    path = retrieve_checkout_session(session_id).path

    assert not {"+", "="} & set(path)


def test_a_fraction_of_a_second_does_not_count() -> None:
    """The time is sent in whole seconds, so it is checked in whole seconds."""
    with pytest.raises(InvalidFieldError):
        create(expiring(NOW + 9_000 - 0.5))


@given(ahead=st.integers(-(10**9), 10**9))
@example(ahead=9_000)
@example(ahead=8_999)
@example(ahead=0)
def test_a_session_lives_2_5_hours_at_least(ahead: int) -> None:
    """A session that would expire sooner is refused, by the clock that is handed in."""
    request = expiring(NOW + ahead)

    try:
        accepted = create(request).endpoint is CREATE
    except InvalidFieldError:
        accepted = False

    assert accepted is (ahead >= LIFETIME)


@given(st.text().filter(lambda key: not key.isascii() or not key.isprintable()))
def test_a_key_that_would_break_the_header_is_refused(key: str) -> None:
    """A malformed key is found before a connection is spent on it."""
    request = expiring(NOW + LIFETIME)

    with pytest.raises(InvalidFieldError) as caught:
        create(request, key=key, own_key=True)

    assert caught.value.field == "idempotency_key"


@pytest.mark.parametrize(
    "key", ["", "k" * 256, "a b", "a\r\nb", "a\0", "a/b", "\u017c", None, 7, b"k"]
)
def test_an_unusable_key_is_refused(order: CheckoutSessionRequest, key: object) -> None:
    """A key is 1 to 255 letters, digits or any of ``. _ : -``."""
    with pytest.raises(InvalidFieldError) as caught:
        create(order, key=key, own_key=True)

    assert caught.value.field == "idempotency_key"


def test_a_session_that_expires_too_soon_is_refused() -> None:
    """The refusal names the field and the margin."""
    request = expiring(NOW + LIFETIME - 1)

    with pytest.raises(InvalidFieldError) as caught:
        create(request)

    assert str(caught.value) == "expires_at must be at least 2.5 hours ahead"


@pytest.mark.parametrize(
    "session_id", ["", "../refunds", "s1/pay", "s1?", "s 1", "s1\n", None], ids=repr
)
def test_what_cannot_be_an_id_is_not_looked_for(session_id: object) -> None:
    """An id that could lead to another path is refused before the wire."""
    with pytest.raises(InvalidFieldError) as caught:
        retrieve_checkout_session(session_id)  # type: ignore[arg-type]  # wrong types are the point

    assert caught.value.field == "session_id"


def test_create_is_a_post_to_the_sessions(order: CheckoutSessionRequest) -> None:
    """The gateway documents one address for new sessions."""
    operation = create(order)

    assert operation.endpoint is CREATE
    assert (CREATE.method, operation.path) == ("POST", "/v1/checkout/sessions")


def test_retrieve_is_a_get_of_the_session() -> None:
    """Looking at a session sends neither a body nor a key."""
    operation = retrieve_checkout_session("s1")

    assert operation.endpoint is RETRIEVE
    assert (RETRIEVE.method, operation.path) == ("GET", "/v1/checkout/sessions/s1")
    assert (operation.body, operation.idempotency_key) == (None, None)


def test_create_sends_the_request_as_a_form(order: CheckoutSessionRequest) -> None:
    """The body holds what is set, under the gateway's names, and nothing else."""
    operation = create(order)

    assert parse_qsl((operation.body or b"").decode()) == [
        ("amount", "4999"),
        ("currency", "pln"),
        ("customer_email", "john@example.com"),
        ("customer_firstname", "John"),
        ("customer_lastname", "Doe"),
        ("customer_phone", "+48123456789"),
        ("success_url", "https://shop.example/thanks"),
        ("payment_method", "blik"),
        ("metadata[order]", "A-17"),
    ]


def test_all_that_is_sent_can_be_taken_out_of_messages(
    order: CheckoutSessionRequest,
) -> None:
    """What the body holds is known by name, so that it can be told apart later."""
    operation = create(order)

    assert list(operation.sent) == parse_qsl((operation.body or b"").decode())


def test_create_expects_its_own_fields_back(order: CheckoutSessionRequest) -> None:
    """What an answer may repeat is listed under the names that answers use."""
    operation = create(order)

    assert operation.expected == {
        "customer_email": "john@example.com",
        "currency": "pln",
        "amount_subtotal": 4999,
        "success_url": "https://shop.example/thanks",
        "cancel_url": None,
        "notification_url": None,
        "metadata": {"order": "A-17"},
    }


def test_retrieve_expects_the_session_it_asked_for() -> None:
    """The answer to a look at one session is that session."""
    operation = retrieve_checkout_session("s1")

    assert operation.expected == {"id": "s1"}


@pytest.mark.parametrize("own_key", [True, False])
def test_create_knows_whose_key_it_carries(
    order: CheckoutSessionRequest, *, own_key: bool
) -> None:
    """A key that the caller chose may have been used before, so it is remembered."""
    operation = create(order, key="order-17", own_key=own_key)

    assert (operation.idempotency_key, operation.own_key) == ("order-17", own_key)


def test_the_body_is_the_same_whenever_it_is_built(
    order: CheckoutSessionRequest,
) -> None:
    """A repeat after a crash sends the very bytes of the first time."""
    first = create(order)

    second = create(order, now=NOW + 1)

    assert first.body == second.body


def test_a_body_that_is_given_is_sent(order: CheckoutSessionRequest) -> None:
    """Who has had a request encoded hands the bytes on."""
    assert create(order, body=b"amount=1").body == b"amount=1"


def test_what_is_repeated_how_and_what_writes_are_two_facts() -> None:
    """A lost session is an orphan at worst, lost money moves twice, a code is spent."""
    facts = {one.name: (one.writes, one.repeat, one.look) for one in ENDPOINTS}

    assert facts == {
        "create": (True, Repeat.UNDER_KEY, Look.BARE),
        "retrieve": (False, Repeat.FREELY, Look.NONE),
        "wait": (False, Repeat.FREELY, Look.NONE),
        "pay": (True, Repeat.NEVER, Look.UNTIL_FINAL),
        "refund": (True, Repeat.UNDER_HONOURED_KEY, Look.ONCE),
        "retrieve_refund": (False, Repeat.FREELY, Look.NONE),
    }


def test_the_repr_of_an_operation_holds_no_personal_data(
    order: CheckoutSessionRequest,
) -> None:
    """A described call may be logged: what is sent stays out of it."""
    operation = create(order)

    shown = repr(operation)

    assert not any(
        text in shown for text in ("john", "John", "Doe", "48123456789", "A-17", "shop")
    )


def test_the_repr_of_an_operation_holds_no_id() -> None:
    """Who has the id of a session is near its pay page, so it stays out of logs."""
    operation = retrieve_checkout_session("canary")

    shown = repr(operation)

    assert "canary" not in shown


@pytest.mark.parametrize("request_made", [None, {}, {"amount": 1}, PART], ids=repr)
def test_only_a_session_request_opens_a_session(request_made: object) -> None:
    """Another object is refused by name, and not by what it happens to lack."""
    with pytest.raises(InvalidFieldError) as caught:
        create_checkout_session(request_made, key="cg1-7", own_key=False, now=NOW)

    assert str(caught.value) == "request must be a CheckoutSessionRequest"


# -- paying -------------------------------------------------------------------------


def test_pay_is_a_post_of_the_code() -> None:
    """The code goes in the body, never in the address, and without a key."""
    operation = pay_checkout_session("s1", CODE)

    assert operation.endpoint is PAY
    assert (PAY.method, operation.body) == ("POST", b"blik_code=123456")
    assert operation.idempotency_key is None


def test_a_lost_payment_is_looked_for_in_its_session() -> None:
    """The session that was to be paid shows whether it was."""
    assert pay_checkout_session("s1", CODE).identifier == "s1"


def test_pay_expects_the_session_it_paid() -> None:
    """The answer to a payment is the session that was to be paid."""
    operation = pay_checkout_session("s1", CODE)

    assert operation.expected == {"id": "s1"}


def test_the_code_can_be_taken_out_of_messages() -> None:
    """A gateway that repeats the code does not get it into our errors."""
    operation = pay_checkout_session("s1", CODE)

    assert operation.sent == (("blik_code", "123456"),)


def test_the_repr_of_a_payment_does_not_show_the_code() -> None:
    """A described payment may be logged."""
    operation = pay_checkout_session("s1", CODE)

    shown = repr(operation)

    assert "123456" not in shown


@pytest.mark.parametrize("code", ["000000", "012345", "999999"])
def test_every_six_digits_are_a_code(code: str) -> None:
    """Leading zeros are part of a code."""
    operation = pay_checkout_session("s1", Secret(code))

    assert operation.sent == (("blik_code", code),)


@pytest.mark.parametrize(
    "code",
    [
        *("", "12345", "1234567", "12345a", " 123456", "123456 ", "123456\n"),
        *("123-456", "\uff11" * 6, "\u0661" * 6, "12345\u00b2", 123456, None),
        b"123456",
    ],
    ids=ascii,
)
def test_what_is_no_code_is_refused(code: object) -> None:
    """Six ASCII digits in a text make a code, and a refusal does not show it."""
    with pytest.raises(InvalidFieldError) as caught:
        pay_checkout_session("s1", Secret(code))  # type: ignore[arg-type]  # wrong types are the point

    assert str(caught.value) == "blik_code must be six digits, in a str"


def test_a_session_that_cannot_be_is_not_paid() -> None:
    """An id that could lead to another path is refused before the code is looked at."""
    with pytest.raises(InvalidFieldError) as caught:
        pay_checkout_session("../refunds", CODE)

    assert caught.value.field == "session_id"


# -- refunds ------------------------------------------------------------------------


def test_refund_is_a_post_under_its_key() -> None:
    """A refund is asked for at an address of its own, under the key of the purchase."""
    operation = create_refund(PART, key="order-17", own_key=True)

    assert operation.endpoint is REFUND
    assert (REFUND.method, operation.path) == ("POST", "/v1/refunds")
    assert (operation.idempotency_key, operation.own_key) == ("order-17", True)


def test_refund_sends_the_request_as_a_form() -> None:
    """The body holds what is set, under the gateway's names, and nothing else."""
    operation = create_refund(PART, key="cg1-7", own_key=False)

    assert parse_qsl((operation.body or b"").decode()) == [
        ("session_id", "s1"),
        ("amount", "1000"),
        ("reason", "duplicated"),
        ("metadata[order]", "A-17"),
    ]


def test_a_lost_refund_is_looked_for_in_its_session() -> None:
    """The session that was to be refunded shows what has been."""
    operation = create_refund(PART, key="cg1-7", own_key=False)

    assert operation.identifier == PART.session_id


def test_a_full_refund_expects_no_amount_back() -> None:
    """Who asks for everything does not know how much that is."""
    request = RefundRequest(session_id="s1", full=True)

    operation = create_refund(request, key="cg1-7", own_key=False)

    assert operation.expected["amount"] is None


def test_a_refund_under_an_unusable_key_is_refused() -> None:
    """A malformed key is found before a connection is spent on it."""
    with pytest.raises(InvalidFieldError) as caught:
        create_refund(PART, key="a b", own_key=True)

    assert caught.value.field == "idempotency_key"


@pytest.mark.parametrize("request_made", [None, {}, "s1"], ids=repr)
def test_only_a_refund_request_makes_a_refund(request_made: object) -> None:
    """Another object is refused by name, and not by what it happens to lack."""
    with pytest.raises(InvalidFieldError) as caught:
        create_refund(request_made, key="cg1-7", own_key=False)

    assert str(caught.value) == "request must be a RefundRequest"


def test_retrieve_refund_is_a_get_that_is_repeated_freely() -> None:
    """Looking at a refund is like looking at a session."""
    operation = retrieve_refund("r1")

    assert operation.endpoint is RETRIEVE_REFUND
    assert (RETRIEVE_REFUND.method, operation.path) == ("GET", "/v1/refunds/r1")
    assert operation.expected == {"id": "r1"}


def test_what_cannot_be_an_id_is_no_refund() -> None:
    """An id that could lead to another path is refused before the wire."""
    with pytest.raises(InvalidFieldError) as caught:
        retrieve_refund("../checkout/sessions/s1")

    assert caught.value.field == "refund_id"


@pytest.mark.parametrize(
    "answer", [CheckoutSession(id="s1", customer_email="canary"), Refund(id="r1")]
)
def test_an_answer_in_the_place_of_its_id_is_told_so(answer: object) -> None:
    """`pay(session)` for `pay(session.id)` is a slip that everybody makes once."""
    taking: list[Callable[[Any], object]] = [
        retrieve_checkout_session,
        wait_for_checkout_session,
        retrieve_refund,
        lambda value: pay_checkout_session(value, Secret("123456")),
        lambda value: RefundRequest(session_id=value, full=True),
    ]

    for take in taking:
        with pytest.raises(
            InvalidFieldError, match=r"give the answer's \.id"
        ) as caught:
            take(answer)
        assert "canary" not in str(caught.value)
