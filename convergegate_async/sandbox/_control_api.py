"""The sandbox for tests in any language: what it has seen, and what can be done to it.

Behind the key, as the gateway's own API, and closed to pages of other sites; only
what does not need it is whether it is up, and its description.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Reversible, Sequence
from functools import cache, partial
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import attrs
from aiohttp import web

from convergegate_async._version import __version__
from convergegate_async.errors import ConfigurationError, InvalidFieldError
from convergegate_async.models import SessionStatus

from ._api import Api, Reply, refusal
from ._book import BookedSession
from ._control_orders import (
    LATEST,
    LONGEST,
    MOST_ROWS,
    PREFIX,
    ClockOrder,
    PayOrder,
    read_order,
    read_page_order,
)
from ._control_values import (
    ClockState,
    DeliveryState,
    RequestState,
    SessionState,
    SessionStory,
)
from ._controlled import Controlled
from ._faults import OPERATIONS, Fault
from ._forms import read_code
from ._hosts import Hosts
from ._seen import SeenRequest
from ._webhook_sender import WebhookSender
from ._wire import read_body, refused_body

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_DONE = Reply(status=HTTPStatus.NO_CONTENT, document={})


class ControlApi:
    """What a sandbox says of itself, and does when it is told to."""

    def __init__(
        self, sandbox: Controlled, api: Api, sender: WebhookSender, hosts: Hosts
    ) -> None:
        self._sandbox = sandbox
        self._api = api
        self._sender = sender
        self._hosts = hosts

    def routes(self) -> list[web.RouteDef]:
        """Return what it answers to."""
        return [
            web.get("/health", self._health),
            web.get("/openapi.json", self._describe),
            *(
                web.route(route.method, route.path, partial(self._serve, route.answer))
                for route in CONTROL_ROUTES
            ),
        ]

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": __version__})

    async def _describe(self, _: web.Request) -> web.Response:
        return web.Response(body=_description(), content_type="application/json")

    async def _serve(self, work: "Answer", request: web.Request) -> web.Response:
        headers = {**_HEADERS}
        try:
            reply = self._refuse(request.headers) or await work(self, request)
        except InvalidFieldError as error:
            message = f"{error.field} {error.reason}"
            reply = refusal(400, message, param=error.field)
        except web.HTTPMethodNotAllowed as error:
            reply = refusal(error.status, "no such method")
            headers["Allow"] = error.headers["Allow"]
        except web.HTTPException as error:
            reply = refused_body(error)
        if reply.status == HTTPStatus.NO_CONTENT:
            return web.Response(status=reply.status, headers=headers)
        return web.json_response(reply.document, status=reply.status, headers=headers)

    def _refuse(self, headers: Mapping[str, str]) -> Reply | None:
        if not self._api.admits(headers.get("Authorization")):
            message = "no valid API key was given"
            return refusal(401, message, kind="authentication_error")
        # A browser that has the key gives it to no page but the sandbox's own.
        if not self._hosts.is_own_page(headers.get("Origin"), headers.get("Host")):
            message = "this is for programs, not for pages of other sites"
            return refusal(403, message, kind="permission_error")
        return None

    # -- what it has seen --------------------------------------------------------------

    async def sessions(self, request: web.Request) -> Reply:
        """List the sessions."""
        self._api.book.tick()
        rows = self._api.book.sessions
        filters = {"status": tuple(SessionStatus)}
        return _page(request, rows.values(), len(rows), SessionState.of, filters)

    async def requests(self, request: web.Request) -> Reply:
        """List the requests of the gateway's API."""
        seen, count = self._sandbox.seen, self._sandbox.counts.total()
        filters = {"operation": OPERATIONS, "session_id": ()}
        return _page(request, seen, count, self._state_of, filters)

    async def deliveries(self, request: web.Request) -> Reply:
        """List the webhooks."""
        sent, count = self._sender.journal, self._sender.count
        return _page(request, sent, count, DeliveryState.of, {})

    async def session(self, request: web.Request) -> Reply:
        """Tell one session's story."""
        session = self._find(request)
        if session is None:
            return _no_session()
        requests = (
            seen
            for seen in reversed(self._sandbox.seen)
            if seen.session_id == session.id
        )
        deliveries = (
            sent
            for sent in reversed(self._sender.journal)
            if sent.event.session_id == session.id
        )
        return _reply(
            SessionStory(
                session=SessionState.of(session),
                requests=tuple(map(self._state_of, islice(requests, MOST_ROWS))),
                deliveries=tuple(map(DeliveryState.of, islice(deliveries, MOST_ROWS))),
            )
        )

    async def faults(self, _: web.Request) -> Reply:
        """List the faults that can still happen."""
        data = [attrs.asdict(fault) for fault in self._sandbox.faults.left()]
        return Reply(status=200, document={"data": data})

    async def clock(self, _: web.Request) -> Reply:
        """Tell the time."""
        return _reply(ClockState(now=self._sandbox.now()))

    # -- what is done to it ------------------------------------------------------------

    async def pay(self, request: web.Request) -> Reply:
        """Pay a session as its customer does."""
        code = read_code(read_order(PayOrder, await read_body(request)).blik_code)
        session = self._find(request)
        if session is None:
            return _no_session()
        refused = self._api.take_code(session, code)
        if refused is not None:
            return refused
        self._sandbox.advance(0)
        return _reply(SessionState.of(session))

    async def expire(self, request: web.Request) -> Reply:
        """Let a session expire now."""
        session = self._find(request)
        if session is None:
            return _no_session()
        if session.is_final:
            return refusal(409, f"the session is {session.status} already")
        return _reply(SessionState.of(self._sandbox.expire(session.id)))

    async def resend(self, request: web.Request) -> Reply:
        """Send a webhook once more."""
        try:
            delivery = self._sandbox.resend(request.match_info["id"])
        except InvalidFieldError:
            return refusal(404, "no such event among the latest", param="id")
        return _reply(DeliveryState.of(delivery))

    async def move_clock(self, request: web.Request) -> Reply:
        """Let time pass."""
        order = read_order(ClockOrder, await read_body(request))
        if not 0 <= order.seconds <= LONGEST:
            field, reason = "seconds", f"must be from 0 to {LONGEST} (ten years)"
            raise InvalidFieldError(field, reason)
        if self._sandbox.now() + order.seconds > LATEST:
            field, reason = "seconds", "must end before the year 3000"
            raise InvalidFieldError(field, reason)
        if order.wait:
            await self._sandbox.elapse(order.seconds)
        else:
            self._sandbox.advance(order.seconds)
        return await self.clock(request)

    async def add_fault(self, request: web.Request) -> Reply:
        """Let something go wrong from now on."""
        body = await read_body(request)
        try:
            fault = read_order(Fault, body)
        except InvalidFieldError:
            raise
        except (ConfigurationError, ValueError) as error:
            return refusal(400, str(error))
        self._sandbox.faults.add(fault)
        return Reply(status=200, document=attrs.asdict(fault))

    async def clear_faults(self, _: web.Request) -> Reply:
        """Let nothing go wrong any more."""
        self._sandbox.faults.clear()
        return _DONE

    async def reset(self, _: web.Request) -> Reply:
        """Forget everything."""
        self._sandbox.reset()
        return _DONE

    async def unknown(self, request: web.Request) -> Reply:
        """Say that there is no such address, or by which methods it is called."""
        methods = {
            route.method
            for route in CONTROL_ROUTES[:-1]
            if re.fullmatch(route.path.replace("{id}", "[^/]+"), request.path)
        }
        if methods:
            raise web.HTTPMethodNotAllowed(request.method, methods)
        return refusal(404, "no such resource")

    def _state_of(self, seen: SeenRequest) -> RequestState:
        session = self._api.book.sessions.get(seen.session_id or "")
        return RequestState.of(seen, session)

    def _find(self, request: web.Request) -> BookedSession | None:
        return self._api.book.find_session(request.match_info["id"])


