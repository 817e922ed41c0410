"""What ``webhooks listen`` does with a delivery: record it, forward it, print it."""

import sys
from collections.abc import Callable, Collection, Mapping

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.models import WebhookEvent
from convergegate_async.sandbox import ReceivedWebhook, forward_webhook
from convergegate_async.webhooks import WebhookReply

from ._streams import loss_of, print_note
from ._webhook_display import print_delivery
from ._webhook_recording import Recording


@attrs.frozen
class WebhookHandler:
    """Handles what a listener receives.

    Attributes:
        kinds: Types of the events that count; all do if it is empty.
        recording: Where they are written down.
        forward_to: Where a shop takes them.
    """

    kinds: Collection[str]
    recording: Recording | None
    forward_to: str | None

    async def handle(
        self, event: WebhookEvent, body: bytes, headers: Mapping[str, str]
    ) -> WebhookReply:
        """Record and forward a verified delivery; return what to answer."""
        if not self._is_wanted(event):
            return WebhookReply(200, "")
        if self.recording is not None:
            try:
                self.recording.append(body)
            except ConfigurationError as error:
                print_note(f"Error: {error}", "red")
                return WebhookReply(500, "it could not be recorded")
        if self.forward_to is None:
            return WebhookReply(200, "")
        return await forward_webhook(self.forward_to, body, headers)

    def show(self, delivery: ReceivedWebhook, stop: Callable[[], None]) -> None:
        """Print a delivery; *stop* if nobody would see what comes."""
        if delivery.event is not None and not self._is_wanted(delivery.event):
            return
        print_delivery(delivery)
        if loss_of(sys.stdout) is not None:
            stop()

    def _is_wanted(self, event: WebhookEvent) -> bool:
        return not self.kinds or event.type in self.kinds
