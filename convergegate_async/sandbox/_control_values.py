"""What the control API says, as values without customers.

Whoever has the key can ask the gateway for a session's personal data; a test that looks
at what happened has no need of them, and its log shall not hold them.
"""

from typing import Self

import attrs

from convergegate_async.models import EventType, RefundStatus, SessionStatus

from ._book import BookedRefund, BookedSession
from ._faults import FaultKind
from ._forms import masked_form
from ._masks import customer_of, masked
from ._seen import SeenRequest
from ._webhook_sender import Delivery


@attrs.frozen(kw_only=True)
class RefundState:
    """A refund as it stands."""

    id: str
    amount: int
    status: RefundStatus
    reason: str | None
    created_at: int

    @classmethod
    def of(cls, refund: BookedRefund) -> Self:
        """Return that of a refund in the book."""
        names = attrs.fields_dict(cls)
        return cls(**{name: getattr(refund, name) for name in names})


@attrs.frozen(kw_only=True)
class SessionState:
    """A session as it stands.

    Attributes:
        payments: How often money was taken for it; never more than once.
        url: Its pay page.
    """

    id: str
    status: SessionStatus
    amount: int
    amount_refunded: int
    currency: str
    payments: int
    created_at: int
    expires_at: int
    url: str
    refunds: tuple[RefundState, ...]

    @classmethod
    def of(cls, session: BookedSession) -> Self:
        """Return that of a session in the book."""
        return cls(
            id=session.id,
            status=session.status,
            amount=session.request.amount,
            amount_refunded=session.amount_refunded,
            currency=session.request.currency,
            payments=session.payments,
            created_at=session.created_at,
            expires_at=session.expires_at,
            url=session.url,
            refunds=tuple(map(RefundState.of, session.refunds)),
        )


@attrs.frozen(kw_only=True)
class RequestState:
    """A request that arrived, and what became of it.

    Attributes:
        idempotency_key: The session's customer masked in there, as in the body.
        body: The pairs of its form; personal values and texts of the shop's own by name
            only.
        status: What was answered; `None` if nothing was.
    """

    at: float
    operation: str
    method: str
    path: str
    session_id: str | None
    idempotency_key: str | None
    body: tuple[str, ...]
    status: int | None
    replayed: bool
    fault: FaultKind | None

    @classmethod
    def of(cls, seen: SeenRequest, session: BookedSession | None) -> Self:
        """Return that of a request as it was seen; *session* is what it is about."""
        names = attrs.fields_dict(cls)
        values = {name: getattr(seen, name) for name in names}
        customer = () if session is None else customer_of(session.request)
        values["body"] = tuple(masked_form(seen.body, customer))
        if session is not None and seen.idempotency_key is not None:
            values["idempotency_key"] = masked(seen.idempotency_key, session.request)
        return cls(**values)


@attrs.frozen(kw_only=True)
class DeliveryState:
    """An event on its way to the shop.

    Attributes:
        id: That of the event; several deliveries can be of one.
        status: What the shop answered last; `None` if it did not.
        acknowledged: The shop answered 2xx.
        next_try: When it is tried next, in epoch seconds.
    """

    id: str
    type: EventType
    created_at: int
    session_id: str
    refund_id: str | None
    attempts: int
    status: int | None
    acknowledged: bool
    note: str
    fault: FaultKind | None
    next_try: float | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return that of a delivery in the sender's journal."""
        event = delivery.event
        return cls(
            id=event.id,
            type=event.type,
            created_at=event.created_at,
            session_id=event.session_id,
            refund_id=event.refund_id,
            attempts=delivery.attempt,
            status=delivery.status,
            acknowledged=delivery.is_done,
            note=delivery.note,
            fault=delivery.fault,
            next_try=delivery.next_try,
        )


@attrs.frozen(kw_only=True)
class SessionStory:
    """A session, and the newest 100 of its requests and of its deliveries."""

    session: SessionState
    requests: tuple[RequestState, ...]
    deliveries: tuple[DeliveryState, ...]


@attrs.frozen(kw_only=True)
class ClockState:
    """What the gateway's clock shows, in epoch seconds."""

    now: float
