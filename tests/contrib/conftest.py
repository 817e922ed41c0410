"""One shop in every framework: real servers, and the sandbox for a gateway."""

import asyncio
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.types import WSGIApplication

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from aiohttp.typedefs import Handler
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI
from litestar import Litestar, post
from litestar import Request as LitestarRequest
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from quart import Quart
from quart import request as quart_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from convergegate_async import (
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    Timeouts,
    WebhookEvent,
)
from convergegate_async.contrib import (
    aiohttp_web,
    django,
    fastapi,
    litestar,
    quart,
    starlette,
)
from convergegate_async.sandbox import Sandbox
from convergegate_async.webhooks import WebhookReceiver, WebhookVerifier, sign

settings.configure(
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    SECRET_KEY="made up",
)


class Shop:
    """Sells one thing and hears of its payment; it remembers what it did.

    Attributes:
        answers_first: Whether a delivery is answered before it is acted upon.
        keeps_a_log: Whether a middleware reads every body before the handler does.
        failures: How many of the next events its webhook handler fails on.
        error: What it fails with.
        reported: What a framework without a log of its own tells of errors.
        may_act: What that handler waits for; set until a test clears it.
        patience: How many seconds an attempt of its calls may take.
        began: How often it was called.
        built: The factories that it opened.
        sold: The ids of the sessions that its order handler got.
        heard: The ids of the events that its webhook handler has finished.
    """

    def __init__(self, sandbox: Sandbox, order: CheckoutSessionRequest) -> None:
        self.answers_first = False
        self.keeps_a_log = False
        self.failures = 0
        self.error: Exception = RuntimeError("the shop is on fire")
        self.reported: list[BaseException] = []
        self.may_act = asyncio.Event()
        self.may_act.set()
        self.patience = 10.0
        self.began = 0
        self.built: list[CheckoutSessionFactory] = []
        self.sold: list[str] = []
        self.heard: list[str] = []
        self._sandbox = sandbox
        self._order = order

    def build(self) -> CheckoutSessionFactory:
        """Return an unopened factory, and remember it."""
        timeouts = Timeouts(attempt=self.patience)
        self.built.append(self._sandbox.factory(timeouts=timeouts))
        return self.built[-1]

    def receiver(self) -> WebhookReceiver:
        """Return what an app gives its deliveries to."""
        verifier = WebhookVerifier(self._sandbox.api_key)
        return WebhookReceiver(verifier, self.hear, answer_first=self.answers_first)

    def event(
        self, event_id: str, size: int = 0
    ) -> tuple[bytes, list[tuple[str, str]]]:
        """Return the body of an event, of *size* bytes at least, and its headers."""
        now = int(time.time())
        event = {
            "id": event_id,
            "type": "session.completed",
            "created_at": now,
            "data": {"session_id": "AW-kLcRRC5P8U68CYe0kVA", "status": "completed"},
        }
        body = json.dumps(event).encode().ljust(size)
        headers = sign(body, secret=self._sandbox.api_key, timestamp=now)
        return body, list(headers.items())

    async def sell(self, checkout: CheckoutSessionFactory, key: str) -> str:
        """Do what the handler of an order does."""
        session = await checkout.create(self._order, idempotency_key=key)
        self.sold.append(session.id)
        return session.id

    async def hear(self, event: WebhookEvent, _: CheckoutSessionFactory) -> None:
        """Do what the handler of an event does."""
        self.began += 1
        await self.may_act.wait()
        if self.failures:
            self.failures -= 1
            raise self.error
        self.heard.append(event.id)


class Visitor:
    """Comes to the door of a running app: orders, delivers, and hangs up.

    Attributes:
        http: What it makes requests with.
    """

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self.http = http
        self._port = port

    async def order(self, key: str) -> tuple[int, str]:
        """Order, and return status and text of the answer."""
        async with self.http.post(f"/orders/{key}") as answer:
            return answer.status, await answer.text()

    async def deliver(
        self,
        body: bytes,
        headers: Iterable[tuple[str, str]],
        place: str = "/hooks",
    ) -> int:
        """Deliver an event, and return the status of the answer."""
        data = io.BytesIO(body)  # aiohttp warns of large bytes
        async with self.http.post(place, data=data, headers=headers) as answer:
            return answer.status

    async def start(
        self, *head: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Say no more than the *head* of a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write("\r\n".join([*head, "Host: shop.example", "", ""]).encode())
        return reader, writer


Served = AbstractAsyncContextManager[Visitor]


@asynccontextmanager
async def visit(port: int) -> AsyncIterator[Visitor]:
    """Send a visitor to what listens on *port*."""
    # uvicorn hangs up after an error, though the answer was sent.
    door = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=door
    ) as http:
        yield Visitor(port, http)


