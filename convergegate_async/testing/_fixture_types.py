"""The types of fixtures that are functions, for tests with annotations."""

from typing import Protocol, Unpack

from convergegate_async.models import EventType
from convergegate_async.sandbox import Delivery, FaultKind, FaultOptions


class FailNext(Protocol):
    """The fixture *fail_next*."""

    def __call__(
        self, kind: FaultKind | str = FaultKind.STATUS, **options: Unpack[FaultOptions]
    ) -> None:
        """Let the next request, or event, meet a fault: options are those of `Fault`.

        An event is the next one whatever it tells, `session.created` before any other,
        unless the fault is for one: ``event="session.completed"``.
        """


class Advance(Protocol):
    """The fixture *advance*."""

    async def __call__(self, seconds: float) -> None:
        """Move the clock of gateway and factories: all happens when it is due."""


class Delivered(Protocol):
    """The fixture *delivered*."""

    async def __call__(
        self, event: EventType | str, session_id: str | None = None
    ) -> Delivery:
        """Wait for the webhooks that are due, and return that of *event*."""
        ...
