"""What all pages stand on: one sandbox, and who may press its buttons."""

from urllib.parse import parse_qsl

import attrs
from aiohttp import web

from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._book import BookedSession
from convergegate_async.sandbox._controlled import Controlled
from convergegate_async.sandbox._hosts import Hosts
from convergegate_async.sandbox._masks import masked
from convergegate_async.sandbox._webhook_sender import WebhookSender
from convergegate_async.sandbox._wire import read_body


@attrs.frozen
class Site:
    """One sandbox, as its pages see it."""

    sandbox: Controlled
    api: Api
    sender: WebhookSender
    hosts: Hosts

    def find(self, request: web.Request) -> BookedSession | None:
        """Return the session that the path of *request* names, if there is one."""
        return self.api.book.find_session(request.match_info["id"])

    def mask(self, text: str, session_id: str | None) -> str:
        """Return *text* without the customer of the session that it is about."""
        session = self.api.book.sessions.get(session_id or "")
        return text if session is None else masked(text, session.request)

    async def read_form(self, request: web.Request) -> dict[str, str]:
        """Return the form that a page of the sandbox has sent.

        Raises:
            HTTPForbidden: A page of another site has, open in the same browser: it
                shall not press buttons.
        """
        headers = request.headers
        if not self.hosts.is_own_page(headers.get("Origin"), headers.get("Host")):
            raise web.HTTPForbidden(text="this form is for the sandbox's own pages")
        text = (await read_body(request)).decode(errors="replace")
        return dict(parse_qsl(text, keep_blank_values=True))


def redirect_to(place: str) -> web.Response:
    """Lead the browser on, once a form is taken."""
    return web.Response(status=303, headers={"Location": place})
