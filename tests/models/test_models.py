import pickle
import re
import traceback
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from orders import ORDER_FIELDS

from convergegate_async import (
    CallInfo,
    CheckoutSession,
    CheckoutSessionRequest,
    EventType,
    InvalidFieldError,
    PaymentMethod,
    Refund,
    RefundReason,
    RefundRequest,
    RefundStatus,
    SessionStatus,
    WebhookEvent,
)
from convergegate_async.models import rules
from convergegate_async.models.fast_checks import FAST_CHECKS

PRINTABLE = st.characters(exclude_categories=("Cc", "Cs"))
UNPRINTABLE = st.characters(categories=("Cc", "Cs"))
OPTIONAL = {
    "cancel_url": "https://shop.example/cart",
    "notification_url": "https://shop.example/hook",
    "customer_ip": "192.0.2.7",
    "customer_country": "PL",
    "payment_method": ("blik",),
    "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
    "locale": "pl",
    "metadata": {"order": "A-17"},
    "extra": {"campaign": "spring", "line[0][sku]": ""},
}
NAMES = ("customer_firstname", "customer_lastname")
URLS = ("success_url", "cancel_url", "notification_url")
TEXTS = (
    "currency",
    "customer_email",
    *NAMES,
    "customer_phone",
    *URLS,
    "customer_ip",
    "customer_country",
    "locale",
)


def request_with(**changes: object) -> CheckoutSessionRequest:
    """Build a request in which nothing is unusual but *changes*."""
    return CheckoutSessionRequest(**{**ORDER_FIELDS, **changes})


def refund_with(**changes: object) -> RefundRequest:
    """Build a refund in which nothing is unusual but *changes*."""
    fields: dict[str, Any] = {"session_id": "s1", "amount": 1, **changes}
    return RefundRequest(**fields)


def refusal(**changes: object) -> InvalidFieldError:
    """Return the error with which a request that has *changes* is refused."""
    with pytest.raises(InvalidFieldError) as caught:
        request_with(**changes)
    return caught.value


# -- properties of every field ------------------------------------------------------


@given(amount=st.integers(-(2**54), 2**54))
@example(amount=0)
@example(amount=1)
@example(amount=2**53)
@example(amount=2**53 + 1)
def test_an_amount_is_1_to_2_to_the_53(amount: int) -> None:
    """Every amount in the range is kept as it is, and no other is accepted."""
    try:
        kept = request_with(amount=amount).amount
    except InvalidFieldError:
        kept = None

    assert kept == (amount if 1 <= amount <= 2**53 else None)


@given(name=st.text(PRINTABLE, min_size=1, max_size=2_048))
@example(name="+ [a] & b=c  \u202e\u2028 \U0001f9fe e\u0301")
@example(name="x" * 2_048)
@example(name="\ue000")  # a glyph of one's own, as Japanese names have
@example(name="\U0003fffd")  # not given to any letter yet
def test_any_name_that_can_be_seen_is_kept_as_it_is(name: str) -> None:
    """Names are not trimmed, folded or normalised, whoever bears them."""
    unseen = {"Zs", "Zl", "Zp", "Cf"}
    assume(any(unicodedata.category(letter) not in unseen for letter in name))

    request = request_with(customer_firstname=name)

    assert request.customer_firstname == name


@pytest.mark.parametrize("field", [*NAMES, "payment_method"])
@given(blank=st.text(" \u00a0\u3000\u2003\u200b\u00ad\ufeff", min_size=1))
def test_a_name_of_white_space_is_none(field: str, blank: str) -> None:
    """What nobody can see names nobody."""
    error = refusal(**{field: (blank,) if field == "payment_method" else blank})

    assert (error.field, error.reason) == (
        field,
        "must hold something that can be seen",
    )


