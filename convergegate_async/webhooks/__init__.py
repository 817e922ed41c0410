"""Webhooks: verify a delivery, confirm it at the gateway, and act on it once."""

from ._claims import Claim, Claims, MemoryClaims
from ._decisions import WebhookReply
from ._receiver import WebhookReceiver
from ._verifier import WebhookVerifier, confirm, sign

__all__ = [
    "Claim",
    "Claims",
    "MemoryClaims",
    "WebhookReceiver",
    "WebhookReply",
    "WebhookVerifier",
    "confirm",
    "sign",
]
