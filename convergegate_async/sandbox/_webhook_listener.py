"""Webhooks for the command line and the demo: a listener, and a test event."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
import attrs
from aiohttp import web

from convergegate_async.errors import WebhookError
from convergegate_async.models import WebhookEvent
from convergegate_async.webhooks import WebhookVerifier

from ._wire import listen, new_client, read_body


@attrs.frozen(kw_only=True)
class ReceivedWebhook:
    """A delivery as it arrived, and what was answered.

    Attributes:
        event: The event, if it was the gateway's.
        problem: Why not, otherwise.
        elapsed: Seconds that the judgement took.
    """

    status: int
    elapsed: float
    event: WebhookEvent | None = None
    problem: str | None = None


class WebhookListener:
    """Receives deliveries on a loopback port, and hands each to *on_delivery*.

    Args:
        verifier: Tells the gateway's deliveries from others.
        on_delivery: Called with every delivery.
        port: Where to listen on 127.0.0.1; any free port if 0. Entering it raises
            `ConfigurationError` if it is taken.
        patience: Seconds in which a delivery must arrive.
    """

    def __init__(
        self,
        verifier: WebhookVerifier,
        on_delivery: Callable[[ReceivedWebhook], None],
        port: int = 0,
        *,
        patience: float = 30.0,
    ) -> None:
        self._verifier = verifier
        self._on_delivery = on_delivery
        self._port = port
        self._patience = patience
        self._runner: web.AppRunner | None = None
        self.url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/{path:.*}", self._receive)
        self._runner, base_url = await listen(app, self._port, patience=self._patience)
        self.url = f"{base_url}/webhooks"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        started = time.perf_counter()
        event, problem, status = None, None, 200
        try:
            event = self._verifier.verify(body, request.headers)
        except WebhookError as error:
            problem, status = error.reason, error.http_status
        elapsed = time.perf_counter() - started
        self._on_delivery(
            ReceivedWebhook(
                status=status, elapsed=elapsed, event=event, problem=problem
            )
        )
        return web.Response(status=status)


async def post_webhook(url: str, body: bytes, headers: dict[str, str]) -> int | None:
    """Send a signed *body* to *url*, and return the status of its answer, if any."""
    try:
        async with (
            new_client() as client,
            client.post(
                url,
                data=body,
                headers={**headers, "Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=10),
            ) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
