"""The sandbox on the wire: routes, faults, and a journal of what was seen."""

import asyncio
import json
import os
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, Unpack

import attrs
from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, FactoryOptions

from ._book import Book
from ._desk import Desk, Reply, refusal
from ._faults import Fault, FaultKind, FaultPlan

JOURNAL_SIZE = 100_000  # requests; older ones are counted and forgotten
_HOST = "127.0.0.1"
_NOTHING = Reply(status=200, document={})


@attrs.define(kw_only=True)
class SeenRequest:
    """A request as it arrived, and what became of it.

    Attributes:
        operation: ``create``, ``retrieve``, or ``other`` for an unknown path.
        status: What was answered; `None` if nothing was.
        replayed: It was answered from memory, under its idempotency key.
        fault: What went wrong on purpose.
    """

    operation: str
    method: str
    path: str
    idempotency_key: str | None
    body: bytes = attrs.field(repr=False)
    status: int | None = None
    replayed: bool = False
    fault: FaultKind | None = None


class Sandbox:
    """A gateway of one's own on a free loopback port; no account needed.

    Use it in the place of the real one::

        async with Sandbox() as sandbox, sandbox.factory() as checkout:
            session = await checkout.create(request)

    Args:
        api_key: The key that it answers to.
        port: Where to listen on 127.0.0.1; any free port if 0.
        honour_keys: Answer a repeated idempotency key with the first answer. Nobody
            knows whether the real gateway does.
        faults: What goes wrong.
        seed: Of the fault's dice and of the session ids.
        now: The gateway's clock, in epoch seconds.
        watch: Is told every request once it is over.
    """

    def __init__(  # noqa: PLR0913 -- each is a separate switch of the gateway
        self,
        *,
        api_key: str = "sk_test_sandbox",
        port: int = 0,
        honour_keys: bool = True,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        now: Callable[[], float] = time.time,
        watch: Callable[[SeenRequest], None] | None = None,
    ) -> None:
        self.api_key = api_key
        self.faults = FaultPlan(faults, seed)
        self.book = Book(now, seed)
        self.seen: deque[SeenRequest] = deque(maxlen=JOURNAL_SIZE)
        self.counts: Counter[str] = Counter()
        self._port = port
        self._now = now
        self._watch = watch
        self._desk = Desk(self.book, api_key, honour_keys=honour_keys)
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._base_url: str | None = None

    @property
    def base_url(self) -> str:
        """Where it listens.

        Raises:
            ConfigurationError: It does not listen.
        """
        if self._base_url is None:
            message = "the sandbox is not running: use `async with`"
            raise ConfigurationError(message)
        return self._base_url

    def factory(self, **overrides: Unpack[FactoryOptions]) -> CheckoutSessionFactory:
        """Return an unopened factory that calls this sandbox."""
        return CheckoutSessionFactory(self.api_key, self.base_url, **overrides)

    def count(self, operation: str) -> int:
        """Return how many requests for *operation* arrived."""
        return self.counts[operation]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/v1/checkout/sessions", self._create)
        app.router.add_get("/v1/checkout/sessions/{id}", self._retrieve)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5
        )
        await self._runner.setup()
        reason = None
        try:
            await web.TCPSite(self._runner, _HOST, self._port, backlog=1024).start()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        if reason is not None:
            await self._runner.cleanup()
            message = f"the sandbox cannot listen on port {self._port}: {reason}"
            raise ConfigurationError(message)
        host, port = self._runner.addresses[0][:2]
        self._base_url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._base_url = None

    # -- routes -----------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return await self._serve(
            request,
            "create",
            body,
            lambda: self._desk.create(
                body,
                request.headers.get("Idempotency-Key"),
                self.base_url,
                self._now(),
            ),
        )

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        session_id = request.match_info["id"]
        return await self._serve(
            request, "retrieve", b"", lambda: self._desk.retrieve(session_id)
        )

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(
            request, "other", b"", lambda: refusal(404, "no such resource")
        )

    async def _serve(
        self,
        request: web.Request,
        operation: str,
        body: bytes,
        work: Callable[[], Reply],
    ) -> web.StreamResponse:
        seen = SeenRequest(
            operation=operation,
            method=request.method,
            path=request.path,
            idempotency_key=request.headers.get("Idempotency-Key"),
            body=body,
        )
        self.seen.append(seen)
        self.counts[operation] += 1
        try:
            return await self._meet(self.faults.draw(operation), seen, request, work)
        finally:
            if self._watch is not None:
                self._watch(seen)

    async def _meet(
        self,
        fault: Fault | None,
        seen: SeenRequest,
        request: web.Request,
        work: Callable[[], Reply],
    ) -> web.StreamResponse:
        """Answer *request*, or let *fault* have its way with it."""
        if fault is None:
            return self._answer(seen, self._work(request, work))
        seen.fault = fault.kind
        if fault.kind is FaultKind.LATENCY:
            await asyncio.sleep(fault.seconds)
        reply = self._work(request, work) if fault.lets_work() else _NOTHING
        if fault.kind is FaultKind.LATENCY:
            return self._answer(seen, reply)
        if fault.kind is FaultKind.STATUS:
            reply = refusal(fault.status, "failed on purpose", kind="api_error")
            return self._answer(seen, reply, fault.retry_after)
        return await self._break(request, reply, fault)

    def _work(self, request: web.Request, work: Callable[[], Reply]) -> Reply:
        if self._desk.admits(request.headers.get("Authorization")):
            return work()
        message = "no valid API key was given"
        return refusal(401, message, kind="authentication_error")

    def _answer(
        self, seen: SeenRequest, reply: Reply, retry_after: str | None = None
    ) -> web.Response:
        seen.status, seen.replayed = reply.status, reply.replayed
        headers = {"Request-Id": f"req_{sum(self.counts.values())}"}
        if reply.replayed:
            headers["Idempotent-Replayed"] = "true"
        if retry_after is not None:
            headers["Retry-After"] = retry_after
        return web.Response(
            status=reply.status,
            body=_spell(reply),
            content_type="application/json",
            headers=headers,
        )

    async def _break(
        self, request: web.Request, reply: Reply, fault: Fault
    ) -> web.StreamResponse:
        """Answer with as much as *fault* lets through."""
        body = _spell(reply)
        response = web.StreamResponse(status=reply.status)
        response.content_type = "application/json"
        match fault.kind:
            case FaultKind.GARBAGE:
                return web.Response(body=b"<html>\0", content_type="text/html")
            case FaultKind.STALL:
                await self._closing.wait()
            case FaultKind.TRUNCATE | FaultKind.STALL_BODY | FaultKind.DRIP:
                response.content_length = len(body)
                await response.prepare(request)
                await self._write_badly(response, body, fault)
            case _:
                pass
        if fault.kind is not FaultKind.DRIP:
            _reset(request)
        return response

    async def _write_badly(
        self, response: web.StreamResponse, body: bytes, fault: Fault
    ) -> None:
        if fault.kind is FaultKind.DRIP:
            for byte in body:
                await response.write(bytes([byte]))
                await asyncio.sleep(fault.seconds)
            return
        await response.write(body[: len(body) // 2])
        if fault.kind is FaultKind.STALL_BODY:
            await self._closing.wait()


def _spell(reply: Reply) -> bytes:
    return json.dumps(reply.document).encode()


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    # With no time to linger, closing sends RST: the client cannot take it for an end.
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
