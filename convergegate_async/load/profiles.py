"""When requests are due: a plan that is made before the first of them is sent.

A profile is a rate over time. Sent is whenever one more request is owed: the rate is
added up, and turned round. So one formula serves constant rates, ramps and steps, and
arrivals that are even or by chance differ only in what is owed at a time.
"""

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, count, repeat
from typing import Literal, Self, TypeAlias

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.policy import is_duration

from .times import NANOSECONDS

Arrivals: TypeAlias = Literal["even", "poisson"]

_MOST = 1e9
"""Requests, requests a second and seconds: what is more than this is a slip."""


@attrs.frozen
class Segment:
    """A part of a profile, whose rate is steady or changes steadily.

    Rise for half a minute, and stay there for one::

        rise, stay = Segment(30, 0, 200), Segment(60, 200, 200)
        profile = Profile(segments=(rise, stay))

    Attributes:
        duration: Seconds.
        start: Requests a second at its beginning.
        end: Requests a second at its end.
    """

    duration: float
    start: float
    end: float

    def __attrs_post_init__(self) -> None:
        if not is_duration(self.duration):
            message = "a duration must be a finite number of seconds above 0"
            raise ConfigurationError(message)
        rates = self.start, self.end
        if not all(rate == 0 or is_duration(rate) for rate in rates) or not any(rates):
            message = "a rate must be a finite number of requests a second above 0"
            raise ConfigurationError(message)
        if max(*rates, self.owed, self.duration) > _MOST:
            message = "a plan of so many requests, or so long, cannot be kept"
            raise ConfigurationError(message)

    def __str__(self) -> str:
        rates = [f"{rate:g}/s" for rate in dict.fromkeys((self.start, self.end))]
        return f"{' to '.join(rates)} for {self.duration:g} s"

    @property
    def owed(self) -> float:
        """How many requests are owed at its end, and were not at its beginning."""
        return self.duration * (self.start + self.end) / 2

    def when(self, owed: float) -> float:
        """Return the seconds after which so many are owed."""
        # Of the two forms of the root this one is exact where the rate is steady.
        slope = (self.end - self.start) / self.duration
        rate = math.sqrt(max(0.0, self.start**2 + 2 * slope * owed))
        return 2 * owed / (self.start + rate) if owed else 0.0


@attrs.frozen(kw_only=True)
class Profile:
    """When requests are due.

    A ramp of a minute, as customers come::

        profile = Profile.ramp(10, 200, duration=60, arrivals="poisson")
        plan = LoadPlan(profile=profile)

    Attributes:
        segments: One after the other.
        arrivals: ``even``, or ``poisson``: by chance, as customers come who know
            nothing of each other.
        seed: Of the chance: the same seed is the same plan.
    """

    segments: tuple[Segment, ...]
    arrivals: Arrivals = "even"
    seed: int = 0

    @classmethod
    def constant(
        cls, rate: float, duration: float, *, arrivals: Arrivals = "even", seed: int = 0
    ) -> Self:
        """Return one of so many requests a second, for so many seconds.

        Raises:
            ConfigurationError: One of them is not a finite number above 0.
        """
        return cls.ramp(rate, rate, duration, arrivals=arrivals, seed=seed)

    @classmethod
    def ramp(
        cls,
        start: float,
        end: float,
        duration: float,
        *,
        arrivals: Arrivals = "even",
        seed: int = 0,
    ) -> Self:
        """Return one whose rate changes steadily; one of both ends may be 0.

        Raises:
            ConfigurationError: One of them is not a finite number above 0.
        """
        segments = (Segment(duration, start, end),)
        return cls(segments=segments, arrivals=arrivals, seed=seed)

    @classmethod
    def steps(
        cls,
        rates: Iterable[float],
        duration: float,
        *,
        arrivals: Arrivals = "even",
        seed: int = 0,
    ) -> Self:
        """Return one rate after the other, each for so many seconds.

        Raises:
            ConfigurationError: There is none, or one is not a finite number above 0.
        """
        segments = tuple(Segment(duration, rate, rate) for rate in rates)
        return cls(segments=segments, arrivals=arrivals, seed=seed)

    @classmethod
    def parse(
        cls, rate: str, duration: float, *, arrivals: Arrivals = "even", seed: int = 0
    ) -> Self:
        """Return a profile as it is written in a word.

        Args:
            rate: Requests a second: ``200``; ``10..200`` for a ramp; ``50,100,200`` for
                steps.
            duration: Seconds of all of it.
            arrivals: Even, or by chance.
            seed: Of the chance.

        Raises:
            ConfigurationError: It is none of these.
        """
        steps = [_rate_of(part) for part in rate.split(",")]
        segments = tuple(
            Segment(duration / len(steps), start, end) for start, end in steps
        )
        return cls(segments=segments, arrivals=arrivals, seed=seed)

    def __str__(self) -> str:
        chance = "" if self.arrivals == "even" else f", {self.arrivals} {self.seed}"
        return ", then ".join(map(str, self.segments)) + chance

    def __attrs_post_init__(self) -> None:
        if not self.segments:
            message = "a profile needs a rate"
            raise ConfigurationError(message)
        if self.arrivals not in {"even", "poisson"}:
            message = "arrivals must be even or poisson"
            raise ConfigurationError(message)

    @property
    def duration(self) -> float:
        """Seconds from the first segment's beginning to the last one's end."""
        return math.fsum(segment.duration for segment in self.segments)

    @property
    def peak(self) -> float:
        """The highest rate of it, in requests a second."""
        return max(max(one.start, one.end) for one in self.segments)

    def count(self) -> int | None:
        """Return how many requests are due; `None` if chance decides."""
        if self.arrivals != "even":
            return None
        number, before = 0, 0.0
        for segment in self.segments:
            # What `due_times` asks of each, asked of the last ones only.
            number = max(number, math.floor(before + segment.owed) - 2)
            while number - before < segment.owed:
                number += 1
            before += segment.owed
        return number

    def due_times(self) -> Iterator[int]:
        """Yield when each request is due, in nanoseconds from the beginning.

        They are in their order, and no more of them is held in memory than the next.
        """
        owed = self._owed()
        next_owed = next(owed)
        start = before = 0.0
        for segment in self.segments:
            while next_owed - before < segment.owed:
                moment = start + segment.when(next_owed - before)
                yield round(moment * NANOSECONDS)
                next_owed = next(owed)
            start += segment.duration
            before += segment.owed

    def _owed(self) -> Iterator[float]:
        """Yield how many are owed where one more is sent."""
        if self.arrivals == "even":
            return map(float, count())
        chance = random.Random(self.seed)  # noqa: S311 -- when requests come is no secret
        return accumulate(chance.expovariate(1.0) for _ in repeat(None))


