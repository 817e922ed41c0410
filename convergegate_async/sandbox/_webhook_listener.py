"""Webhooks on this machine: a listener, and what sends them on or sends one of its own.

A delivery that is passed on is answered as a gateway answers (RFC 9110): as the shop
did, 504 if the shop did not answer in time, 502 if it could not be reached or its
answer is none. Either makes the sender deliver again.
"""

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

import aiohttp
import attrs
from aiohttp import web

from convergegate_async.errors import WebhookError
from convergegate_async.models import WebhookEvent
from convergegate_async.webhooks import WebhookReply, WebhookVerifier

from ._webhook_sender import ANSWER_TIMEOUT
from ._wire import listen, new_client, read_body

FORWARD_TIMEOUT = ANSWER_TIMEOUT - 1.0  # the sender shall live to see our 504
BROKEN_OFF = 499  # as nginx writes it down; nobody is there to read it

_PASSED_ON = {"sec-timestamp", "sec-signature", "content-type"}


@attrs.frozen(kw_only=True)
class ReceivedWebhook:
    """A delivery as it arrived, and what was answered.

    Attributes:
        status: What was answered; 499 if the connection ended before.
        elapsed: Seconds from its arrival to its answer.
        event: The event, if it was the gateway's.
        problem: Why it was refused, or what kept it from being handled.
    """

    status: int
    elapsed: float
    event: WebhookEvent | None = None
    problem: str | None = None


class WebhookListener:
    """Receives deliveries on a loopback port, and hands each to *on_delivery*.

    See what a gateway delivers::

        async with WebhookListener(WebhookVerifier(api_key), print) as listener:
            await post_webhook(listener.url, body, headers)

    Args:
        verifier: Tells the gateway's deliveries from others.
        on_delivery: Called with every delivery, once its answer is known.
        port: Where to listen on 127.0.0.1; any free port if 0. Entering it raises
            `ConfigurationError` if it is taken.
        handler: Called with the event, the body and the headers of every verified
            delivery; returns what to answer, and must not raise. Without one the answer
            is 200.
        patience: Seconds in which a delivery must arrive.
    """

    def __init__(
        self,
        verifier: WebhookVerifier,
        on_delivery: Callable[[ReceivedWebhook], None],
        port: int = 0,
        *,
        handler: Callable[
            [WebhookEvent, bytes, Mapping[str, str]], Awaitable[WebhookReply]
        ]
        | None = None,
        patience: float = 30.0,
    ) -> None:
        self._verifier = verifier
        self._on_delivery = on_delivery
        self._port = port
        self._handler = handler
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
        event, reply = None, WebhookReply(BROKEN_OFF, "broken off before the answer")
        try:
            event = self._verifier.verify(body, request.headers)
            reply = await self._reply_to(event, body, request.headers)
        except WebhookError as error:
            reply = WebhookReply(error.http_status, error.reason)
        finally:
            self._on_delivery(
                ReceivedWebhook(
                    status=reply.status,
                    elapsed=time.perf_counter() - started,
                    event=event,
                    problem=reply.text or None,
                )
            )
        return web.Response(status=reply.status)

    async def _reply_to(
        self, event: WebhookEvent, body: bytes, headers: Mapping[str, str]
    ) -> WebhookReply:
        if self._handler is None:
            return WebhookReply(200, "")
        return await self._handler(event, body, headers)


async def post_webhook(url: str, body: bytes, headers: dict[str, str]) -> int | None:
    """Send a signed *body* to *url*, and return the status of its answer, if any."""
    headers = {**headers, "Content-Type": "application/json"}
    try:
        return await _post(url, body, headers, ANSWER_TIMEOUT)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


async def forward_webhook(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    patience: float = FORWARD_TIMEOUT,
) -> WebhookReply:
    """Pass a delivery on to a shop at *url*, and return what to answer to it.

    Args:
        url: Where the shop takes webhooks.
        body: As it came.
        headers: As they came; signature, timestamp and content type are passed on.
        patience: Seconds that the shop has.
    """
    passed_on = {
        name: value
        for name, value in headers.items()
        if name.lower().replace("_", "-") in _PASSED_ON
    }
    try:
        status = await _post(url, body, passed_on, patience)
    except TimeoutError:
        return WebhookReply(504, f"no answer within {patience:g} seconds")
    except aiohttp.ClientConnectorError:
        return WebhookReply(502, "the shop cannot be reached")
    except (aiohttp.ClientError, ValueError):
        return WebhookReply(502, "the shop hung up, or its answer is not HTTP")
    if not 200 <= status < 600:  # noqa: PLR2004 -- what may be answered to a POST
        return WebhookReply(502, f"the shop's answer is a {status}")
    return WebhookReply(status, "")


async def _post(
    url: str, body: bytes, headers: Mapping[str, str], timeout: float
) -> int:
    async with (
        new_client() as client,
        client.post(
            url,
            data=body,
            headers=headers,
            skip_auto_headers=["Content-Type"],
            allow_redirects=False,
            # Not rounded up to whole seconds, or our 504 could come too late.
            timeout=aiohttp.ClientTimeout(total=timeout, ceil_threshold=math.inf),
        ) as response,
    ):
        return response.status
