"""Act on an event once, however often it is delivered."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol


class Claims(Protocol):
    """Remembers which events were acted upon; shared by all processes of a shop.

    Both methods may be coroutines. In Redis, `claim` is one ``SET id 1 NX EX ttl``.
    """

    def claim(self, event_id: str, ttl: float) -> bool | Awaitable[bool]:
        """Return `True` to the first who asks within *ttl* seconds, else `False`."""
        ...

    def release(self, event_id: str) -> object:
        """Let the event be claimed again: it could not be acted upon."""
        ...


class MemoryClaims:
    """Claims of one process, lost with it.

    Args:
        limit: How many events to remember; the oldest are forgotten first.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, limit: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def claim(self, event_id: str, ttl: float) -> bool:
        """Return `True` to the first who asks within *ttl* seconds, else `False`."""
        now = self._clock()
        if self._until.get(event_id, now) > now:
            return False
        self._until[event_id] = now + ttl
        self._until.move_to_end(event_id)
        while len(self._until) > self._limit:
            self._until.popitem(last=False)
        return True

    def release(self, event_id: str) -> None:
        """Let the event be claimed again."""
        self._until.pop(event_id, None)
