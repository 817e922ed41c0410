"""The gateway's words. In answers a word it adds tomorrow stays a plain `str`."""

from enum import StrEnum


class SessionStatus(StrEnum):
    """Where a checkout session stands; `completed` and `expired` are final."""

    OPEN = "open"
    PENDING = "pending"
    COMPLETED = "completed"
    EXPIRED = "expired"


class PaymentMethod(StrEnum):
    """How a customer may pay."""

    BLIK = "blik"


class RefundReason(StrEnum):
    """Why a refund is made (the gateway spells it ``duplicated``)."""

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATED = "duplicated"
    FRAUDULENT = "fraudulent"


class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class EventType(StrEnum):
    """What a webhook tells."""

    SESSION_CREATED = "session.created"
    SESSION_COMPLETED = "session.completed"
    SESSION_EXPIRED = "session.expired"
    REFUND_CREATED = "refund.created"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
