"""The sandbox for people: the pay page of a session, and a status page at ``/``."""

import itertools
from collections import deque
from typing import Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.models import SessionStatus, rules
from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._book import CODES, BookedSession
from convergegate_async.sandbox._faults import FaultKind, FaultPlan, read_fault
from convergegate_async.sandbox._hosts import Hosts
from convergegate_async.sandbox._seen import SeenRequest
from convergegate_async.sandbox._webhook_sender import Delivery
from convergegate_async.sandbox._wire import read_body

from . import words
from ._render import ASSETS, asset, page

_SHOWN = 50  # rows of a table


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
            *(web.get(f"/sandbox/static/{name}", asset) for name in ASSETS),
        ]

    # -- the pay page ------------------------------------------------------------------

    async def _show(self, request: web.Request) -> web.Response:
        session = self._find(request)
        if session is None:
            return _unknown(request)
        match session.status:
            case SessionStatus.PENDING if "again" not in request.query:
                return _customer_page("waiting.html", request, session, refresh="1")
            case SessionStatus.COMPLETED:
                refresh = f"2;url={session.request.success_url}"
                return _customer_page("paid.html", request, session, refresh=refresh)
            case SessionStatus.EXPIRED:
                return _customer_page("expired.html", request, session)
            case SessionStatus.OPEN | SessionStatus.PENDING:
                return _form(request, session)

    async def _take_code(self, request: web.Request) -> web.Response:
        self._require_own_page(request)
        session = self._find(request)
        if session is None:
            return _unknown(request)
        code = "".join((await _read_form(request)).get("blik_code", "").split())
        if not session.is_final:
            if not rules.is_blik_code(code):
                return _form(request, session, "malformed", status=400)
            refused = self._api.take_code(session, code)
            if refused is not None:
                error = refused.document["error"]
                problem = error["decline_code"] if isinstance(error, dict) else None
                return _form(request, session, problem, status=refused.status)
            self._sandbox.advance(0)
        return _see(f"/pay/{session.id}")

    def _find(self, request: web.Request) -> BookedSession | None:
        return self._api.book.find_session(request.match_info["id"])

    # -- the status page ---------------------------------------------------------------

    async def _status(self, _: web.Request) -> web.Response:
        sandbox, book = self._sandbox, self._api.book
        return page(
            "status.html",
            language="en",
            sessions=list(itertools.islice(reversed(book.sessions.values()), _SHOWN)),
            seen=list(itertools.islice(reversed(sandbox.seen), _SHOWN)),
            deliveries=list(itertools.islice(reversed(sandbox.deliveries), _SHOWN)),
            faults=sandbox.faults.describe(),
            kinds=list(FaultKind),
            now=sandbox.now(),
        )

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


def _form(
    request: web.Request,
    session: BookedSession,
    problem: str | None = None,
    status: int = 200,
) -> web.Response:
    """Ask for the code; *problem* is what was wrong with the last one."""
    asked = session.request
    return _customer_page(
        "pay.html",
        request,
        session,
        status,
        problem=problem,
        customer=f"{asked.customer_firstname} {asked.customer_lastname}",
        codes=CODES,
    )


def _customer_page(
    template: str,
    request: web.Request,
    session: BookedSession,
    status: int = 200,
    **values: object,
) -> web.Response:
    asked = session.request
    language = words.language_of(asked.locale, _accepted(request))
    return page(
        template,
        status,
        language=language,
        words=words.WORDS[language],
        session=session,
        amount=words.spell_amount(asked.amount, asked.currency, language),
        **values,
    )


def _unknown(request: web.Request) -> web.Response:
    language = words.language_of(None, _accepted(request))
    texts = words.WORDS[language]
    return page("unknown.html", 404, language=language, words=texts)


def _accepted(request: web.Request) -> str:
    return request.headers.get("Accept-Language", "")


def _see(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})
