"""What the pages know of a sandbox, and who may press their buttons."""

from collections import Counter, deque
from typing import Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from convergegate_async.sandbox._book import BookedSession
from convergegate_async.sandbox._faults import FaultPlan
from convergegate_async.sandbox._hosts import Hosts
from convergegate_async.sandbox._seen import SeenRequest
from convergegate_async.sandbox._webhook_sender import Delivery
from convergegate_async.sandbox._wire import read_body


class Controls(Protocol):
    """What the pages show of a sandbox, and do to it."""

    faults: FaultPlan
    seen: deque[SeenRequest]
    counts: Counter[str]

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The webhooks that were sent."""
        ...

    def now(self) -> float:
        """Return what its clock shows."""
        ...

    def advance(self, seconds: float) -> None:
        """Move its clock on."""
        ...

    def expire(self, session_id: str) -> BookedSession:
        """Let a session expire now."""
        ...

    def resend(self, event_id: str) -> Delivery:
        """Send a webhook once more."""
        ...

    def reset(self) -> None:
        """Let it forget everything."""
        ...


async def read_own_form(request: web.Request, hosts: Hosts) -> dict[str, str]:
    """Return the form that a page of the sandbox has sent.

    Raises:
        HTTPForbidden: A page of another site has, open in the same browser: it shall
            not press buttons.
    """
    headers = request.headers
    if not hosts.is_own_page(headers.get("Origin"), headers.get("Host")):
        raise web.HTTPForbidden(text="this form is for the sandbox's own pages")
    text = (await read_body(request)).decode(errors="replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def redirect_to(place: str) -> web.Response:
    """Lead the browser on, once a form is taken."""
    return web.Response(status=303, headers={"Location": place})
