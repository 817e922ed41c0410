"""The status page: what the gateway knows, saw and sent, with its clock and faults."""

from collections import Counter
from collections.abc import Callable, Mapping

import attrs
from aiohttp import web

from convergegate_async.errors import ConfigurationError, InvalidFieldError
from convergegate_async.models import EventType, SessionStatus
from convergegate_async.sandbox._book import BookedSession
from convergegate_async.sandbox._control_orders import LATEST
from convergegate_async.sandbox._faults import OPERATIONS, spell_fault
from convergegate_async.sandbox._masks import masked
from convergegate_async.sandbox._seen import SeenRequest
from convergegate_async.sandbox._webhook_sender import Delivery

from . import _fault_form
from ._lists import Query, list_page
from ._render import page
from ._site import Site, redirect_to
from .customers import order_line

_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
_MOST_DIGITS = 11  # of a time: centuries
_NAMES = (
    *("q", "status", "kind"),
    *("sessions_before", "sessions_after", "requests_before", "requests_after"),
    *("webhooks_before", "webhooks_after"),
)
_NO_TIME = (
    "The clock moves on by a whole number of seconds, minutes, hours or days, "
    "and no further than the year 3000."
)


class Console:
    """The status page of one sandbox, and its buttons."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what they answer to."""
        return [
            web.get("/", self._status),
            web.post("/sandbox/reset", self._reset),
            web.post("/sandbox/clock", self._move_clock),
            web.post("/sandbox/faults", self._add_fault),
            web.post("/sandbox/faults/remove", self._remove_fault),
            web.post("/sandbox/deliveries/{id}/resend", self._resend),
        ]

    async def _status(self, request: web.Request) -> web.Response:
        return self._page(request)

    def _page(
        self,
        request: web.Request,
        status: int = 200,
        problems: Mapping[str, str] | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Show all there is.

        Args:
            request: Whose query tells what is wanted.
            status: That of the answer.
            problems: What was wrong with a form, by the name of its part of the page.
            typed: What was filled in there.
        """
        sandbox, book = self._site.sandbox, self._site.api.book
        sender = self._site.sender
        book.tick()
        query = Query.of(request.query, _NAMES)
        return page(
            "status.html",
            status,
            now=sandbox.now(),
            query=query,
            sessions=list_page(
                book.sessions.values(),
                len(book.sessions),
                query,
                "sessions",
                wanted=_wanted_sessions(query),
            ),
            statuses=Counter(session.status for session in book.sessions.values()),
            seen=list_page(
                sandbox.seen,
                sandbox.counts.total(),
                query,
                "requests",
                wanted=_wanted_requests(query),
            ),
            operations=sandbox.counts,
            deliveries=list_page(
                sender.journal,
                sender.count,
                query,
                "webhooks",
                wanted=_wanted_deliveries(query),
            ),
            faults=[
                (fault, spell_fault(attrs.evolve(fault, times=None)))
                for fault in sandbox.faults.left()
            ],
            known_statuses=list(SessionStatus),
            kinds=_fault_form.kinds(),
            known_operations=OPERATIONS,
            known_events=list(EventType),
            units=list(_UNITS),
            order_of=_order_of,
            mask=self._site.mask,
            problems=problems or {},
            typed=typed or {},
        )

    async def _reset(self, request: web.Request) -> web.Response:
        await self._site.read_form(request)
        self._site.sandbox.reset()
        return redirect_to("/")

    async def _move_clock(self, request: web.Request) -> web.Response:
        form = await self._site.read_form(request)
        seconds = _read_time(form.get("seconds", ""), form.get("unit", "seconds"))
        if seconds is None or self._site.sandbox.now() + seconds > LATEST:
            return self._page(request, 400, {"clock": _NO_TIME}, form)
        self._site.sandbox.advance(seconds)
        return redirect_to(f"/{_query_of(request)}")

    async def _add_fault(self, request: web.Request) -> web.Response:
        form = await self._site.read_form(request)
        try:
            self._site.sandbox.faults.add(_fault_form.read_fault_form(form))
        except ConfigurationError as error:
            return self._page(request, 400, {"faults": str(error)}, form)
        return redirect_to(f"/{_query_of(request)}#faults")

    async def _remove_fault(self, request: web.Request) -> web.Response:
        spelled = (await self._site.read_form(request)).get("fault", "")
        plan = self._site.sandbox.faults
        for fault in plan.left():
            if spelled == spell_fault(attrs.evolve(fault, times=None)):
                plan.remove(fault)
                break
        return redirect_to(f"/{_query_of(request)}#faults")

    async def _resend(self, request: web.Request) -> web.Response:
        form = await self._site.read_form(request)
        try:
            delivery = self._site.sandbox.resend(request.match_info["id"])
        except InvalidFieldError:
            problem = "The event is none of the latest ones, and cannot be sent again."
            return self._page(request, 404, {"webhooks": problem})
        if form.get("from") == "session":
            return redirect_to(
                f"/sandbox/sessions/{delivery.event.session_id}#webhooks"
            )
        return redirect_to(f"/{_query_of(request)}#webhooks")


def _read_time(text: str, unit: str) -> int | None:
    """Return the seconds that were typed; `None` if that is no number, or no unit."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) * _UNITS[unit] if is_number and unit in _UNITS else None


def _order_of(session: BookedSession) -> str:
    return masked(order_line(session.request, "en") or "", session.request)


def _query_of(request: web.Request) -> str:
    return Query.of(request.query, _NAMES).spell()


def _wanted_sessions(query: Query) -> Callable[[BookedSession], bool] | None:
    text, status = query["q"].lower(), query["status"]
    if not text and not status:
        return None

    def is_wanted(session: BookedSession) -> bool:
        if status and session.status != status:
            return False
        asked = session.request
        texts = (
            *(session.id, order_line(asked, "en") or ""),
            *(asked.metadata or {}).values(),
            *(asked.extra or {}).values(),
        )
        return any(text in one.lower() for one in texts)

    return is_wanted


def _wanted_requests(query: Query) -> Callable[[SeenRequest], bool] | None:
    text, kind = query["q"].lower(), query["kind"]
    if not text and not kind:
        return None

    def is_wanted(seen: SeenRequest) -> bool:
        if kind and seen.operation != kind:
            return False
        texts = (seen.path, seen.idempotency_key, seen.session_id)
        return any(text in one.lower() for one in texts if one)

    return is_wanted


def _wanted_deliveries(query: Query) -> Callable[[Delivery], bool] | None:
    text = query["q"].lower()
    if not text:
        return None

    def is_wanted(delivery: Delivery) -> bool:
        event = delivery.event
        texts = (event.id, event.type, event.url, event.session_id)
        return any(text in one.lower() for one in texts)

    return is_wanted
