"""Webhooks for apps of this process: started on the test's loop, without a port."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI, Request, Response
from litestar import Litestar
from matrix import AMPLE
from quart import Quart
from starlette.responses import PlainTextResponse

from convergegate_async import (
    CheckoutSessionFactory,
    ConfigurationError,
    WebhookEvent,
    WebhookReceiver,
    WebhookVerifier,
    confirm,
)
from convergegate_async.contrib import aiohttp_web, fastapi, litestar, quart
from convergegate_async.testing import ThreadedSandbox, checkout_request

URL = "https://shop.example/webhooks?of=gateway"
"""Of no host that there is."""

App = FastAPI | Litestar | Quart | web.Application


class Shop:
    """Ships what was paid, on the loop that it was started on."""

    def __init__(self, sandbox: ThreadedSandbox) -> None:
        self.sandbox = sandbox
        self.shipped: list[str] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.error: Exception | None = None
        verifier = WebhookVerifier(sandbox.api_key)
        self.receiver = WebhookReceiver(verifier, self.take)

    async def take(self, event: WebhookEvent, checkout: CheckoutSessionFactory) -> None:
        """Ask the gateway, and ship."""
        self.loops.add(asyncio.get_running_loop())
        if self.error is not None:
            raise self.error
        session = await confirm(event, checkout)
        if event.type == "session.completed":
            self.shipped.append(session.id)

    def fastapi(self) -> FastAPI:
        """Return it as an ASGI app."""
        app = FastAPI(lifespan=fastapi.lifespan(self.sandbox.factory, self.receiver))
        app.router.routes.append(fastapi.webhook_route("/webhooks", self.receiver))
        return app

    def litestar(self) -> Litestar:
        """Return it as an app whose lifespan is Litestar's."""
        return Litestar(
            [litestar.webhook_route("/webhooks", self.receiver)],
            lifespan=[litestar.lifespan(self.sandbox.factory, self.receiver)],
        )

    def quart(self) -> Quart:
        """Return it as an app whose lifespan is a generator."""
        app = Quart(__name__)
        app.while_serving(quart.lifespan(self.sandbox.factory, self.receiver))
        app.register_blueprint(quart.webhook_route("/webhooks", self.receiver))
        return app

    def aiohttp(self) -> web.Application:
        """Return it as an app of aiohttp."""
        app = web.Application()
        app.cleanup_ctx.append(
            aiohttp_web.lifespan(self.sandbox.factory, self.receiver)
        )
        app.add_routes([aiohttp_web.webhook_route("/webhooks", self.receiver)])
        return app


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedSandbox]:
    """A gateway on a thread."""
    with ThreadedSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def threaded(server: ThreadedSandbox) -> ThreadedSandbox:
    """One that knows nothing."""
    server.reset()
    return server


@pytest.mark.parametrize(
    "kind", [Shop.fastapi, Shop.litestar, Shop.quart, Shop.aiohttp]
)
async def test_a_paid_order_is_shipped(
    kind: Callable[[Shop], App], threaded: ThreadedSandbox
) -> None:
    """The webhook reaches the app's handler on this loop, with the app's factory."""
    shop = Shop(threaded)
    async with (
        threaded.webhooks_into(kind(shop)),
        threaded.factory() as checkout,
    ):
        session = await checkout.create(checkout_request(notification_url=URL))
        threaded.pay(session.id)
        delivery = await asyncio.to_thread(threaded.delivered, "session.completed")

    assert (delivery.attempt, delivery.status) == (1, 200)
    assert shop.shipped == [session.id]
    assert shop.loops == {asyncio.get_running_loop()}


