"""What the gateway knows: sessions, refunds, what is due, and what it has to tell.

Time comes in from outside; nothing here waits. Where the provider's pages are silent,
the comment says "assumed".
"""

import base64
import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum

import attrs

from convergegate_async.models import (
    CheckoutSessionRequest,
    EventType,
    RefundRequest,
    RefundStatus,
    SessionStatus,
)

DEFAULT_LIFETIME = 24 * 3600  # seconds, as the provider's page on *create* says
REFUND_TIME = 1  # seconds from `refund.created` to its end (assumed)
REFUND_THAT_FAILS = 666  # minor units: a refund of so much ends in `refund.failed`

PAID_LATER = 2  # seconds that a customer of the sandbox takes to confirm


class CodeFate(StrEnum):
    """What becomes of a BLIK code."""

    PAID = "paid at once"
    PAID_LATER = "paid two seconds later"
    REFUSED = "refused by the bank"
    UNCONFIRMED = "never confirmed by the customer"
    EXPIRED = "an expired code"


CODES: Mapping[str, CodeFate] = {
    "123456": CodeFate.PAID,
    "012345": CodeFate.PAID_LATER,
    "200000": CodeFate.REFUSED,
    "300000": CodeFate.UNCONFIRMED,
    "400000": CodeFate.EXPIRED,
}
"""What the sandbox does with a BLIK code; any other six digits are paid at once."""


@attrs.define(kw_only=True)
class BookedRefund:
    """A refund in the book."""

    id: str
    session_id: str
    amount: int
    reason: str | None
    metadata: Mapping[str, str] | None
    created_at: int
    ends_at: float
    status: RefundStatus = RefundStatus.PENDING

    def as_json(self) -> dict[str, object]:
        """Return the refund as in the provider's sample."""
        return {
            "id": self.id,
            "amount": self.amount,
            "status": str(self.status),
            "reason": self.reason or "",
            "created_at": self.created_at,
            "livemode": False,
            "metadata": dict(self.metadata) if self.metadata else None,
        }


@attrs.define(kw_only=True)
class BookedSession:
    """A session in the book.

    Attributes:
        payments: How often money was taken for it; never more than once.
        confirms_at: When the customer will have confirmed in the bank's app.
    """

    id: str
    request: CheckoutSessionRequest
    url: str
    created_at: int
    expires_at: int
    status: SessionStatus = SessionStatus.OPEN
    payments: int = 0
    confirms_at: float | None = None
    refunds: list[BookedRefund] = attrs.field(factory=list)

    @property
    def amount_refunded(self) -> int:
        """What was paid back, or is about to be."""
        return sum(
            refund.amount
            for refund in self.refunds
            if refund.status is not RefundStatus.FAILED
        )

    @property
    def is_final(self) -> bool:
        """Tell whether it can no longer be paid."""
        return self.status in (SessionStatus.COMPLETED, SessionStatus.EXPIRED)

    def as_created(self) -> dict[str, object]:
        """Return the session as in the sample answer of *create*."""
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
            "refunds": [refund.as_json() for refund in self.refunds],
            "refunded": self.amount_refunded == request.amount,
            "status": str(self.status),
            "livemode": False,
            "notification_url": request.notification_url or "",
        }

    def as_retrieved(self) -> dict[str, object]:
        """Return the session as in the field table of *retrieve*."""
        document = self.as_created()
        for created, retrieved in (
            ("amount_sub_total", "amount_subtotal"),
            ("expire_at", "expires_at"),
            ("payment_method", "payment_method_types"),
        ):
            document[retrieved] = document.pop(created)
        return document


@attrs.frozen(kw_only=True)
class BookedEvent:
    """Something to tell the shop."""

    id: str
    type: EventType
    created_at: int
    url: str
    session_id: str
    status: SessionStatus | None = None
    refund_id: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the event under the provider's dotted field names."""
        data: dict[str, object] = {"session_id": self.session_id}
        if self.status is not None:
            data["status"] = str(self.status)
        if self.refund_id is not None:
            data["refund_id"] = self.refund_id
        return {
            "id": self.id,
            "type": str(self.type),
            "version": "1",
            "created_at": self.created_at,
            "data": data,
        }


@attrs.frozen
class KeptAnswer:
    """What was answered under an idempotency key, and to which body."""

    request_body: bytes = attrs.field(repr=False)
    answer: dict[str, object] = attrs.field(repr=False)