@pytest.mark.parametrize("field", TEXTS)
@given(fault=UNPRINTABLE, at=st.integers(0, 60))
@example(fault="\0", at=60)
@example(fault="\n", at=60)
@example(fault="\x85", at=0)
@example(fault="\ud800", at=0)
@example(fault="\udfff", at=60)
def test_no_text_field_holds_what_cannot_be_printed(
    field: str, fault: str, at: int
) -> None:
    """A control character or lone surrogate is refused wherever it stands."""
    usable = str({**ORDER_FIELDS, **OPTIONAL}[field])
    text = usable[:at] + fault + usable[at:]

    error = refusal(**{field: text})

    assert (error.field, error.reason) == (
        field,
        "must not hold control characters or lone surrogates",
    )


@given(fault=UNPRINTABLE, before=st.text(PRINTABLE, max_size=9))
def test_no_word_of_a_list_holds_what_cannot_be_printed(
    fault: str, before: str
) -> None:
    """The items of a list are texts like any other."""
    error = refusal(payment_method=("blik", before + fault))

    assert error.field == "payment_method"


@given(fault=UNPRINTABLE, before=st.text(PRINTABLE, max_size=9))
def test_no_metadata_key_holds_what_cannot_be_printed(fault: str, before: str) -> None:
    """The keys of metadata are texts like any other."""
    error = refusal(metadata={before + fault: "value"})

    assert error.field == "metadata"


@given(fault=UNPRINTABLE, before=st.text(PRINTABLE, max_size=9))
def test_no_metadata_value_holds_what_cannot_be_printed(
    fault: str, before: str
) -> None:
    """The values of metadata are texts like any other."""
    error = refusal(metadata={"key": before + fault})

    assert error.field == "metadata"


@pytest.mark.parametrize("field", [*TEXTS, "payment_method", "metadata"])
@given(
    value=st.one_of(
        st.integers(), st.floats(), st.booleans(), st.binary(), st.just(object())
    )
)
def test_no_field_converts_what_it_is_given(field: str, value: object) -> None:
    """A number, a flag or bytes in place of a text is refused and never spelled out."""
    error = refusal(**{field: value})

    assert error.field == field


@given(text=st.text(max_size=130) | st.text("aZ09_+=-/.%", max_size=130))
@example(text="s" * 128)
@example(text="s" * 129)
@example(text="s\n")
def test_a_session_id_cannot_leave_its_path(text: str) -> None:
    """Only 1 to 128 letters, digits and ``_ + = -`` name a session."""
    try:
        kept = refund_with(session_id=text).session_id
    except InvalidFieldError:
        kept = None

    usable = re.compile(r"\A[A-Za-z0-9_+=-]{1,128}\Z").match(text)
    assert kept == (text if usable else None)


@given(text=st.text(max_size=260) | st.text("aZ09._:-\r\n", max_size=260))
@example(text="k" * 255)
@example(text="k" * 256)
@example(text="k\n")
def test_an_idempotency_key_cannot_break_a_header(text: str) -> None:
    """Only 1 to 255 letters, digits and ``. _ : -`` make a key."""
    try:
        kept = rules.idempotency_key("idempotency_key", text)
    except InvalidFieldError:
        kept = None

    usable = re.compile(r"\A[A-Za-z0-9._:-]{1,255}\Z").match(text)
    assert kept == (text if usable else None)


@given(
    st.dictionaries(
        st.text(
            st.characters(
                exclude_categories=("Cc", "Cs"), exclude_characters=("[", "]")
            ),
            min_size=1,
            max_size=50,
        ),
        st.text(PRINTABLE, max_size=500),
        max_size=50,
    )
)
@example({"k" * 50: "v" * 500})
@example({f"k{n}": "" for n in range(50)})
def test_metadata_within_its_limits_is_kept_as_it_is(metadata: dict[str, str]) -> None:
    """The caller's metadata goes through unchanged, and nothing is added to it."""
    request = request_with(metadata=metadata)

    assert request.metadata == metadata


@given(
    moment=st.datetimes(timezones=st.timezones() | st.just(UTC), allow_imaginary=False)
)
def test_a_time_is_kept_with_its_zone(moment: datetime) -> None:
    """A time of any zone is accepted and not moved to another."""
    request = request_with(expires_at=moment)

    assert request.expires_at is moment


