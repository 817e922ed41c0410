"""Pauses of factories, on a gateway's clock that stands still."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import attrs

from ._failures import is_heard


@attrs.define(eq=False)
class _Pause:
    loop: asyncio.AbstractEventLoop
    waker: asyncio.Event
    is_nudged: bool = False

    def nudge(self) -> None:
        self.is_nudged = True
        self.waker.set()


class Pauses:
    """Lets factories wait for a time that is moved, on any loop of any thread.

    A pause that is skipped waits for the webhooks under way before, so that a shop has
    done what it was told; not one in a shop's handler, which would wait for itself, and
    none for longer than it would have taken.

    A pause ends when the clock was moved so far, when there is news, and when so many
    real seconds have passed: then it moves the clock itself, so that time goes by for
    all alike.

    Args:
        now: The clock.
        reach: Moves it on to a moment, unless it is there already, and waits so many
            seconds for the deliveries under way before.

    Attributes:
        are_skipped: Let no real second pass: each pause moves the clock at once.
    """

    def __init__(
        self, now: Callable[[], float], reach: Callable[[float, float], Awaitable[None]]
    ) -> None:
        self._now = now
        self._reach = reach
        self._under_way: set[_Pause] = set()
        self._lock = threading.Lock()
        self.are_skipped = False

    async def sleep(self, seconds: float, waker: asyncio.Event) -> None:
        """Wait for so many seconds, or until *waker* is set."""
        due = self._now() + seconds
        with self._noted(waker) as pause:
            while (left := due - self._now()) > 0:
                if self.are_skipped:
                    await self._reach(due, 0 if is_heard() else left)
                    continue
                try:
                    async with asyncio.timeout(left):
                        await waker.wait()
                except TimeoutError:
                    await self._reach(due, 0)
                    continue
                if not pause.is_nudged:
                    return
                pause.is_nudged = False
                waker.clear()

    def nudge(self) -> None:
        """Let all that wait look at the clock, and at how they have to wait."""
        with self._lock:
            pauses = list(self._under_way)
        for pause in pauses:
            _call_soon(pause, pause.nudge)

    def end(self) -> None:
        """Let all end their pause, as `CheckoutSessionFactory.notify` does."""
        with self._lock:
            pauses = list(self._under_way)
        for pause in pauses:
            _call_soon(pause, pause.waker.set)

    @contextmanager
    def _noted(self, waker: asyncio.Event) -> Iterator[_Pause]:
        pause = _Pause(asyncio.get_running_loop(), waker)
        with self._lock:
            self._under_way.add(pause)
        try:
            yield pause
        finally:
            with self._lock:
                self._under_way.discard(pause)


def _call_soon(pause: _Pause, act: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # its loop was closed meanwhile
        pause.loop.call_soon_threadsafe(act)