class Book:
    """The gateway's memory.

    Args:
        now: The gateway's clock, in epoch seconds.
        seed: Seeds all ids; they are random if `None`.

    Attributes:
        outbox: Events that nobody has taken yet.
    """

    def __init__(self, now: Callable[[], float], seed: int | None = None) -> None:
        self.sessions: dict[str, BookedSession] = {}
        self.refunds: dict[str, BookedRefund] = {}
        self.answers: dict[tuple[str, str], KeptAnswer] = {}
        self.outbox: deque[BookedEvent] = deque()
        self._now = now
        self._dice = random.Random(seed)  # noqa: S311 -- ids of a seed are repeatable
        self._due: list[tuple[float, str]] = []
        self._seed = seed
        self._changed: dict[str, BookedSession] = {}
        self._answered: list[tuple[str, str]] = []

    def reseed(self, start: int) -> None:
        """Roll other ids than at the starts before, by the same seed."""
        if self._seed is not None:
            self._dice.seed(f"{self._seed}/{start}")

    def keep_answer(self, operation: str, key: str, answer: KeptAnswer) -> None:
        """Remember what was answered under an idempotency key."""
        self.answers[operation, key] = answer
        self._answered.append((operation, key))

    def changes(
        self,
    ) -> tuple[list[BookedSession], list[tuple[tuple[str, str], KeptAnswer]]]:
        """Return the sessions and answers that are new or changed since settled."""
        answered = [(key, self.answers[key]) for key in self._answered]
        return list(self._changed.values()), answered

    def settle_changes(self) -> None:
        """Forget what has changed: it is written, or nobody writes it."""
        self._changed.clear()
        self._answered.clear()

    def open_session(
        self, request: CheckoutSessionRequest, base_url: str
    ) -> BookedSession:
        """Enter a new session."""
        identifier = self._new_id()
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
        self._changed[identifier] = session
        self._remind(expires_at, identifier)
        self._emit(EventType.SESSION_CREATED, session)
        return session

    def find_session(self, identifier: str) -> BookedSession | None:
        """Look a session up, as it stands now."""
        self.tick()
        return self.sessions.get(identifier)

    def find_refund(self, identifier: str) -> BookedRefund | None:
        """Look a refund up, as it stands now."""
        self.tick()
        return self.refunds.get(identifier)

    def pay(self, session: BookedSession, code: str) -> None:
        """Take a code that the bank has not refused."""
        self._changed[session.id] = session
        match CODES.get(code):
            case CodeFate.UNCONFIRMED:
                session.status = SessionStatus.PENDING
            case CodeFate.PAID_LATER:
                session.status = SessionStatus.PENDING
                session.confirms_at = self._now() + PAID_LATER
                self._remind(session.confirms_at, session.id)
            case CodeFate.PAID | None:
                self._complete(session)
            case CodeFate.REFUSED | CodeFate.EXPIRED:
                raise AssertionError(code)  # the API has refused it

    def expire(self, session: BookedSession) -> None:
        """Let a session that is not final expire now."""
        now = self._now()
        session.expires_at, session.confirms_at = int(now), None
        self._advance(session, now)

    def make_refund(
        self, session: BookedSession, request: RefundRequest
    ) -> BookedRefund:
        """Pay a part back, or all that is left."""
        left = session.request.amount - session.amount_refunded
        refund = BookedRefund(
            id=self._new_id(),
            session_id=session.id,
            amount=left if request.amount is None else request.amount,
            reason=request.reason,
            metadata=request.metadata,
            created_at=int(self._now()),
            ends_at=self._now() + REFUND_TIME,
        )
        session.refunds.append(refund)
        self._changed[session.id] = session
        self.refunds[refund.id] = refund
        self._remind(refund.ends_at, refund.id)
        self._emit(EventType.REFUND_CREATED, session, refund)
        return refund

    def tick(self) -> None:
        """Let happen what is due, each at its own time, however late one looks."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            when, identifier = heapq.heappop(self._due)
            if identifier in self.refunds:
                self._finish(self.refunds[identifier])
            elif identifier in self.sessions:
                self._advance(self.sessions[identifier], when)

    def next_due(self) -> float | None:
        """Return when something will happen next, in epoch seconds."""
        return self._due[0][0] if self._due else None

    def restore(self, session: BookedSession) -> None:
        """Take in a session that was kept elsewhere, with what is due of it."""
        self.sessions[session.id] = session
        if not session.is_final:
            self._remind(session.expires_at, session.id)
            if session.confirms_at is not None:
                self._remind(session.confirms_at, session.id)
        for refund in session.refunds:
            self.refunds[refund.id] = refund
            self._remind(refund.ends_at, refund.id)

    def clear(self) -> None:
        """Forget everything."""
        self.sessions.clear()
        self.refunds.clear()
        self.answers.clear()
        self.outbox.clear()
        self._due.clear()
        self.settle_changes()

    def _advance(self, session: BookedSession, when: float) -> None:
        if session.is_final:
            return
        self._changed[session.id] = session
        if session.confirms_at is not None and session.confirms_at <= when:
            self._complete(session)
        elif session.expires_at <= when:
            session.status = SessionStatus.EXPIRED
            self._emit(EventType.SESSION_EXPIRED, session)

    def _complete(self, session: BookedSession) -> None:
        session.status = SessionStatus.COMPLETED
        session.payments += 1
        session.confirms_at = None
        self._emit(EventType.SESSION_COMPLETED, session)

    def _finish(self, refund: BookedRefund) -> None:
        if refund.status is not RefundStatus.PENDING:
            return
        session = self.sessions[refund.session_id]
        self._changed[session.id] = session
        fails = refund.amount == REFUND_THAT_FAILS
        refund.status = RefundStatus.FAILED if fails else RefundStatus.SUCCEEDED
        event = EventType.REFUND_FAILED if fails else EventType.REFUND_SUCCEEDED
        self._emit(event, session, refund)

    def _emit(
        self,
        event: EventType,
        session: BookedSession,
        refund: BookedRefund | None = None,
    ) -> None:
        if session.request.notification_url is None:
            return
        self.outbox.append(
            BookedEvent(
                id=f"evt_{self._new_id()}",
                type=event,
                created_at=int(self._now()),
                url=session.request.notification_url,
                session_id=session.id,
                status=session.status if refund is None else None,
                refund_id=None if refund is None else refund.id,
            )
        )

    def _remind(self, when: float, identifier: str) -> None:
        heapq.heappush(self._due, (when, identifier))

    def _new_id(self) -> str:
        # 22 characters, as in the provider's samples: 16 bytes in base64url. None
        # begins with a dash, which command lines take for an option.
        drawn = "-"
        while drawn.startswith("-"):
            drawn = base64.urlsafe_b64encode(self._dice.randbytes(16)).decode()
        return drawn.rstrip("=")
