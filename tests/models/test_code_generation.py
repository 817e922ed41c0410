"""Code that is written per class does what the plain way does, and nothing else."""

import pickle
import traceback
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import ORDER_FIELDS

from convergegate_async import (
    CallInfo,
    CheckoutSession,
    CheckoutSessionRequest,
    InvalidFieldError,
    Refund,
    RefundRequest,
    WebhookEvent,
)
from convergegate_async._core.codec import read_fields
from convergegate_async.models.code_generation import sealed, write_constructor


@attrs.frozen(kw_only=True)
class PlainOrder(CheckoutSessionRequest):
    """A request whose constructor attrs has written: its fields are checked in turn."""


@attrs.frozen(kw_only=True)
class PlainRefund(RefundRequest):
    """A refund of the same kind."""


ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers(-1, 2**53 + 1)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["PL", "pl", "pln", "+48123456789", "https://shop.example/", ""])
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
    | st.lists(st.sampled_from(["blik", "", 1]), max_size=2)
    | st.binary(max_size=3)
)


def outcome(request: type[Any], values: Mapping[str, object]) -> object:
    """Return the fields of the *request*, or what was wrong with them."""
    try:
        return attrs.asdict(request(**values))
    except InvalidFieldError as error:
        return error.problems


@given(
    st.fixed_dictionaries(
        {},
        optional={one.name: ANYTHING for one in attrs.fields(CheckoutSessionRequest)},
    )
)
def test_a_request_is_checked_as_field_by_field(values: dict[str, object]) -> None:
    """The written constructor and the rules one after the other come to the same."""
    values = {**ORDER_FIELDS, **values}

    assert outcome(CheckoutSessionRequest, values) == outcome(PlainOrder, values)


@given(
    st.fixed_dictionaries(
        {"session_id": st.just("cs_1") | ANYTHING},
        optional={one.name: ANYTHING for one in attrs.fields(RefundRequest)[1:]},
    )
)
def test_a_refund_is_checked_as_field_by_field(values: dict[str, object]) -> None:
    """Also where one field depends on another."""
    assert outcome(RefundRequest, values) == outcome(PlainRefund, values)


class Bare(CheckoutSessionRequest):
    """A subclass that adds nothing but a place for attributes."""


@pytest.mark.parametrize("request_type", [CheckoutSessionRequest, Bare, PlainOrder])
def test_a_subclass_is_frozen_and_of_its_own_class(request_type: type[Any]) -> None:
    """Whoever has built it, it is what was asked for, and cannot be written."""
    order = request_type(**ORDER_FIELDS)

    assert type(order) is request_type
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        order.amount = 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del order.amount
    if request_type is not Bare:
        assert pickle.loads(pickle.dumps(order)) == order  # noqa: S301 -- our own


@pytest.mark.parametrize("noun", [CheckoutSession, Refund, WebhookEvent])
def test_an_answer_that_tells_nothing_is_at_its_defaults(noun: type[Any]) -> None:
    """A read value equals one that attrs has built, and is as frozen."""
    needed = {"id": "x", "type": "y"} if noun is WebhookEvent else {"id": "x"}
    draft, misread = read_fields(noun, needed)
    for field in attrs.fields(noun):
        if field.metadata.get("wire") is False:
            setattr(draft, field.name, False if field.name == "stale" else None)
    answer = sealed(draft, noun)

    assert misread == []
    assert answer == noun(**needed)
    assert hash(answer) == hash(noun(**needed))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        answer.id = "z"


def test_values_that_are_made_are_made_anew() -> None:
    """No two values share what a factory has made for each."""
    assert CallInfo().headers is not CallInfo().headers
    first, _ = read_fields(CheckoutSession, {"id": "a"})
    second, _ = read_fields(CheckoutSession, {"id": "b"})
    assert first.metadata is not second.metadata


def test_a_traceback_shows_the_written_code() -> None:
    """Whoever debugs sees the lines, as with what attrs writes."""

    @attrs.frozen(kw_only=True)
    class Noun:
        value: int

    def refuse(_: object, __: object) -> Exception:
        return ValueError("as it stands")

    with pytest.raises(ValueError, match="as it stands") as caught:
        write_constructor(Noun, {}, refuse)(object.__new__(Noun), value=1)

    assert traceback.extract_tb(caught.tb)[-1].line == "raise refusal"
