"""What became of every planned iteration, counted once, in memory that does not grow.

Response time is measured from when an iteration was due, service time from when it was
sent: a gap between the two is a queue, in the target or in front of it.
"""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

import attrs

from .times import COARSE, NANOSECONDS, Times

MOST_INTERVALS = 600
"""How many intervals are kept of a run; beyond it, two at a time become one."""

MOST_STEPS, OTHERS = 100, "(others)"
"""How many steps are kept apart, and what all further ones are called."""


class Result(StrEnum):
    """What became of an iteration, or of a step of it."""

    OK = "ok"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    FAILED = "failed"
    """The scenario itself raised."""
    CUT = "cut"
    """The run was over before it was done, or due."""
    DROPPED = "dropped"
    """It was due while as many were under way as may be."""


@attrs.frozen(kw_only=True)
class Iteration:
    """One planned run of the scenario, and what became of it.

    Attributes:
        due: When it was to be sent, in nanoseconds of the run.
        sent: When it was; `None` if it was not.
        ended: When that was known.
        error: Of what kind its error was: a class, and a status if there was one.
        example: What such an error said.
    """

    due: int
    sent: int | None
    ended: int
    result: Result
    error: str | None = None
    example: str = ""


@attrs.define
class Failure:
    """Errors of one kind.

    Attributes:
        example: What the first of them said.
    """

    count: int
    example: str


@attrs.define(kw_only=True)
class Snapshot:
    """What can be told of iterations, or of a step, while a run is on.

    Attributes:
        counts: By result.
        errors: By kind.
        response: In a form that is quickly looked at, and sent.
    """

    counts: Counter[Result] = attrs.field(factory=Counter)
    errors: Counter[str] = attrs.field(factory=Counter)
    response: Times = attrs.field(factory=lambda: Times(COARSE))

    def add(self, other: "Snapshot") -> None:
        """Take in what another worker tells."""
        self.counts += other.counts
        self.errors += other.errors
        self.response.add(other.response)


class Measured:
    """What became of all iterations, or of one step of theirs.

    Attributes:
        counts: By result.
        errors: By kind.
        response: From when they were due; of a step that is not the first, from where
            the scenario came to it.
        service: From when they were sent.
    """

    __slots__ = ("_so_far", "counts", "errors", "response", "service")

    def __init__(self) -> None:
        self.counts: Counter[Result] = Counter()
        self.errors: dict[str, Failure] = {}
        self.response: Times = Times()
        self.service: Times = Times()
        self._so_far = Times(COARSE)

    def count(self, result: Result, error: str | None, example: str = "") -> None:
        """Count one."""
        self.counts[result] += 1
        if error is not None:
            self._add_failure(error, Failure(1, example))

    def record(self, response: int, service: int) -> None:
        """Keep how long one took, in nanoseconds."""
        self.response.record(response)
        self._so_far.record(response)
        self.service.record(service)

    def snapshot(self) -> Snapshot:
        """Return what can be told of it now; look at it, and do not keep it."""
        errors = {kind: failure.count for kind, failure in self.errors.items()}
        return Snapshot(
            counts=self.counts, errors=Counter(errors), response=self._so_far
        )

    def add(self, other: "Measured") -> None:
        """Take in what another worker has measured."""
        self.counts += other.counts
        self.response.add(other.response)
        self.service.add(other.service)
        self._so_far.add(other._so_far)  # noqa: SLF001 -- its own class
        for error, failure in other.errors.items():
            self._add_failure(error, failure)

    def _add_failure(self, error: str, failure: Failure) -> None:
        known = self.errors.get(error)
        if known is None:
            self.errors[error] = attrs.evolve(failure)
        else:
            known.count += failure.count