@pytest.mark.parametrize("kind", [Shop.fastapi, Shop.aiohttp])
async def test_three_days_of_a_broken_shop(
    kind: Callable[[Shop], App],
    threaded: ThreadedSandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told again and again, takes it in the end, and ships once."""
    shop = Shop(threaded)
    shop.error = ZeroDivisionError()
    async with (
        threaded.webhooks_into(kind(shop)),
        threaded.factory() as checkout,
    ):
        session = await checkout.create(checkout_request(notification_url=URL))
        threaded.pay(session.id)
        await asyncio.to_thread(threaded.advance, 2 * 24 * 3600)
        with pytest.raises(AssertionError, match="not taken: answered 500"):
            await asyncio.to_thread(threaded.delivered, "session.completed")
        log = caplog.text
        shop.error = None
        await asyncio.to_thread(threaded.advance, 24 * 3600)
        delivery = await asyncio.to_thread(threaded.delivered, "session.completed")

    assert shop.shipped == [session.id]
    assert delivery.attempt == 17
    assert "ZeroDivisionError" in log  # who wrote the handler sees it
    if kind is Shop.fastapi:  # aiohttp's server has a log of its own
        assert log.count("Traceback") == 1
        assert log.count("the app failed at a webhook again") == 31


async def test_another_failure_is_shown_whole(
    threaded: ThreadedSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what was said already is said in a line."""
    shop = Shop(threaded)
    async with (
        threaded.webhooks_into(shop.fastapi()),
        threaded.factory() as checkout,
    ):
        await checkout.create(checkout_request(notification_url=URL))
        for text in ("the first", "the first", "the second"):
            shop.error = ValueError(text)
            await asyncio.to_thread(threaded.advance, 1)

    assert caplog.text.count("ValueError: the first") == 1
    assert caplog.text.count("ValueError: the second") == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Shop.fastapi, r"ValueError in take, test_apps\.py:\d+"),
        (Shop.litestar, r"the handler of webhook event '\S+' failed: ValueError"),
        (Shop.quart, r"the handler of webhook event '\S+' failed: ValueError"),
        (Shop.aiohttp, r"the handler of webhook event '\S+' failed: ValueError"),
    ],
)
async def test_a_webhook_that_failed_is_told_with_its_error(
    kind: Callable[[Shop], App], reason: str, threaded: ThreadedSandbox
) -> None:
    """By its class, and its place where that is known; its text may be of a person."""
    shop = Shop(threaded)
    shop.error = ValueError("john@example.com")
    async with (
        threaded.webhooks_into(kind(shop)),
        threaded.factory() as checkout,
    ):
        await checkout.create(checkout_request(notification_url=URL))
        with pytest.raises(AssertionError) as caught:
            await asyncio.to_thread(threaded.delivered, "session.created")

    start = re.escape("session.created was not taken: answered 500: ")
    assert re.fullmatch(start + reason, str(caught.value))


async def test_a_webhook_that_was_refused_is_told_with_the_reason(
    threaded: ThreadedSandbox,
) -> None:
    """Such as the wrong signature, and not that it came to an answer of 400."""
    threaded.fail_next("webhook_forged")
    async with (
        threaded.webhooks_into(Shop(threaded).fastapi()),
        threaded.factory() as checkout,
    ):
        await checkout.create(checkout_request(notification_url=URL))
        with pytest.raises(AssertionError, match=r"400: a webhook .* signature"):
            await asyncio.to_thread(threaded.delivered, "session.created")


async def test_an_asgi_server_is_all_there() -> None:
    """Path, query, headers, body, and nobody hangs up before the answer."""
    app = FastAPI()
    seen: list[object] = []

    @app.post("/deep/{name}")
    async def take(name: str, request: Request) -> Response:
        seen.extend([name, request.url.query, await request.body()])
        seen.append(request.headers["content-type"])
        seen.append(await request.is_disconnected())
        return PlainTextResponse("taken", 202)

    with ThreadedSandbox() as sandbox:
        async with sandbox.webhooks_into(app), sandbox.factory() as checkout:
            url = "http://shop.example:8000/deep/%C5%BC?a=1"
            await checkout.create(checkout_request(notification_url=url))
            delivery = await asyncio.to_thread(sandbox.delivered, "session.created")

    assert delivery.status == 202
    assert seen[:2] == ["ż", "a=1"]
    assert delivery.event.id.encode() in seen[2]  # type: ignore[operator]  # the body
    assert seen[3:] == ["application/json", False]


