"""Receive a delivery for any web framework: bytes and headers in, a status out."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import attrs

from convergegate_async.errors import (
    BadPayloadError,
    ConvergeGateError,
    InvalidFieldError,
    NotFoundError,
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
class WebhookReply:
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
        self._later: set[asyncio.Task[WebhookReply]] = set()

    async def receive(
        self, body: bytes, headers: object, factory: CheckoutSessionFactory
    ) -> WebhookReply:
        """Judge a delivery, act on it, and return what to answer.

        Args:
            body: The raw bytes.
            headers: The delivery's headers, in any shape that `verify` takes.
            factory: Where stale events are confirmed, and `wait` is woken.

        Raises:
            TypeError: *body* is not bytes-like.
        """
        event = self._verified(body, headers)
        if isinstance(event, WebhookReply):
            return event
        if event.id in self._under_way:
            # The first delivery may still fail; then this one is not the last.
            return WebhookReply(503, "being handled: deliver again")
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
    ) -> WebhookReply:
        if event.stale:
            refusal = await self._confirm(event, factory)
            if refusal is not None:
                return refusal
        factory.notify(event)
        if not self._answer_first:
            return await self._act(event, factory)
        task = asyncio.create_task(self._act(event, factory))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return WebhookReply(200, "accepted")

    async def _act(
        self, event: WebhookEvent, factory: CheckoutSessionFactory
    ) -> WebhookReply:
        """Claim the event, run the handler, and give the event back if it fails."""
        try:
            claimed = await self._claim(event)
        except Exception as error:  # noqa: BLE001 -- any store may fail in its own way
            _tell_failure("claiming", event, error)
            return WebhookReply(500, "deliver again")
        if not claimed:
            return WebhookReply(200, "already handled")
        done = False
        try:
            async with asyncio.timeout(self._handler_timeout):
                await self._handler(event, factory)
            done = True
        except Exception as error:  # noqa: BLE001 -- any handler may fail in its own way
            _tell_failure("the handler of", event, error)
        finally:
            if not done:
                await self._release(event)
        return WebhookReply(200, "done") if done else WebhookReply(500, "deliver again")

    async def _claim(self, event: WebhookEvent) -> bool:
        """Claim to the end: a claim that is granted to nobody would lose the event."""
        claiming = asyncio.ensure_future(
            _resolved(self._claims.claim(event.id, CLAIM_TTL))
        )
        try:
            return bool(await asyncio.shield(claiming))
        except asyncio.CancelledError:
            with suppress(Exception):  # the hang-up is what counts
                if await claiming:
                    await self._release(event)
            raise

    async def _release(self, event: WebhookEvent) -> None:
        """Release to the end, though the gateway may have hung up meanwhile."""
        releasing = asyncio.ensure_future(_resolved(self._claims.release(event.id)))
        try:
            await asyncio.shield(releasing)
        except asyncio.CancelledError:
            with suppress(Exception):  # the hang-up is what counts
                await releasing
            raise
        except Exception as error:  # noqa: BLE001 -- any store may fail in its own way
            _tell_failure("releasing", event, error)

    def _verified(self, body: bytes, headers: object) -> WebhookEvent | WebhookReply:
        try:
            return self._verifier.verify(body, headers)  # type: ignore[arg-type]  # it takes any shape
        except WebhookError as error:
            if isinstance(error, StaleWebhookError) and error.event is not None:
                return error.event
            _logger.warning("a webhook delivery was refused: %s", error.reason)
            return WebhookReply(error.http_status, "refused")

    async def _confirm(
        self, event: WebhookEvent, factory: CheckoutSessionFactory
    ) -> WebhookReply | None:
        """Confirm a stale event; what the gateway denies is taken, and not acted upon.

        Returns:
            What to answer if the event cannot be confirmed.
        """
        try:
            await confirm(event, factory)
        except ConvergeGateError as error:
            _logger.warning(
                "stale webhook event %r could not be confirmed: %s", event.id, error
            )
            denied = isinstance(
                error, NotFoundError | BadPayloadError | InvalidFieldError
            )
            return (
                WebhookReply(200, "not confirmed by the gateway: ignored")
                if denied
                else WebhookReply(500, "deliver again")
            )
        return None


def _tell_failure(what: str, event: WebhookEvent, error: Exception) -> None:
    # What an app puts into its errors is not ours to write into a log.
    _logger.error(
        "%s webhook event %r failed: %s", what, event.id, type(error).__name__
    )


async def _resolved(value: object) -> object:
    return await value if inspect.isawaitable(value) else value
