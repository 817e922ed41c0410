"""What the pages and the control API know of a sandbox, and may do to it."""

from collections import Counter, deque
from typing import Protocol

from ._book import BookedSession
from ._faults import FaultPlan
from ._seen import SeenRequest
from ._webhook_sender import Delivery


class Controlled(Protocol):
    """What is shown of a sandbox, and done to it."""

    faults: FaultPlan
    seen: deque[SeenRequest]
    counts: Counter[str]

    def now(self) -> float:
        """Return what its clock shows."""
        ...

    def advance(self, seconds: float) -> None:
        """Move its clock on."""
        ...

    async def elapse(self, seconds: float) -> None:
        """Move its clock on step by step."""
        ...

    def expire(self, session_id: str) -> BookedSession:
        """Let a session expire now."""
        ...

    def resend(self, event_id: str) -> Delivery:
        """Send a webhook once more."""
        ...

    def reset(self) -> None:
        """Let it forget everything."""
        ...
