"""Webhooks for an app of this process: it is started here, and needs no port."""

import asyncio
import socket
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox import PostWebhook
from convergegate_async.webhooks import WebhookReply

from ._failures import Failures, heard_here, listening

Message: TypeAlias = MutableMapping[str, Any]
AsgiApp: TypeAlias = Callable[..., Awaitable[None]]
"""An app of FastAPI, Starlette, Litestar, Quart or Django, and any other by ASGI.

What it is called with each framework has types of its own for.
"""

_WORKS_ON = 5.0  # seconds after which an answer counts though the app is still at work
_FINISHES = 10.0  # seconds in which it has to end its work once it is left


@attrs.frozen(eq=False)
class AppHere:
    """An app that was started on a loop, to be called on any other."""

    loop: asyncio.AbstractEventLoop
    _post: PostWebhook

    async def take(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> WebhookReply:
        """Hand it a webhook."""
        if self.loop.is_closed():
            return WebhookReply(
                500, "the app's event loop was closed before it was left"
            )
        awaited = _awaited(self._post, url, body, headers)
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(awaited, self.loop)
        )


@asynccontextmanager
async def started(app: AsgiApp | web.Application) -> AsyncIterator[AppHere]:
    """Start *app* on this loop.

    Raises:
        BaseException: A handler ended with it, and it is no `Exception`: a test failed
            there, by ``pytest.fail()`` such as it is.
    """
    work = _Work()
    with listening():
        async with (
            _started_aiohttp(app, work)
            if isinstance(app, web.Application)
            else _started(app, work)
        ) as post:
            yield AppHere(asyncio.get_running_loop(), post)
    if work.failures.end is not None:
        raise work.failures.end


class _Work:
    """What an app does for its webhooks.

    Attributes:
        failures: How it failed.
    """

    def __init__(self) -> None:
        self.failures = Failures()
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Wait in `finished` for what is done here; note how it fails, and go on."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        self._tasks.add(task)
        try:
            yield
        except (web.HTTPException, KeyboardInterrupt, GeneratorExit):
            raise
        except (
            BaseException
        ) as error:  # pytest.fail() and sys.exit() are no `Exception`
            if task.cancelling():
                raise
            self.failures.note(error)
        finally:
            self._tasks.discard(task)

    @asynccontextmanager
    async def finished(self) -> AsyncIterator[None]:
        """Leave once all is done, also what an app does after its answer.

        Raises:
            TimeoutError: It was not in ten seconds, and was cancelled.
        """
        try:
            yield
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_FINISHES)
            if self._tasks:
                message = "the app was still at work for a webhook that it had answered"
                raise TimeoutError(message)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def _started_aiohttp(
    app: web.Application, work: _Work
) -> AsyncIterator[PostWebhook]:
    if app.frozen:
        message = (
            "this app was started before, and aiohttp starts an app once: where it "
            "runs already, such as for a TestClient, leave webhooks_into out and pass "
            'notification_url=str(client.make_url("/webhooks")); else build another app'
        )
        raise ConfigurationError(message)

    @web.middleware
    async def noted(request: web.Request, handler: Handler) -> web.StreamResponse:
        with work.noted():
            return await handler(request)
        return web.Response(status=500)

    app.middlewares.insert(0, noted)
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
            if not status_line:
                raise ConnectionResetError
            return WebhookReply(int(status_line.split()[1]), "")
        finally:
            writer.close()
            await writer.wait_closed()

    try:
        async with work.finished():
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
async def _started(app: AsgiApp, work: _Work) -> AsyncIterator[PostWebhook]:
    state: dict[str, object] = {}

    async def take(scope: Message, exchange: _Exchange) -> None:
        try:
            with work.noted():
                await app(scope, exchange.receive, exchange.send)
        finally:
            exchange.over.set()

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
        exchange = _Exchange(body)
        scope = {**_scope(urlsplit(url), body, headers), "state": state.copy()}
        task = asyncio.create_task(take(scope, exchange))
        try:
            await asyncio.wait([task], timeout=_WORKS_ON)
            await exchange.over.wait()
        except asyncio.CancelledError:
            task.cancel()
            raise
        return WebhookReply(exchange.status if exchange.is_answered else 500, "")

    async with _lifespan(app, state), work.finished():
        yield post


class _Exchange:
    """A request and its answer, as an ASGI server hands them over.

    Attributes:
        status: What was answered.
        is_answered: It was answered to the end; servers hang up on half an answer.
        over: Set once nothing more is to come.
    """

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 500
        self.is_answered = False
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
            self.is_answered = True
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
    """Start *app*, and shut it down; one without a lifespan has nothing to start.

    Such a one says so before it has received anything.
    """
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

    async def check(word: str, what: str) -> None:
        if word.endswith(".failed") or (word == "over" and asked.empty()):
            await asyncio.wait([life])
            if word != "over" or life.exception() is not None:
                message = f"the app could not be {what}"
                raise ConfigurationError(message) from life.exception()

    asked.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(live())
    await check(await said.get(), "started")
    try:
        yield
    finally:
        asked.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait([life])
        if said.empty():  # it had no lifespan
            life.exception()
        else:
            await check(said.get_nowait(), "shut down")


async def _awaited(
    post: PostWebhook, url: str, body: bytes, headers: Mapping[str, str]
) -> WebhookReply:
    with heard_here() as heard:
        reply = await post(url, body, headers)
    return attrs.evolve(reply, text="".join(heard[-1:]))
