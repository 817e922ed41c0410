"""A request as the sandbox saw it, and how much of all of them it keeps."""

from collections import deque

import attrs

from ._faults import FaultKind

LONGEST_PATH = 500  # characters
_ENTRIES, _BYTES = 100_000, 16 * 2**20


@attrs.define(kw_only=True)
class SeenRequest:
    """A request as it arrived, and what became of it.

    Attributes:
        operation: The name of the factory's method, or ``other`` for an unknown path.
        path: At most 500 characters of it.
        idempotency_key: That of a request that has the API key.
        body: Empty if it came without the API key or holds a code, and once newer ones
            have taken its place: those of the newest requests are kept, 16 MiB in all.
        at: When it came by the gateway's clock, in epoch seconds.
        session_id: The session that it is about, if there is one.
        status: What was answered; `None` if nothing was.
        replayed: It was answered from memory, under its idempotency key.
        fault: What went wrong on purpose.
    """

    operation: str
    method: str
    path: str
    idempotency_key: str | None
    body: bytes = attrs.field(repr=False)
    at: float = 0.0
    session_id: str | None = None
    status: int | None = None
    replayed: bool = False
    fault: FaultKind | None = None


class Bodies:
    """Keeps the newest bodies of requests, so that no client can fill the memory."""

    def __init__(self) -> None:
        self._kept: deque[SeenRequest] = deque()
        self._size = 0

    def keep(self, seen: SeenRequest) -> None:
        """Keep the body of *seen*, and let the oldest go for it."""
        self._kept.append(seen)
        self._size += len(seen.body)
        while self._size > _BYTES or len(self._kept) > _ENTRIES:
            oldest = self._kept.popleft()
            self._size -= len(oldest.body)
            oldest.body = b""

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._size = 0
