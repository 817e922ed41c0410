"""How far one attempt came, and what that proves."""

from time import perf_counter

from aiohttp.client_proto import ResponseHandler

from convergegate_async._core.verdicts import Failure
from convergegate_async._waiting import Slots
from convergegate_async.errors import FailureKind


class Marks:
    """How far an attempt came, and when, by `time.perf_counter`.

    Attributes:
        is_timed: Somebody asks for the times; otherwise they stay `None`.
        is_queued: It waits for a place in the pool.
        is_marking: The lane, or our `_Request`, makes it: only then does a missing mark
            prove anything.
        is_sent: The marker: its head was about to be written.
        is_answered: The head of the answer was read.
        opening: The slots, as long as they count it among those that may be opening a
            connection.
        protocol: What it is sent over.
        queued_at: When it began to wait for a place in the pool.
        placed_at: When it had one.
        sent_at: When its head was about to be written.
        head_at: When the head of the answer was read.
        body_at: When the body was read.
    """

    # On the class: one is made for each attempt, and few of them are set.
    is_timed: bool = False
    is_queued: bool = False
    is_marking: bool = False
    is_sent: bool = False
    is_answered: bool = False
    opening: Slots | None = None
    protocol: ResponseHandler | None = None
    queued_at: float | None = None
    placed_at: float | None = None
    sent_at: float | None = None
    head_at: float | None = None
    body_at: float | None = None

    @property
    def is_unsent(self) -> bool:
        """Provably nothing of it was sent."""
        return self.is_queued or (self.is_marking and not self.is_sent)

    def about_to_send(self, protocol: ResponseHandler) -> None:
        """Note that its head is about to be written, and over what."""
        self.protocol = protocol
        self.open_no_more()
        if self.is_timed:
            self.sent_at = perf_counter()
        self.is_sent = True

    def open_no_more(self) -> None:
        """Be counted no more among those that may be opening a connection."""
        if self.opening is not None:
            self.opening.opened()
            self.opening = None

    def failure(self, kind: FailureKind) -> Failure:
        """Return what broke, and whether the head had been about to be written."""
        sent = self.is_sent if self.is_marking else None
        phase = "sent"
        if kind in {FailureKind.HEAD, FailureKind.HEAD_TOO_LARGE}:
            phase = "head"
        elif self.is_answered:
            phase = "body"
        return Failure(kind=kind, sent=sent, phase=phase)
