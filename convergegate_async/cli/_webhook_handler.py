"""What ``webhooks listen`` does with a delivery: record it, print it."""

import sys
from collections.abc import Callable, Mapping

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.models import WebhookEvent
from convergegate_async.sandbox import ReceivedWebhook
from convergegate_async.webhooks import WebhookReply

from ._streams import loss_of, print_note
from ._webhook_display import print_delivery
from ._webhook_recording import Recording


@attrs.frozen
class WebhookHandler:
    """Handles what a listener receives.

    Attributes:
        recording: Where it is written down, if it is.
    """

    recording: Recording | None

    async def handle(
        self, _event: WebhookEvent, body: bytes, _headers: Mapping[str, str]
    ) -> WebhookReply:
        """Record a verified delivery; return what to answer."""
        if self.recording is not None:
            try:
                self.recording.append(body)
            except ConfigurationError as error:
                print_note(f"Error: {error}", "red")
                return WebhookReply(500, "it could not be recorded")
        return WebhookReply(200, "")

    def show(self, delivery: ReceivedWebhook, stop: Callable[[], None]) -> None:
        """Print a delivery; *stop* if nobody would see what comes."""
        print_delivery(delivery)
        if loss_of(sys.stdout) is not None:
            stop()
