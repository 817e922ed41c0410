"""How far one attempt came, and what that proves."""

import asyncio

from convergegate_async._core.verdicts import Failure
from convergegate_async._waiting import Slots
from convergegate_async.errors import FailureKind


def now() -> float:
    """Return the event loop's clock."""
    return asyncio.get_running_loop().time()


class Marks:
    """How far an attempt came, and when, on the event loop's clock.

    Attributes:
        is_timed: Somebody asks for the times; otherwise they stay `None`.
        is_queued: It waits for a place in the pool.
        is_built: The lane, or our `_Request`, has it: so its marker can be believed.
        is_sent: The marker: its head was about to be written.
        is_answered: The head of the answer was read.
        opening: Where its place counts as one that opens a connection.
        connection: What it is sent over.
        entered: When it began to wait for a place in the pool.
        slot: When it had one.
        sent: When its head was about to be written.
        head: When the head of the answer was read.
        body: When the body was read.
    """

    is_timed: bool = False
    is_queued: bool = False
    is_built: bool = False
    is_sent: bool = False
    is_answered: bool = False
    opening: Slots | None = None
    connection: object = None
    entered: float | None = None
    slot: float | None = None
    sent: float | None = None
    head: float | None = None
    body: float | None = None

    @property
    def is_unsent(self) -> bool:
        """Provably nothing of it was sent."""
        return self.is_queued or (self.is_built and not self.is_sent)

    def reach(self, connection: object) -> None:
        """Note what it is sent over."""
        self.connection = connection
        self.open_no_more()

    def open_no_more(self) -> None:
        """Let others open a connection: it has one, or needs none."""
        if self.opening is not None:
            self.opening.connected()
            self.opening = None

    def failure(self, kind: FailureKind) -> Failure:
        """Return what broke, and whether the head had been about to be written."""
        sent = self.is_sent if self.is_built else None
        phase = "sent"
        if kind in {FailureKind.HEAD, FailureKind.HEAD_TOO_LARGE}:
            phase = "head"
        elif self.is_answered:
            phase = "body"
        return Failure(kind=kind, sent=sent, phase=phase)
