"""The page of one session: its whole story, and what can happen to it next."""

import re
from collections.abc import Mapping
from itertools import islice
from urllib.parse import urlencode

from aiohttp import web

from convergegate_async._core.money import minor_units
from convergegate_async.errors import InvalidFieldError
from convergegate_async.sandbox._api import ApiRequest, Reply
from convergegate_async.sandbox._book import CODES, BookedSession
from convergegate_async.sandbox._masks import masked, masked_body, masked_fields

from ._render import page
from ._site import Site, redirect_to
from .customers import order_line
from .words import spell_amount

_SHOWN = 100  # requests, and deliveries
# Before three digits it may part thousands.
_DECIMAL_COMMA = re.compile(r"^([0-9]+),([0-9]{1,2})$")


class Stories:
    """The pages of one sandbox's sessions, for its owner."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what they answer to."""
        place = "/sandbox/sessions/{id}"
        return [
            web.get(place, self._show),
            web.post(f"{place}/pay", self._pay),
            web.post(f"{place}/expire", self._expire),
            web.post(f"{place}/refund", self._refund),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        session = self._site.find(request)
        return _nobody(request) if session is None else self._page(session)

    def _page(
        self,
        session: BookedSession,
        status: int = 200,
        problems: Mapping[str, str] | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Tell all there is of *session*; see the status page for the rest."""
        asked = session.request
        requests = (
            seen
            for seen in reversed(self._site.sandbox.seen)
            if seen.session_id == session.id
        )
        deliveries = (
            delivery
            for delivery in reversed(self._site.sender.journal)
            if delivery.event.session_id == session.id
        )
        return page(
            "session.html",
            status,
            now=self._site.sandbox.now(),
            session=session,
            order=masked(order_line(asked, "en") or "", asked),
            left=asked.amount - session.amount_refunded,
            fields=list(masked_fields(asked)),
            seen=[
                (seen, list(masked_body(seen.body, asked)) if seen.body else [])
                for seen in islice(requests, _SHOWN)
            ],
            deliveries=list(islice(deliveries, _SHOWN)),
            codes=CODES,
            mask=self._site.mask,
            problems=problems or {},
            typed=typed or {},
        )

    async def _pay(self, request: web.Request) -> web.Response:
        form = await self._site.read_form(request)
        session = self._site.find(request)
        if session is None:
            return _nobody(request)
        body = {"blik_code": "".join(form.get("blik_code", "").split())}
        reply = self._site.api.pay(ApiRequest(id=session.id, body=_spell(body)))
        return self._show_outcome(session, reply, "pay", {})

    async def _expire(self, request: web.Request) -> web.Response:
        await self._site.read_form(request)
        session = self._site.find(request)
        if session is None:
            return _nobody(request)
        try:
            self._site.sandbox.expire(session.id)
        except InvalidFieldError as error:
            return self._page(session, 409, {"expire": error.reason})
        return redirect_to(_place(session))

    async def _refund(self, request: web.Request) -> web.Response:
        form = await self._site.read_form(request)
        session = self._site.find(request)
        if session is None:
            return _nobody(request)
        typed = _DECIMAL_COMMA.sub(r"\1.\2", form.get("amount", "").strip())
        currency = session.request.currency
        body = {"session_id": session.id}
        try:
            amount = minor_units(typed, currency) if typed else None
        except InvalidFieldError as error:
            problem = f"The amount {error.reason}."
            return self._page(session, 400, {"refund": problem}, form)
        if amount is not None:
            left = session.request.amount - session.amount_refunded
            if amount > left:  # the gateway would say it in minor units
                problem = f"Only {spell_amount(left, currency)} is left to refund."
                return self._page(session, 400, {"refund": problem}, form)
            body["amount"] = str(amount)
        reply = self._site.api.refund(ApiRequest(body=_spell(body)))
        return self._show_outcome(session, reply, "refund", form)

    def _show_outcome(
        self,
        session: BookedSession,
        reply: Reply,
        name: str,
        typed: Mapping[str, str],
    ) -> web.Response:
        """Lead on once the gateway's API has done it, or show why it has not.

        Args:
            session: That it was done to.
            reply: What the API answers.
            name: That of the form.
            typed: What was filled in there.
        """
        if reply.problem:
            problem = f"The gateway says: {reply.problem}."
            return self._page(session, reply.status, {name: problem}, typed)
        self._site.sandbox.advance(0)  # there may be an event to send
        return redirect_to(_place(session))


def _spell(pairs: Mapping[str, str]) -> bytes:
    return urlencode(pairs).encode()


def _place(session: BookedSession) -> str:
    return f"/sandbox/sessions/{session.id}"


def _nobody(request: web.Request) -> web.Response:
    return page("no_session.html", 404, wanted=request.match_info["id"])
