"""Webhooks for apps of this process: started on the test's loop, without a port."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import BackgroundTasks, FastAPI, Request, Response
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
from convergegate_async.testing import (
    Advance,
    Delivered,
    FailNext,
    ThreadedSandbox,
    checkout_request,
)

URL = "https://shop.example/webhooks?of=gateway"
"""Of no host that there is."""

ORDER = checkout_request(notification_url=URL)

Send = Callable[[dict[str, object]], Awaitable[None]]
"""What an ASGI app answers by."""

App = FastAPI | Litestar | Quart | web.Application


class Shop:
    """Ships what was paid, on the loop that it was started on."""

    def __init__(self, sandbox: ThreadedSandbox) -> None:
        self.sandbox = sandbox
        self.shipped: list[str] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.error: BaseException | None = None
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

    async def take_all(self, send: Send) -> None:
        """Take a webhook whatever it tells."""
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

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


Kind = Callable[[Shop], App]


def app_of(answer: Callable[[Send], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return an ASGI app that answers so, and has no lifespan."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
        if scope["type"] != "http":
            raise NotImplementedError
        await answer(send)

    return app


@pytest.fixture
def shop(convergegate_sandbox: ThreadedSandbox) -> Shop:
    """One that nothing is wrong with."""
    return Shop(convergegate_sandbox)


@pytest.mark.parametrize(
    "kind", [Shop.fastapi, Shop.litestar, Shop.quart, Shop.aiohttp]
)
async def test_a_paid_order_is_shipped(
    kind: Kind, shop: Shop, checkout: CheckoutSessionFactory, delivered: Delivered
) -> None:
    """The webhook reaches the app's handler on this loop, with the app's factory."""
    async with shop.sandbox.webhooks_into(kind(shop)):
        session = await checkout.create(ORDER)
        shop.sandbox.pay(session.id)
        delivery = await delivered("session.completed")

    assert (delivery.attempt, delivery.status) == (1, 200)
    assert shop.shipped == [session.id]
    assert shop.loops == {asyncio.get_running_loop()}


@pytest.mark.parametrize("kind", [Shop.fastapi, Shop.aiohttp])
async def test_three_days_of_a_broken_shop(  # noqa: PLR0913, PLR0917 -- fixtures
    kind: Kind,
    shop: Shop,
    checkout: CheckoutSessionFactory,
    advance: Advance,
    delivered: Delivered,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told again and again, takes it in the end, and ships once."""
    shop.error = ZeroDivisionError()
    async with shop.sandbox.webhooks_into(kind(shop)):
        session = await checkout.create(ORDER)
        shop.sandbox.pay(session.id)
        await advance(2 * 24 * 3600)
        with pytest.raises(AssertionError, match="not taken: answered 500"):
            await delivered("session.completed")
        log = caplog.text
        shop.error = None
        await advance(24 * 3600)
        delivery = await delivered("session.completed")

    assert shop.shipped == [session.id]
    assert delivery.attempt == 17
    assert "ZeroDivisionError" in log  # who wrote the handler sees it
    assert log.count("Traceback") == 1
    assert log.count("the app failed at a webhook again") == 31


