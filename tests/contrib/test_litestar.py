from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
from litestar import Litestar, Request, post
from litestar.config.csrf import CSRFConfig
from litestar.datastructures import State

from convergegate_async import ConfigurationError
from convergegate_async.contrib.litestar import get_checkout, lifespan, webhook_route

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

RunAsgi = Callable[
    [Callable[..., Awaitable[None]]], AbstractAsyncContextManager["Visitor"]
]


async def test_csrf_protection_lets_deliveries_in(
    run_asgi: RunAsgi, shop: "Shop"
) -> None:
    """The gateway has no token for the shop's forms: its signature is the proof."""
    app = Litestar(
        [webhook_route("/hooks", shop.receiver())],
        csrf_config=CSRFConfig(secret="made up"),
        lifespan=[lifespan(shop.build)],
    )

    async with run_asgi(app) as visitor:
        status = await visitor.deliver(*shop.event("evt_1"))

    assert status == 200
    assert shop.heard == ["evt_1"]


async def test_an_app_without_lifespan_says_so(run_asgi: RunAsgi) -> None:
    """Asking for a factory that was not opened is a `ConfigurationError`."""

    @post("/orders/1", status_code=200)
    async def order(request: Request[object, object, State]) -> str:
        with pytest.raises(ConfigurationError, match="lifespan"):
            get_checkout(request)
        return "it said so"

    async with run_asgi(Litestar([order])) as visitor:
        assert await visitor.order("1") == (200, "it said so")


def test_the_schema_does_not_show_the_webhook(shop: "Shop") -> None:
    """A webhook's address is nothing that the shop offers."""
    app = Litestar([webhook_route("/hooks", shop.receiver())])

    assert not app.openapi_schema.paths
