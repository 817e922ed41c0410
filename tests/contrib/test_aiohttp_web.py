from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from convergegate_async import ConfigurationError
from convergegate_async.contrib.aiohttp_web import get_checkout, lifespan
from convergegate_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

RunWeb = Callable[[web.Application], AbstractAsyncContextManager["Visitor"]]


async def test_a_part_of_an_app_has_the_same_factory(
    run_web: RunWeb, sandbox: Sandbox, shop: "Shop"
) -> None:
    """The handlers of a sub-application find the factory of the whole."""

    async def order(request: web.Request) -> web.Response:
        key = request.match_info["key"]
        return web.Response(text=await shop.sell(get_checkout(request), key))

    part = web.Application()
    part.router.add_post("/{key}", order)
    app = web.Application()
    app.cleanup_ctx.append(lifespan(shop.build))
    app.add_subapp("/orders", part)
    async with run_web(app) as visitor:
        status, text = await visitor.order("order-1")

    assert status == 200
    assert text in sandbox.book.sessions


async def test_an_app_without_lifespan_says_so(run_web: RunWeb) -> None:
    """Asking for a factory that was not opened is a `ConfigurationError`."""

    async def order(request: web.Request) -> web.Response:
        with pytest.raises(ConfigurationError, match="lifespan"):
            get_checkout(request)
        return web.Response(text="it said so")

    app = web.Application()
    app.router.add_post("/orders/{key}", order)
    async with run_web(app) as visitor:
        assert await visitor.order("order-1") == (200, "it said so")
