"""aiohttp.web: the factory lives in the app, under a typed key.

A handler is not cancelled when its client disconnects, and its call goes on to its end,
unless the runner was given ``handler_cancellation=True``. Then a call under way is cut,
and a warning names its idempotency key.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.webhooks import WebhookReceiver

from ._app import STATE, Build, opened, read_body, report, require

__all__ = ["get_checkout", "lifespan", "webhook_route"]

_CHECKOUT = web.AppKey(STATE, CheckoutSessionFactory)


def lifespan(
    build: Build, receiver: WebhookReceiver | None = None
) -> Callable[[web.Application], AbstractAsyncContextManager[None]]:
    """Return what to append to the *cleanup_ctx* of an app, for it to have one factory.

    Args:
        build: Makes an unopened factory, such as `CheckoutSessionFactory.from_env`;
            called at every start of the app, as a factory is used once.
        receiver: The one of your webhook route; waited for at shutdown.
    """

    @asynccontextmanager
    async def live(app: web.Application) -> AsyncIterator[None]:
        if app.frozen:
            message = (
                "this app was started before, and aiohttp starts an app once: build "
                "another one; a test has a TestClient or webhooks_into, not both"
            )
            raise ConfigurationError(message)
        async with opened(build, receiver) as app[_CHECKOUT]:
            yield

    return live


def get_checkout(request: web.Request) -> CheckoutSessionFactory:
    """Return the factory of the app, or of the app that it is a part of.

    Raises:
        ConfigurationError: The app has no `lifespan` of this module.
    """
    checkout = request.config_dict.get(_CHECKOUT)
    return require(checkout)


def webhook_route(path: str, receiver: WebhookReceiver) -> web.RouteDef:
    """Return a route that gives what is posted to *path* to the *receiver*.

    Args:
        path: Such as ``/webhooks/convergegate``.
        receiver: Decides what to do and what to answer.
    """

    async def take(request: web.Request) -> web.Response:
        if request.can_read_body:
            body = await read_body(request.content.iter_any())
        else:
            body = await request.read()  # a middleware has: aiohttp kept what it read
        reply = await receiver.receive(body, request.headers, get_checkout(request))
        report(reply, web.HTTPException, TimeoutError)  # aiohttp: 504, and no log
        return web.Response(status=reply.status, text=reply.text)

    return web.post(path, take)
