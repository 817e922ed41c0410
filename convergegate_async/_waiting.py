"""How attempts wait: for a place in the pool, and until a deadline.

The standard library has both, a semaphore and `asyncio.timeout`, and they cost a call
more instructions than its request: a timer that is set and taken back each time, and
coroutines where a counter is enough. Their semantics are kept, and are the oracle of
the tests; beside them `Slots` keeps a burst from opening its connections all at once
(DESIGN.md, *Deadlines*).
"""

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType

OPENED_AT_ONCE = 16
"""How many connections may be opening at once."""

PAUSE = 0.05
"""Seconds after which as many more may be opened, whatever became of those before."""

COARSEST = 0.001
"""Seconds that the coarsest clock of a loop counts: that of uvloop."""


class Slots:
    """A semaphore that also lets only a few callers open connections at a time.

    First come, first served. Whoever has a place uses a free connection or opens one.
    While `OPENED_AT_ONCE` are opening the others wait, even if places are free: as many
    again are let in after each `PAUSE`, and one whenever a place is released, as that
    leaves a connection free.
    """

    __slots__ = ("_free", "_opening", "_queue", "_timer")

    def __init__(self, places: int) -> None:
        self._free = places
        self._opening = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def try_acquire(self) -> bool:
        """Take a place, if one is free that nobody waits for."""
        if self._free == 0 or self._queue or self._opening >= OPENED_AT_ONCE:
            return False
        self._free -= 1
        self._opening += 1
        return True

    async def acquire(self) -> None:
        """Wait for a place, and take it."""
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._set_timer()
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # It was given in the moment of the cancellation.
                self.opened()
                self.release()
            else:
                with suppress(ValueError):
                    self._queue.remove(turn)
            raise

    def opened(self) -> None:
        """Note that one that was let in has its connection, or needs none."""
        self._opening -= 1

    def release(self) -> None:
        """Give a place back, to whoever waits the longest."""
        self._free += 1
        if self._queue:
            self._serve(1)

    def close(self) -> None:
        """Leave nothing behind in the loop."""
        if self._timer is not None:
            self._timer.cancel()

    def _serve(self, places: int) -> None:
        """Give up to *places* places to those who wait."""
        while self._queue and places:
            turn = self._queue.popleft()
            if not turn.done():
                places -= 1
                self._free -= 1
                self._opening += 1
                with suppress(RuntimeError):  # collected: the loop was closed before
                    turn.set_result(None)

    def _set_timer(self) -> None:
        # Not where no place is free: then whoever releases one serves.
        if self._timer is None and self._queue and self._free:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._serve(min(OPENED_AT_ONCE, self._free))
        self._set_timer()


class Deadlines:
    """The deadlines of all attempts under way, by one timer of the event loop.

    The timer is set for the earliest, and once it rings for the earliest of the rest. A
    deadline that is met costs one entry in a set; its timer then rings for nothing,
    about once in the time that an attempt may take.
    """

    __slots__ = ("_loop", "_rings_at", "_timer", "_watched")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = float("inf")

    def __len__(self) -> int:
        return len(self._watched)

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline for the running task, to be entered at once.

        The timer is set by now, so that entering has no more to do than be watched.
        """
        if self._loop is None:
            # Kept: Python 3.11 asks the kernel for the process each time.
            self._loop = asyncio.get_running_loop()
        when = self._loop.time() + seconds
        if when < self._rings_at:
            self._set(when)
        return Deadline(self._watched, self._loop, when)

    def expire_all(self) -> None:
        """Interrupt every task now."""
        for deadline in self._watched:
            deadline.expire()

    def close(self) -> None:
        """Leave nothing behind in the loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, float("inf")

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, float("inf")
        now = asyncio.get_running_loop().time()
        for deadline in self._watched:
            if deadline.when <= now:
                deadline.expire()
        left = [deadline.when for deadline in self._watched if not deadline.is_expired]
        if left:
            # For less than it counts uvloop would ring at once, again and again.
            self._set(max(min(left), now + COARSEST))


class Deadline:
    """Interrupts the task that entered it, as `asyncio.timeout` does.

    Leaving it raises `TimeoutError` in the place of the cancellation that it caused,
    unless the task was cancelled by somebody else, too.
    """

    __slots__ = ("_cancelling", "_loop", "_task", "_watched", "is_expired", "when")

    def __init__(
        self, watched: set["Deadline"], loop: asyncio.AbstractEventLoop, when: float
    ) -> None:
        self._watched = watched
        self._loop = loop
        self.when = when
        self.is_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise AssertionError
        self._task = task
        self._cancelling = task.cancelling()
        self._watched.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watched.discard(self)
        if (
            self.is_expired
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def expire(self) -> None:
        """Interrupt the task, once."""
        if not self.is_expired:
            self.is_expired = True
            self._task.cancel()
