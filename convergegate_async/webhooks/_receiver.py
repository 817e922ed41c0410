"""Receive a delivery for any web framework: bytes and headers in, a status out."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs

from convergegate_async.errors import (
    ConvergeGateError,
    StaleWebhookError,
    WebhookError,
)
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import WebhookEvent

from ._claims import Claims, MemoryClaims
from ._verifier import WebhookVerifier, confirm

Handler: TypeAlias = Callable[[WebhookEvent], Awaitable[object]]

CLAIM_TTL = 3 * 24 * 3600 + 3600  # seconds: the gateway delivers again for three days

_logger = logging.getLogger("convergegate_async")


@attrs.frozen
class Receipt:
    """What to answer to a delivery."""

    status: int
    text: str


class WebhookReceiver:
    """Runs the app's *handler* once for every event that is the gateway's.

    It claims the event's id, runs the handler, and answers 200. If the handler raises
    or takes too long, the claim is released and the answer is 500, so that the gateway
    delivers again. An event that is validly signed but stale is confirmed by `retrieve`
    first.

    Args:
        verifier: Tells the gateway's deliveries from others.
        handler: What the app does; it should `confirm` the event before acting.
        claims: Where claimed ids are kept; in this process if `None`.
        handler_timeout: How many seconds the handler may take.
        answer_first: Answer before the handler has run. An event whose handler then
            fails is lost: nobody delivers it again.
    """

    def __init__(
        self,
        verifier: WebhookVerifier,
        handler: Handler,
        *,
        claims: Claims | None = None,
        handler_timeout: float = 10.0,
        answer_first: bool = False,
    ) -> None:
        self._verifier = verifier
        self._handler = handler
        self._claims = MemoryClaims() if claims is None else claims
        self._handler_timeout = handler_timeout
        self._answer_first = answer_first
        self._later: set[asyncio.Task[bool]] = set()

    async def receive(
        self, body: bytes, headers: object, factory: CheckoutSessionFactory
    ) -> Receipt:
        """Judge a delivery, act on it, and return what to answer.

        Args:
            body: The raw bytes.
            headers: The delivery's headers, in any shape that `verify` takes.
            factory: Where stale events are confirmed, and `wait` is woken.
        """
        event = self._verified(body, headers)
        if isinstance(event, Receipt):
            return event
        if event.stale and not await self._is_confirmed(event, factory):
            return Receipt(500, "not confirmed")
        factory.notify(event)
        if not await _resolved(self._claims.claim(event.id, CLAIM_TTL)):
            return Receipt(200, "known already")
        if self._answer_first:
            task = asyncio.create_task(self._act(event))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
            return Receipt(200, "taken")
        if await self._act(event):
            return Receipt(200, "done")
        await _resolved(self._claims.release(event.id))
        return Receipt(500, "deliver again")

    async def aclose(self) -> None:
        """Wait for the handlers of events that were answered first."""
        await asyncio.gather(*self._later)

    async def _act(self, event: WebhookEvent) -> bool:
        try:
            async with asyncio.timeout(self._handler_timeout):
                await self._handler(event)
        except Exception:
            _logger.exception("the handler of webhook event %s failed", event.id)
            return False
        except asyncio.CancelledError:
            # The gateway hung up, or the app shuts down: it shall be delivered again.
            await asyncio.shield(_resolved(self._claims.release(event.id)))
            raise
        return True

    def _verified(self, body: bytes, headers: object) -> WebhookEvent | Receipt:
        try:
            return self._verifier.verify(body, headers)  # type: ignore[arg-type]  # it takes any shape
        except WebhookError as error:
            if isinstance(error, StaleWebhookError) and error.event is not None:
                return error.event
            _logger.warning("a webhook delivery was refused: %s", error.reason)
            return Receipt(error.http_status, "refused")

    async def _is_confirmed(
        self, event: WebhookEvent, factory: CheckoutSessionFactory
    ) -> bool:
        try:
            await confirm(event, factory)
        except ConvergeGateError as error:
            _logger.warning("stale webhook event %s: %s", event.id, error)
            return False
        return True


async def _resolved(value: object) -> object:
    return await value if inspect.isawaitable(value) else value