async def test_another_failure_is_shown_whole(
    shop: Shop,
    checkout: CheckoutSessionFactory,
    advance: Advance,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only what was said already is said in a line."""
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        await checkout.create(ORDER)
        for text in ("the first", "the first", "the second"):
            shop.error = ValueError(text)
            await advance(1)

    assert caplog.text.count("ValueError: the first") == 1
    assert caplog.text.count("ValueError: the second") == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Shop.fastapi, r"ValueError in take, test_apps\.py:\d+"),
        (Shop.litestar, r"the handler of webhook event '\S+' failed: ValueError"),
        (Shop.quart, r"the handler of webhook event '\S+' failed: ValueError"),
        (Shop.aiohttp, r"ValueError in take, test_apps\.py:\d+"),
    ],
)
async def test_a_webhook_that_failed_is_told_with_its_error(
    kind: Kind,
    reason: str,
    shop: Shop,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """By its class, and its place where that is known; its text may be of a person."""
    shop.error = ValueError("john@example.com")
    async with shop.sandbox.webhooks_into(kind(shop)):
        await checkout.create(ORDER)
        with pytest.raises(AssertionError) as caught:
            await delivered("session.created")

    start = re.escape("session.created was not taken: answered 500: ")
    assert re.fullmatch(start + reason, str(caught.value))


@pytest.mark.parametrize("kind", [Shop.fastapi, Shop.aiohttp])
async def test_a_test_can_fail_in_a_handler(
    kind: Kind,
    shop: Shop,
    checkout: CheckoutSessionFactory,
    advance: Advance,
    delivered: Delivered,
) -> None:
    """Its delivery fails with that, leaving does, and the gateway goes on."""
    shop.error = pytest.fail.Exception("this shop wants no webhook")
    with pytest.raises(pytest.fail.Exception, match="wants no webhook"):  # noqa: PT012 -- by leaving
        async with shop.sandbox.webhooks_into(kind(shop)):
            await checkout.create(ORDER)
            with pytest.raises(AssertionError, match=r"500: Failed in take, test_apps"):
                await delivered("session.created")
            shop.error = None
            await advance(1)

    assert (await delivered("session.created")).attempt == 2


@pytest.mark.parametrize("end", [SystemExit(3), asyncio.CancelledError()])
async def test_a_handler_may_end_in_any_way(
    end: BaseException,
    shop: Shop,
    checkout: CheckoutSessionFactory,
    advance: Advance,
    delivered: Delivered,
) -> None:
    """This loop goes on, and so does the gateway, that sends the event again."""
    shop.error = end
    with suppress(SystemExit):
        async with shop.sandbox.webhooks_into(app_of(shop.take_all)):
            await checkout.create(ORDER)
            with pytest.raises(AssertionError, match=type(end).__name__):
                await delivered("session.created")
            shop.error = None
            await advance(1)

    assert (await delivered("session.created")).attempt == 2


async def test_an_aiohttp_app_that_hangs_up_is_told(
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """By what a client sees of it."""

    async def hang_up(request: web.Request) -> web.Response:
        if request.transport is None:
            raise AssertionError
        request.transport.abort()
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhooks", hang_up)
    async with convergegate_sandbox.webhooks_into(app):
        await checkout.create(ORDER)
        with pytest.raises(AssertionError, match="not taken: ConnectionResetError"):
            await delivered("session.created")


@pytest.mark.parametrize("status", [204, None], ids=["half", "no"])
async def test_half_an_answer_is_none(
    status: int | None,
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """As from a server, which hangs up."""

    async def answer(send: Send) -> None:
        if status is not None:
            await send({"type": "http.response.start", "status": status, "headers": []})

    async with convergegate_sandbox.webhooks_into(app_of(answer)):
        await checkout.create(ORDER)
        with pytest.raises(AssertionError, match="answered 500"):
            await delivered("session.created")


@pytest.mark.parametrize("skipped", [True, False])
async def test_a_handler_may_have_to_pause(
    skipped: bool,
    shop: Shop,
    checkout: CheckoutSessionFactory,
    fail_next: FailNext,
    delivered: Delivered,
) -> None:
    """The gateway waits for its answer, and time passes all the same."""
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        session = await checkout.create(ORDER)
        await delivered("session.created")
        fail_next("status", status=429, retry_after="1", operation="retrieve")
        before = shop.sandbox.now()
        with shop.sandbox.skip_pauses() if skipped else nullcontext():
            shop.sandbox.pay(session.id)
            await delivered("session.completed")

    assert shop.shipped == [session.id]
    assert shop.sandbox.now() == pytest.approx(before + 1, abs=1e-3)


# -- work after the answer -----------------------------------------------------------


async def test_work_after_the_answer_is_waited_for(
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """The webhook was taken, and the shop has shipped once it is left."""
    app, shipped, may_ship = FastAPI(), [], asyncio.Event()

    async def ship() -> None:
        await may_ship.wait()
        await asyncio.sleep(0.01)
        shipped.append("a parcel")

    @app.post("/webhooks")
    async def take(background: BackgroundTasks) -> None:
        background.add_task(ship)

    async with convergegate_sandbox.webhooks_into(app):
        await checkout.create(ORDER)
        delivery = await delivered("session.created")
        may_ship.set()

    assert (delivery.attempt, delivery.status) == (1, 200)
    assert shipped == ["a parcel"]


async def test_a_shop_of_aiohttp_works_on_as_well(
    convergegate_sandbox: ThreadedSandbox, checkout: CheckoutSessionFactory
) -> None:
    """Its handler goes on after the end of its answer."""
    shipped = []

    async def take(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write_eof()
        await asyncio.sleep(0.1)
        shipped.append("a parcel")
        return response

    app = web.Application()
    app.router.add_post("/webhooks", take)
    async with convergegate_sandbox.webhooks_into(app):
        await checkout.create(ORDER)

    assert shipped == ["a parcel"]


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_work_without_an_end_is_told(
    convergegate_sandbox: ThreadedSandbox, checkout: CheckoutSessionFactory
) -> None:
    """And ended: it must not go on in another test."""
    ended = []

    async def work(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("here")

    with pytest.raises(TimeoutError, match="still at work"):
        async with convergegate_sandbox.webhooks_into(app_of(work)):
            await checkout.create(ORDER)

    assert ended == ["here"]


# -- refusals and lifespans ----------------------------------------------------------


async def test_a_webhook_that_was_refused_is_told_with_the_reason(
    shop: Shop,
    checkout: CheckoutSessionFactory,
    fail_next: FailNext,
    delivered: Delivered,
) -> None:
    """Such as the wrong signature, and not that it came to an answer of 400."""
    fail_next("webhook_forged")
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        await checkout.create(ORDER)
        with pytest.raises(AssertionError, match=r"400: a webhook .* signature"):
            await delivered("session.created")


async def test_an_asgi_server_is_all_there(
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """Path, query, headers, body, and nobody hangs up before the answer."""
    app = FastAPI()
    seen: list[object] = []

    @app.post("/deep/{name}")
    async def take(name: str, request: Request) -> Response:
        seen.extend([name, request.url.query, await request.body()])
        seen.append(request.headers["content-type"])
        seen.append(await request.is_disconnected())
        return PlainTextResponse("taken", 202)

    async with convergegate_sandbox.webhooks_into(app):
        url = "http://shop.example:8000/deep/%C5%BC?a=1"
        await checkout.create(checkout_request(notification_url=url))
        delivery = await delivered("session.created")

    assert delivery.status == 202
    assert seen[:2] == ["ż", "a=1"]
    assert delivery.event.id.encode() in seen[2]  # type: ignore[operator]  # the body
    assert seen[3:] == ["application/json", False]


async def test_an_app_without_a_lifespan_is_called_all_the_same(
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """Servers do so, too."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with convergegate_sandbox.webhooks_into(app):
        await checkout.create(ORDER)
        delivery = await delivered("session.created")

    assert delivery.status == 204


async def test_an_app_that_does_not_start_fails_the_test(
    convergegate_sandbox: ThreadedSandbox,
) -> None:
    """It is not waited for, and nothing is delivered to it."""

    def build() -> CheckoutSessionFactory:
        raise ZeroDivisionError

    app = FastAPI(lifespan=fastapi.lifespan(build))

    with pytest.raises(ConfigurationError, match="could not be started") as caught:
        await convergegate_sandbox.webhooks_into(app).__aenter__()

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_app_that_breaks_while_it_starts_fails_the_test(
    convergegate_sandbox: ThreadedSandbox,
) -> None:
    """Only one that breaks before it has received anything has no lifespan."""

    async def app(_scope: Any, receive: Any, _send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
        await receive()
        raise ZeroDivisionError

    with pytest.raises(ConfigurationError, match="could not be started") as caught:
        await convergegate_sandbox.webhooks_into(app).__aenter__()

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_app_that_does_not_shut_down_fails_the_test(
    convergegate_sandbox: ThreadedSandbox,
) -> None:
    """It may not have written what it has to."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    with pytest.raises(ConfigurationError, match="could not be shut down") as caught:
        async with convergegate_sandbox.webhooks_into(FastAPI(lifespan=life)):
            pass

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_aiohttp_app_that_runs_is_not_started_again(shop: Shop) -> None:
    """It would have two factories; the error says how it gets its webhooks."""
    app = shop.aiohttp()

    async with TestServer(app):
        with pytest.raises(ConfigurationError, match="notification_url"):
            await shop.sandbox.webhooks_into(app).__aenter__()


async def test_an_aiohttp_app_is_not_started_beside_its_webhooks(shop: Shop) -> None:
    """Neither the other way round: by who starts it second."""
    app = shop.aiohttp()

    async with shop.sandbox.webhooks_into(app):
        with pytest.raises(ConfigurationError, match="once"):
            await TestServer(app).start_server()


async def test_an_aiohttp_app_that_runs_gets_its_webhooks_by_its_url(
    shop: Shop, checkout: CheckoutSessionFactory, delivered: Delivered
) -> None:
    """As the error says: its server is one of this machine."""
    async with TestServer(shop.aiohttp()) as server:
        url = str(server.make_url("/webhooks"))
        session = await checkout.create(checkout_request(notification_url=url))
        shop.sandbox.pay(session.id)
        await delivered("session.completed")

    assert shop.shipped == [session.id]


async def test_leaving_waits_for_what_is_due(
    shop: Shop, checkout: CheckoutSessionFactory
) -> None:
    """A test that paid, and asked for nothing more, leaves no handler half done."""
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        session = await checkout.create(ORDER)
        shop.sandbox.pay(session.id)

    assert shop.shipped == [session.id]


def test_a_loop_that_is_gone_stops_nothing(
    convergegate_sandbox: ThreadedSandbox, checkout: CheckoutSessionFactory
) -> None:
    """A test left its shop's loop in the middle of a delivery; the next one goes on."""
    taking = threading.Event()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
        if scope["type"] == "http":
            taking.set()
            await asyncio.Event().wait()

    async def leave() -> None:
        left_open = convergegate_sandbox.webhooks_into(app)
        await left_open.__aenter__()
        await checkout.create(ORDER)
        await asyncio.to_thread(taking.wait, AMPLE)

    asyncio.run(leave())

    convergegate_sandbox.advance(3 * 24 * 3600)


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1:9"])
async def test_what_an_app_refused_waits_for_an_app(
    host: str,
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    advance: Advance,
    delivered: Delivered,
) -> None:
    """It goes nowhere by http, neither to the internet nor to whatever listens here."""
    request = checkout_request(notification_url=f"http://{host}/webhooks")
    async with convergegate_sandbox.webhooks_into(web.Application()):  # answers 404
        session = await checkout.create(request)
    await advance(3_600)
    with pytest.raises(AssertionError, match="not sent: the app that took it has left"):
        await delivered("session.created", session.id)


async def test_a_shop_that_was_gone_gets_what_it_missed(
    shop: Shop, checkout: CheckoutSessionFactory, advance: Advance, delivered: Delivered
) -> None:
    """The gateway tries for three days."""
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        session = await checkout.create(ORDER)
    shop.sandbox.pay(session.id)
    await advance(24 * 3600)
    with pytest.raises(AssertionError, match="not sent"):
        await delivered("session.completed")
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        await advance(24 * 3600)
        await delivered("session.completed")

    assert shop.shipped == [session.id]


async def test_an_app_within_another_leaves_it_its_webhooks(
    shop: Shop, checkout: CheckoutSessionFactory, delivered: Delivered
) -> None:
    """Afterwards they come to the outer one again."""
    inner = Shop(shop.sandbox)
    async with shop.sandbox.webhooks_into(shop.fastapi()):
        async with shop.sandbox.webhooks_into(inner.fastapi()):
            first = await checkout.create(ORDER)
            shop.sandbox.pay(first.id)
        second = await checkout.create(ORDER)
        shop.sandbox.pay(second.id)
        await delivered("session.completed", second.id)

    assert (inner.shipped, shop.shipped) == ([first.id], [second.id])


def test_a_loop_that_was_closed_by_hand_is_told(shop: Shop) -> None:
    """Its app was not left."""
    loop = asyncio.new_event_loop()
    left_open = shop.sandbox.webhooks_into(app_of(shop.take_all))
    loop.run_until_complete(left_open.__aenter__())
    loop.close()

    async def create() -> None:
        async with shop.sandbox.factory() as checkout:
            await checkout.create(ORDER)

    asyncio.run(create())
    with pytest.raises(AssertionError, match="loop was closed before it was left"):
        shop.sandbox.delivered("session.created")
    shop.sandbox.reset()  # as the next test does

    asyncio.run(create())
    with pytest.raises(AssertionError, match=r"webhooks_into\(app\)"):
        shop.sandbox.delivered("session.created")


async def test_afterwards_webhooks_go_where_they_say(
    convergegate_sandbox: ThreadedSandbox,
    checkout: CheckoutSessionFactory,
    delivered: Delivered,
) -> None:
    """The app was stopped: nobody is handed anything."""
    async with convergegate_sandbox.webhooks_into(web.Application()):
        pass
    await checkout.create(ORDER)
    with pytest.raises(AssertionError, match=r"webhooks_into\(app\)"):
        await delivered("session.created")


@pytest.mark.parametrize("answers", [[200, 503], [503, 200]])
async def test_an_event_that_comes_twice_was_taken_once(
    answers: list[int],
    shop: Shop,
    checkout: CheckoutSessionFactory,
    fail_next: FailNext,
    delivered: Delivered,
) -> None:
    """Whichever of the two is sent away, as while the other is at work: no failure."""
    left = iter(answers)

    async def take_one(send: Send) -> None:
        status = next(left)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    fail_next("webhook_duplicate")
    async with shop.sandbox.webhooks_into(app_of(take_one)):
        await checkout.create(ORDER)
        delivery = await delivered("session.created")
        statuses = {one.status for one in shop.sandbox.deliveries()}

    assert delivery.status == 200
    assert statuses == {200, 503}
