"""A gateway of one's own: real sockets, a book in memory, faults on demand.

It behaves as the provider's public pages say. What they leave open is assumed, and
marked so in the code.
"""

from ._book import CODES, BookedEvent, BookedRefund, BookedSession, CodeFate
from ._faults import Fault, FaultKind, FaultOptions, FaultPlan, read_fault
from ._remote import RemoteSandbox
from ._seen import SeenAction, SeenRequest
from ._server import Sandbox
from ._webhook_listener import (
    ReceivedWebhook,
    WebhookListener,
    forward_webhook,
    post_webhook,
)
from ._webhook_sender import Delivery, PostWebhook

__all__ = [
    "CODES",
    "BookedEvent",
    "BookedRefund",
    "BookedSession",
    "CodeFate",
    "Delivery",
    "Fault",
    "FaultKind",
    "FaultOptions",
    "FaultPlan",
    "PostWebhook",
    "ReceivedWebhook",
    "RemoteSandbox",
    "Sandbox",
    "SeenAction",
    "SeenRequest",
    "WebhookListener",
    "forward_webhook",
    "post_webhook",
    "read_fault",
]