@asynccontextmanager
async def serve_asgi(app: Callable[..., Awaitable[None]]) -> AsyncIterator[Visitor]:
    """Run an ASGI app on uvicorn, its lifespan included."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        config = uvicorn.Config(app, lifespan="on", log_config=None)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.serve([door]))
            while not (server.started or running.done()):  # noqa: ASYNC110 -- it tells no other way
                await asyncio.sleep(0.01)
            try:
                async with visit(door.getsockname()[1]) as visitor:
                    yield visitor
            finally:
                server.should_exit = True


@asynccontextmanager
async def serve_web(
    app: web.Application, *, handler_cancellation: bool = False
) -> AsyncIterator[Visitor]:
    """Run an aiohttp.web app on its own server."""
    runner = web.AppRunner(
        app, handler_cancellation=handler_cancellation, lingering_time=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with visit(runner.addresses[0][1]) as visitor:
            yield visitor
    finally:
        await runner.cleanup()


class ThreadedServer(ThreadingMixIn, WSGIServer):
    """Serves every request in a thread of its own."""


@asynccontextmanager
async def serve_wsgi(app: WSGIApplication) -> AsyncIterator[Visitor]:
    """Run a WSGI app on the server of the standard library."""
    with make_server("127.0.0.1", 0, app, server_class=ThreadedServer) as server:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(server.serve_forever, 0.02))
            try:
                async with visit(server.server_port) as visitor:
                    yield visitor
            finally:
                await asyncio.to_thread(server.shutdown)


async def log_body(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Read a body, as a middleware that keeps a log does."""
    await request.body()
    return await call_next(request)


def starlette_middleware(shop: Shop) -> list[Middleware]:
    """Return the middleware of the shop."""
    if not shop.keeps_a_log:
        return []
    return [Middleware(BaseHTTPMiddleware, dispatch=log_body)]


def serve_starlette(shop: Shop) -> Served:
    """Serve the shop with Starlette."""
    receiver = shop.receiver()

    async def order(request: Request) -> PlainTextResponse:
        checkout = starlette.get_checkout(request)
        return PlainTextResponse(await shop.sell(checkout, request.path_params["key"]))

    return serve_asgi(
        Starlette(
            lifespan=starlette.lifespan(shop.build, receiver),
            middleware=starlette_middleware(shop),
            routes=[
                Route("/orders/{key}", order, methods=["POST"]),
                starlette.webhook_route("/hooks", receiver),
                starlette.webhook_route("/live-hooks", receiver),
            ],
        )
    )


def serve_fastapi(shop: Shop) -> Served:
    """Serve the shop with FastAPI."""
    receiver = shop.receiver()
    app = FastAPI(
        lifespan=fastapi.lifespan(shop.build, receiver),
        middleware=starlette_middleware(shop),
        routes=[
            fastapi.webhook_route("/hooks", receiver),
            fastapi.webhook_route("/live-hooks", receiver),
        ],
    )

    @app.post("/orders/{key}")
    async def order(key: str, checkout: fastapi.Checkout) -> str:
        return await shop.sell(checkout, key)

    return serve_asgi(app)