async def test_an_app_without_a_lifespan_is_called_all_the_same() -> None:
    """Servers do so, too."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with ThreadedSandbox() as sandbox:
        async with sandbox.webhooks_into(app), sandbox.factory() as checkout:
            await checkout.create(checkout_request(notification_url=URL))
            delivery = await asyncio.to_thread(sandbox.delivered, "session.created")

    assert delivery.status == 204


async def test_an_app_that_does_not_start_fails_the_test(
    threaded: ThreadedSandbox,
) -> None:
    """It is not waited for, and nothing is delivered to it."""

    def build() -> CheckoutSessionFactory:
        raise ZeroDivisionError

    app = FastAPI(lifespan=fastapi.lifespan(build))

    with pytest.raises(ConfigurationError, match="could not be started") as caught:
        await threaded.webhooks_into(app).__aenter__()

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_aiohttp_app_that_runs_is_not_started_again(
    threaded: ThreadedSandbox,
) -> None:
    """It would have two factories; the error says how it gets its webhooks."""
    app = Shop(threaded).aiohttp()

    async with TestServer(app):
        with pytest.raises(ConfigurationError, match="notification_url"):
            await threaded.webhooks_into(app).__aenter__()


async def test_an_aiohttp_app_is_not_started_beside_its_webhooks(
    threaded: ThreadedSandbox,
) -> None:
    """Neither the other way round: by who starts it second."""
    app = Shop(threaded).aiohttp()

    async with threaded.webhooks_into(app):
        with pytest.raises(ConfigurationError, match="once"):
            await TestServer(app).start_server()


async def test_an_aiohttp_app_that_runs_gets_its_webhooks_by_its_url(
    threaded: ThreadedSandbox,
) -> None:
    """As the error says: its server is one of this machine."""
    shop = Shop(threaded)
    async with TestServer(shop.aiohttp()) as server, threaded.factory() as checkout:
        url = str(server.make_url("/webhooks"))
        session = await checkout.create(checkout_request(notification_url=url))
        threaded.pay(session.id)
        await asyncio.to_thread(threaded.delivered, "session.completed")

    assert shop.shipped == [session.id]


async def test_leaving_waits_for_what_is_due(threaded: ThreadedSandbox) -> None:
    """A test that paid, and asked for nothing more, leaves no handler half done."""
    shop = Shop(threaded)
    async with threaded.factory() as checkout:
        async with threaded.webhooks_into(shop.fastapi()):
            session = await checkout.create(checkout_request(notification_url=URL))
            threaded.pay(session.id)

        assert shop.shipped == [session.id]


def test_a_loop_that_is_gone_stops_nothing(threaded: ThreadedSandbox) -> None:
    """A test left its shop's loop in the middle of a delivery; the next one goes on."""
    taking = threading.Event()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
        if scope["type"] == "http":
            taking.set()
            await asyncio.Event().wait()

    async def leave() -> None:
        async with threaded.factory() as checkout:
            left_open = threaded.webhooks_into(app)
            await left_open.__aenter__()
            await checkout.create(checkout_request(notification_url=URL))
            await asyncio.to_thread(taking.wait, AMPLE)

    asyncio.run(leave())

    threaded.advance(3 * 24 * 3600)


async def test_what_an_app_refused_goes_nowhere_once_it_is_left(
    threaded: ThreadedSandbox,
) -> None:
    """Its URL is that of a shop on the internet, which is sent nothing by a test."""
    async with threaded.factory() as checkout:
        async with threaded.webhooks_into(web.Application()):  # answers 404
            await checkout.create(checkout_request(notification_url=URL))
        await asyncio.to_thread(threaded.advance, 3_600)
    [delivery] = threaded.deliveries()

    assert (delivery.attempt, delivery.status) == (1, 404)
    assert "another machine" in delivery.note


async def test_afterwards_webhooks_go_where_they_say(threaded: ThreadedSandbox) -> None:
    """The app was stopped: nobody is handed anything."""
    async with threaded.webhooks_into(web.Application()):
        pass
    async with threaded.factory() as checkout:
        await checkout.create(checkout_request(notification_url=URL))
        with pytest.raises(AssertionError, match=r"webhooks_into\(app\)"):
            await asyncio.to_thread(threaded.delivered, "session.created")


async def test_an_event_that_comes_twice_was_taken_once(
    threaded: ThreadedSandbox,
) -> None:
    """While the one is at work the other is sent away, which is no failure."""
    shop = Shop(threaded)
    async with (
        threaded.webhooks_into(shop.fastapi()),
        threaded.factory() as checkout,
    ):
        threaded.fail_next("webhook_duplicate")
        await checkout.create(checkout_request(notification_url=URL))
        delivery = await asyncio.to_thread(threaded.delivered, "session.created")
        statuses = {one.status for one in threaded.deliveries()}

    assert delivery.status == 200
    assert statuses == {200, 503}
