"""What a refused request tells: all that is wrong with it, and no value."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from canaries import PERSONAL

from convergegate_async import (
    CheckoutSessionRequest,
    InvalidFieldError,
    RefundRequest,
)

EMAIL = PERSONAL[0]
GOOD: dict[str, Any] = {
    "amount": 4999,
    "currency": "pln",
    "customer_email": EMAIL,
    "customer_firstname": "canary",
    "customer_lastname": "canary",
    "customer_phone": "+48999888777",
    "success_url": "https://canary.example/",
    "metadata": {"note": "canary"},
}
BAD = {
    "amount": "canary",
    "currency": "canary",
    "customer_email": f"{EMAIL} ",
    "customer_firstname": "canary\n",
    "customer_lastname": "canary\0",
    "customer_phone": "canary",
    "success_url": "canary",
    "cancel_url": "canary",
    "notification_url": "canary",
    "customer_ip": "canary",
    "customer_country": "canary",
    "payment_method": "canary",
    "expires_at": "canary",
    "locale": "canary canary",
    "metadata": {"note": "canary\n"},
}
REFUND: dict[str, Any] = {"session_id": "canary/", "metadata": {"note": "canary\n"}}
REFUSED: dict[str, Callable[[], object]] = {
    **{
        name: lambda name=name: CheckoutSessionRequest(**GOOD | {name: BAD[name]})  # type: ignore[misc]
        for name in BAD
    },
    "all": lambda: CheckoutSessionRequest(**BAD),  # type: ignore[arg-type]
    "missing": lambda: CheckoutSessionRequest(customer_email=EMAIL),  # type: ignore[call-arg]
    "unknown": lambda: CheckoutSessionRequest(**GOOD, blik="canary"),  # type: ignore[call-arg]
    "positional": lambda: CheckoutSessionRequest("canary", **GOOD),  # type: ignore[call-arg, arg-type]
    "refund": lambda: RefundRequest(**REFUND),
    "refund-full": lambda: RefundRequest(**REFUND, full="canary"),  # type: ignore[arg-type]
    "refund-unknown": lambda: RefundRequest(session_id="s", note="canary"),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_value_is_in_no_frame(case: str) -> None:
    """No frame of ours is left with a value, the constructor's least of all."""
    make = REFUSED[case]
    with pytest.raises((InvalidFieldError, TypeError)) as caught:
        make()

    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert {frame.name for frame in ours} <= {"__init__"}
    assert "canary" not in str([frame.locals for frame in ours]).lower()
    assert shown.__context__ is None


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A form can mark every field that has to be corrected, in one go."""
    with pytest.raises(InvalidFieldError) as caught:
        CheckoutSessionRequest(**BAD)  # type: ignore[arg-type]

    error = caught.value
    assert [field for field, _ in error.problems] == list(BAD)
    assert error.problems[0] == (error.field, error.reason)
    assert str(error) == "; ".join(f"{name} {why}" for name, why in error.problems)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"session_id": "/", "amount": 0}, ["session_id", "amount"]),
        ({"session_id": "/", "amount": None}, ["session_id", "amount"]),
        ({"session_id": "s", "amount": 0, "full": 1}, ["amount", "full"]),
        ({"session_id": "s", "amount": 0, "full": True}, ["amount"]),
        ({"session_id": "s", "full": True, "reason": "no"}, ["reason"]),
    ],
    ids=str,
)
def test_a_refund_tells_all_at_once(fields: dict[str, Any], named: list[str]) -> None:
    """So does a refund, and no field is named twice."""
    with pytest.raises(InvalidFieldError) as caught:
        RefundRequest(**fields)

    assert [field for field, _ in caught.value.problems] == named


def test_what_stands_after_a_bad_field_is_checked_all_the_same() -> None:
    """One wrong field hides no other, wherever it stands."""
    for name, value in BAD.items():
        with pytest.raises(InvalidFieldError) as caught:
            CheckoutSessionRequest(**GOOD | {"amount": 0, name: value})

        assert name in dict(caught.value.problems)
