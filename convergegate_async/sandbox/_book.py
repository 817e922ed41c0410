"""What the gateway knows: sessions, and the answers it gave under idempotency keys."""

import base64
import random
from collections.abc import Callable
from datetime import UTC, datetime

import attrs

from convergegate_async.models import CheckoutSessionRequest, SessionStatus

DEFAULT_LIFETIME = 24 * 3600  # seconds (API contract 1.3)


@attrs.define(kw_only=True)
class BookedSession:
    """A session in the book; *status* and the amounts change."""

    id: str
    request: CheckoutSessionRequest
    url: str
    created_at: int
    expires_at: int
    status: SessionStatus = SessionStatus.OPEN
    amount_refunded: int = 0

    def as_created(self) -> dict[str, object]:
        """Spell the session as the sample answer of *create* does."""
        request = self.request
        return {
            "id": self.id,
            "amount_total": request.amount,
            "amount_sub_total": request.amount,
            "amount_refunded": self.amount_refunded,
            "currency": request.currency,
            "cancel_url": request.cancel_url or "",
            "customer_firstname": request.customer_firstname,
            "customer_lastname": request.customer_lastname,
            "customer_email": request.customer_email,
            "customer_ip": request.customer_ip or "",
            "customer_country": request.customer_country or "",
            "expire_at": self.expires_at,
            "created_at": self.created_at,
            "success_url": request.success_url,
            "payment_method": list(request.payment_method or ("blik",)),
            "locale": request.locale or "",
            "url": self.url,
            "fees": None,
            "metadata": dict(request.metadata) if request.metadata else None,
            "refunds": [],
            "refunded": False,
            "status": str(self.status),
            "livemode": False,
            "notification_url": request.notification_url or "",
        }

    def as_retrieved(self) -> dict[str, object]:
        """Spell the session as the field table of *retrieve* does."""
        spelled = self.as_created()
        for created, retrieved in (
            ("amount_sub_total", "amount_subtotal"),
            ("expire_at", "expires_at"),
            ("payment_method", "payment_method_types"),
        ):
            spelled[retrieved] = spelled.pop(created)
        return spelled


@attrs.frozen
class KeptAnswer:
    """What was answered under an idempotency key, and to which body."""

    request_body: bytes = attrs.field(repr=False)
    answer: dict[str, object] = attrs.field(repr=False)


class Book:
    """The gateway's memory.

    Args:
        now: The gateway's clock, in epoch seconds.
        seed: Of the session ids.
    """

    def __init__(self, now: Callable[[], float], seed: int) -> None:
        self.sessions: dict[str, BookedSession] = {}
        self.answers: dict[str, KeptAnswer] = {}
        self._now = now
        self._dice = random.Random(seed)  # noqa: S311 -- ids have to be repeatable

    def open_session(
        self, request: CheckoutSessionRequest, base_url: str
    ) -> BookedSession:
        """Enter a new session."""
        identifier = base64.urlsafe_b64encode(self._dice.randbytes(16)).decode()
        identifier = identifier.rstrip("=")
        created_at = int(self._now())
        expires_at = (
            created_at + DEFAULT_LIFETIME
            if request.expires_at is None
            else int(request.expires_at.timestamp())
        )
        session = BookedSession(
            id=identifier,
            request=request,
            url=f"{base_url}/pay/{identifier}",
            created_at=created_at,
            expires_at=expires_at,
        )
        self.sessions[identifier] = session
        return session

    def find_session(self, identifier: str) -> BookedSession | None:
        """Look a session up, as it stands now."""
        session = self.sessions.get(identifier)
        if (
            session is not None
            and session.status is SessionStatus.OPEN
            and session.expires_at <= self._now()
        ):
            session.status = SessionStatus.EXPIRED
        return session


def moment(epoch: str) -> datetime:
    """Read whole epoch seconds.

    Raises:
        ValueError: They are not.
    """
    return datetime.fromtimestamp(int(epoch), UTC)
