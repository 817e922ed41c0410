"""The gateway's nouns: what is asked, what is answered, and the words for it."""

from .answers import Answer, CallInfo, CheckoutSession, Refund, WebhookEvent
from .requests import CheckoutSessionRequest, RefundRequest
from .words import EventType, PaymentMethod, RefundReason, RefundStatus, SessionStatus

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
