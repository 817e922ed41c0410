"""Act on an event once, however often and wherever it is delivered."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Protocol

import attrs


class Claim(StrEnum):
    """What a store says to whoever claims an event."""

    MINE = "mine"
    """It is yours for as long as the lease runs."""
    BUSY = "busy"
    """Another delivery holds a lease that still runs."""
    DONE = "done"
    """It was handled, here or elsewhere."""


class Claims(Protocol):
    """Who works on which event, and which are done; shared by all processes of a shop.

    An event is *leased* to one delivery, its *owner*, while the handler runs; a worker
    that dies loses its lease and nothing else. Each method acts in one step, goes by
    the store's clock alone, and may be a coroutine function.
    """

    def claim(
        self, event_id: str, owner: str, lease: float
    ) -> Claim | Awaitable[Claim]:
        """Lease the event to *owner* for *lease* seconds, unless it is held or done.

        An owner that asks again while its lease runs still holds it: clients repeat.
        """
        ...

    def complete(
        self, event_id: str, owner: str, keep: float
    ) -> bool | Awaitable[bool]:
        """Keep the event as done for *keep* seconds.

        Returns:
            `True` if the event was *owner*'s or nobody's, its lease having run out;
            `False`, and nothing is changed, if another owner holds or has done it.
        """
        ...

    def release(self, event_id: str, owner: str) -> object:
        """End *owner*'s lease; another's, and what is done, stay as they are."""
        ...


class MemoryClaims:
    """Claims of one process, lost with it.

    Enough for a shop of one process::

        claims = MemoryClaims(limit=10_000)
        receiver = WebhookReceiver(verifier, act, claims=claims)

    Args:
        limit: How many events that are done to remember; the oldest are forgotten
            first. A lease that runs is never forgotten.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, limit: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._leases: OrderedDict[str, _Entry] = OrderedDict()
        self._done: OrderedDict[str, _Entry] = OrderedDict()

    def claim(self, event_id: str, owner: str, lease: float) -> Claim:
        """Lease the event to *owner* for *lease* seconds, unless it is held or done."""
        now = self._clock()
        for entries in (self._leases, self._done):
            _forget_first(entries, now)
        if _holder(self._done, event_id, now) is not None:
            return Claim.DONE
        holder = _holder(self._leases, event_id, now)
        if holder is not None:
            return Claim.MINE if holder == owner else Claim.BUSY
        self._leases[event_id] = _Entry(owner, now + lease)
        self._leases.move_to_end(event_id)
        return Claim.MINE

    def complete(self, event_id: str, owner: str, keep: float) -> bool:
        """Keep the event as done for *keep* seconds, unless another owner has it."""
        now = self._clock()
        for entries in (self._leases, self._done):
            if _holder(entries, event_id, now) not in (owner, None):
                return False
        self._leases.pop(event_id, None)
        self._done[event_id] = _Entry(owner, now + keep)
        self._done.move_to_end(event_id)
        while len(self._done) > self._limit:
            self._done.popitem(last=False)
        return True

    def release(self, event_id: str, owner: str) -> None:
        """End *owner*'s lease."""
        if _holder(self._leases, event_id, self._clock()) == owner:
            del self._leases[event_id]


def several_workers(environ: Mapping[str, str], *, is_child: bool) -> str | None:
    """Return what suggests that this process is one of several, if anything does.

    Args:
        environ: The environment's variables.
        is_child: Whether `multiprocessing` started this process.
    """
    count = environ.get("WEB_CONCURRENCY", "").strip()
    if count.isdecimal() and int(count) > 1:
        return f"WEB_CONCURRENCY is {int(count)}"
    if environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        return "gunicorn runs this process"
    if "AWS_LAMBDA_FUNCTION_NAME" in environ:
        return "AWS Lambda runs this process"
    return "multiprocessing started this process" if is_child else None


@attrs.frozen
class _Entry:
    owner: str
    until: float


def _holder(entries: Mapping[str, _Entry], event_id: str, now: float) -> str | None:
    entry = entries.get(event_id)
    return None if entry is None or entry.until <= now else entry.owner


def _forget_first(entries: OrderedDict[str, _Entry], now: float) -> None:
    """Forget what has run out, from the oldest on, so that nothing piles up."""
    while entries and next(iter(entries.values())).until <= now:
        entries.popitem(last=False)
