"""Answers on the wire, and how they go wrong on purpose."""

import asyncio
import json
import os
import socket
import struct
from contextlib import suppress

import aiohttp
from aiohttp import web

from convergegate_async.errors import ConfigurationError

from ._api import Reply, refusal
from ._faults import Fault, FaultKind
from ._hosts import Hosts

_LOCAL = Hosts("127.0.0.1")
_PATIENCE = web.AppKey("patience", float)


async def listen(
    app: web.Application, port: int, hosts: Hosts = _LOCAL, patience: float = 30.0
) -> tuple[web.AppRunner, str]:
    """Serve *app* on a port, and return its runner and its address on this machine.

    Args:
        app: What to serve.
        port: Any free one if 0.
        hosts: Where to listen.
        patience: Seconds in which a request's head, and then its body, must come, and
            after which an idle connection is closed.

    Raises:
        ConfigurationError: The port is taken, or the host is not this machine's.
    """
    app[_PATIENCE] = patience
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=0.5,
        keepalive_timeout=patience,
        lingering_time=min(patience, 10.0),
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, hosts.host, port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        is_unknown = isinstance(error, socket.gaierror)
        reason = error.strerror if is_unknown else os.strerror(error.errno or 0)
        message = f"cannot listen on port {port} of {hosts.host}: {reason}"
        raise ConfigurationError(message) from None
    name = f"[{hosts.local}]" if ":" in hosts.local else hosts.local
    return runner, f"http://{name}:{runner.addresses[0][1]}"


async def read_body(request: web.Request) -> bytes:
    """Return the body of a request, if it comes in time.

    Raises:
        HTTPRequestTimeout: It does not: who sends half of it is not waited for.
        HTTPRequestEntityTooLarge: It is too big.
    """
    try:
        async with asyncio.timeout(request.app[_PATIENCE]):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def refused_body(error: web.HTTPException) -> Reply:
    """Return what is answered where `read_body` did not return."""
    message = (
        "the body did not come in time"
        if isinstance(error, web.HTTPRequestTimeout)
        else "the body is too big"
    )
    return refusal(error.status, message)


def new_client() -> aiohttp.ClientSession:
    """Return a client that keeps no cookies, and has the system look names up."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        # Else aiodns, if anybody has installed it.
        connector=aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver()),
    )


def answer(
    reply: Reply, request_id: str, retry_after: str | None = None
) -> web.Response:
    """Return *reply* as it should be."""
    headers = {"Request-Id": request_id}
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


async def break_answer(
    request: web.Request, reply: Reply, fault: Fault, closing: asyncio.Event
) -> web.StreamResponse:
    """Answer with as much of *reply* as *fault* lets through."""
    response = web.StreamResponse(status=reply.status)
    response.content_type = "application/json"
    match fault.kind:
        case FaultKind.GARBAGE:
            return web.Response(body=b"<html>\0", content_type="text/html")
        case FaultKind.STALL:
            await closing.wait()
        case FaultKind.TRUNCATE | FaultKind.STALL_BODY | FaultKind.DRIP:
            body = _spell(reply)
            response.content_length = len(body)
            with suppress(ConnectionResetError):  # nobody listens any more
                await response.prepare(request)
                await _write_badly(response, body, fault, closing)
        case FaultKind.RESET | FaultKind.LOST:
            pass
        case FaultKind.STATUS | FaultKind.LATENCY:
            raise AssertionError(fault.kind)  # answered, and not badly
        case (
            FaultKind.WEBHOOK_LOST
            | FaultKind.WEBHOOK_LATE
            | FaultKind.WEBHOOK_SWAPPED
            | FaultKind.WEBHOOK_DUPLICATE
            | FaultKind.WEBHOOK_FORGED
        ):
            raise AssertionError(fault.kind)  # drawn for deliveries only
    if fault.kind is not FaultKind.DRIP:
        _reset(request)
    return response


async def _write_badly(
    response: web.StreamResponse, body: bytes, fault: Fault, closing: asyncio.Event
) -> None:
    if fault.kind is FaultKind.DRIP:
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(fault.seconds)
        return
    await response.write(body[: len(body) // 2])
    if fault.kind is FaultKind.STALL_BODY:
        await closing.wait()


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
