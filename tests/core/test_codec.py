import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orders import ORDER_FIELDS, an_order

from convergegate_async import (
    CallInfo,
    CheckoutSession,
    ConvergeGateError,
    PaymentMethod,
    Refund,
    RefundReason,
    RefundRequest,
    RefundStatus,
    SessionStatus,
    WebhookEvent,
)
from convergegate_async._core.codec import (
    encode_form,
    form_fields,
    structure,
)

Reading: TypeAlias = Callable[[Any], object]

CALL = CallInfo(idempotency_key="cg1-7", attempts=2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PRINTABLE = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=60
)
WORDS = st.sampled_from([*SessionStatus, *PaymentMethod, *RefundReason, *RefundStatus])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | WORDS.map(str),
    lambda children: st.lists(children) | st.dictionaries(st.text("ab"), children),
    max_leaves=5,
) | st.lists(WORDS.map(str))


# -- form out -----------------------------------------------------------------------


@attrs.frozen
class Texts:
    """A noun of any texts."""

    first: str
    second: str
    more: dict[str, str]


ANY_TEXT = st.just("") | PRINTABLE | st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.builds(
        Texts,
        first=ANY_TEXT | ANY_TEXT.map("https://{}".format),
        second=ANY_TEXT,
        more=st.dictionaries(ANY_TEXT, ANY_TEXT),
    )
)
@example(Texts("+48 1 & 2=3 %00 \U0001f9fe \u017c", "a\nb", {"a[b]": ""}))
@example(Texts("http", "\u00b2", {}))  # alphanumeric, and no ASCII
def test_any_text_survives_the_form(noun: Texts) -> None:
    """What a form parser reads is what was written, in its order."""
    body = encode_form(noun)

    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True)
    assert tuple(pairs) == form_fields(noun)
    assert body == urlencode(pairs).encode()


@given(
    name=PRINTABLE.map("J{}".format),
    metadata=st.dictionaries(
        PRINTABLE.filter(lambda key: len(key) <= 50 and not {"[", "]"} & set(key)),
        st.just("") | PRINTABLE,
        max_size=5,
    ),
)
def test_any_request_survives_the_form(name: str, metadata: dict[str, str]) -> None:
    """The gateway's form parser finds the caller's own words again."""
    request = an_order(
        customer_firstname=name,
        success_url="https://shop.example/thanks?a=1&b=%20",
        metadata=metadata,
    )

    body = encode_form(request).decode("ascii")

    assert dict(parse_qsl(body, keep_blank_values=True)) == {
        "amount": "4999",
        "currency": "pln",
        "customer_email": "john@example.com",
        "customer_firstname": name,
        "customer_lastname": "Doe",
        "customer_phone": "+48123456789",
        "success_url": "https://shop.example/thanks?a=1&b=%20",
        **{f"metadata[{key}]": value for key, value in metadata.items()},
    }


EXTRA_NAMES = st.from_regex(
    r"x[A-Za-z0-9_-]{0,9}(\[[a-z0-9_-]{0,3}\])?", fullmatch=True
)


@given(st.dictionaries(EXTRA_NAMES, st.just("") | PRINTABLE, max_size=5))
def test_further_pairs_are_sent_as_they_are(extra: dict[str, str]) -> None:
    """They follow the fields, under their own names, and count among what is sent."""
    request = an_order(extra=extra)

    pairs = parse_qsl(encode_form(request).decode("ascii"), keep_blank_values=True)

    assert pairs[-len(extra) :] == [*extra.items()] or not extra
    assert len(pairs) == len(ORDER_FIELDS) + len(extra)
    assert tuple(pairs) == form_fields(request)