@given(seconds=st.integers(-(2**40), 2**40) | st.integers())
@example(seconds=2_147_483_648)
@example(seconds=253_402_300_799)
@example(seconds=253_402_300_800)
def test_whole_epoch_seconds_are_a_time_in_utc(seconds: int) -> None:
    """The provider's page documents an integer; what the calendar lacks is refused."""
    try:
        kept = request_with(expires_at=seconds).expires_at
    except InvalidFieldError:
        kept = None

    first = datetime(1, 1, 1, tzinfo=UTC).timestamp()
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    assert (kept is not None) is (first <= seconds <= last)
    assert kept is None or (kept.timestamp(), kept.tzinfo) == (seconds, UTC)


# -- tables: what each rule accepts -------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given_value", "kept"),
    [
        pytest.param("currency", "pln", "pln", id="lower"),
        pytest.param("currency", "PLN", "pln", id="upper"),
        pytest.param("currency", "pLn", "pln", id="mixed"),
        pytest.param("customer_country", "pl", "PL", id="country"),
        pytest.param("payment_method", ["blik"], ("blik",), id="list"),
        pytest.param("payment_method", (PaymentMethod.BLIK,), ("blik",), id="enum"),
        pytest.param("payment_method", ("new",), ("new",), id="unknown-method"),
        pytest.param("payment_method", (), (), id="no-method"),
    ],
)
def test_a_field_is_held_as_it_is_sent(
    field: str, given_value: object, kept: object
) -> None:
    """What may be spelled in several ways is held in the one that is sent."""
    request = request_with(**{field: given_value})

    assert getattr(request, field) == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customer_email", "john@example.com"),
        ("customer_email", "john.d+shop@mail.shop.example"),
        ("customer_email", "o'hara_%&*@example.com"),
        ("customer_email", "za\u017c\u00f3\u0142\u0107@g\u0119\u015bl\u0105.example"),
        ("customer_email", "j" * 64 + "@example.com"),
        ("customer_email", "j@e.co"),
        ("customer_email", '"john"@example.com'),
        ("customer_email", "john@my_shop.example"),
        ("customer_email", "john@" + "a" * 63 + ".example"),
        ("customer_email", "john@\u0939\u093f\u0928\u094d\u0926\u0940.example"),
        ("customer_phone", "+48123456789"),
        ("customer_phone", "+1234567"),
        ("customer_phone", "+123456789012345"),
        ("success_url", "https://shop.example"),
        ("success_url", "http://shop.example/thanks?order=1&a=b#top"),
        ("success_url", "HTTPS://SHOP.example:8443/%20"),
        ("success_url", "https://[2001:db8::1]/thanks"),
        ("success_url", "http://localhost/"),
        ("success_url", "https://shop.example./"),
        ("success_url", "https://foo-.shop.example/"),
        ("success_url", "https://b%C3%BCcher.example/"),
        ("success_url", "https://me:pw@shop.example/"),
        ("success_url", "https://" + "a" * 63 + ".example"),
        ("success_url", "https://shop.example/a\\b?c\\d"),
        ("success_url", "https://sklep-\u017c\u00f3\u0142w.example/dzi\u0119ki"),
        ("success_url", "https://shop.example/" + "a" * 2_027),
        ("customer_ip", "192.0.2.7"),
        ("customer_ip", "2001:db8::1"),
        ("customer_ip", "::ffff:192.0.2.7"),
        ("locale", "pl"),
        ("locale", "en-GB"),
        ("locale", "zh-Hant-TW"),
        ("locale", "abcdefgh-a-9"),
        ("locale", "x-whatever"),
        ("locale", "X-a-B-9"),
        ("locale", "i-klingon"),
        ("locale", "pl-x-shop"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_usable_text_is_kept_as_it_is(field: str, value: str) -> None:
    """What follows the rule is neither refused nor rewritten."""
    request = request_with(**{field: value})

    assert getattr(request, field) == value


REFUSED: dict[str, list[object]] = {
    "amount": [True, False, 100.0, "100", Decimal("1.5"), None, [1], 2**63, b"1"],
    "currency": [
        *("pl", "plnn", "PLN ", "z\u0142o", "p1n", "p-n", "\uff30\uff2c\uff2e"),
        *("\u212aLN", 985, None),
    ],
    "customer_email": [
        *("canary", "canary@", "@canary.example", "canary@example"),
        *("a@canary@example.com", "canary b@example.com", "canary@example..com"),
        *("canary@example.com@b.com", "canary@example.com b", "canary@example.com."),
        *("canary@.com", "canary@example.", "canary@exam\u2003ple.com"),
        *("c" * 65 + "@canary.example", None),
        *("canary\u200b@example.com", "canary@exam\u200bple.com", "\ufeffa@canary.pl"),
        *("<canary@example.com>", "mailto:canary@example.com", "canary..b@example.com"),
        *(".canary@example.com", "canary.@example.com", "canary,b@example.com"),
        *("canary@" + "a" * 64 + ".com", "canary@[192.0.2.7]", "canary(b)@example.com"),
        *("canary@" + "\u017c" * 60 + ".com", "canary@.example.com", "a;b@canary.com"),
        *("canary@example.com>", '"canary@example.com', 'ca"nary@example.com'),
    ],
    "customer_firstname": ["canary" * 342, None, " ", "\u00a0\u3000", "\u200b"],
    "customer_lastname": ["canary" * 342, None, "   ", "\u00ad", "\u2060 \ufeff"],
    "customer_phone": [
        *("48123456789", "+0123456789", "+48 123 456 789", "+48-123-456-789"),
        *("+123456", "+1234567890123456", "+\uff14\uff18123456789", "+canary"),
        *("+\u0664\u0668123456789", "0048123456789", 48123456789, None),
    ],
    "success_url": [
        *("canary.example", "/canary", "//canary.example", "javascript:canary()"),
        *("http:", "https://", "https:canary", "ftp://canary.example", "mailto:canary"),
        *("https://canary.example/a b", " https://canary.example", "https://[canary"),
        *("https://canary:99999/", "https://canary:port/", "https://:443/canary"),
        *("https://can\u2100ary.example", "https://canary.example/" + "a" * 2_048),
        *("https://.", "https://..", "https://host\\canary", "https://canary..example"),
        *("https://.canary.example", "https://" + "a" * 64 + ".canary.example"),
        *(
            "https://a\\b@canary.example",
            "https://can%5cary.example",
            "https://*.canary",
        ),
        *("https://{canary}.example", "https://canary\u200b.example", "http://?canary"),
        None,
    ],
    "cancel_url": ["canary.example"],
    "notification_url": ["canary.example"],
    "customer_ip": [
        *("127.1", "1.2.3", "256.1.1.1", "fe80::1%canary", "localhost", "canary"),
        *("192.0.2.7/24", "192.0.2.7:80", "[::1]", 3221225991),
    ],
    "customer_country": ["POL", "P", "1L", "\ufb01", "p\u0142", "P ", 48],
    "locale": [
        "p",
        "abcdefghi",
        "pl_PL",
        "pl-",
        "-pl",
        "en-abcdefghi",
        *("x", "x-", "x-abcdefghi", "a-canary", "x_canary"),
        "\u017c\u00f3",
        "canary 1",
    ],
    "payment_method": [
        *("blik", {"blik"}, ("",), (5,), (None,), {"blik": 1}, iter(("blik",))),
        ("canary\n",),
    ],
    "expires_at": [
        *(datetime(2030, 1, 1), date(2030, 1, 1), "2030-01-01T00:00:00Z", "1893456000"),  # noqa: DTZ001 -- naive is the point
        *(timedelta(hours=3), True, 1893456000.0, 1893456000_000, -(2**63), b"1"),
    ],
    "metadata": [
        *({"": "canary"}, {"canary[": "1"}, {"canary]": "1"}, {"c" * 51: "1"}),
        *({"k": "canary" * 84}, {f"k{n}": "" for n in range(51)}, {1: "canary"}),
        *({"k": 1}, {"k": None}, {"k": True}, {"k": {"canary": "1"}}, "canary"),
        *([("k", "canary")], {"k": b"canary"}, {("k",): "canary"}),
    ],
    "extra": [
        *({"amount": "canary"}, {"Amount": "canary"}, {"metadata[k]": "canary"}),
        *({"expire_at": "canary"}, {"payment_method_types": "canary"}),
        *({"payment_method[]": "canary"}, {"": "canary"}, {"can ary": "1"}),
        *({"canary.": "1"}, {"canary[": "1"}, {"canary&a": "1"}, {"c" * 101: "1"}),
        *({"k": 1}, {"k": None}, {"k": b"canary"}, {1: "canary"}, "canary"),
        *({"k": "canary\n"}, {"k": "c" * 2_049}, {f"k{n}": "" for n in range(51)}),
    ],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field}-{n}-{ascii(value)[:24]}")
        for field, values in REFUSED.items()
        for n, value in enumerate(values)
    ],
)
class TestRefusedValue:
    def test_an_unusable_value_is_refused(self, field: str, value: object) -> None:
        """What breaks the rule of a field is refused before anything is sent."""
        error = refusal(**{field: value})

        assert error.field == field

    def test_a_refusal_does_not_repeat_the_value(
        self, field: str, value: object
    ) -> None:
        """A refused value may be personal data, so nothing that is printed holds it."""
        error = refusal(**{field: value})

        shown = "".join(traceback.format_exception(error)) + repr(error)
        assert "canary" not in shown


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (
            "amount",
            1.5,
            'must be an int of minor units: minor_units("49.99", "PLN") makes one',
        ),
        ("amount", 0, "must be above zero"),
        ("amount", 2**53 + 1, "must be at most 9,007,199,254,740,992 minor units"),
        ("currency", "z\u0142", "must be a three-letter ISO 4217 code"),
        ("customer_email", "john", "must be an e-mail address"),
        ("customer_firstname", "x" * 2_049, "must hold at most 2,048 characters"),
        ("customer_firstname", 7, "must be a str"),
        ("extra", {"k": None}, "must map str to str"),
        ("customer_phone", "1", "must be a phone number in E.164 (+48123456789)"),
        ("success_url", "/", "must be an absolute http or https URL"),
        ("customer_ip", "1", "must be an IPv4 or IPv6 address"),
        ("customer_country", "POL", "must be a two-letter ISO 3166 code"),
        ("locale", "pl_PL", "must be an IETF language tag (pl, en-GB)"),
        ("payment_method", "blik", "must be a tuple or list of texts"),
        (
            "expires_at",
            1.0,
            "must be a datetime with a time zone, or whole epoch seconds",
        ),
        ("customer_lastname", "\u200b ", "must hold something that can be seen"),
        ("metadata", [], "must be a mapping of str to str"),
        ("metadata", {1: "a"}, "must map str to str"),
        ("metadata", {str(n): "" for n in range(51)}, "must hold at most 50 keys"),
        ("metadata", {"[": ""}, "keys must hold at most 50 characters, no [ or ]"),
        ("metadata", {"k": "v" * 501}, "values must hold at most 500 characters"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_refusal_says_the_rule(field: str, value: object, reason: str) -> None:
    """Whoever reads the refusal knows what would be accepted."""
    error = refusal(**{field: value})

    assert str(error) == f"{field} {reason}"


@pytest.mark.parametrize(
    ("rule", "field", "reason"),
    [
        pytest.param(
            rules.session_id,
            "session_id",
            "must be 1 to 128 letters, digits or any of _ + = -",
            id="session-id",
        ),
        pytest.param(
            rules.idempotency_key,
            "idempotency_key",
            "must be 1 to 255 letters, digits or any of . _ : -",
            id="idempotency-key",
        ),
    ],
)
def test_a_refused_argument_says_the_rule(
    rule: rules.Rule, field: str, reason: str
) -> None:
    """What is not part of a request is refused in the same words."""
    with pytest.raises(InvalidFieldError) as caught:
        rule(field, "/")

    assert str(caught.value) == f"{field} {reason}"


@pytest.mark.parametrize("field", [name for name in ORDER_FIELDS if name != "amount"])
def test_an_empty_required_text_is_refused(field: str) -> None:
    """A required text that is empty is missing."""
    error = refusal(**{field: ""})

    assert str(error) == f"{field} must not be empty"


@pytest.mark.parametrize("field", OPTIONAL)
def test_an_empty_optional_text_is_unset(field: str) -> None:
    """Empty form inputs can be handed on as they come."""
    request = request_with(**{field: ""})

    assert getattr(request, field) is None


@pytest.mark.parametrize("field", OPTIONAL)
def test_an_optional_field_may_be_left_out(field: str) -> None:
    """What is optional is unset until it is set."""
    request = request_with()

    assert getattr(request, field) is None


@pytest.mark.parametrize("field", ORDER_FIELDS)
def test_a_required_field_has_to_be_given(field: str) -> None:
    """What the gateway requires is required here too."""
    rest = {name: value for name, value in ORDER_FIELDS.items() if name != field}

    with pytest.raises(TypeError, match=field):
        CheckoutSessionRequest(**rest)


def test_the_tables_leave_no_field_out() -> None:
    """Every field of a session request has values that it refuses."""
    names = {field.name for field in attrs.fields(CheckoutSessionRequest)}

    assert names == set(REFUSED)


# -- refunds ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "full"),
    [
        pytest.param(None, False, id="neither"),
        pytest.param(1, True, id="both"),
        pytest.param("", False, id="empty-text"),
    ],
)
def test_a_refund_says_how_much_once(amount: object, *, full: bool) -> None:
    """Exactly one of an amount and *full* is given, so that no lost field pays all."""
    with pytest.raises(InvalidFieldError) as caught:
        refund_with(amount=amount, full=full)

    assert str(caught.value) == "amount must be given, or else full=True (not both)"


