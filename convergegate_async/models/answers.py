"""What the gateway tells: one name per field, whatever the wire's spelling.

Only *id* is required; the gateway's own samples miss fields. An empty text reads as
`None`, a null list as ``()``, null metadata as ``{}``, a timestamp as an aware
datetime in UTC. A field of the wrong type is `None` and named in ``call.misread``: the
session exists all the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import attrs

from convergegate_async.errors import ConvergeGateError

from .code_generation import write_constructor
from .enums import (
    EventType,
    PaymentMethod,
    RefundReason,
    RefundStatus,
    SessionStatus,
)

# Both spellings occur in the provider's own samples and field tables.
OTHER_SPELLINGS = {
    "amount_subtotal": "amount_sub_total",
    "expires_at": "expire_at",
    "payment_method": "payment_method_types",
}


def _to_dict(noun: attrs.AttrsInstance) -> dict[str, object]:
    return {
        field.name: _to_json(getattr(noun, field.name))
        for field in attrs.fields(type(noun))
        if field.name not in {"raw", "call"}
    }


def _to_json(value: object) -> object:
    match value:
        case str():  # a word of an enum, too
            return str.__str__(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case tuple():
            return [_to_json(item) for item in value]
        case Mapping():
            return dict(value)
        case _:
            return value


@attrs.frozen(kw_only=True)
class CallInfo:
    """How an answer came about.

    Attributes:
        idempotency_key: The key that every attempt carried; `None` on reads and `pay`.
        attempts: How often the call was tried, unsent tries included.
        unknown_attempts: How many of these ended without our knowing whether the
            gateway did it. Above 0, an unpaid second session may exist.
        elapsed: Seconds from the start of the call to the answer.
        request_id: The gateway's name for the answer, where it gives one.
        http_status: The status of the answer.
        headers: Those of the answer, found by a name in any case: at most 16 KiB,
            without ``Set-Cookie``, and never pickled.
        misread: The answer's fields that could not be read.
    """

    idempotency_key: str | None = None
    attempts: int = 1
    unknown_attempts: int = 0
    elapsed: float = 0.0
    request_id: str | None = None
    http_status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)
    misread: tuple[str, ...] = ()


# One is made for every call.
CallInfo.__init__ = write_constructor(CallInfo)  # type: ignore[method-assign]  # as attrs does it


@attrs.frozen(kw_only=True)
class CheckoutSession:
    """A checkout session as the gateway last described it.

    Attributes:
        amount_total: In minor units, after discounts and fees.
        amount_subtotal: In minor units, before discounts and fees: what was asked.
        amount_refunded: In minor units.
        url: The hosted pay page. Whoever has it can pay, so it is left out of `repr`.
        status: A `SessionStatus`, or the gateway's own word if it is a new one.
        livemode: `True` for real money.
        raw: The answer as received, unknown fields included.
        call: How the answer came about.
    """

    id: str
    status: SessionStatus | str | None = None
    amount_total: int | None = None
    amount_subtotal: int | None = None
    amount_refunded: int | None = None
    currency: str | None = None
    url: str | None = attrs.field(default=None, repr=False)
    success_url: str | None = attrs.field(default=None, repr=False)
    cancel_url: str | None = attrs.field(default=None, repr=False)
    notification_url: str | None = attrs.field(default=None, repr=False)
    customer_email: str | None = attrs.field(default=None, repr=False)
    customer_firstname: str | None = attrs.field(default=None, repr=False)
    customer_lastname: str | None = attrs.field(default=None, repr=False)
    customer_phone: str | None = attrs.field(default=None, repr=False)
    customer_ip: str | None = attrs.field(default=None, repr=False)
    customer_country: str | None = attrs.field(default=None, repr=False)
    payment_method: tuple[PaymentMethod | str, ...] = ()
    expires_at: datetime | None = None
    created_at: datetime | None = None
    locale: str | None = None
    fees: tuple[object, ...] = attrs.field(default=(), repr=False, hash=False)
    refunds: tuple[object, ...] = attrs.field(default=(), repr=False, hash=False)
    refunded: bool | None = None
    livemode: bool | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    raw: Mapping[str, object] = attrs.field(
        factory=dict, repr=False, eq=False, metadata={"wire": False}
    )
    call: CallInfo = attrs.field(
        factory=CallInfo, repr=False, eq=False, metadata={"wire": False}
    )

    @property
    def pay_url(self) -> str:
        """*url*, to send the customer to.

        Raises:
            ConvergeGateError: The gateway gave none.
        """
        if self.url is None:
            message = f"the gateway gave no pay page for {self.id}: retrieve it again"
            raise ConvergeGateError(message)
        return self.url

    def to_dict(self) -> dict[str, object]:
        """Return the fields by name as plain JSON values, without *raw* and *call*.

        A time is a text in ISO 8601, in UTC; what is unset is `None`.
        """
        return _to_dict(self)


@attrs.frozen(kw_only=True)
class Refund:
    """A refund as the gateway last described it.

    Attributes:
        amount: What is paid back, in minor units.
        status: A `RefundStatus`, or the gateway's own word if it is a new one.
        reason: A `RefundReason`, or the gateway's own word.
        session_id: The session that it is of; `None` where the gateway does not name
            it, as it need not: you have it from the `RefundRequest`, and `confirm` from
            the event.
        currency: `None` where the gateway does not name it, as it need not.
        livemode: `True` for real money.
        raw: The answer as received, unknown fields included.
        call: How the answer came about.
    """

    id: str
    amount: int | None = None
    status: RefundStatus | str | None = None
    reason: RefundReason | str | None = None
    session_id: str | None = None
    currency: str | None = None
    created_at: datetime | None = None
    livemode: bool | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    raw: Mapping[str, object] = attrs.field(
        factory=dict, repr=False, eq=False, metadata={"wire": False}
    )
    call: CallInfo = attrs.field(
        factory=CallInfo, repr=False, eq=False, metadata={"wire": False}
    )

    def to_dict(self) -> dict[str, object]:
        """Return the fields by name as plain JSON values, as `CheckoutSession` does."""
        return _to_dict(self)


Answer: TypeAlias = CheckoutSession | Refund


@attrs.frozen(kw_only=True)
class WebhookEvent:
    """What a webhook says. Confirm it by `retrieve` before acting on it.

    Attributes:
        id: The event's own id; the same event may be delivered several times.
        type: An `EventType`, or the gateway's own word if it is a new one.
        version: The API version that the event was written in.
        session_id: The session that the event is about.
        refund_id: The refund that the event is about, if it is about one.
        status: The session's status at the time of the event, not now.
        stale: Validly signed, but outside of the tolerance.
        raw: The event as received, unknown fields included.
    """

    id: str
    type: EventType | str
    created_at: datetime | None = None
    version: str | None = None
    session_id: str | None = None
    refund_id: str | None = None
    status: SessionStatus | str | None = None
    stale: bool = attrs.field(default=False, metadata={"wire": False})
    raw: Mapping[str, object] = attrs.field(
        factory=dict, repr=False, eq=False, metadata={"wire": False}
    )

    def to_dict(self) -> dict[str, object]:
        """Return the fields by name as plain JSON values, as `CheckoutSession` does."""
        return _to_dict(self)
