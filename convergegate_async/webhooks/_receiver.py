"""Receive a delivery for any web framework: bytes and headers in, a status out."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
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

Handler: TypeAlias = Callable[[WebhookEvent, CheckoutSessionFactory], Awaitable[object]]

CLAIM_TTL = 3 * 24 * 3600 + 3600  # seconds: the gateway delivers again for three days

_logger = logging.getLogger("convergegate_async")


@attrs.frozen
class Receipt:
    """What to answer to a delivery."""

    status: int
    text: str


class WebhookReceiver:
    """Runs the app's *handler* once for every event that is the gateway's.

    It claims the event's id, runs the handler, and answers 200. If the handler raises,
    takes too long or is cancelled, the claim is released and the answer is 500, so that
    the gateway delivers again. An event that is validly signed but stale is confirmed
    by `retrieve` first.

    Args:
        verifier: Tells the gateway's deliveries from others.
        handler: What the app does, with the event and the factory to `confirm` it by
            before acting.
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
        self._under_way: set[str] = set()
        self._later: set[asyncio.Task[Receipt]] = set()

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
        if event.id in self._under_way:
            # The first delivery may still fail; then this one is not the last.
            return Receipt(503, "under way: deliver again")
        self._under_way.add(event.id)
        try:
            return await self._take(event, factory)
        finally:
            self._under_way.discard(event.id)

    async def aclose(self) -> None:
        """Wait for the handlers of events that were answered first."""
        await asyncio.gather(*self._later, return_exceptions=True)

    async def _take(
        self, event: WebhookEvent, factory: CheckoutSessionFactory
    ) -> Receipt:
        if event.stale and not await self._is_confirmed(event, factory):
            return Receipt(500, "not confirmed")
        factory.notify(event)
        if not self._answer_first:
            return await self._act(event, factory)
        task = asyncio.create_task(self._act(event, factory))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return Receipt(200, "taken")

    async def _act(
        self, event: WebhookEvent, factory: CheckoutSessionFactory
    ) -> Receipt:
        """Run the handler if the event is still to be claimed; else give it back."""
        done = False
        try:
            if not await _resolved(self._claims.claim(event.id, CLAIM_TTL)):
                done = True
                return Receipt(200, "known already")
            async with asyncio.timeout(self._handler_timeout):
                await self._handler(event, factory)
            done = True
        except Exception:
            _logger.exception("the handler of webhook event %s failed", event.id)
        finally:
            # Cancelled or failed, before or after the claim was granted: whoever comes
            # next must be able to claim it.
            if not done:
                await _to_the_end(_resolved(self._claims.release(event.id)))
        return Receipt(200, "done") if done else Receipt(500, "deliver again")

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


async def _to_the_end(work: Coroutine[object, object, object]) -> None:
    """Do *work* even if the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _resolved(value: object) -> object:
    return await value if inspect.isawaitable(value) else value
