"""The sandbox's time, and what happens by itself as it passes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress

import aiohttp

from convergegate_async.errors import ConfigurationError

from ._book import Book
from ._control_orders import LATEST
from ._webhook_sender import Delivery, WebhookSender
from ._wire import new_client

NOT_RUNNING = "the sandbox is not running: use `async with`"
_LONGEST_NAP = 3_600.0  # seconds


class Clock:
    """What the gateway's clock shows, in epoch seconds; it can be moved on.

    Args:
        now: What it shows before it is moved.
        frozen: Let it stand still until it is moved.
    """

    def __init__(self, now: Callable[[], float], *, frozen: bool) -> None:
        self._now = now
        self._frozen_at = now() if frozen else None
        self._moved = 0.0

    def now(self) -> float:
        """Return what it shows."""
        shown = self._now() if self._frozen_at is None else self._frozen_at
        return shown + self._moved

    def advance(self, seconds: float) -> None:
        """Move it on.

        Raises:
            ConfigurationError: No clock moves by so many seconds.
        """
        self.check_move(seconds)
        self._moved += seconds

    def check_move(self, seconds: float) -> None:
        """Refuse to go back, or beyond the year 3000.

        Raises:
            ConfigurationError: No clock moves by so many seconds.
        """
        if not 0 <= seconds <= LATEST - self.now():
            message = f"a clock moves on, up to the year 3000; not by {seconds} seconds"
            raise ConfigurationError(message)

    def reset(self) -> None:
        """Set it right."""
        self._moved = 0.0
        if self._frozen_at is not None:
            self._frozen_at = self._now()


class Timekeeper:
    """Lets happen what is due when it is due: sessions end, webhooks are sent.

    Args:
        clock: By which it is due.
        book: Of the sessions and refunds.
        sender: Of the webhooks.
        save: Keeps what has changed.

    Attributes:
        resets: How often all was forgotten.
    """

    def __init__(
        self,
        clock: Clock,
        book: Book,
        sender: WebhookSender,
        save: Callable[[], object],
    ) -> None:
        self.resets = 0
        self._clock = clock
        self._book = book
        self._sender = sender
        self._save = save
        self._news = asyncio.Event()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._client: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let things happen until the block is left."""
        async with new_client() as self._client:
            self._keeper = keeper = asyncio.create_task(self._keep())
            try:
                yield
            finally:
                self._keeper = None
                keeper.cancel()
                self._end_deliveries()
                await asyncio.gather(*self._deliveries, return_exceptions=True)
                with suppress(asyncio.CancelledError):
                    await keeper

    def wake(self) -> None:
        """Look what is due: something has changed."""
        self._news.set()

    def advance(self, seconds: float) -> None:
        """Move the clock on: what is due by then happens now.

        Raises:
            ConfigurationError: No clock moves by so many seconds.
        """
        self._clock.advance(seconds)
        self._book.tick()
        self.wake()

    async def elapse(self, seconds: float, *, only_new: bool = False) -> None:
        """Move the clock on step by step, as `Sandbox.elapse` says."""
        until, resets = self._clock.now() + seconds, self.resets
        others = frozenset(self._deliveries) if only_new else frozenset()
        self._clock.check_move(seconds)
        await self._settle(others)
        while (due := self._next_due()) is not None and due <= until:
            if self.resets != resets:
                return
            # What is added must not be lost: epoch seconds are no finer as a float.
            self.advance(max(due - self._clock.now(), 1e-6))
            await self._settle(others)
        if self.resets == resets:
            self.advance(max(until - self._clock.now(), 0.0))
            await self._settle(others)

    def reset(self) -> None:
        """Set the clock right, and end what is under way."""
        self.resets += 1
        self._clock.reset()
        self._end_deliveries()

    async def _keep(self) -> None:
        while True:
            self._news.clear()
            self._carry_out()
            due = self._next_due()
            nap = _LONGEST_NAP if due is None else due - self._clock.now()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(nap, _LONGEST_NAP)):
                    await self._news.wait()

    def _carry_out(self) -> set[asyncio.Task[None]]:
        """Let happen what is due by now, and return the deliveries under way."""
        self._book.tick()
        self._save()
        while self._book.outbox:
            self._sender.take(self._book.outbox.popleft())
        for delivery in self._sender.take_due():
            # In no group: what goes wrong with one ends neither the others nor us.
            task = asyncio.create_task(self._deliver(delivery))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        return self._deliveries

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._sender.deliver(self._client, delivery)
        finally:
            self.wake()

    def _next_due(self) -> float | None:
        due = (self._book.next_due(), self._sender.next_due())
        return min((when for when in due if when is not None), default=None)

    async def _settle(self, others: Collection[asyncio.Task[None]]) -> None:
        """Wait until nothing but *others* is left to do at this time of the clock."""
        self._check_running()
        while under_way := self._carry_out().difference(others):
            await asyncio.wait(under_way)
            self._check_running()

    def _check_running(self) -> None:
        if self._keeper is None:
            raise ConfigurationError(NOT_RUNNING)
        if self._keeper.done():
            message = "the sandbox has failed, and lets nothing happen any more"
            raise ConfigurationError(message) from self._keeper.exception()

    def _end_deliveries(self) -> None:
        for task in self._deliveries:
            task.cancel()
