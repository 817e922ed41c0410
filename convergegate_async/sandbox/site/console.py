"""The status page: what the gateway knows, saw and sent, with its clock and faults."""

import itertools

from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._faults import FaultKind, read_fault
from convergegate_async.sandbox._hosts import Hosts

from ._controls import Controls, read_own_form, see
from ._render import page

_SHOWN = 50  # rows of a table


class Console:
    """The pages and buttons of one sandbox's owner."""

    def __init__(self, sandbox: Controls, api: Api, hosts: Hosts) -> None:
        self._sandbox = sandbox
        self._api = api
        self._hosts = hosts

    def routes(self) -> list[web.RouteDef]:
        """Return what they answer to."""
        return [
            web.get("/", self._status),
            web.post("/sandbox/reset", self._reset),
            web.post("/sandbox/clock", self._move_clock),
            web.post("/sandbox/faults", self._add_fault),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        sandbox, book = self._sandbox, self._api.book
        return page(
            "status.html",
            sessions=list(itertools.islice(reversed(book.sessions.values()), _SHOWN)),
            seen=list(itertools.islice(reversed(sandbox.seen), _SHOWN)),
            deliveries=list(itertools.islice(reversed(sandbox.deliveries), _SHOWN)),
            faults=sandbox.faults.describe(),
            kinds=list(FaultKind),
            now=sandbox.now(),
        )

    async def _reset(self, request: web.Request) -> web.Response:
        await read_own_form(request, self._hosts)
        self._sandbox.reset()
        return see("/")

    async def _move_clock(self, request: web.Request) -> web.Response:
        text = (await read_own_form(request, self._hosts)).get("seconds", "")
        if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 -- centuries
            raise web.HTTPBadRequest(text="seconds must be a whole number")
        self._sandbox.advance(int(text))
        return see("/")

    async def _add_fault(self, request: web.Request) -> web.Response:
        form = await read_own_form(request, self._hosts)
        kind, times = form.get("kind", ""), form.get("times", "").strip()
        try:
            self._sandbox.faults.add(
                read_fault(f"{kind}:times={times}" if times else kind)
            )
        except ConfigurationError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return see("/")
