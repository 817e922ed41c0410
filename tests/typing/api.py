"""Checked by mypy, never run: the types that users see."""

from collections.abc import Mapping
from datetime import datetime
from typing import assert_type

from convergegate_async import (
    CallInfo,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    Outcome,
    OutcomeUnknownError,
    PaymentMethod,
    SessionStatus,
    derive_key,
)
from convergegate_async.sandbox import Sandbox


async def calls(checkout: CheckoutSessionFactory) -> None:
    """A call returns the model, and its fields are what they are said to be."""
    request = CheckoutSessionRequest(
        amount=1,
        currency="pln",
        customer_email="a@b.pl",
        customer_firstname="A",
        customer_lastname="B",
        customer_phone="+48123456789",
        success_url="https://a.pl",
        payment_method=["blik"],
        metadata={"a": "b"},
    )
    session = await checkout.create(request, idempotency_key=derive_key("order", 7))
    assert_type(session, CheckoutSession)
    assert_type(session.id, str)
    assert_type(session.status, SessionStatus | str | None)
    assert_type(session.amount_total, int | None)
    assert_type(session.expires_at, datetime | None)
    assert_type(session.payment_method, tuple[PaymentMethod | str, ...])
    assert_type(session.raw, Mapping[str, object])
    assert_type(session.call, CallInfo)
    assert_type(await checkout.retrieve(session.id, timeout=3), CheckoutSession)
    assert_type(await checkout.aclose(drain=1), tuple[str, ...])
    CheckoutSessionRequest(amount="1")  # type: ignore[call-arg, arg-type]  # must not pass


async def life() -> None:
    """A factory is its own context, and the sandbox makes one."""
    async with Sandbox() as sandbox, sandbox.factory() as checkout:
        assert_type(checkout, CheckoutSessionFactory)


def errors(error: OutcomeUnknownError) -> None:
    """An error's fields are typed too."""
    assert_type(error.outcome, Outcome)
    assert_type(error.idempotency_key, str | None)
    assert_type(error.session, CheckoutSession | None)