@pytest.mark.parametrize("full", [1, 0, None, "yes", ""])
def test_a_full_refund_is_asked_for_with_a_bool(full: object) -> None:
    """What merely looks true does not pay everything back."""
    with pytest.raises(InvalidFieldError) as caught:
        refund_with(amount=None, full=full)

    assert str(caught.value) == "full must be True or False"


@pytest.mark.parametrize("reason", RefundReason)
def test_a_documented_reason_is_accepted_as_plain_text(reason: RefundReason) -> None:
    """A reason may be the enum or its word; it is held as the enum."""
    refund = refund_with(reason=reason.value)

    assert refund.reason is reason


@pytest.mark.parametrize(
    "reason", ["canary", "duplicate", "Fraudulent", 1, ("fraudulent",)], ids=repr
)
def test_any_other_reason_is_refused(reason: object) -> None:
    """Only the three documented reasons are sent, and another one is not repeated."""
    with pytest.raises(InvalidFieldError) as caught:
        refund_with(reason=reason)

    assert caught.value.field == "reason"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("amount", [0, -1, 2**53 + 1, True, 1.0, "1"], ids=repr)
def test_the_amount_of_a_refund_follows_the_same_rule(amount: object) -> None:
    """Money going back is counted as strictly as money coming in."""
    with pytest.raises(InvalidFieldError) as caught:
        refund_with(amount=amount)

    assert caught.value.field == "amount"


