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
"""So many connections."""

PAUSE = 0.05
"""Seconds after which as many more may be opened, whatever became of those before."""


class Slots:
    """So many places; whoever finds none waits, first come first served.

    Who has taken one finds a free connection, or opens one. There is no place either
    while `OPENED_AT_ONCE` do so, but for as many after each `PAUSE`, and for one where
    a place was given back: it has left its connection free.
    """

    __slots__ = ("_free", "_opening", "_queue", "_timer")

    def __init__(self, places: int) -> None:
        self._free = places
        self._opening = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> bool:
        """Take a place, if one is free that nobody waits for."""
        if self._free == 0 or self._queue or self._opening >= OPENED_AT_ONCE:
            return False
        self._free -= 1
        self._opening += 1
        return True

    async def wait(self) -> None:
        """Wait for a place, and take it."""
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._set_timer()
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # It was given in the moment of the cancellation.
                self.connected()
                self.give_back()
            else:
                with suppress(ValueError):
                    self._queue.remove(turn)
            raise

    def connected(self) -> None:
        """Know that who took a place opens no connection any more."""
        self._opening -= 1

    def give_back(self) -> None:
        """Give a place back, to whoever waits the longest."""
        self._free += 1
        self._serve(1)

    def _serve(self, places: int) -> None:
        """Give so many places to who waits."""
        while self._queue and places:
            turn = self._queue.popleft()
            if not turn.done():
                places -= 1
                self._free -= 1
                self._opening += 1
                with suppress(RuntimeError):  # collected: the loop was closed before
                    turn.set_result(None)

    def _set_timer(self) -> None:
        if self._timer is None and self._queue and self._free:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._serve(min(OPENED_AT_ONCE, self._free))
        self._set_timer()


class Deadlines:
    """The deadlines of all attempts under way, by one timer of the event loop.

    It is set for the earliest, and when it rings for those that are left. A deadline
    that is kept costs its place in a set; the timer that was set for it rings for
    nothing, about once in the time that an attempt may take.
    """

    __slots__ = ("_rings_at", "_timer", "_watched")

    def __init__(self) -> None:
        self._watched: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = float("inf")

    def __len__(self) -> int:
        return len(self._watched)

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline for the running task, to be entered at once."""
        return Deadline(self, asyncio.get_running_loop().time() + seconds)

    def watch(self, deadline: "Deadline") -> None:
        """Interrupt the task of *deadline* when it is due, unless it is forgotten."""
        self._watched.add(deadline)
        if deadline.due < self._rings_at:
            self._set(deadline.due)

    def forget(self, deadline: "Deadline") -> None:
        """Leave its task alone."""
        self._watched.discard(deadline)

    def pass_all(self) -> None:
        """Interrupt every task now."""
        for deadline in self._watched:
            deadline.pass_by()

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
            if deadline.due <= now:
                deadline.pass_by()
        left = [deadline.due for deadline in self._watched if not deadline.is_past]
        if left:
            self._set(min(left))


class Deadline:
    """Interrupts the task that entered it, as `asyncio.timeout` does.

    Leaving it raises `TimeoutError` in the place of the cancellation that it caused,
    unless the task was cancelled by somebody else, too.
    """

    __slots__ = ("_cancelling", "_owner", "_task", "due", "is_past")

    def __init__(self, owner: Deadlines, due: float) -> None:
        self._owner = owner
        self.due = due
        self.is_past = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        self._task = task
        self._cancelling = task.cancelling()
        self._owner.watch(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owner.forget(self)
        if (
            self.is_past
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def pass_by(self) -> None:
        """Interrupt the task, once."""
        if not self.is_past:
            self.is_past = True
            self._task.cancel()
