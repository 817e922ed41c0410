"""Quart: the factory lives among the app's extensions.

A handler is cancelled when its client disconnects: a call under way is cut, and a
warning names its idempotency key.
"""

import itertools
from collections.abc import AsyncGenerator, Callable
from typing import cast

from quart import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.webhooks import WebhookReceiver

from ._app import STATE, Build, opened, read_body, report, require

__all__ = ["get_checkout", "lifespan", "webhook_route"]

# An app takes every name once, and may have a route for each mode.
_NAMES = (f"{STATE}_{number}" for number in itertools.count(1))


def lifespan(
    build: Build, receiver: WebhookReceiver | None = None
) -> Callable[[], AsyncGenerator[None, None]]:
    """Return what to hand to *app.while_serving*, for it to have one factory.

    Args:
        build: Makes an unopened factory, such as `CheckoutSessionFactory.from_env`;
            called at every start of the app, as a factory is used once.
        receiver: The one of your webhook route; waited for at shutdown.
    """

    async def live() -> AsyncGenerator[None, None]:
        async with opened(build, receiver) as current_app.extensions[STATE]:
            yield

    return live


def get_checkout() -> CheckoutSessionFactory:
    """Return the current app's factory.

    Raises:
        ConfigurationError: The app has no `lifespan` of this module.
    """
    return require(current_app.extensions.get(STATE))


def webhook_route(path: str, receiver: WebhookReceiver) -> Blueprint:
    """Return a blueprint that gives what is posted to *path* to the *receiver*.

    Args:
        path: Such as ``/webhooks/convergegate``.
        receiver: Decides what to do and what to answer.
    """
    blueprint = Blueprint(next(_NAMES), __name__)

    @blueprint.post(path)
    async def take() -> Response:
        # Of a body that somebody has read Quart 0.23 streams nothing, and keeps it.
        kept = await read_body(request.body) or await request.get_data()
        body = cast("bytes", kept)  # as nobody asks for text
        reply = await receiver.receive(body, request.headers, get_checkout())
        report(reply, HTTPException)
        return Response(reply.text, reply.status, mimetype="text/plain")

    return blueprint
