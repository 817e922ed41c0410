"""Requests and actions as the sandbox saw them, and how much of all it keeps."""

from collections import deque

import attrs

from ._faults import FaultKind

LONGEST_PATH = 500  # characters
_OWN = frozenset({"pay", "sandbox"})
_NO_ACTIONS = frozenset({"sandbox", "api", "sessions", "deliveries", "{id}"})
_ENTRIES, _BYTES = 100_000, 16 * 2**20


@attrs.define(kw_only=True)
class SeenRequest:
    """A request as it arrived, and what became of it.

    Attributes:
        operation: The name of the factory's method, or ``other`` for an unknown path.
        path: At most 500 characters of it.
        idempotency_key: That of a request that has the API key, if it is a right one.
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


@attrs.frozen(kw_only=True)
class SeenAction:
    """What somebody did by a page of the sandbox, or by its control API.

    Attributes:
        name: What it is, such as ``pay``, ``expire`` or ``clock advance``.
        path: At most 500 characters of it.
        at: When it was over by the gateway's clock, in epoch seconds.
        session_id: The session that it was done to, if there is one.
        status: What was answered.
    """

    name: str
    method: str
    path: str
    at: float
    session_id: str | None
    status: int


def action_name(method: str, place: str) -> str | None:
    """Return what is done at a *place* such as ``/pay/{id}``; `None` if nothing is."""
    _, *words = place.split("/")
    if method == "GET" or words[0] not in _OWN or "{path}" in words:
        return None
    return " ".join(word for word in words if word not in _NO_ACTIONS)


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
