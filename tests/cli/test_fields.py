"""What `create` and `refund` are given: all that is wrong is told in one go."""

import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from canaries import leaked
from hypothesis import given
from hypothesis import strategies as st
from programs import run

from convergegate_async import (
    CheckoutSessionRequest,
    InvalidFieldError,
    RefundRequest,
)
from convergegate_async.cli._fields import read_request
from convergegate_async.cli._sessions import create
from convergegate_async.sandbox import Sandbox

REQUIRED = (
    *("--amount", "--currency", "--customer-email", "--customer-firstname"),
    *("--customer-lastname", "--customer-phone", "--success-url"),
)
WRONG = {
    "--amount": ("49.99", "must be a whole number of minor units: 4999 is 49.99"),
    "--currency": ("zloty", "must be a three-letter ISO 4217 code"),
    "--customer-email": ("canary", "must be an e-mail address"),
    "--customer-firstname": (" ", "must hold something that can be seen"),
    "--customer-phone": ("48999888777", "must be a phone number in E.164"),
    "--success-url": ("shop.example", "must be an absolute http or https URL"),
    "--customer-country": ("Poland", "must be a two-letter ISO 3166 code"),
    "--expires-at": ("soon", "is neither epoch seconds nor ISO 8601"),
    "--metadata": ("order", "must be KEY=VALUE"),
    "--extra": ("amount=1", "must not hold amount, which is a field"),
    "--idempotency-key": ("a b", "must be 1 to 255 letters, digits"),
}


async def test_all_that_is_missing_is_told_at_once(sandbox: Sandbox) -> None:
    """Each required option by its name, exit code 2; nothing is sent."""
    done = await run(sandbox, "create")

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "Error: 7 options cannot be right:",
        *(f"  {name} must be given" for name in REQUIRED),
    ]
    assert not sandbox.seen


async def test_all_that_is_wrong_is_told_at_once(sandbox: Sandbox) -> None:
    """Beside what is missing; by options, and without the values."""
    options = [word for name, (value, _) in WRONG.items() for word in (name, value)]

    done = await run(sandbox, "create", *options, "--output", "json")

    assert done.code == 2
    problems = json.loads(done.out)["error"]["problems"]
    reasons = {problem["option"]: problem["reason"] for problem in problems}
    assert reasons.keys() == {*WRONG, "--customer-lastname"}
    assert reasons["--customer-lastname"] == "must be given"
    for name, (_, reason) in WRONG.items():
        assert reasons[name].startswith(reason)
        assert f"  {name} {reason}" in done.err
    assert leaked(done.err + done.out) == []
    assert not sandbox.seen


async def test_a_session_that_expires_too_soon_is_told_beside_the_rest(
    sandbox: Sandbox,
) -> None:
    """It needs the clock, and no answer of the gateway."""
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    done = await run(sandbox, "create", "--expires-at", soon)

    assert "  --expires-at must be at least 2.5 hours ahead" in done.err.splitlines()
    assert "  --amount must be given" in done.err.splitlines()


async def test_one_mistake_is_one_sentence(sandbox: Sandbox) -> None:
    """In a refund as well, whose argument is told by the name that help gives it."""
    done = await run(sandbox, "refund", "a/b", "--amount", "1", "--metadata", "a")

    assert done.code == 2
    assert done.err.splitlines()[0] == "Error: 2 options cannot be right:"
    assert "  SESSION_ID must be 1 to 128 letters" in done.err
    assert "  --metadata must be KEY=VALUE" in done.err

    done = await run(sandbox, "refund", "s1", "--amount", "ten")

    assert done.err.startswith("Error: --amount must be a whole number")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "amount", ["49_99", "\uff14\uff19", "\u0664", " 5", "+5", "5\n"]
)
def test_an_amount_is_plain_digits(amount: str) -> None:
    """What Python's int would take besides is no amount that somebody has seen."""
    with pytest.raises(InvalidFieldError) as caught:
        read_request(RefundRequest, {"session_id": "s", "amount": amount}, None)

    assert dict(caught.value.problems).keys() == {"amount"}


FIELDS = [field.name for field in attrs.fields(CheckoutSessionRequest)]


def test_create_has_an_option_for_every_field() -> None:
    """A field that the request learns one day is not forgotten here."""
    assert {*FIELDS} <= {option.name for option in create.params}


@given(st.dictionaries(st.sampled_from(FIELDS), st.text()), st.text())
def test_any_text_is_read_or_refused(texts: dict[str, str], amount: str) -> None:
    """Whatever options hold becomes a request, or problems of its fields."""
    options: dict[str, object] = {**dict.fromkeys(FIELDS), **texts}
    for name in {"extra", "metadata", "payment_method"} & texts.keys():
        options[name] = (texts[name],)

    with pytest.raises(InvalidFieldError) as caught:
        read_request(CheckoutSessionRequest, options | {"amount": "CANARY"}, amount)

    assert dict(caught.value.problems).keys() <= {*FIELDS, "idempotency_key"}
    assert "CANARY" not in str(caught.value)
