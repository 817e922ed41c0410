"""Webhooks for an app of this process: it is started here, and needs no port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox import PostWebhook
from convergegate_async.webhooks import WebhookReply

from ._failures import Failures, heard_here, listening

Message: TypeAlias = MutableMapping[str, Any]
AsgiApp: TypeAlias = Callable[..., Awaitable[None]]
"""An app of FastAPI, Starlette, Litestar, Quart or Django, and any other by ASGI.

What it is called with each framework has types of its own for.
"""


@asynccontextmanager
async def started(app: AsgiApp | web.Application) -> AsyncIterator[PostWebhook]:
    """Start *app* on this loop; return what posts to it, from any loop."""
    with listening():
        async with (
            _started_aiohttp(app) if isinstance(app, web.Application) else _started(app)
        ) as post:
            yield _on_this_loop(post)


@asynccontextmanager
async def _started_aiohttp(app: web.Application) -> AsyncIterator[PostWebhook]:
    if app.frozen:
        message = (
            "this app was started before, and aiohttp starts an app once: where it "
            "runs already, such as for a TestClient, leave webhooks_into out and pass "
            'notification_url=str(client.make_url("/webhooks")); else build another app'
        )
        raise ConfigurationError(message)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
        # A pair of sockets is a connection without an address.
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)  # noqa: FBT003 -- its own spelling
        server = runner.server
        if server is None:
            raise AssertionError
        await asyncio.get_running_loop().connect_accepted_socket(server, theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(_message(urlsplit(url), body, headers))
            status_line = await reader.readline()
            return WebhookReply(int(status_line.split()[1]), "")
        finally:
            writer.close()
            await writer.wait_closed()

    try:
        yield post
    finally:
        await runner.cleanup()


def _message(url: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    target = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
    fields = {
        "Host": url.netloc,
        **headers,
        "Content-Length": len(body),
        "Connection": "close",
    }
    head = [
        f"POST {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


@asynccontextmanager
async def _started(app: AsgiApp) -> AsyncIterator[PostWebhook]:
    state: dict[str, object] = {}
    failures = Failures()

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
        reason = ""
        exchange = _Exchange(body)
        scope = {**_scope(urlsplit(url), body, headers), "state": state.copy()}
        try:
            await app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 -- any app may fail in its own way
            reason = failures.show(error)
        finally:
            exchange.over.set()
        return WebhookReply(exchange.status, reason)

    async with _lifespan(app, state):
        yield post


class _Exchange:
    """A request and its answer, as an ASGI server hands them over.

    Attributes:
        status: What was answered; 500, as from a server, if nothing was.
    """

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 500
        self.over = asyncio.Event()

    async def receive(self) -> Message:
        if self._body is None:
            await self.over.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body", False):
            self.over.set()


def _scope(
    url: SplitResult, body: bytes, headers: Mapping[str, str]
) -> dict[str, object]:
    fields = {"Host": url.netloc, **headers, "Content-Length": str(len(body))}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": url.scheme,
        "path": unquote(url.path) or "/",
        "raw_path": url.path.encode() or b"/",
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in fields.items()
        ],
        "client": ("127.0.0.1", 0),
        "server": (url.hostname, url.port),
    }


@asynccontextmanager
async def _lifespan(app: AsgiApp, state: dict[str, object]) -> AsyncIterator[None]:
    """Start *app*, and shut it down; one without a lifespan has nothing to start."""
    said: asyncio.Queue[str] = asyncio.Queue()
    asked: asyncio.Queue[Message] = asyncio.Queue()

    async def send(message: Message) -> None:
        said.put_nowait(message["type"])

    async def live() -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
        try:
            await app(scope, asked.get, send)
        finally:
            said.put_nowait("over")

    asked.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(live())
    if await said.get() == "lifespan.startup.failed":
        await asyncio.wait([life])
        message = "the app could not be started"
        raise ConfigurationError(message) from life.exception()
    try:
        yield
    finally:
        asked.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait([life])
        life.exception()  # of an app that has no lifespan


def _on_this_loop(post: PostWebhook) -> PostWebhook:
    """Return *post*, to be called on another loop."""
    loop = asyncio.get_running_loop()

    async def hand_over(
        url: str, body: bytes, headers: Mapping[str, str]
    ) -> WebhookReply:
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(_awaited(post, url, body, headers), loop)
        )

    return hand_over


async def _awaited(
    post: PostWebhook, url: str, body: bytes, headers: Mapping[str, str]
) -> WebhookReply:
    with heard_here() as heard:
        reply = await post(url, body, headers)
    return attrs.evolve(reply, text=reply.text or "".join(heard[-1:]))
