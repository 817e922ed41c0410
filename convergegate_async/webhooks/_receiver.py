"""Receive a delivery for any web framework: bytes and headers in, a status out."""

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from multiprocessing import parent_process
from typing import TypeAlias

from convergegate_async.errors import (
    BadPayloadError,
    ConfigurationError,
    ConvergeGateError,
    InvalidFieldError,
    NotFoundError,
    StaleWebhookError,
    WebhookError,
)
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import WebhookEvent
from convergegate_async.policy import is_duration

from ._claims import Claims, MemoryClaims, several_workers
from ._decisions import (
    Act,
    Decision,
    End,
    Patience,
    WebhookReply,
    Work,
    after_claim,
    after_work,
    failed,
    keep_seconds,
)
from ._hold import Hold, tell_failure
from ._lambda_events import unwrap
from ._verifier import WebhookVerifier, confirm

Handler: TypeAlias = Callable[[WebhookEvent, CheckoutSessionFactory], Awaitable[object]]

_logger = logging.getLogger("convergegate_async")


class WebhookReceiver:
    """Runs the app's *handler* for every event of the gateway's, once if it can.

    It leases the event's id, runs the handler, keeps the id as done, and answers 200.
    If the handler raises, takes too long or is cancelled, the lease is given back and
    the answer is 500, so that the gateway delivers again. Who comes while the lease
    runs is told to come again (503). An event that is validly signed but stale is
    confirmed by `retrieve` first, within the same time.

    An event is handled a second time if a worker dies before the id is kept, and may be
    if a worker is stopped for longer than its lease: let the handler bear that.

    Hold one, and hand it every delivery::

        async def act(event, checkout):
            session = await confirm(event, checkout)

        receiver = WebhookReceiver(verifier, act)
        reply = await receiver.receive(body, headers, checkout)

    Args:
        verifier: Tells the gateway's deliveries from others.
        handler: What the app does, with the event and the factory to `confirm` it by
            before acting. A coroutine function: a plain one cannot be stopped in time.
        claims: Who works on what; kept in this process if `None`.
        handler_timeout: How many seconds may pass from when the event is claimed to the
            handler's end. The lease is half as long again, the claim may take half of
            it, and each of three tries to keep the id a tenth.
        answer_first: Answer when the event is claimed, before the handler has run. An
            event whose handler then fails, or dies with its process, is lost: nobody
            delivers it again. The event loop's exception handler is told why.

    Raises:
        ConfigurationError: *claims* lack a method, or *handler_timeout* is not a
            number of seconds.
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
        if not is_duration(handler_timeout):
            message = "handler_timeout must be a number of seconds above 0"
            raise ConfigurationError(message)
        self._verifier = verifier
        self._handler = handler
        self._claims = MemoryClaims() if claims is None else claims
        methods = ("claim", "complete", "release")
        if not all(callable(getattr(self._claims, name, None)) for name in methods):
            message = "claims must have the methods claim, complete and release"
            raise ConfigurationError(message)
        self._patience = Patience(handler_timeout)
        self._keep = keep_seconds(verifier.oldest, verifier.tolerance)
        self._answer_first = answer_first
        self._later: set[asyncio.Task[WebhookReply]] = set()
        self._warned: set[str] = set()

    async def receive(
        self, body: bytes, headers: object, factory: CheckoutSessionFactory
    ) -> WebhookReply:
        """Judge a delivery, act on it, and return what to answer.

        Args:
            body: The raw bytes.
            headers: The delivery's headers, in any shape that `verify` takes.
            factory: Where stale events are confirmed, and `wait` is woken.

        Returns:
            The answer; a 500 has what was raised as *error*, for you to report.

        Raises:
            TypeError: *body* is not bytes-like.
        """
        return await self._receive(
            body, headers, factory, answer_first=self._answer_first
        )

    async def receive_lambda(
        self, event: Mapping[str, object], factory: CheckoutSessionFactory
    ) -> WebhookReply:
        """Judge a delivery that AWS Lambda was invoked with, and act on it.

        The handler has always run before the answer, with *answer_first* as well: what
        was put off would be frozen with the process.

        Args:
            event: As API Gateway (REST or HTTP API), a function URL or an application
                load balancer gives it to the function.
            factory: As for `receive`.

        Returns:
            The answer; the function returns ``reply.to_lambda(event)``.

        Raises:
            TypeError: *event* is not a mapping, or its body was parsed already.
        """
        if not isinstance(event, Mapping):
            message = (
                "the event must be the mapping that Lambda calls the function with"
            )
            raise TypeError(message)
        delivery = unwrap(event)
        if isinstance(delivery, WebhookError):
            return _refused(delivery)
        return await self._receive(*delivery, factory, answer_first=False)

    async def _receive(
        self,
        body: object,
        headers: object,
        factory: CheckoutSessionFactory,
        *,
        answer_first: bool,
    ) -> WebhookReply:
        event = self._verified(body, headers)
        if isinstance(event, WebhookReply):
            return event
        self._warn_of_workers()
        if not event.stale:
            factory.notify(event)
        hold = Hold(self._claims, event.id, self._patience, self._keep)
        reply = await self._follow(hold, await self._claim(hold))
        if reply is None and event.stale:
            end = await self._bounded(hold, "confirming", _confirm(event, factory))
            reply = await self._follow(hold, after_work(end))
            if reply is None:
                factory.notify(event)
        if reply is not None:
            return reply
        acting = self._act(event, factory, hold)
        if not answer_first:
            return await acting
        task = asyncio.create_task(acting, name=f"webhook event {event.id!r}")
        self._later.add(task)
        task.add_done_callback(self._end_later)
        return WebhookReply(200, "accepted")

    async def aclose(self) -> None:
        """Wait for the handlers of events that were answered first."""
        await asyncio.gather(*self._later, return_exceptions=True)

    def _end_later(self, task: "asyncio.Task[WebhookReply]") -> None:
        """Tell the event loop of an error that no answer can tell of any more."""
        self._later.discard(task)
        if task.cancelled():
            return
        error = task.exception() or task.result().error
        if error is not None:
            message = f"{task.get_name()}, answered first, could not be handled"
            context = {"message": message, "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    def _verified(self, body: object, headers: object) -> WebhookEvent | WebhookReply:
        try:
            return self._verifier.verify(body, headers)  # type: ignore[arg-type]  # it takes any shape
        except WebhookError as error:
            if isinstance(error, StaleWebhookError) and error.event is not None:
                return error.event
            return _refused(error)

    async def _claim(self, hold: Hold) -> Decision:
        try:
            claim = await hold.claim()
        except Exception as error:  # noqa: BLE001 -- any store may fail in its own way
            tell_failure("claiming", hold.event_id, error)
            return Decision(Act.NOTHING, failed(error))
        return after_claim(claim, hold.elapsed, self._patience)

    async def _follow(self, hold: Hold, decision: Decision) -> WebhookReply | None:
        """Do what was decided about the claim; return what to answer, if it is over."""
        if decision.act is Act.COMPLETE:
            await hold.complete()
        elif decision.act is Act.RELEASE:
            await hold.release()
        return decision.reply

    async def _act(
        self, event: WebhookEvent, factory: CheckoutSessionFactory, hold: Hold
    ) -> WebhookReply:
        handling = self._handle(event, factory)
        end = await self._bounded(hold, "the handler of", handling)
        reply = await self._follow(hold, after_work(end))
        if reply is None:
            raise AssertionError
        return reply

    async def _bounded(
        self, hold: Hold, what: str, work: Coroutine[object, object, End]
    ) -> End:
        """Return how *work* ended, in time or not.

        A cancellation of the delivery, and what ends the process, gives the lease back
        and passes through.
        """
        delivery = asyncio.current_task()
        before = _cancellations(delivery)
        try:
            async with asyncio.timeout(hold.left):
                return await work
        except asyncio.CancelledError as cause:
            if _cancellations(delivery) > before:
                await hold.release()
                raise
            message = "a handler of webhooks was cancelled from within"
            tell_failure(what, hold.event_id, cause)
            error: Exception = RuntimeError(message)
            error.__cause__ = cause
        except Exception as caught:  # noqa: BLE001 -- any handler may fail in its own way
            tell_failure(what, hold.event_id, caught)
            error = caught
        except GeneratorExit:
            raise  # collected: nothing is awaited any more, and the lease runs out
        except BaseException:
            await hold.release()
            raise
        return End(Work.FAILED, error)

    async def _handle(
        self, event: WebhookEvent, factory: CheckoutSessionFactory
    ) -> End:
        result: object = self._handler(event, factory)
        if inspect.isawaitable(result):
            await result
        elif inspect.isgenerator(result) or inspect.isasyncgen(result):
            message = "the handler of webhooks is a generator: it has not run"
            raise TypeError(message)
        else:
            self._warn_once(
                "the handler of webhooks is not a coroutine function: it has run, but "
                "blocks all else meanwhile and cannot be stopped in time"
            )
        return End(Work.HANDLED)

    def _warn_of_workers(self) -> None:
        if not isinstance(self._claims, MemoryClaims):
            return
        is_child = parent_process() is not None
        reason = several_workers(os.environ, is_child=is_child)
        if reason is not None:
            self._warn_once(
                f"webhook claims are kept in one process, but {reason}: if there are "
                "more workers, hand claims that they share to WebhookReceiver"
            )

    def _warn_once(self, warning: str) -> None:
        if warning not in self._warned:
            self._warned.add(warning)
            _logger.warning("%s", warning)


def _refused(error: WebhookError) -> WebhookReply:
    _logger.warning("a webhook delivery was refused: %s", error.reason)
    return WebhookReply(error.http_status, "refused")


async def _confirm(event: WebhookEvent, factory: CheckoutSessionFactory) -> End:
    """Ask the gateway about a stale event; what it denies is not acted upon."""
    try:
        await confirm(event, factory)
    except ConvergeGateError as error:
        _logger.warning(
            "stale webhook event %r could not be confirmed: %s", event.id, error
        )
        if isinstance(error, NotFoundError | BadPayloadError | InvalidFieldError):
            return End(Work.DENIED)
        return End(Work.FAILED, error)
    return End(Work.CONFIRMED)


def _cancellations(task: "asyncio.Task[object] | None") -> int:
    return 0 if task is None else task.cancelling()
