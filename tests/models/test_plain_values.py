"""An enum's member is sent as its value, and a subclass of `str` as its text."""

import base64
from collections.abc import Callable
from enum import Enum, IntEnum, StrEnum
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import ORDER_FIELDS
from scripted import DONE, ScriptedTransport, answered, scripted_factory

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    InvalidFieldError,
    RefundRequest,
    derive_key,
)
from convergegate_async._core.codec import encode_form, form_fields
from convergegate_async.models.rules import plain


class Loud(str):
    """A text that prints itself otherwise, as marked-up text does."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"<{self[:]}>"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return str(self)


class LoudInt(int):
    """A number that prints itself otherwise."""

    def __str__(self) -> str:
        return "many"

    def __format__(self, spec: str) -> str:
        return str(self)


def member_of(kind: Callable[..., Any], value: object) -> Any:  # noqa: ANN401 -- of any enum
    """Return the member of a new enum that has that value."""
    return kind("Word", {"MEMBER": value}).MEMBER


class _Text(str, Enum):  # noqa: UP042 -- what older code has, and prints its name
    __slots__ = ()


class _Number(int, Enum):
    pass


SPELLINGS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "str, Enum": lambda text: member_of(_Text, text),
    "StrEnum": lambda text: member_of(StrEnum, text),
    "Enum": lambda text: member_of(Enum, text),
    "Enum of a subclass": lambda text: member_of(Enum, Loud(text)),
    "subclass": Loud,
}
NUMBERS: dict[str, Callable[[int], Any]] = {
    "int": int,
    "int, Enum": lambda number: member_of(_Number, number),
    "IntEnum": lambda number: member_of(IntEnum, number),
    "Enum": lambda number: member_of(Enum, number),
    "subclass": LoudInt,
}
spell = st.sampled_from(list(SPELLINGS.values()))
count = st.sampled_from(list(NUMBERS.values()))
each_spelling = pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
each_number = pytest.mark.parametrize("counted", NUMBERS.values(), ids=NUMBERS)

ALL_FIELDS = {
    **ORDER_FIELDS,
    "cancel_url": "https://shop.example/no",
    "notification_url": "https://shop.example/hook",
    "customer_ip": "192.0.2.7",
    "customer_country": "PL",
    "locale": "pl",
}
texts = st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1, max_size=20)


@given(
    spellings=st.fixed_dictionaries(dict.fromkeys(ALL_FIELDS, spell)),
    counted=count,
    metadata=st.dictionaries(texts, texts | st.just(""), max_size=4),
    around=st.tuples(spell, spell, spell),
)
def test_what_is_sent_is_the_value(
    spellings: dict[str, Callable[[str], Any]],
    counted: Callable[[int], Any],
    metadata: dict[str, str],
    around: tuple[Callable[[str], Any], ...],
) -> None:
    """Whichever fields are members or subclasses, the same bytes go out."""
    key, content, method = around
    fields: dict[str, Any] = {
        name: counted(value) if name == "amount" else spellings[name](value)
        for name, value in ALL_FIELDS.items()
    }

    sent = CheckoutSessionRequest(
        **fields,
        payment_method=(method("blik"),),
        metadata={key(name): content(text) for name, text in metadata.items()},
    )

    wanted = CheckoutSessionRequest(
        **ALL_FIELDS, payment_method=("blik",), metadata=metadata
    )
    assert encode_form(sent) == encode_form(wanted)
    assert form_fields(sent) == form_fields(wanted)
    assert sent == wanted


@given(
    spelled=st.tuples(spell, spell, spell, spell),
    counted=count,
    name=texts,
)
def test_a_refund_is_sent_as_its_values(
    spelled: tuple[Callable[[str], Any], ...],
    counted: Callable[[int], Any],
    name: str,
) -> None:
    """The same for every field of a refund."""
    session_id, reason, key, content = spelled

    sent = RefundRequest(
        session_id=session_id("AW1"),
        amount=counted(1000),
        reason=reason("duplicated"),
        metadata={key(name): content(name)},
    )

    wanted = RefundRequest(
        session_id="AW1", amount=1000, reason="duplicated", metadata={name: name}
    )
    assert encode_form(sent) == encode_form(wanted)
    assert sent == wanted


@each_spelling
async def test_ids_codes_and_keys_are_sent_as_their_values(
    spelled: Callable[[str], Any],
) -> None:
    """In the path, in the body and in the header there is no enum's name."""
    transport = ScriptedTransport(*[DONE] * 3)

    async with scripted_factory(transport) as checkout:
        request = CheckoutSessionRequest(**ORDER_FIELDS)
        made = await checkout.create(request, idempotency_key=spelled("k1"))
        await checkout.retrieve(spelled(made.id))
        if isinstance(spelled("1"), str):  # a code is a str
            await checkout.pay(spelled(made.id), spelled("123456"))

    created, retrieved, *paid = transport.sent
    assert created.headers["Idempotency-Key"] == made.call.idempotency_key == "k1"
    assert retrieved.url.endswith(f"/{made.id}")
    assert all(pay.body == b"blik_code=123456" for pay in paid)
    assert all(f"/{made.id}" in pay.url for pay in paid)


