"""What a job does: one activity after another, each ended before the job is left."""

import asyncio
from collections.abc import AsyncGenerator
from types import AsyncGeneratorType
from typing import Protocol, TypeVar

from convergegate_async.bulk.journal.records import JournalError
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.errors import ConvergeGateError

from .progress_file import JobProgress

T = TypeVar("T")


class Activity(Protocol):
    """Something that a job does, one outcome after the other."""

    @property
    def is_begun(self) -> bool:
        """Whether it has done anything."""

    @property
    def limits(self) -> Limits:
        """How fast it may be."""

    @property
    def progress(self) -> JobProgress:
        """How far it is."""

    @property
    def pace(self) -> PaceInfo | None:
        """What holds it back just now."""

    @property
    def is_answered(self) -> bool:
        """Whether the gateway has said anything."""

    def stop(self) -> None:
        """Begin nothing further; what is under way goes on to its end."""


class Activities:
    """Those of one job.

    Args:
        first: What is told of before there is another.

    Attributes:
        last: What was begun last.
    """

    def __init__(self, first: Activity) -> None:
        self.last: Activity = first
        self._kept: list[tuple[Activity, AsyncGenerator[object, None]]] = []

    @property
    def are_begun(self) -> bool:
        """Whether one of them is begun, and not yet at its end."""
        return any(
            activity.is_begun and not _is_over(outcomes)
            for activity, outcomes in self._kept
        )

    def keep(
        self, activity: Activity, outcomes: AsyncGenerator[T, None]
    ) -> AsyncGenerator[T, None]:
        """Keep an activity, so that whoever leaves the job can end it."""
        self.last = activity
        self._kept.append((activity, outcomes))
        return outcomes

    def stop(self) -> None:
        """Begin nothing further; what is under way goes on to its end."""
        self.last.stop()
        for activity, _ in self._kept:
            activity.stop()

    async def end(self, *, at_once: bool) -> None:
        """Have written what is under way.

        Args:
            at_once: What is under way is cut.

        Raises:
            JournalError: The journal cannot be written.
        """
        self.stop()
        for activity, outcomes in self._kept:
            while _is_awaited(outcomes):  # noqa: ASYNC110 -- by another task
                await asyncio.sleep(0.01)
            if at_once or not activity.is_begun:
                await outcomes.aclose()
            else:
                await _exhaust(outcomes)


def _is_awaited(outcomes: AsyncGenerator[object, None]) -> bool:
    return isinstance(outcomes, AsyncGeneratorType) and outcomes.ag_running


def _is_over(outcomes: AsyncGenerator[object, None]) -> bool:
    return isinstance(outcomes, AsyncGeneratorType) and outcomes.ag_frame is None


async def _exhaust(outcomes: AsyncGenerator[object, None]) -> None:
    """Go on to the end; what ends it is told to nobody any more."""
    try:
        async for _ in outcomes:
            pass
    except JournalError:
        raise
    except ConvergeGateError:  # all is written down, which the next run goes by
        pass
