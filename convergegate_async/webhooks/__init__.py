"""Webhooks: verify a delivery, confirm it at the gateway, and act on it once."""

from ._claims import Claims, MemoryClaims
from ._receiver import WebhookReceiver, WebhookReply
from ._verifier import WebhookVerifier, confirm, sign

__all__ = [
    "Claims",
    "MemoryClaims",
    "WebhookReceiver",
    "WebhookReply",
    "WebhookVerifier",
    "confirm",
    "sign",
]