@given(
    seconds=st.integers(86_400, 7_258_118_400),  # the year 2200
    hours=st.integers(-12, 12),
    fraction=st.integers(0, 999_999),
)
def test_a_time_is_sent_as_whole_epoch_seconds(
    seconds: int, hours: int, fraction: int
) -> None:
    """Whatever its zone, a time is sent as the second that it lies in."""
    zone = timezone(timedelta(hours=hours))
    moment = (EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    request = attrs.evolve(
        ORDER, expires_at=moment.replace(microsecond=fraction), metadata=None
    )

    pairs = dict(form_fields(request))

    assert pairs["expires_at"] == str(seconds)


ORDER = an_order(
    amount=2**53,
    currency="PLN",
    cancel_url="",
    customer_ip="2001:db8::1",
    payment_method=["blik", "card"],
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    metadata={"order": "A-17", "note": ""},
)


def test_a_session_is_spelled_as_documented() -> None:
    """Hashes have brackets, lists one bare pair an item, and what is unset is out."""
    pairs = form_fields(ORDER)

    assert pairs == (
        ("amount", "9007199254740992"),
        ("currency", "pln"),
        ("customer_email", "john@example.com"),
        ("customer_firstname", "John"),
        ("customer_lastname", "Doe"),
        ("customer_phone", "+48123456789"),
        ("success_url", "https://shop.example/thanks"),
        ("customer_ip", "2001:db8::1"),
        ("payment_method", "blik"),
        ("payment_method", "card"),
        ("expires_at", "1893456000"),
        ("metadata[order]", "A-17"),
        ("metadata[note]", ""),
    )


@pytest.mark.parametrize(
    ("refund", "pairs"),
    [
        pytest.param(
            RefundRequest(
                session_id="s1",
                amount=1000,
                reason="fraudulent",
                metadata={"order": "A-17"},
            ),
            (
                ("session_id", "s1"),
                ("amount", "1000"),
                ("reason", "fraudulent"),
                ("metadata[order]", "A-17"),
            ),
            id="part",
        ),
        pytest.param(
            RefundRequest(session_id="s1", full=True),
            (("session_id", "s1"),),
            id="full",
        ),
    ],
)
def test_a_refund_is_spelled_as_documented(
    refund: RefundRequest, pairs: tuple[tuple[str, str], ...]
) -> None:
    """The gateway reads a missing amount as all of it, so *full* itself is not sent."""
    spelled = form_fields(refund)

    assert spelled == pairs


def test_a_form_is_url_encoded_utf_8() -> None:
    """A plus sign is percent-encoded, for a bare one would be read as a space."""
    body = encode_form(Texts("+48 1", "2", {"b": "\u017c"}))

    assert body == b"first=%2B48+1&second=2&more%5Bb%5D=%C5%BC"


# -- fields of answers --------------------------------------------------------------

MISREAD = object()


def only(kind: type[object]) -> Reading:
    """Expect a value of exactly one type."""
    return lambda raw: raw if type(raw) is kind else MISREAD


def one_of(words: type[StrEnum]) -> Reading:
    """Expect a text, which is the enum's member if it is a known word."""

    def read(raw: object) -> object:
        if type(raw) is not str:
            return MISREAD
        return words(raw) if raw in {word.value for word in words} else raw

    return read


def list_of(item: Reading) -> Reading:
    """Expect a list in which every item can be read."""

    def read(raw: object) -> object:
        items = [item(part) for part in raw] if isinstance(raw, list) else [MISREAD]
        return MISREAD if MISREAD in items else tuple(items)

    return read


def moment(raw: object) -> object:
    """Expect whole epoch seconds of the years 1 to 9999."""
    if type(raw) is not int or not -62_135_596_800 <= raw <= 253_402_300_799:
        return MISREAD
    return EPOCH + timedelta(seconds=raw)


def texts(raw: object) -> object:
    """Expect an object of texts."""
    if isinstance(raw, dict) and all(isinstance(v, str) for v in raw.values()):
        return raw
    return MISREAD


SESSION: dict[str, Reading] = {
    "status": one_of(SessionStatus),
    "amount_total": only(int),
    "amount_subtotal": only(int),
    "amount_refunded": only(int),
    "currency": only(str),
    "url": only(str),
    "success_url": only(str),
    "cancel_url": only(str),
    "notification_url": only(str),
    "customer_email": only(str),
    "customer_firstname": only(str),
    "customer_lastname": only(str),
    "customer_phone": only(str),
    "customer_ip": only(str),
    "customer_country": only(str),
    "payment_method": list_of(one_of(PaymentMethod)),
    "expires_at": moment,
    "created_at": moment,
    "locale": only(str),
    "fees": list_of(lambda raw: raw),
    "refunds": list_of(lambda raw: raw),
    "refunded": only(bool),
    "livemode": only(bool),
    "metadata": texts,
}
REFUND: dict[str, Reading] = {
    "amount": only(int),
    "status": one_of(RefundStatus),
    "reason": one_of(RefundReason),
    "session_id": only(str),
    "currency": only(str),
    "created_at": moment,
    "livemode": only(bool),
    "metadata": texts,
}
ALIASES = {
    "amount_sub_total": "amount_subtotal",
    "expire_at": "expires_at",
    "payment_method_types": "payment_method",
}
DEFAULTS: dict[str, object] = {
    "payment_method": (),
    "fees": (),
    "refunds": (),
    "metadata": {},
}
FIELDS = [
    *((CheckoutSession, name, name) for name in SESSION),
    *((CheckoutSession, spelling, name) for spelling, name in ALIASES.items()),
    *((Refund, name, name) for name in REFUND),
]


def session(**raw: object) -> CheckoutSession:
    """Read a session that has an id and *raw*."""
    read = structure(CheckoutSession, {"id": "s1", **raw}, CALL)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("answer", "spelling", "name"),
    FIELDS,
    ids=[f"{answer.__name__}-{spelling}" for answer, spelling, _ in FIELDS],
)
@given(value=JSON)
@example(value="")
@example(value=None)
@example(value=0)
@example(value=-1)
@example(value=True)
@example(value=12.0)
@example(value="None")
@example(value=["blik", "card"])
@example(value=["blik", None])
@example(value=[])
@example(value={})
@example(value={"a": None})
@example(value={"a": ""})
@example(value=-62_135_596_800)
@example(value=-62_135_596_801)
@example(value=253_402_300_799)
@example(value=253_402_300_800)
@example(value=1_534_255_857_000)
@example(value=10**400)
def test_a_field_is_read_exactly_or_named_as_misread(
    answer: type[CheckoutSession] | type[Refund],
    spelling: str,
    name: str,
    value: object,
) -> None:
    """Nothing is converted: another type leaves the field empty and misread."""
    default = DEFAULTS.get(name)

    read = structure(answer, {"id": "s1", spelling: value}, CALL)

    reading = (SESSION if answer is CheckoutSession else REFUND)[name]
    expected = default if value in (None, "") else reading(value)
    assert read is not None
    # Unlike equality, the repr tells True from 1 and an enum from its word.
    assert (repr(getattr(read, name)), read.call.misread) == (
        (repr(default), (name,)) if expected is MISREAD else (repr(expected), ())
    )


