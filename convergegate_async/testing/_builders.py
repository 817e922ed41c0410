"""What a test hands in: a request that can be sent, and an event that is signed."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict, Unpack

import attrs

from convergegate_async.models import (
    CheckoutSessionRequest,
    EventType,
    PaymentMethod,
    SessionStatus,
)
from convergegate_async.webhooks import sign


class RequestFields(TypedDict, total=False):
    """The fields of a `CheckoutSessionRequest`."""

    amount: int
    currency: str
    customer_email: str
    customer_firstname: str
    customer_lastname: str
    customer_phone: str
    success_url: str
    cancel_url: str | None
    notification_url: str | None
    customer_ip: str | None
    customer_country: str | None
    payment_method: Sequence[PaymentMethod | str] | None
    expires_at: datetime | int | None
    locale: str | None
    metadata: Mapping[str, str] | None
    extra: Mapping[str, str] | None


PLAIN_ORDER: RequestFields = {
    "amount": 4999,
    "currency": "pln",
    "customer_email": "john@example.com",
    "customer_firstname": "John",
    "customer_lastname": "Doe",
    "customer_phone": "+48123456789",
    "success_url": "https://shop.example/thanks",
}
"""What has to be there, and nothing else."""


def checkout_request(**changes: Unpack[RequestFields]) -> CheckoutSessionRequest:
    """Return a request that a gateway accepts, for tests that are about one field.

    Say what the test is about, and nothing else::

        request = checkout_request(amount=1000, metadata={"order": "A-17"})

    Args:
        **changes: Fields that shall have another value.

    Raises:
        InvalidFieldError: A value cannot be right.
    """
    fields: RequestFields = {**PLAIN_ORDER, **changes}
    return CheckoutSessionRequest(**fields)


@attrs.frozen
class SignedEvent:
    """A webhook as the gateway delivers it, to post to a shop by any test client.

    Such as that of Django, or of FastAPI::

        event = signed_event("session.completed", session_id=session.id)
        client.post("/webhooks", content=event.body, headers=event.headers)

    Attributes:
        body: The bytes that are signed.
        headers: Signature, timestamp and content type.
    """

    body: bytes
    headers: Mapping[str, str]


def signed_event(  # noqa: PLR0913 -- the fields of an event, and how it is signed
    event: EventType | str,
    *,
    session_id: str,
    refund_id: str | None = None,
    status: SessionStatus | str | None = None,
    event_id: str | None = None,
    secret: str = "sk_test_sandbox",  # noqa: S107 -- no secret of anybody's
    timestamp: float | None = None,
) -> SignedEvent:
    """Return an event that `WebhookVerifier` takes for the gateway's.

    Args:
        event: Such as ``session.completed``.
        session_id: The session that it is about.
        refund_id: The refund that it is about, if it is about one.
        status: The session's status; left out if `None`.
        event_id: Its own id, one for all its deliveries; a random one if `None`.
        secret: What it is signed with; that of the sandbox if it is not given.
        timestamp: When it was signed, in epoch seconds by the machine's clock, as
            receivers go by that and not by a sandbox's; now if `None`.
    """
    data = {"session_id": session_id, "status": status, "refund_id": refund_id}
    signed_at = int(time.time() if timestamp is None else timestamp)
    document = {
        "id": event_id or f"evt_{secrets.token_urlsafe(16)}",
        "type": event,
        "version": "1",
        "created_at": signed_at,
        "data": {name: value for name, value in data.items() if value is not None},
    }
    body = json.dumps(document).encode()
    headers = sign(body, secret=secret, timestamp=signed_at)
    return SignedEvent(body, {**headers, "Content-Type": "application/json"})
