from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, Request

from convergegate_async import ConfigurationError
from convergegate_async.contrib.fastapi import (
    Checkout,
    get_checkout,
    lifespan,
    webhook_route,
)
from convergegate_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

RunAsgi = Callable[
    [Callable[..., Awaitable[None]]], AbstractAsyncContextManager["Visitor"]
]


def test_the_schema_shows_neither_factory_nor_webhook(shop: "Shop") -> None:
    """The parameter of a handler is no field of its request, and the webhook no API."""
    app = FastAPI(routes=[webhook_route("/hooks", shop.receiver())])

    @app.post("/orders/{key}")
    async def order(key: str, checkout: Checkout) -> str:
        return await shop.sell(checkout, key)

    paths = app.openapi()["paths"]

    assert list(paths) == ["/orders/{key}"]
    asked = paths["/orders/{key}"]["post"]
    assert [parameter["name"] for parameter in asked["parameters"]] == ["key"]
    assert "requestBody" not in asked


@pytest.mark.parametrize("yields_state", [True, False])
async def test_an_app_with_a_lifespan_of_its_own_enters_ours(
    run_asgi: RunAsgi, sandbox: Sandbox, shop: "Shop", *, yields_state: bool
) -> None:
    """It is enough to enter it, whether or not its state is yielded, too."""
    receiver = shop.receiver()

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        async with lifespan(shop.build, receiver)(app) as state:
            yield {**(state if yields_state else {}), "stock": 7}

    app = FastAPI(lifespan=own, routes=[webhook_route("/hooks", receiver)])
    part = FastAPI()

    @part.post("/{key}")
    async def order(key: str, checkout: Checkout) -> str:
        return await shop.sell(checkout, key)

    app.include_router(part.router, prefix="/orders")
    async with run_asgi(app) as visitor:
        status, text = await visitor.order("order-1")
        heard = await visitor.deliver(*shop.event("evt_1"))

    assert (status, heard, shop.heard) == (200, 200, ["evt_1"])
    assert text.strip('"') in sandbox.book.sessions


async def test_a_lifespan_of_its_own_that_lacks_ours_is_told_what_to_do(
    run_asgi: RunAsgi,
) -> None:
    """The error of the first request names what to enter, and where."""
    problem = ""

    @asynccontextmanager
    async def own(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(lifespan=own)

    @app.post("/orders/{key}")
    async def order(key: str, request: Request) -> None:
        nonlocal problem
        assert key
        with pytest.raises(ConfigurationError) as caught:
            get_checkout(request)
        problem = str(caught.value)

    async with run_asgi(app) as visitor:
        await visitor.order("order-1")

    assert "async with lifespan(" in problem


async def test_a_closed_app_has_no_factory(run_asgi: RunAsgi, shop: "Shop") -> None:
    """What is left of an app after its end is not handed out."""
    app = FastAPI(lifespan=lifespan(shop.build))
    async with run_asgi(app):
        pass

    with pytest.raises(ConfigurationError):
        get_checkout(Request({"type": "http", "app": app}))