def _rate_of(text: str) -> tuple[float, float]:
    """Return the rates at both ends of a step."""
    start, is_ramp, end = text.partition("..")
    try:
        return float(start), float(end if is_ramp else start)
    except ValueError:
        message = "a rate is a number, as in 200, 10..200 or 50,100,200"
        raise ConfigurationError(message) from None


def _as_tuple(moments: Iterable[float]) -> tuple[float, ...]:
    return tuple(moments)


@attrs.frozen
class Trace:
    """Arrivals as they were recorded.

    Load as it was on a day that you remember::

        trace = Trace([1700000000.0, 1700000000.4, 1700000001.7])
        plan = LoadPlan(profile=trace)

    Attributes:
        moments: Seconds, on whatever clock; the first of them is the beginning.
    """

    moments: tuple[float, ...] = attrs.field(converter=_as_tuple, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return a trace from a text of a moment in seconds a line.

        Raises:
            ConfigurationError: A line is no number, or they are not in their order.
        """
        lines = [line.strip() for line in text.splitlines()]
        try:
            moments = [float(line) for line in lines if line and line[0] != "#"]
        except ValueError:
            message = "a trace is a text with a moment in seconds on each line"
            raise ConfigurationError(message) from None
        return cls(moments)

    def __str__(self) -> str:
        return f"{len(self.moments):,} recorded arrivals in {self.duration:g} s"

    def __attrs_post_init__(self) -> None:
        if not self.moments:
            message = "a trace needs an arrival"
            raise ConfigurationError(message)
        pairs = zip(self.moments, self.moments[1:], strict=False)
        if not all(map(math.isfinite, self.moments)) or any(a > b for a, b in pairs):
            message = "the arrivals of a trace must be finite, and in their order"
            raise ConfigurationError(message)
        if self.duration > _MOST:
            message = "a trace of so long cannot be kept"
            raise ConfigurationError(message)

    @property
    def duration(self) -> float:
        """Seconds from the first arrival to the last."""
        return self.moments[-1] - self.moments[0]

    @property
    def peak(self) -> float:
        """The most arrivals that came in one second."""
        first = self.moments[0]
        return max(Counter(int(one - first) for one in self.moments).values())

    def count(self) -> int:
        """Return how many requests are due."""
        return len(self.moments)

    def due_times(self) -> Iterator[int]:
        """Yield when each request is due, in nanoseconds from the beginning."""
        first = self.moments[0]
        return (round((moment - first) * NANOSECONDS) for moment in self.moments)
