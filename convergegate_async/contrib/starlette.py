"""Starlette, and FastAPI too: the factory lives in the lifespan's state, and the app's.

A handler is not cancelled when its client disconnects: the call goes on to its end, and
shutdown waits for it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.webhooks import WebhookReceiver

from ._app import STATE, Build, opened, read_body, report, require

__all__ = ["get_checkout", "lifespan", "webhook_route"]

_WAY = (
    ": give it to the app as its lifespan, or enter it in your own, "
    "`async with lifespan(build, receiver)(app) as state: yield state`"
)


def lifespan(
    build: Build, receiver: WebhookReceiver | None = None
) -> Callable[
    [Starlette], AbstractAsyncContextManager[dict[str, CheckoutSessionFactory]]
]:
    """Return the *lifespan* of an app with one factory.

    With a lifespan of your own, enter this one in it, and yield its state for the apps
    that are mounted in yours::

        async with lifespan(CheckoutSessionFactory.from_env, receiver)(app) as state:
            yield {**state, "database": database}

    Args:
        build: Makes an unopened factory, such as `CheckoutSessionFactory.from_env`;
            called at every start of the app, as a factory is used once.
        receiver: The one of your webhook route; waited for at shutdown.
    """

    @asynccontextmanager
    async def live(app: Starlette) -> AsyncIterator[dict[str, CheckoutSessionFactory]]:
        async with opened(build, receiver) as checkout:
            setattr(app.state, STATE, checkout)
            try:
                yield {STATE: checkout}
            finally:
                delattr(app.state, STATE)

    return live


def get_checkout(connection: HTTPConnection) -> CheckoutSessionFactory:
    """Return the app's factory; *connection* is a request or a web socket.

    Raises:
        ConfigurationError: The app has no `lifespan` of this module, nor does its own
            enter one.
    """
    checkout = connection.scope.get("state", {}).get(STATE)
    if checkout is None and "app" in connection.scope:
        # A lifespan of the app's own has entered ours, and not yielded its state.
        checkout = getattr(connection.app.state, STATE, None)
    return require(checkout, _WAY)


def webhook_route(path: str, receiver: WebhookReceiver) -> Route:
    """Return a route that gives what is posted to *path* to the *receiver*.

    Args:
        path: Such as ``/webhooks/convergegate``.
        receiver: Decides what to do and what to answer.
    """

    async def take(request: Request) -> PlainTextResponse:
        async with aclosing(request.stream()) as chunks:
            body = await read_body(chunks)
        reply = await receiver.receive(body, request.headers.raw, get_checkout(request))
        report(reply, HTTPException)
        return PlainTextResponse(reply.text, reply.status)

    return Route(path, take, methods=["POST"])
