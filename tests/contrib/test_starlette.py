from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async.contrib.starlette import get_checkout, lifespan
from convergegate_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

RunAsgi = Callable[
    [Callable[..., Awaitable[None]]], AbstractAsyncContextManager["Visitor"]
]


def test_an_app_without_lifespan_says_so() -> None:
    """Asking for a factory that was not opened is a `ConfigurationError`."""
    with pytest.raises(ConfigurationError, match="lifespan"):
        get_checkout(Request({"type": "http"}))


async def test_an_app_can_be_started_again(run_asgi: RunAsgi, shop: "Shop") -> None:
    """Every start builds a factory, as one cannot be opened twice."""
    app = Starlette(lifespan=lifespan(shop.build))

    for _ in range(2):
        async with run_asgi(app):
            pass

    assert ["closed" in repr(checkout) for checkout in shop.built] == [True, True]


async def test_a_mounted_app_has_the_same_factory(
    run_asgi: RunAsgi, sandbox: Sandbox, shop: "Shop"
) -> None:
    """A lifespan reaches the parts of an app, also from inside of another one."""

    async def order(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await shop.sell(get_checkout(request), "order-1"))

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, object]]:
        async with lifespan(shop.build)(app) as state:
            yield {**state, "stock": 7}

    part = Starlette(routes=[Route("/{key}", order, methods=["POST"])])
    async with run_asgi(
        Starlette(lifespan=own, routes=[Mount("/orders", part)])
    ) as visitor:
        status, text = await visitor.order("order-1")

    assert status == 200
    assert text in sandbox.book.sessions


async def test_the_environment_can_name_the_gateway(
    run_asgi: RunAsgi, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`from_env` is all that an app needs, and is called when the app starts."""
    app = Starlette(lifespan=lifespan(CheckoutSessionFactory.from_env))
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    monkeypatch.setenv("CONVERGEGATE_BASE_URL", sandbox.base_url)

    async with run_asgi(app) as visitor, visitor.http.get("/") as answer:
        assert answer.status == 404
