"""What is printed of a webhook that came."""

from typing import TYPE_CHECKING

from convergegate_async.models import WebhookEvent

from ._streams import print_data, printable

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


def is_success(status: int) -> bool:
    """Tell whether the gateway takes *status* for an acknowledgement."""
    return 200 <= status < 300  # noqa: PLR2004 -- 2xx


def _colour_of(status: int) -> str:
    return "green" if is_success(status) else "red"


def _in_short(event: WebhookEvent) -> str:
    about = event.refund_id or event.session_id
    words = [event.type, *([about] if about else []), f"[{event.id}]"]
    return printable(" ".join(words))
