"""The hosted pay page: what a customer sees of a session, and where codes come in."""

import re
from urllib.parse import urlsplit

from aiohttp import web

from convergegate_async.models import CheckoutSessionRequest, SessionStatus
from convergegate_async.sandbox._book import CODES, BookedSession, CodeFate

from . import words
from ._render import page
from ._site import Site, redirect_to

_CODE = re.compile(r"\D*(\d{3})[ -]?(\d{3})\D*", re.ASCII)
"""A code alone, with what a bank's app or message may have put around it."""

_WAITING_LOOK, _RETURN = 1, 2  # seconds
_LINES = {
    "description": "{}",
    "order_description": "{}",
    "order": "order",
    "order_id": "order",
    "order_number": "order",
}
"""What a shop may call its order in *extra* or *metadata* (assumed)."""


class CustomerPages:
    """The pages of one sandbox's sessions."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what they answer to."""
        return [
            web.get("/pay/{id}", self._show),
            web.post("/pay/{id}", self._take_code),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        session = self._site.find(request)
        if session is None:
            return _unknown(request)
        match session.status:
            case SessionStatus.PENDING if "again" not in request.query:
                return _page("waiting.html", request, session, refresh=_WAITING_LOOK)
            case SessionStatus.COMPLETED:
                refresh = f"{_RETURN};url={session.request.success_url}"
                return _page(
                    "paid.html", request, session, refresh=refresh, seconds=_RETURN
                )
            case SessionStatus.EXPIRED:
                return _page("expired.html", request, session)
            case SessionStatus.OPEN | SessionStatus.PENDING:
                return self._ask(request, session)

    async def _take_code(self, request: web.Request) -> web.Response:
        form = await self._site.read_form(request)
        session = self._site.find(request)
        if session is None:
            return _unknown(request)
        if not session.is_final:
            code = _CODE.fullmatch(form.get("blik_code", ""))
            if code is None:
                return self._ask(request, session, "malformed", status=400)
            refused = self._site.api.take_code(session, "".join(code.groups()))
            if refused is not None:
                return self._ask(request, session, refused.decline, refused.status)
            self._site.sandbox.advance(0)
        return redirect_to(f"/pay/{session.id}")

    def _ask(
        self,
        request: web.Request,
        session: BookedSession,
        problem: str | None = None,
        status: int = 200,
    ) -> web.Response:
        """Ask for the code; *problem* is what was wrong with the last one."""
        asked = session.request
        language = _language(request, session)
        fates = words.FATES[language]
        return _page(
            "pay.html",
            request,
            session,
            status,
            problem=problem,
            customer=f"{asked.customer_firstname} {asked.customer_lastname}",
            seconds_left=max(0, int(session.expires_at - self._site.sandbox.now())),
            codes=[(code, fates[fate]) for code, fate in CODES.items()],
            other_codes=fates[CodeFate.PAID],
        )


def merchant_of(request: CheckoutSessionRequest) -> str:
    """Return who is paid: the API knows no name, so it is the shop's host (assumed)."""
    host = urlsplit(request.success_url).hostname or request.success_url
    return host.removeprefix("www.")


def order_line(request: CheckoutSessionRequest, language: str) -> str | None:
    """Return what is paid for, if the shop has said it in a field of its own."""
    texts = words.LANGUAGES[language]
    for pairs in (request.extra or {}, request.metadata or {}):
        for name, line in _LINES.items():
            if pairs.get(name):
                return texts.get(line, line).format(pairs[name])
    return None


def _page(
    template: str,
    request: web.Request,
    session: BookedSession,
    status: int = 200,
    **values: object,
) -> web.Response:
    asked = session.request
    language = _language(request, session)
    return page(
        template,
        status,
        language=language,
        words=words.LANGUAGES[language],
        session=session,
        merchant=merchant_of(asked),
        order=order_line(asked, language),
        amount=words.spell_amount(asked.amount, asked.currency, language),
        **values,
    )


def _unknown(request: web.Request) -> web.Response:
    language = words.language_of(None, request.headers.get("Accept-Language", ""))
    texts = words.LANGUAGES[language]
    return page("unknown.html", 404, language=language, words=texts)


def _language(request: web.Request, session: BookedSession) -> str:
    accepted = request.headers.get("Accept-Language", "")
    return words.language_of(session.request.locale, accepted)
