"""The gateway's nouns: what is asked, what is answered, and the words for it."""

from .answers import Answer, CallInfo, CheckoutSession, Refund, WebhookEvent
from .enums import EventType, PaymentMethod, RefundReason, RefundStatus, SessionStatus
from .requests import CheckoutSessionRequest, RefundRequest

__all__ = [
    "Answer",
    "CallInfo",
    "CheckoutSession",
    "CheckoutSessionRequest",
    "EventType",
    "PaymentMethod",
    "Refund",
    "RefundReason",
    "RefundRequest",
    "RefundStatus",
    "SessionStatus",
    "WebhookEvent",
]
