"""Requests and events that a test makes by saying what it is about."""

import inspect
import time

import attrs
import pytest

from convergegate_async import (
    BadSignatureError,
    CheckoutSessionRequest,
    EventType,
    InvalidFieldError,
    StaleWebhookError,
    WebhookVerifier,
)
from convergegate_async.sandbox import Sandbox
from convergegate_async.testing import RequestFields, checkout_request, signed_event

KEY = inspect.signature(Sandbox).parameters["api_key"].default


def test_a_request_has_what_the_test_said() -> None:
    """And what a gateway asks for besides."""
    request = checkout_request(amount=1000, metadata={"order": "A-17"})

    assert (request.amount, request.metadata) == (1000, {"order": "A-17"})
    assert attrs.evolve(request, amount=4999, metadata=None) == checkout_request()


def test_a_request_is_checked() -> None:
    """A test cannot send what a shop could not."""
    with pytest.raises(InvalidFieldError, match="amount"):
        checkout_request(amount=0)


def test_each_field_can_be_said() -> None:
    """Editors know them, and none was forgotten."""
    assert list(RequestFields.__annotations__) == [
        field.name for field in attrs.fields(CheckoutSessionRequest)
    ]


def test_an_event_is_taken_for_the_gateways() -> None:
    """It is signed by the sandbox's key, and says what the test said."""
    signed = signed_event(
        EventType.SESSION_COMPLETED, session_id="s1", status="completed"
    )

    event = WebhookVerifier(KEY).verify(signed.body, signed.headers)

    assert (event.type, event.session_id) == (EventType.SESSION_COMPLETED, "s1")
    assert (event.status, event.refund_id) == ("completed", None)
    assert signed.headers["Content-Type"] == "application/json"


def test_each_event_is_another() -> None:
    """Unless the test gives it an id, for a second delivery."""
    one, other, third = [
        WebhookVerifier(KEY).verify(signed.body, signed.headers).id
        for signed in (
            signed_event("refund.failed", session_id="s1", refund_id="r1"),
            signed_event("refund.failed", session_id="s1", refund_id="r1"),
            signed_event("refund.failed", session_id="s1", event_id="evt_1"),
        )
    ]

    assert one != other
    assert third == "evt_1"


def test_an_event_can_be_forged_or_late() -> None:
    """A shop refuses both, and a test shows that it does."""
    forged = signed_event("session.completed", session_id="s1", secret="sk_test_x")
    late = signed_event(
        "session.completed", session_id="s1", timestamp=time.time() - 3600
    )

    with pytest.raises(BadSignatureError):
        WebhookVerifier(KEY).verify(forged.body, forged.headers)
    with pytest.raises(StaleWebhookError):
        WebhookVerifier(KEY).verify(late.body, late.headers)
