"""One delivery's hold on its event: what the store is asked, and how long for."""

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Coroutine
from typing import TypeVar

from ._claims import Claim, Claims
from ._decisions import Patience

T = TypeVar("T")

_TRIES = 3
_logger = logging.getLogger("convergegate_async")


class StoreTimeoutError(TimeoutError):
    """The store of claims did not answer in time."""


class Hold:
    """A delivery's lease on an event; nobody else's is ever touched.

    The lease is counted from before it was asked for, by a clock that is not set: it
    ends here before it ends in the store.

    Args:
        claims: The store.
        event_id: The event.
        patience: How long each step may take.
        keep: How many seconds the event is kept once it is done.
    """

    def __init__(
        self, claims: Claims, event_id: str, patience: Patience, keep: float
    ) -> None:
        self.event_id = event_id
        self.patience = patience
        self._claims = claims
        self._keep = keep
        self._owner = secrets.token_hex(16)
        self._asked = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the claim was asked for."""
        return time.monotonic() - self._asked

    @property
    def left(self) -> float:
        """Seconds in which the handler must end; 0 or less if they are over."""
        return self.patience.handler - self.elapsed

    async def claim(self) -> Claim | None:
        """Ask for the lease; `None` if there was no answer in time.

        A cancellation gives back what may have been granted.

        Raises:
            Exception: What the store raised.
            ValueError: The store said what is no `Claim`.
        """
        self._asked = time.monotonic()
        try:
            return await _to_the_end(self._claim())
        except StoreTimeoutError:
            return None
        except asyncio.CancelledError:
            await self.release()
            raise

    async def complete(self) -> None:
        """Keep the event as done: the handler has acted, whatever becomes of this."""
        await _to_the_end(self._complete())

    async def release(self) -> None:
        """Let the next delivery have the event; if that fails, the lease runs out."""
        await _to_the_end(self._release())

    async def _claim(self) -> Claim:
        asked = self._claims.claim(self.event_id, self._owner, self.patience.lease)
        return Claim(str(await _answer(asked, self.patience.claim)))

    async def _complete(self) -> None:
        trouble = ""
        for _ in range(_TRIES):
            try:
                asked = self._claims.complete(self.event_id, self._owner, self._keep)
                kept = await _answer(asked, self.patience.complete)
            except Exception as error:  # noqa: BLE001 -- any store may fail in its own way
                trouble = type(error).__name__
            else:
                trouble = "" if kept else "another delivery has it, too"
                break
        if trouble:
            _logger.error(
                "webhook event %r was handled, but not kept as done: %s",
                self.event_id,
                trouble,
            )

    async def _release(self) -> None:
        try:
            asked = self._claims.release(self.event_id, self._owner)
            await _answer(asked, self.patience.claim)
        except Exception as error:  # noqa: BLE001 -- any store may fail in its own way
            tell_failure("releasing", self.event_id, error)


def tell_failure(what: str, event_id: str, error: BaseException) -> None:
    """Log the class of *error*: what apps put into theirs is not ours to log."""
    _logger.error(
        "%s webhook event %r failed: %s", what, event_id, type(error).__name__
    )


async def _answer(asked: object, seconds: float) -> object:
    """Return what a store answers, now or within *seconds*.

    Raises:
        StoreTimeoutError: It did not; it is no longer waited for.
        RuntimeError: It cancelled itself, which must not look as if we were cancelled.
    """
    if not inspect.isawaitable(asked):
        return asked
    answering = asyncio.ensure_future(asked)
    await asyncio.wait({answering}, timeout=seconds)
    if not answering.done():
        answering.add_done_callback(_look_at)
        answering.cancel()
        raise StoreTimeoutError
    if answering.cancelled():
        message = "the store of claims cancelled its own call"
        raise RuntimeError(message)
    return answering.result()


async def _to_the_end(work: Coroutine[object, object, T]) -> T:
    """Await *work*, and let a cancellation through only when it has ended."""
    task = asyncio.ensure_future(work)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cut = error
    if cut is not None:
        _look_at(task)
        raise cut
    return task.result()


def _look_at(task: "asyncio.Future[T]") -> None:
    """Take note of an error that nobody waits for, or asyncio logs it with its text."""
    if not task.cancelled():
        task.exception()
