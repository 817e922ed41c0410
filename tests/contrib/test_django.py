import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING
from wsgiref.types import WSGIApplication

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from asgiref.sync import async_to_sync
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async.contrib.django import get_checkout, lifespan, webhook_route
from convergegate_async.sandbox import Sandbox
from convergegate_async.testing import ThreadedSandbox, signed_event

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

RunAsgi = Callable[
    [Callable[..., Awaitable[None]]], AbstractAsyncContextManager["Visitor"]
]
RunWsgi = Callable[[WSGIApplication], AbstractAsyncContextManager["Visitor"]]


class Jammed(CheckoutSessionFactory):
    """A factory that cannot be closed without an error."""

    async def aclose(self, drain: float = 10.0) -> tuple[str, ...]:
        """Close, and complain."""
        await super().aclose(drain)
        message = "jammed"
        raise OSError(message)


async def test_a_sync_view_calls_on_the_loop_of_the_factory(
    run_asgi: RunAsgi, sandbox: Sandbox, shop: "Shop"
) -> None:
    """`async_to_sync` leads from the thread of a sync view to the app's own loop."""

    @csrf_exempt
    def order(request: HttpRequest, key: str) -> HttpResponse:
        return HttpResponse(async_to_sync(shop.sell)(get_checkout(request), key))

    with override_settings(ROOT_URLCONF=(path("orders/<key>", order),)):
        app = lifespan(shop.build)(get_asgi_application())
        async with run_asgi(app) as visitor:
            status, text = await visitor.order("order-1")

    assert status == 200
    assert text in sandbox.book.sessions


def test_a_request_of_no_lifespan_says_so() -> None:
    """Asking for a factory that was not opened is a `ConfigurationError`."""
    with pytest.raises(ConfigurationError, match="lifespan") as caught:
        get_checkout(HttpRequest())

    assert "ASGITransport(application)" in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "status"), [("sk_test_sandbox", 200), ("sk_test_of_another", 400)]
)
async def test_a_signed_event_reaches_a_started_application(
    secret: str, status: int, shop: "Shop", convergegate_sandbox: ThreadedSandbox
) -> None:
    """By httpx, with its factory; Django's own client goes past its lifespan."""
    event = signed_event("session.completed", session_id="s1", secret=secret)
    receiver = shop.receiver()
    urls = (webhook_route("hooks", receiver),)
    with override_settings(ROOT_URLCONF=urls):
        wrap = lifespan(convergegate_sandbox.factory, receiver)
        application = wrap(get_asgi_application())
        async with (
            convergegate_sandbox.webhooks_into(application),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(application),  # type: ignore[arg-type]  # a dict
                base_url="http://localhost",
            ) as client,
        ):
            answer = await client.post(
                "/hooks", content=event.body, headers=event.headers
            )

    assert answer.status_code == status


@pytest.mark.parametrize("age", [0, 3600])
async def test_a_forged_event_is_refused_without_a_lifespan(
    age: int, shop: "Shop"
) -> None:
    """Django's own client goes past it: a wrong signature is tested all the same."""
    client = AsyncClient()
    at = time.time() - age

    async def deliver(secret: str) -> int:
        event = signed_event(
            "session.completed", session_id="s1", secret=secret, timestamp=at
        )
        answer = await client.post(
            "/hooks",
            event.body,
            content_type="application/json",
            headers=event.headers,
        )
        return answer.status_code

    with override_settings(ROOT_URLCONF=(webhook_route("hooks", shop.receiver()),)):
        assert await deliver("sk_test_of_another") == 400
        with pytest.raises(ConfigurationError, match="ASGITransport"):
            await deliver("sk_test_sandbox")
    assert shop.heard == []


async def test_a_factory_that_cannot_be_built_stops_the_start() -> None:
    """The server hears of it, in the words of the error."""
    sent: list[Mapping[str, object]] = []
    app = lifespan(lambda: CheckoutSessionFactory.from_env({}))(get_asgi_application())

    async def receive() -> Mapping[str, object]:
        return {"type": "lifespan.startup"}

    async def send(message: Mapping[str, object]) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError):
        await app({"type": "lifespan"}, receive, send)

    (message,) = sent
    assert message["type"] == "lifespan.startup.failed"
    assert "CONVERGEGATE_API_KEY" in str(message["message"])


async def test_a_close_that_fails_is_reported(sandbox: Sandbox) -> None:
    """The server hears of an error at shutdown, and of no completion."""
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[object] = []
    app = lifespan(lambda: Jammed(sandbox.api_key, sandbox.base_url))(
        get_asgi_application()
    )

    async def receive() -> Mapping[str, object]:
        return {"type": next(messages)}

    async def send(message: Mapping[str, object]) -> None:
        sent.append(message["type"])

    with pytest.raises(OSError, match="jammed"):
        await app({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.failed"]


async def test_on_wsgi_a_portal_holds_the_factory(
    run_wsgi: RunWsgi, shop: "Shop", caplog: pytest.LogCaptureFixture
) -> None:
    """Sync views order and take deliveries by it, headers out of the environ.

    What the handler fails with is a 500 of Django's own, and stands in its log.
    """
    receiver = shop.receiver()

    @csrf_exempt
    def order(_: HttpRequest, key: str) -> HttpResponse:
        return HttpResponse(portal.call(shop.sell, checkout, key))

    @csrf_exempt
    def hooks(request: HttpRequest) -> HttpResponse:
        reply = portal.call(receiver.receive, request.body, request.META, checkout)
        if reply.error is not None:
            raise reply.error
        return HttpResponse(reply.text, status=reply.status)

    shop.failures = 1
    body, headers = shop.event("evt_1")
    urls = (path("orders/<key>", order), path("hooks", hooks))
    with override_settings(ROOT_URLCONF=urls), start_blocking_portal() as portal:
        checkout = portal.call(shop.build().open)
        async with run_wsgi(get_wsgi_application()) as visitor:
            orders = await asyncio.gather(*map(visitor.order, "abc"))
            statuses = [
                await visitor.deliver(body, headers),
                await visitor.deliver(body, headers),
                await visitor.deliver(body, [*headers, ("Sec-Signature", "0" * 64)]),
                await visitor.deliver(body, [*headers, ("Sec_Signature", "0" * 64)]),
            ]
        await asyncio.to_thread(partial(portal.call, checkout.aclose))

    assert [status for status, _ in orders] == [200, 200, 200]
    assert sorted(text for _, text in orders) == sorted(shop.sold)
    assert statuses == [500, 200, 400, 400]
    assert shop.heard == ["evt_1"]
    assert shop.error in [r.exc_info[1] for r in caplog.records if r.exc_info]
