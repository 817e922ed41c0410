from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
from asgiref.sync import async_to_sync
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async.contrib.django import get_checkout, lifespan
from convergegate_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

RunAsgi = Callable[
    [Callable[..., Awaitable[None]]], AbstractAsyncContextManager["Visitor"]
]


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
    with pytest.raises(ConfigurationError, match="lifespan"):
        get_checkout(HttpRequest())


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
