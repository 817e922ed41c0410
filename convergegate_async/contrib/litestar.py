"""Litestar: the factory lives in the app's state.

A handler is not cancelled when its client disconnects: the call goes on to its end, and
shutdown waits for it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from litestar import Litestar, MediaType, Request, Response, post
from litestar.connection import ASGIConnection
from litestar.connection.base import AuthT, HandlerT, StateT, UserT
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.webhooks import WebhookReceiver

from ._app import STATE, Build, opened, read_body, report, require

__all__ = ["get_checkout", "lifespan", "webhook_route"]


def lifespan(
    build: Build, receiver: WebhookReceiver | None = None
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Return one for the *lifespan* list of an app, for it to have one factory.

    Args:
        build: Makes an unopened factory, such as `CheckoutSessionFactory.from_env`;
            called at every start of the app, as a factory is used once.
        receiver: The one of your webhook route; waited for at shutdown.
    """

    @asynccontextmanager
    async def live(app: Litestar) -> AsyncIterator[None]:
        async with opened(build, receiver) as app.state[STATE]:
            yield

    return live


def get_checkout(
    request: ASGIConnection[HandlerT, UserT, AuthT, StateT],
) -> CheckoutSessionFactory:
    """Return the app's factory.

    It can be a dependency: ``Provide(get_checkout, sync_to_thread=False)``.

    Raises:
        ConfigurationError: The app has no `lifespan` of this module.
    """
    return require(request.app.state.get(STATE))


def webhook_route(path: str, receiver: WebhookReceiver) -> HTTPRouteHandler:
    """Return a route that gives what is posted to *path* to the *receiver*.

    Args:
        path: Such as ``/webhooks/convergegate``.
        receiver: Decides what to do and what to answer.
    """

    @post(
        path,
        exclude_from_csrf=True,  # the signature is the proof
        include_in_schema=False,
        media_type=MediaType.TEXT,
        request_max_body_size=None,  # the receiver's limit is lower
    )
    async def take(request: Request[object, object, State]) -> Response[str]:
        async with aclosing(request.stream()) as chunks:
            body = await read_body(chunks)
        reply = await receiver.receive(
            body, request.scope["headers"], get_checkout(request)
        )
        report(reply, HTTPException)
        return Response(reply.text, status_code=reply.status)

    return take
