"""Django, served by ASGI: the factory lives in the scope of every request.

A view is cancelled when its client disconnects: a call under way is cut, and a warning
names its idempotency key. A sync view runs in a thread, where ``async_to_sync`` brings
its calls to the loop of the factory. Under WSGI every async view has a loop of its own,
so that no factory can be shared by them: there sync views hold one in a blocking portal
(README, *From code that does not await*).

Django reads a whole body before any view runs, larger ones into a temporary file: limit
their size in front of it as well.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.urls import path as route
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.webhooks import WebhookReceiver

from ._app import ENOUGH, STATE, Build, found_later, opened, report, require

__all__ = ["get_checkout", "lifespan", "webhook_route"]

Scope: TypeAlias = dict[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
Send: TypeAlias = Callable[[Mapping[str, object]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_WAY = (
    "; Django's test client always goes past it: in a test, enter "
    "sandbox.webhooks_into(application) of convergegate_async.testing, and post by "
    "httpx.AsyncClient(transport=httpx.ASGITransport(application), …)"
)


def lifespan(
    build: Build, receiver: WebhookReceiver | None = None
) -> Callable[[Application], Application]:
    """Return what to wrap around an ASGI application, for it to have one factory.

    It answers the server's lifespan messages itself, which Django does not know::

        application = lifespan(CheckoutSessionFactory.from_env)(get_asgi_application())

    Args:
        build: Makes an unopened factory, such as `CheckoutSessionFactory.from_env`;
            called at every start of the app, as a factory is used once.
        receiver: The one of your webhook route; waited for at shutdown.
    """

    def wrap(application: Application) -> Application:
        checkout: CheckoutSessionFactory | None = None

        async def live(receive: Receive, send: Send) -> None:
            nonlocal checkout
            phase = "startup"
            try:
                await receive()
                async with opened(build, receiver) as checkout:
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    phase = "shutdown"
            except Exception as error:
                await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
                raise
            await send({"type": "lifespan.shutdown.complete"})

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await live(receive, send)
            else:
                await application({**scope, STATE: checkout}, receive, send)

        return serve

    return wrap


def get_checkout(request: HttpRequest) -> CheckoutSessionFactory:
    """Return the app's factory.

    Raises:
        ConfigurationError: The app is not wrapped in `lifespan`, its server has no
            lifespan (Daphne), it is served by WSGI, or the request is of Django's test
            client.
    """
    return require(getattr(request, "scope", {}).get(STATE), _WAY)


def webhook_route(path: str, receiver: WebhookReceiver) -> URLPattern:
    """Return a route that gives what is posted to *path* to the *receiver*.

    Args:
        path: Such as ``webhooks/convergegate``, for *urlpatterns*.
        receiver: Decides what to do and what to answer.
    """

    @csrf_exempt  # the signature is the proof
    @require_POST
    async def take(request: HttpRequest) -> HttpResponse:
        body = request.read(ENOUGH)
        checkout = found_later(partial(get_checkout, request))
        reply = await receiver.receive(body, request.headers, checkout)
        report(reply, BadRequest, Http404, PermissionDenied, SuspiciousOperation)
        return HttpResponse(reply.text, status=reply.status, content_type="text/plain")

    return route(path, take)
