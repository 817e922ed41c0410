"""The sandbox for people: the pay page of a session, and a status page at ``/``."""

import itertools
from collections import deque
from typing import Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.models import SessionStatus, rules
from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._book import BookedSession
from convergegate_async.sandbox._faults import FaultPlan, read_fault
from convergegate_async.sandbox._hosts import Hosts
from convergegate_async.sandbox._seen import SeenRequest
from convergegate_async.sandbox._webhook_sender import Delivery
from convergegate_async.sandbox._wire import read_body

from . import pages

_SHOWN = 50  # rows of a table
_HEADERS = {
    # No script can run, whatever a customer is called.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Controls(Protocol):
    """What the pages show of a sandbox, and do to it."""

    faults: FaultPlan
    seen: deque[SeenRequest]

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

    def reset(self) -> None:
        """Let it forget everything."""
        ...


class Site:
    """The pages of one sandbox."""

    def __init__(self, sandbox: Controls, api: Api, hosts: Hosts) -> None:
        self._sandbox = sandbox
        self._api = api
        self._hosts = hosts

    def routes(self) -> list[web.RouteDef]:
        """Return what the pages answer to."""
        return [
            web.get("/pay/{id}", self._show),
            web.post("/pay/{id}", self._take_code),
            web.get("/", self._status),
            web.post("/sandbox/reset", self._reset),
            web.post("/sandbox/clock", self._move_clock),
            web.post("/sandbox/faults", self._add_fault),
        ]

    # -- the pay page ------------------------------------------------------------------

    async def _show(self, request: web.Request) -> web.Response:
        session = self._find(request)
        language = _language(request, session)
        if session is None:
            return _html(pages.unknown_page(language), status=404)
        if session.status is SessionStatus.PENDING and "again" not in request.query:
            return _html(pages.waiting_page(session, language))
        if session.status is SessionStatus.COMPLETED:
            return _html(pages.paid_page(session, language))
        if session.status is SessionStatus.EXPIRED:
            return _html(pages.expired_page(session, language))
        return _html(pages.pay_page(session, language))

    async def _take_code(self, request: web.Request) -> web.Response:
        self._require_own_page(request)
        session = self._find(request)
        language = _language(request, session)
        if session is None:
            return _html(pages.unknown_page(language), status=404)
        code = "".join((await _read_form(request)).get("blik_code", "").split())
        if not session.is_final:
            if not rules.is_blik_code(code):
                page = pages.pay_page(session, language, "malformed")
                return _html(page, status=400)
            refused = self._api.take_code(session, code)
            if refused is not None:
                error = refused.document["error"]
                problem = error["decline_code"] if isinstance(error, dict) else None
                page = pages.pay_page(session, language, problem)
                return _html(page, status=refused.status)
            self._sandbox.advance(0)
        return _see(f"/pay/{session.id}")

    def _find(self, request: web.Request) -> BookedSession | None:
        return self._api.book.find_session(request.match_info["id"])

    # -- the status page ---------------------------------------------------------------

    async def _status(self, _: web.Request) -> web.Response:
        sandbox, book = self._sandbox, self._api.book
        page = pages.status_page(
            sessions=itertools.islice(reversed(book.sessions.values()), _SHOWN),
            seen=itertools.islice(reversed(sandbox.seen), _SHOWN),
            deliveries=itertools.islice(reversed(sandbox.deliveries), _SHOWN),
            faults=sandbox.faults.describe(),
            now=sandbox.now(),
        )
        return _html(page)

    async def _reset(self, request: web.Request) -> web.Response:
        self._require_own_page(request)
        self._sandbox.reset()
        return _see("/")

    async def _move_clock(self, request: web.Request) -> web.Response:
        self._require_own_page(request)
        text = (await _read_form(request)).get("seconds", "")
        if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 -- centuries
            raise web.HTTPBadRequest(text="seconds must be a whole number")
        self._sandbox.advance(int(text))
        return _see("/")

    async def _add_fault(self, request: web.Request) -> web.Response:
        self._require_own_page(request)
        form = await _read_form(request)
        kind, times = form.get("kind", ""), form.get("times", "").strip()
        try:
            self._sandbox.faults.add(
                read_fault(f"{kind}:times={times}" if times else kind)
            )
        except ConfigurationError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return _see("/")

    def _require_own_page(self, request: web.Request) -> None:
        # A page of another site, open in the same browser, shall not press buttons.
        headers = request.headers
        if not self._hosts.is_own_page(headers.get("Origin"), headers.get("Host")):
            raise web.HTTPForbidden(text="this form is for the sandbox's own pages")


async def _read_form(request: web.Request) -> dict[str, str]:
    text = (await read_body(request)).decode(errors="replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def _language(request: web.Request, session: BookedSession | None) -> str:
    locale = session.request.locale if session is not None else None
    return pages.language_of(locale, request.headers.get("Accept-Language", ""))


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(
        text=text, status=status, content_type="text/html", headers=_HEADERS
    )


def _see(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})