@pytest.mark.parametrize(
    "session_id",
    [
        *("", "../../refunds", "a/../../x", "%2e%2e/x", "s1?a", "s1#a", "s1/", "s 1"),
        *("s1\r\n", "s1\0", "\u015b1", "s" * 10_000, None, 1, b"s1"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_an_id_that_could_lead_elsewhere_is_refused(session_id: object) -> None:
    """No id walks up a path, adds a query or splits a message."""
    with pytest.raises(InvalidFieldError) as caught:
        refund_with(session_id=session_id)

    assert caught.value.field == "session_id"


@pytest.mark.parametrize(
    "metadata", [{"k": "v" * 501}, {"[": "1"}, {"": "1"}], ids=["long", "[", "empty"]
)
def test_the_metadata_of_a_refund_follows_the_same_rule(
    metadata: dict[str, str],
) -> None:
    """Refunds take the metadata that sessions take."""
    with pytest.raises(InvalidFieldError) as caught:
        refund_with(metadata=metadata)

    assert caught.value.field == "metadata"


# -- requests as values -------------------------------------------------------------


@pytest.mark.parametrize(
    "request_made",
    [
        pytest.param(request_with(**OPTIONAL), id="session"),
        pytest.param(
            refund_with(reason="fraudulent", metadata={"a": "b"}), id="refund"
        ),
    ],
)
class TestRequestAsValue:
    def test_a_request_survives_a_pickle(self, request_made: object) -> None:
        """Requests travel to worker processes and arrive as they were."""
        arrived = pickle.loads(pickle.dumps(request_made))  # noqa: S301 -- we have just written it

        assert arrived == request_made

    def test_equal_requests_have_equal_hashes(self, request_made: Any) -> None:  # noqa: ANN401 -- either kind
        """Requests can be counted and compared in sets, metadata or not."""
        twin = attrs.evolve(request_made)

        assert len({request_made, twin}) == 1

    def test_a_request_does_not_change(self, request_made: Any) -> None:  # noqa: ANN401 -- either kind
        """What was checked when it was built is what is sent."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            request_made.amount = 1


@pytest.mark.parametrize("request_type", [CheckoutSessionRequest, RefundRequest])
def test_the_fields_of_a_request_are_named(request_type: type[Any]) -> None:
    """Money and names are never told apart by their order."""
    with pytest.raises(TypeError, match="positional"):
        request_type("s1", 1000)


def test_a_request_keeps_its_own_copy_of_the_metadata() -> None:
    """What happens to the caller's dict afterwards does not reach the request."""
    metadata = {"order": "A-17"}
    request = request_with(metadata=metadata)

    metadata["order"] = "\0"

    assert request.metadata == {"order": "A-17"}


def test_a_request_keeps_its_own_copy_of_a_list() -> None:
    """What happens to the caller's list afterwards does not reach the request."""
    methods = ["blik"]
    request = request_with(payment_method=methods)

    methods.append("\0")

    assert request.payment_method == ("blik",)


def test_the_repr_of_a_request_holds_no_personal_data() -> None:
    """A request may be logged: what is about the customer stays out of it."""
    request = request_with(
        customer_email="canary@example.com",
        customer_firstname="canary",
        customer_lastname="canary",
        success_url="https://canary.example",
        cancel_url="https://canary.example",
        notification_url="https://canary.example",
        customer_ip="192.0.2.77",
        customer_country="ZW",
        metadata={"canary": "canary"},
    )

    shown = repr(request)

    assert not re.search("canary|48123456789|192|ZW", shown)


def test_the_repr_of_a_refund_request_holds_no_metadata() -> None:
    """Metadata may hold anything, so it stays out of the `repr`."""
    refund = refund_with(metadata={"canary": "canary"})

    shown = repr(refund)

    assert "canary" not in shown


# -- answers ------------------------------------------------------------------------

SHOWN = {
    CheckoutSession: {
        *("id", "status", "amount_total", "amount_subtotal", "amount_refunded"),
        *("currency", "payment_method", "expires_at", "created_at", "locale"),
        *("refunded", "livemode"),
    },
    Refund: {
        *("id", "amount", "status", "reason", "session_id", "currency"),
        *("created_at", "livemode"),
    },
    WebhookEvent: {
        *("id", "type", "created_at", "version", "session_id", "refund_id"),
        *("status", "stale"),
    },
}


@pytest.mark.parametrize(
    ("answer", "names"), SHOWN.items(), ids=[kind.__name__ for kind in SHOWN]
)
def test_the_repr_of_an_answer_holds_no_personal_data(
    answer: type[Any], names: set[str]
) -> None:
    """An answer may be logged: only what is not about the customer is shown."""
    filled = answer(
        **{field.name: f"canary-{field.name};" for field in attrs.fields(answer)}
    )

    shown = set(re.findall(r"canary-(\w+);", repr(filled)))

    assert shown == names


@pytest.mark.parametrize("answer", SHOWN, ids=[kind.__name__ for kind in SHOWN])
def test_an_answer_does_not_change(answer: type[Any]) -> None:
    """An answer is what the gateway said at one moment."""
    noun = answer(**{"id": "s1"} | ({"type": "t"} if answer is WebhookEvent else {}))

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        noun.id = "s2"


def test_the_same_session_is_equal_however_it_was_asked_for() -> None:
    """What came over the wire is compared, and not how it came."""
    first = CheckoutSession(id="s1", raw={"id": "s1"}, call=CallInfo(attempts=1))

    second = CheckoutSession(id="s1", raw={"new": 1}, call=CallInfo(attempts=3))

    assert first == second


def test_an_answer_with_metadata_can_be_kept_in_a_set() -> None:
    """Answers hash although metadata, and objects in lists, do not."""
    session = CheckoutSession(
        id="s1", metadata={"order": "A-17"}, refunds=({"id": "r1"},), raw={"id": "s1"}
    )

    kept = {session, session}

    assert len(kept) == 1


def test_an_answer_survives_a_pickle() -> None:
    """A worker process hands its answers back whole."""
    session = CheckoutSession(
        id="s1",
        status=SessionStatus.OPEN,
        created_at=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        refunds=({"id": "r1"},),
        raw={"new": [1]},
        call=CallInfo(request_id="req_1"),
    )

    arrived = pickle.loads(pickle.dumps(session))  # noqa: S301 -- we have just written it

    assert (arrived, arrived.raw, arrived.call) == (session, session.raw, session.call)


# -- words --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "documented"),
    [
        (SessionStatus, {"open", "pending", "completed", "expired"}),
        (PaymentMethod, {"blik"}),
        (RefundReason, {"requested_by_customer", "duplicated", "fraudulent"}),
        (RefundStatus, {"pending", "succeeded", "failed"}),
        (
            EventType,
            {
                *("session.created", "session.completed", "session.expired"),
                *("refund.created", "refund.succeeded", "refund.failed"),
            },
        ),
    ],
)
def test_our_words_are_the_gateways(words: type[StrEnum], documented: set[str]) -> None:
    """Each enum holds the documented words, spelled as the gateway spells them."""
    spelled = {word.value for word in words}

    assert spelled == documented


# -- fast checks ----------------------------------------------------------------------

PARTS = (
    "https:// http: shop . - _ @ +48 / ? # % : john pln PL pl [ \u017b \x7f 123456789"
)
OF_PARTS = st.lists(st.sampled_from([*PARTS.split(), " ", "\n"]), min_size=1).map(
    "".join
)
VALID = ("https://shop.example/a?b=1", "j.d@shop.example", "+48123456789")


@given(
    rule=st.sampled_from(list(FAST_CHECKS)),
    value=OF_PARTS
    | st.sampled_from(
        [*VALID, "a" * 3_000, f"https://shop.example/{'a' * 3_000}", "ż" * 3_000]
    )
    | st.from_regex(r"https?://[a-z0-9.-]{1,70}(/[!-~]{0,9})?", fullmatch=True)
    | st.from_regex(r"[!-~]{1,5}@[a-z0-9.-]{1,9}", fullmatch=True)
    | st.text(min_size=1)
    | st.integers(-1, 1)
    | st.integers(2**53 - 1, 2**53 + 1),
)
def test_what_passes_a_fast_check_passes_the_rule(
    rule: rules.Rule, value: str | int
) -> None:
    """The short cut takes nothing that the rule would refuse or change."""
    kind, look = FAST_CHECKS[rule]
    if type(value) is kind and look(value):
        assert rule("field", value) == value