@given(JSON | st.text(st.characters(max_codepoint=0x17F), max_size=260))
@example("s")
@example("s" * 255)
@example("s" * 256)
@example("~ /")
@example("s\n")
@example("s\x7f")
@example("\u015b")
@example("None")
def test_only_an_answer_with_a_usable_id_is_an_answer(raw_id: object) -> None:
    """An id is 1 to 255 printable ASCII characters and nothing else."""
    read = structure(CheckoutSession, {"id": raw_id}, CALL)

    usable = (
        isinstance(raw_id, str)
        and 1 <= len(raw_id) <= 255
        and all(" " <= character <= "~" for character in raw_id)
    )
    assert (read and read.id) == (raw_id if usable else None)


@given(st.dictionaries(st.sampled_from([*SESSION, *ALIASES, "new"]), JSON))
def test_the_answer_is_kept_as_received(fields: dict[str, object]) -> None:
    """Nothing that the gateway sent is lost, unknown fields included."""
    raw = {"id": "s1", **fields}

    read = structure(CheckoutSession, raw, CALL)

    assert read is not None
    assert read.raw == raw


@given(st.dictionaries(st.sampled_from([*SESSION, *ALIASES, "new"]), JSON))
@example({"status": "open", "expires_at": 1_893_456_000, "payment_method": ["blik"]})
@example({"metadata": {"order": "A-17"}, "fees": [{"amount": 1}], "url": ""})
def test_a_plain_answer_is_json_under_our_names(fields: dict[str, object]) -> None:
    """Whatever was read can be stored as JSON, and no field but two is left out."""
    read = session(**fields)

    plain = read.to_dict()

    names = {field.name for field in attrs.fields(CheckoutSession)} - {"raw", "call"}
    assert json.loads(json.dumps(plain)) == plain
    assert plain.keys() == names
    assert {type(value) for value in plain.values()} <= {
        *(str, int, bool, list, dict, type(None))
    }
    assert plain["amount_total"] == read.amount_total
    assert plain["status"] == read.status
    moment = plain["expires_at"]
    assert read.expires_at == (moment and datetime.fromisoformat(str(moment)))


def test_refunds_and_events_are_plain_values_too() -> None:
    """Times are in UTC, words are texts, and what is unset is `None`."""
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=1)))

    refund = Refund(id="r1", status=RefundStatus.PENDING, created_at=noon, raw={"a": 1})
    event = WebhookEvent(id="e1", type="new.word", stale=True)

    assert refund.to_dict() == {
        **dict.fromkeys(("amount", "reason", "session_id", "currency", "livemode")),
        "id": "r1",
        "status": "pending",
        "metadata": {},
        "created_at": "2030-01-01T11:00:00+00:00",
    }
    assert event.to_dict() == {
        **dict.fromkeys(("created_at", "version", "session_id", "refund_id", "status")),
        "id": "e1",
        "type": "new.word",
        "stale": True,
    }


def test_the_pay_page_is_a_text_or_an_error() -> None:
    """A customer is never sent to `None`."""
    with_page = session(url="https://pay.example/s1")

    assert with_page.pay_url == "https://pay.example/s1"
    with pytest.raises(ConvergeGateError, match="no pay page for s1"):
        _ = session(url=None).pay_url


@given(st.dictionaries(st.sampled_from([*SESSION, *ALIASES, "new"]), JSON))
def test_only_misread_is_added_to_the_account_of_the_call(
    fields: dict[str, object],
) -> None:
    """How the answer came about is handed through, whatever could not be read."""
    read = session(**fields)

    assert attrs.evolve(read.call, misread=()) == CALL