class Interval:
    """What became of the iterations that were due in one part of the run.

    Attributes:
        start: Seconds from the beginning of the run.
        seconds: How long it is.
    """

    __slots__ = ("counts", "response", "seconds", "start")

    def __init__(self, start: int, seconds: int) -> None:
        self.start: int = start
        self.seconds: int = seconds
        self.counts: Counter[Result] = Counter()
        self.response: Times = Times(COARSE)

    def add(self, other: "Interval") -> None:
        """Take in another part, or what another worker has measured of this one."""
        self.counts += other.counts
        self.response.add(other.response)


class Recorder:
    """Counts what became of iterations.

    Attributes:
        total: Of all of them.
        steps: Of the scenario, by name, in the order in which they were met.
        phases: How long those of an attempt took, by name.
        lag: How much later than due iterations were sent.
        ended: When the last one ended, in nanoseconds of the run.
    """

    def __init__(self) -> None:
        self.total: Measured = Measured()
        self.steps: dict[str, Measured] = {}
        self.phases: dict[str, Times] = {}
        self.lag: Times = Times(COARSE)
        self.ended: int = 0
        self._intervals: dict[int, Interval] = {}
        self._width = 1

    def record(self, iteration: Iteration) -> None:
        """Count a planned iteration, of which all is known now.

        One that was cut short counts as long as it was under way: it took that at
        least, and without it the slowest would be missing.
        """
        self.total.count(iteration.result, iteration.error, iteration.example)
        interval = self._interval_of(iteration.due)
        interval.counts[iteration.result] += 1
        if iteration.sent is None:
            return
        self.ended = max(self.ended, iteration.ended)
        response = iteration.ended - iteration.due
        self.total.record(response, iteration.ended - iteration.sent)
        interval.response.record(response)
        self.lag.record(iteration.sent - iteration.due)

    def cut(self, count: int) -> None:
        """Count iterations that were not due yet when the run was stopped."""
        if count:
            self.total.counts[Result.CUT] += count

    def step(self, name: str) -> Measured:
        """Return what was measured of a step; of `OTHERS` beyond `MOST_STEPS` names."""
        step = self.steps.get(name)
        if step is None:
            if len(self.steps) >= MOST_STEPS and name != OTHERS:
                return self.step(OTHERS)
            step = self.steps[name] = Measured()
        return step

    def phase(self, name: str) -> Times:
        """Return how long a phase took."""
        times = self.phases.get(name)
        if times is None:
            times = self.phases[name] = Times(COARSE)
        return times

    def intervals(self) -> Iterator[Interval]:
        """Yield the parts of the run in their order."""
        return (self._intervals[start] for start in sorted(self._intervals))

    def latest(self, now: int) -> Interval | None:
        """Return the part of the run that was the last to be over."""
        start = (now // NANOSECONDS // self._width - 1) * self._width
        return self._intervals.get(start)

    def add(self, other: "Recorder") -> None:
        """Take in what another worker has recorded of the same run."""
        self.total.add(other.total)
        self.lag.add(other.lag)
        self.ended = max(self.ended, other.ended)
        for name, step in other.steps.items():
            self.step(name).add(step)
        for name, times in other.phases.items():
            self.phase(name).add(times)
        for interval in other.intervals():
            self.add_interval(interval)

    def add_interval(self, interval: Interval) -> None:
        """Take in what was measured in one part of the run."""
        while self._width < interval.seconds:
            self._widen()
        self._interval_of(interval.start * NANOSECONDS).add(interval)

    def _interval_of(self, due: int) -> Interval:
        start = due // NANOSECONDS // self._width * self._width
        interval = self._intervals.get(start)
        if interval is None:
            if len(self._intervals) >= MOST_INTERVALS:
                self._widen()
                return self._interval_of(due)
            interval = self._intervals[start] = Interval(start, self._width)
        return interval

    def _widen(self) -> None:
        """Make one interval of two, so that half as many are kept."""
        self._width *= 2
        narrow, self._intervals = self._intervals, {}
        for interval in narrow.values():
            self._interval_of(interval.start * NANOSECONDS).add(interval)
