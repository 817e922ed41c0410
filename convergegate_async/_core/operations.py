"""One function per endpoint: each returns a described, unmade call."""

from collections.abc import Mapping
from datetime import datetime
from typing import Generic

import attrs

from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import (
    CheckoutSession,
    CheckoutSessionRequest,
    Refund,
    RefundRequest,
    rules,
)

from .codec import encode_form, form_fields
from .endpoints import (
    CREATE,
    PAY,
    REFUND,
    RETRIEVE,
    RETRIEVE_REFUND,
    WAIT,
    A_co,
    Endpoint,
)
from .secret import Secret

MINIMUM_LIFETIME = 2.5 * 3600  # seconds, as the provider's page on *create* says


@attrs.frozen
class _Payment:
    blik_code: Secret[str]


@attrs.define(kw_only=True)
class Operation(Generic[A_co]):
    """A call to make, described.

    Attributes:
        endpoint: What it calls.
        path: Below the base URL, ids percent-encoded.
        noun: What is sent; of a look what its call has sent.
        identifier: The session or refund that it is about; `None` if there is none yet.
        own_key: The caller chose the key, so an earlier call may have used it.
    """

    endpoint: Endpoint[A_co]
    path: str = attrs.field(repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    noun: attrs.AttrsInstance | None = attrs.field(default=None, repr=False)
    identifier: str | None = attrs.field(default=None, repr=False)
    idempotency_key: str | None = None
    own_key: bool = False

    @property
    def expected(self) -> Mapping[str, object]:
        """What the answer has to repeat, by the answer's field names."""
        echo = self.endpoint.echo
        return {"id": self.identifier} if echo is None else echo.expected_of(self.noun)

    @property
    def sent(self) -> tuple[tuple[str, str], ...]:
        """Name and text of what is sent, to be taken out of messages."""
        return () if self.noun is None else form_fields(self.noun)


def create_checkout_session(
    request: object, *, key: str, own_key: bool, now: float, body: bytes | None = None
) -> Operation[CheckoutSession]:
    """Open a checkout session.

    Args:
        request: What to open.
        key: The idempotency key of the purchase.
        own_key: The caller chose *key*, so that it has to be checked.
        now: The time, in epoch seconds.
        body: What `encode_form` returned for *request*; encoded here if `None`.

    Raises:
        InvalidFieldError: The session would expire too soon, or *key* is malformed.
    """
    if not isinstance(request, CheckoutSessionRequest):
        field, reason = "request", "must be a CheckoutSessionRequest"
        raise InvalidFieldError(field, reason)
    if own_key:
        key = rules.idempotency_key("idempotency_key", key)
    if not lives_long_enough(request.expires_at, now):
        field, reason = "expires_at", "must be at least 2.5 hours ahead"
        raise InvalidFieldError(field, reason)
    return Operation(
        endpoint=CREATE,
        path=CREATE.path,
        body=encode_form(request) if body is None else body,
        noun=request,
        idempotency_key=key,
        own_key=own_key,
    )


def retrieve_checkout_session(session_id: str) -> Operation[CheckoutSession]:
    """Look at a checkout session.

    Raises:
        InvalidFieldError: *session_id* cannot be an id.
    """
    return _look_at(RETRIEVE, session_id)


def wait_for_checkout_session(session_id: str) -> Operation[CheckoutSession]:
    """Look at a checkout session, until somebody has seen enough.

    Raises:
        InvalidFieldError: *session_id* cannot be an id.
    """
    return _look_at(WAIT, session_id)


def _look_at(
    endpoint: Endpoint[CheckoutSession], session_id: str
) -> Operation[CheckoutSession]:
    session_id = rules.session_id("session_id", session_id)
    return Operation(
        endpoint=endpoint,
        path=endpoint.path_of(session_id),
        identifier=session_id,
    )


def pay_checkout_session(
    session_id: str, blik_code: Secret[str]
) -> Operation[CheckoutSession]:
    """Pay a checkout session with the customer's BLIK code.

    It is a POST: a code does not belong into an address.

    Raises:
        InvalidFieldError: *session_id* cannot be an id, or *blik_code* is not six
            digits.
    """
    session_id = rules.session_id("session_id", session_id)
    if not rules.is_blik_code(blik_code.reveal()):
        field, reason = "blik_code", "must be six digits, in a str"
        raise InvalidFieldError(field, reason)
    payment = _Payment(blik_code)
    return Operation(
        endpoint=PAY,
        path=PAY.path_of(session_id),
        body=encode_form(payment),
        noun=payment,
        identifier=session_id,
    )


def create_refund(request: object, *, key: str, own_key: bool) -> Operation[Refund]:
    """Pay a session's money back, in part or in full.

    Raises:
        InvalidFieldError: *key* is malformed.
    """
    if not isinstance(request, RefundRequest):
        field, reason = "request", "must be a RefundRequest"
        raise InvalidFieldError(field, reason)
    if own_key:
        key = rules.idempotency_key("idempotency_key", key)
    return Operation(
        endpoint=REFUND,
        path=REFUND.path,
        body=encode_form(request),
        noun=request,
        identifier=request.session_id,
        idempotency_key=key,
        own_key=own_key,
    )


def retrieve_refund(refund_id: str) -> Operation[Refund]:
    """Look at a refund.

    Raises:
        InvalidFieldError: *refund_id* cannot be an id.
    """
    refund_id = rules.session_id("refund_id", refund_id)
    return Operation(
        endpoint=RETRIEVE_REFUND,
        path=RETRIEVE_REFUND.path_of(refund_id),
        identifier=refund_id,
    )


def lives_long_enough(expires_at: datetime | None, now: float) -> bool:
    """Tell whether a session may expire then: 2.5 hours ahead, or at the default."""
    # It is sent in whole seconds.
    return expires_at is None or int(expires_at.timestamp()) - now >= MINIMUM_LIFETIME