def serve_aiohttp(shop: Shop, *, handler_cancellation: bool = False) -> Served:
    """Serve the shop with aiohttp.web."""
    receiver = shop.receiver()

    async def order(request: web.Request) -> web.Response:
        checkout = aiohttp_web.get_checkout(request)
        return web.Response(text=await shop.sell(checkout, request.match_info["key"]))

    @web.middleware
    async def keep_a_log(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.text()
        return await handler(request)

    app = web.Application(middlewares=[keep_a_log] if shop.keeps_a_log else [])
    app.cleanup_ctx.append(aiohttp_web.lifespan(shop.build, receiver))
    app.add_routes(
        [
            web.post("/orders/{key}", order),
            aiohttp_web.webhook_route("/hooks", receiver),
            aiohttp_web.webhook_route("/live-hooks", receiver),
        ]
    )
    return serve_web(app, handler_cancellation=handler_cancellation)


def serve_aiohttp_cancelling(shop: Shop) -> Served:
    """Serve the shop with aiohttp.web, asked to cancel handlers."""
    return serve_aiohttp(shop, handler_cancellation=True)


def serve_litestar(shop: Shop) -> Served:
    """Serve the shop with Litestar."""
    receiver = shop.receiver()

    async def report(error: BaseException, _: object) -> None:
        shop.reported.append(error)

    @post("/orders/{key:str}", status_code=200)
    async def order(
        key: FromPath[str], checkout: NamedDependency[CheckoutSessionFactory]
    ) -> str:
        return await shop.sell(checkout, key)

    async def keep_a_log(request: LitestarRequest[Any, Any, Any]) -> None:
        await request.body()

    return serve_asgi(
        Litestar(
            [
                order,
                litestar.webhook_route("/hooks", receiver),
                litestar.webhook_route("/live-hooks", receiver),
            ],
            before_request=keep_a_log if shop.keeps_a_log else None,
            dependencies={
                "checkout": Provide(litestar.get_checkout, sync_to_thread=False)
            },
            lifespan=[litestar.lifespan(shop.build, receiver)],
            after_exception=[report],
            logging_config=None,  # or it takes the log away from pytest
        )
    )


def serve_quart(shop: Shop) -> Served:
    """Serve the shop with Quart."""
    receiver = shop.receiver()
    app = Quart(__name__)
    app.while_serving(quart.lifespan(shop.build, receiver))
    for place in ("/hooks", "/live-hooks"):
        app.register_blueprint(quart.webhook_route(place, receiver))

    @app.before_request
    async def keep_a_log() -> None:
        if shop.keeps_a_log:
            await quart_request.get_data()

    @app.post("/orders/<key>")
    async def order(key: str) -> str:
        return await shop.sell(quart.get_checkout(), key)

    return serve_asgi(app)


def keep_a_log(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """Read a body before the view, as a middleware of Django."""

    async def log(request: HttpRequest) -> HttpResponse:
        _ = request.body
        return await get_response(request)

    return markcoroutinefunction(log)


keep_a_log.async_capable = True  # type: ignore[attr-defined]  # Django's own way


@asynccontextmanager
async def serve_django(shop: Shop) -> AsyncIterator[Visitor]:
    """Serve the shop with Django."""
    receiver = shop.receiver()

    @csrf_exempt
    async def order(request: HttpRequest, key: str) -> HttpResponse:
        return HttpResponse(await shop.sell(django.get_checkout(request), key))

    urls = (
        path("orders/<key>", order),
        django.webhook_route("hooks", receiver),
        django.webhook_route("live-hooks", receiver),
    )
    middleware = list(settings.MIDDLEWARE)
    if shop.keeps_a_log:
        middleware.append(f"{__name__}.keep_a_log")
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware):
        wrap = django.lifespan(shop.build, receiver)
        async with serve_asgi(wrap(get_asgi_application())) as visitor:
            yield visitor


SERVE: dict[str, Callable[[Shop], Served]] = {
    "starlette": serve_starlette,
    "fastapi": serve_fastapi,
    "aiohttp": serve_aiohttp,
    "aiohttp-cancelling": serve_aiohttp_cancelling,
    "litestar": serve_litestar,
    "quart": serve_quart,
    "django": serve_django,
}


@pytest.fixture
def shop(sandbox: Sandbox, order: CheckoutSessionRequest) -> Shop:
    """A shop that is not open yet."""
    return Shop(sandbox, order)


@pytest.fixture(params=SERVE)
def open_shop(request: pytest.FixtureRequest, shop: Shop) -> Callable[[], Served]:
    """Opens the shop, in one framework after the other."""
    return lambda: SERVE[request.param](shop)


@pytest.fixture
def run_asgi() -> Callable[[Callable[..., Awaitable[None]]], Served]:
    """Runs an ASGI app."""
    return serve_asgi


@pytest.fixture
def run_web() -> Callable[[web.Application], Served]:
    """Runs an aiohttp.web app."""
    return serve_web


@pytest.fixture
def run_wsgi() -> Callable[[WSGIApplication], Served]:
    """Runs a WSGI app."""
    return serve_wsgi