@each_spelling
async def test_an_error_names_the_key_by_its_value(
    spelled: Callable[[str], Any],
) -> None:
    """What is to be stored and compared later is plain."""
    transport = ScriptedTransport(answered(400))

    async with scripted_factory(transport) as checkout:
        with pytest.raises(CallError) as caught:
            await checkout.create(
                CheckoutSessionRequest(**ORDER_FIELDS), idempotency_key=spelled("k1")
            )

    assert type(caught.value.idempotency_key) is str
    assert "idempotency key k1" in str(caught.value)


async def test_an_api_key_is_sent_as_its_value() -> None:
    """An enum of keys signs in with the key, and not with its name."""
    transport = ScriptedTransport(DONE)
    key = member_of(_Text, "sk_test_x")

    async with CheckoutSessionFactory(
        key, "https://gateway.example", transport=transport
    ) as checkout:
        await checkout.retrieve("AW-kLcRRC5P8U68CYe0kVA")

    wanted = base64.b64encode(b"sk_test_x:").decode()
    assert transport.sent[0].headers["Authorization"] == f"Basic {wanted}"


@each_spelling
def test_a_key_is_derived_from_values(spelled: Callable[[str], Any]) -> None:
    """One purchase has one key, however its parts are spelled."""
    assert derive_key(spelled("order"), spelled("A-1")) == derive_key("order", "A-1")


@each_number
def test_a_key_is_derived_from_numbers(counted: Callable[[int], Any]) -> None:
    """7, "7" and a member with the value 7 are the same."""
    assert derive_key("order", counted(7)) == derive_key("order", "7")


@each_spelling
def test_an_empty_member_in_an_optional_field_is_unset(
    spelled: Callable[[str], Any],
) -> None:
    """As an empty text is."""
    sent = CheckoutSessionRequest(**ORDER_FIELDS, cancel_url=spelled(""))

    assert sent.cancel_url is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("amount", member_of(Enum, value=True), id="bool"),
        pytest.param("amount", member_of(Enum, 4.0), id="float"),
        pytest.param("amount", member_of(Enum, "4999"), id="text-for-amount"),
        pytest.param("amount", member_of(Enum, 0), id="zero"),
        pytest.param("currency", member_of(Enum, 985), id="number-for-text"),
        pytest.param("customer_email", member_of(Enum, ("j@example.com",)), id="tuple"),
        pytest.param("locale", member_of(Enum, "no locale"), id="no-locale"),
        pytest.param("metadata", {"a": member_of(Enum, 1)}, id="number-in-metadata"),
        pytest.param("metadata", {member_of(Enum, "a"): "1", "a": "2"}, id="key-twice"),
    ],
)
def test_a_member_is_refused_as_its_value_would_be(field: str, value: object) -> None:
    """An enum lets nothing in that is not let in without it."""
    with pytest.raises(InvalidFieldError) as caught:
        CheckoutSessionRequest(**ORDER_FIELDS | {field: cast("Any", value)})

    assert caught.value.field == field


@given(value=st.text() | st.integers(), wrap=st.sampled_from([*SPELLINGS, *NUMBERS]))
def test_plain_values_have_no_class_of_their_own(value: object, wrap: str) -> None:
    """What comes out is exactly a `str` or an `int`, and equal."""
    kinds = SPELLINGS if isinstance(value, str) else NUMBERS
    spelled = cast("Callable[[object], object]", kinds.get(wrap, member_of_enum))

    found = plain(spelled(value))

    assert found == value
    assert type(found) is type(value)


def member_of_enum(value: object) -> object:
    """Return a member of a plain enum."""
    return member_of(Enum, value)


@given(st.none() | st.booleans() | st.floats(allow_nan=False) | st.binary())
def test_what_is_neither_text_nor_number_is_left_alone(value: object) -> None:
    """It is for the field's rule to refuse."""
    assert plain(value) is value
    assert plain(member_of(Enum, value)) is not None