@attrs.frozen
class TwoSpellings:
    """A field that the gateway spells in two ways, and what it may hold."""

    name: str
    alias: str
    value: object
    read: object
    other: object


SPELT_TWICE = [
    TwoSpellings("amount_subtotal", "amount_sub_total", 1, 1, 2),
    TwoSpellings("expires_at", "expire_at", 1, EPOCH + timedelta(seconds=1), 2),
    TwoSpellings(
        *("payment_method", "payment_method_types"),
        *(["blik"], (PaymentMethod.BLIK,), ["card"]),
    ),
]


@pytest.mark.parametrize("field", SPELT_TWICE, ids=lambda field: field.name)
class TestTwoSpellings:
    def test_either_spelling_is_read(self, field: TwoSpellings) -> None:
        """The gateway's other spelling ends in the same name."""
        read = session(**{field.alias: field.value})

        assert getattr(read, field.name) == field.read

    def test_equal_spellings_are_one_field(self, field: TwoSpellings) -> None:
        """A gateway that says the same twice is understood."""
        read = session(**{field.name: field.value, field.alias: field.value})

        assert (getattr(read, field.name), read.call.misread) == (field.read, ())

    def test_unequal_spellings_are_named_as_misread(self, field: TwoSpellings) -> None:
        """Where the two spellings disagree, the field is named as misread."""
        read = session(**{field.name: field.value, field.alias: field.other})

        assert read.call.misread == (field.name,)

    def test_a_field_that_is_misread_twice_is_named_once(
        self, field: TwoSpellings
    ) -> None:
        """A spelling that cannot be read and one that disagrees are one trouble."""
        read = session(**{field.name: {"not": "readable"}, field.alias: field.value})

        assert read.call.misread == (field.name,)

    @pytest.mark.parametrize("empty", ["", None], ids=["empty", "null"])
    def test_an_empty_spelling_does_not_hide_the_other(
        self, field: TwoSpellings, empty: object
    ) -> None:
        """What is unset under one spelling is not in the way of the other."""
        read = session(**{field.name: empty, field.alias: field.value})

        assert (getattr(read, field.name), read.call.misread) == (field.read, ())


@pytest.mark.parametrize(
    ("word", "status"),
    [("open", SessionStatus.OPEN), ("Open", "Open"), ("frozen", "frozen")],
)
def test_a_new_word_stays_plain_text(word: str, status: object) -> None:
    """A word that the gateway adds is never taken for one that we know."""
    read = session(status=word)

    assert (type(read.status), read.status) == (type(status), status)


def test_several_misread_fields_are_all_named() -> None:
    """One field that cannot be read does not hide the next."""
    read = session(amount_total="4999", livemode=1, created_at=math.pi, currency="pln")

    assert set(read.call.misread) == {"amount_total", "livemode", "created_at"}


def test_the_providers_sample_is_read() -> None:
    """The documented answer to *create* is understood to the last field."""
    read = session(
        amount_total=1000,
        amount_sub_total=1000,
        amount_refunded=0,
        currency="pln",
        cancel_url="https://url.com/",
        customer_firstname="John",
        customer_lastname="Doe",
        customer_email="john@example.com",
        customer_ip="",
        customer_country="",
        expire_at=2147483648,
        created_at=2147483648,
        success_url="https://url.com/",
        payment_method=["blik"],
        locale="",
        url="https://gateway.example/pay/s1",
        fees=None,
        metadata=None,
        refunds=[],
        refunded=False,
        status="open",
        livemode=False,
        notification_url="https://url.com/",
    )

    assert attrs.evolve(read, raw={}) == CheckoutSession(
        id="s1",
        status=SessionStatus.OPEN,
        amount_total=1000,
        amount_subtotal=1000,
        amount_refunded=0,
        currency="pln",
        url="https://gateway.example/pay/s1",
        success_url="https://url.com/",
        cancel_url="https://url.com/",
        notification_url="https://url.com/",
        customer_email="john@example.com",
        customer_firstname="John",
        customer_lastname="Doe",
        payment_method=(PaymentMethod.BLIK,),
        expires_at=datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        created_at=datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        refunded=False,
        livemode=False,
    )


@pytest.mark.parametrize(
    ("answer", "table"),
    [(CheckoutSession, SESSION), (Refund, REFUND)],
    ids=["session", "refund"],
)
def test_the_tables_leave_no_field_out(
    answer: type[attrs.AttrsInstance], table: dict[str, Reading]
) -> None:
    """Every field of an answer is read under the property above."""
    names = {field.name for field in attrs.fields(answer)}

    assert names == set(table) | {"id", "raw", "call"}
