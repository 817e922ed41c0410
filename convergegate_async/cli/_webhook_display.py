"""What is printed of webhooks: one that came, one that was sent again, and the sum."""

from typing import TYPE_CHECKING

import attrs

from convergegate_async.models import WebhookEvent

from ._streams import print_data, printable
from ._wording import counted

if TYPE_CHECKING:
    from convergegate_async.sandbox import ReceivedWebhook


def print_delivery(delivery: "ReceivedWebhook") -> None:
    """Print what came, and what it was answered."""
    problem = ""
    if delivery.event is None:
        print_data(f"--> refused: {delivery.problem}", "red")
    else:
        print_data(f"--> {_in_short(delivery.event)}", "cyan")
        problem = f": {delivery.problem}" if delivery.problem else ""
    answer = f"<-- {delivery.status} in {delivery.elapsed * 1e3:.1f} ms{problem}"
    print_data(answer, _colour_of(delivery.status))


def print_replayed(event: WebhookEvent, status: int | None) -> None:
    """Print an event that was sent, and what the shop answered, if it did."""
    text = f"--> {_in_short(event)} <-- {'no answer' if status is None else status}"
    print_data(text, _colour_of(status))


@attrs.define
class Replayed:
    """How many events were sent again, by what the shop answered.

    Attributes:
        taken: Answered 2xx.
        passed_over: Lines that are no webhook's body.
    """

    taken: int = 0
    refused: int = 0
    unanswered: int = 0
    passed_over: int = 0

    def add(self, status: int | None) -> None:
        """Count an event that was answered *status*, if at all."""
        if status is None:
            self.unanswered += 1
        elif is_success(status):
            self.taken += 1
        else:
            self.refused += 1

    def __str__(self) -> str:
        counts = {
            "answered 2xx": self.taken,
            "answered otherwise": self.refused,
            "not answered": self.unanswered,
        }
        sent = counted(sum(counts.values()), "event")
        parts = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
        over = counted(self.passed_over, "line")
        rest = f" {over} passed over." if self.passed_over else ""
        return f"{sent} sent{parts and ': '}{parts}.{rest}"


def is_success(status: int) -> bool:
    """Tell whether the gateway takes *status* for an acknowledgement."""
    return 200 <= status < 300  # noqa: PLR2004 -- 2xx


def _colour_of(status: int | None) -> str:
    return "green" if status is not None and is_success(status) else "red"


def _in_short(event: WebhookEvent) -> str:
    about = event.refund_id or event.session_id
    words = [event.type, *([about] if about else []), f"[{event.id}]"]
    return printable(" ".join(words))