Answer: TypeAlias = Callable[[ControlApi, web.Request], Awaitable[Reply]]


@attrs.frozen
class ControlRoute:
    """An address of the control API, and what answers there."""

    method: str
    path: str
    answer: Answer


CONTROL_ROUTES = (
    ControlRoute("GET", f"{PREFIX}/sessions", ControlApi.sessions),
    ControlRoute("GET", f"{PREFIX}/sessions/{{id}}", ControlApi.session),
    ControlRoute("POST", f"{PREFIX}/sessions/{{id}}/pay", ControlApi.pay),
    ControlRoute("POST", f"{PREFIX}/sessions/{{id}}/expire", ControlApi.expire),
    ControlRoute("GET", f"{PREFIX}/requests", ControlApi.requests),
    ControlRoute("GET", f"{PREFIX}/deliveries", ControlApi.deliveries),
    ControlRoute("POST", f"{PREFIX}/deliveries/{{id}}/resend", ControlApi.resend),
    ControlRoute("GET", f"{PREFIX}/faults", ControlApi.faults),
    ControlRoute("POST", f"{PREFIX}/faults", ControlApi.add_fault),
    ControlRoute("DELETE", f"{PREFIX}/faults", ControlApi.clear_faults),
    ControlRoute("GET", f"{PREFIX}/clock", ControlApi.clock),
    ControlRoute("POST", f"{PREFIX}/clock/advance", ControlApi.move_clock),
    ControlRoute("POST", f"{PREFIX}/reset", ControlApi.reset),
    ControlRoute("*", f"{PREFIX}/{{path:.*}}", ControlApi.unknown),
)
"""All addresses of the control API; the last takes what no other does."""


@cache
def _description() -> bytes:
    return Path(__file__).with_name("openapi.json").read_bytes()


def _page(
    request: web.Request,
    rows: Reversible[object],
    count: int,
    state: Callable[..., attrs.AttrsInstance],
    filters: Mapping[str, Sequence[str]],
) -> Reply:
    order = read_page_order(request.query.items(), filters)
    page, cursor = order.page_of(reversed(rows), count)
    data = [attrs.asdict(state(row)) for row in page]
    return Reply(status=200, document={"data": data, "next_cursor": cursor})


def _reply(state: attrs.AttrsInstance) -> Reply:
    return Reply(status=200, document=attrs.asdict(state))


def _no_session() -> Reply:
    return refusal(404, "no such checkout session", param="id")
