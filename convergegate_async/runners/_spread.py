"""Slices of work that begin together, one a worker, and none of them twice."""

import time
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import attrs

C = TypeVar("C")
R = TypeVar("R")

MOST_NEWS = 1_000  # of one worker, that wait to be fetched: more, and some are lost


class Part(Protocol):
    """What a worker is given beside its slice: when to begin, and how to be heard."""

    @property
    def start(self) -> float:
        """When all begin, in seconds of this worker's own `time.time`."""
        ...

    @property
    def offset(self) -> float:
        """How many seconds this worker's clock is ahead of the submitting side's."""
        ...

    @property
    def margin(self) -> float:
        """By how many seconds *offset* may be wrong either way."""
        ...

    def is_stopped(self) -> bool:
        """Whether to end early with what there is; asking takes microseconds.

        It is so, too, where the submitting side has not been heard of for long.
        """
        ...

    def tell(self, news: object) -> None:
        """Send something small and picklable ahead of the result, without waiting.

        It may be lost.
        """
        ...


@attrs.frozen
class Spread(Generic[R]):
    """What came of one slice.

    Attributes:
        result: What the work returned; ``None`` where it was lost or did not begin.
        problem: Why it was lost or did not begin, in one sentence.
        offset: How many seconds the worker's clock is ahead of the submitting side's.
        margin: By how many seconds *offset* may be wrong either way.
    """

    result: R | None
    problem: str | None
    offset: float
    margin: float


@attrs.frozen
class Clock:
    """How a worker's clock differs from the submitting side's, in seconds."""

    offset: float
    margin: float


SAME_CLOCK = Clock(offset=0.0, margin=0.0)


@attrs.frozen
class RoundTrip:
    """A worker was asked for its time.

    Attributes:
        asked: When, by the clock of who asked.
        answer: The time that the worker gave.
        took: Seconds from the question to the answer.
    """

    asked: float
    answer: float
    took: float


def clock_from(trips: Iterable[RoundTrip]) -> Clock:
    """Return what the shortest trip says of the worker's clock.

    The worker looked at it at some time between question and answer.
    """
    trip = min(trips, key=lambda trip: trip.took)
    margin = trip.took / 2
    return Clock(trip.answer - (trip.asked + margin), margin)


def too_few(slices: int, workers: int) -> str:
    """Return what is said before anything begins."""
    return f"{slices} slices need as many workers, and there are {workers}"


def lost(problem: str, clock: Clock) -> Spread[R]:
    """Return what is told of a slice without a result."""
    return Spread(None, problem, clock.offset, clock.margin)


def do_in_time(work: Callable[[C, Part], R], item: C, part: Part) -> Spread[R]:
    """Do a slice on its worker, unless the common start has passed, or may have."""
    clock = Clock(part.offset, part.margin)
    if time.time() + part.margin >= part.start:
        return lost("the start had passed when the worker was to begin", clock)
    return Spread(work(item, part), None, clock.offset, clock.margin)
