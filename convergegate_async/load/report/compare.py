"""Two runs beside each other: what differs by more than chance, what cannot be told.

Latency of one second is like that of the next: a target that stands still for a second
is felt by every request of it. Were single requests drawn anew, two hundred slow ones
would count as two hundred witnesses of what was one event, and two runs of the same
target would nearly always "differ". So whole intervals are drawn, in blocks of
neighbours.
"""

import random
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

import attrs

from convergegate_async.load.recorder import Interval, Result
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.thresholds import figure_of, percentile_of
from convergegate_async.load.times import rank_of

METRICS = ("p50", "p90", "p95", "p99", "p99.9", "max", "mean", "error_rate", "rate")
"""What is compared: response times of all iterations, and how they ended."""

FEWEST_INTERVALS = 13
"""Seven blocks of two: with fewer the spread cannot be told from chance."""

FEWEST_BLOCKS = 7
"""A figure that fewer blocks of intervals have a part in rests on single events."""

RESOLUTION = 0.01
"""Differences below it are finer than the histograms of intervals."""

_DRAWS = 1_000
_LOW, _HIGH = 0.025, 0.975  # a 95 % interval
_STUDENT = 1.21  # of blocks: Student's quantile is 1.96 * (1 + 1.21 / (blocks - 1))
_SEED = 20_261_128
_LANE = 8  # bytes of a counter
_MICROSECONDS = 1_000_000  # in a second


@attrs.frozen(kw_only=True)
class Difference:
    """One figure of two runs.

    Attributes:
        metric: One of `METRICS`.
        before: In the first run: seconds, a share, or a rate; `None` of nothing.
        after: In the second.
        change: By which share *after* is more than *before*; of an ``error_rate`` what
            *after* is more, as it is often 0 before. `None` where one is missing.
        interval: What it is with 95 % confidence; `None` where it cannot be told.
        why_not: Why it cannot.
    """

    metric: str
    before: float | None
    after: float | None
    change: float | None
    interval: tuple[float, float] | None = None
    why_not: str | None = None

    @property
    def is_change(self) -> bool:
        """Whether the two differ by more than chance, and than what can be resolved."""
        if self.interval is None or self.change is None:
            return False
        low, high = self.interval
        finest = 0 if self.metric == "error_rate" else RESOLUTION
        return (low > 0 or high < 0) and abs(self.change) > finest


@attrs.frozen(kw_only=True)
class Comparison:
    """Two runs beside each other.

    Attributes:
        differences: One of each of `METRICS`.
        caveats: Why it does not prove what it seems to; a sentence each.
    """

    differences: tuple[Difference, ...]
    caveats: tuple[str, ...] = ()


def compare(before: LoadReport, after: LoadReport) -> Comparison:
    """Compare two runs, figure by figure; the same two always come to the same.

    Intervals of confidence are those of a circular block bootstrap: of each run as many
    intervals as it has are drawn with replacement, in blocks of neighbours as long as
    the cube root of their number, a thousand times over, and what comes out is widened
    as Student's does for few blocks. What rests on too few blocks is told to. In 270
    pairs of simulated runs of the same target, with standstills and without, of 20 s to
    300 s, 3 % of the figures were called a change; where each answer took a fifth
    longer, all medians of quiet targets and 57 of 60 of those that stood still were.

    A run whose rate rises is drawn as if its load had come in any order, which makes
    its intervals wider than they have to be.
    """
    chance = random.Random(_SEED)  # noqa: S311 -- it draws samples, and no secrets
    runs = [_Resampled(report) for report in (before, after)]
    drawn = [list(one.draw(chance)) for one in runs]
    return Comparison(
        differences=tuple(
            _difference(metric, (before, after), runs, drawn) for metric in METRICS
        ),
        caveats=tuple(_caveats(before, after)),
    )


def _difference(
    metric: str,
    reports: Sequence[LoadReport],
    runs: Sequence["_Resampled"],
    drawn: Sequence[list[dict[str, float | None]]],
) -> Difference:
    before, after = (
        figure_of(metric, report.recorder.total, report.seconds) for report in reports
    )
    change = _change(metric, before, after)
    why_not = next(filter(None, (one.why_not(metric) for one in runs)), None)
    changes = (
        []
        if change is None or why_not
        else sorted(
            found
            for one, other in zip(*drawn, strict=True)
            if (found := _change(metric, one[metric], other[metric])) is not None
        )
    )
    return Difference(
        metric=metric,
        before=before,
        after=after,
        change=change,
        interval=_interval(changes, metric, runs) if changes else None,
        why_not=why_not,
    )


def _change(metric: str, before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    if metric == "error_rate":
        return after - before
    return after / before - 1 if before else None


def _interval(
    ordered: Sequence[float], metric: str, runs: Sequence["_Resampled"]
) -> tuple[float, float]:
    """Return what lies in the middle, wider by what few blocks cannot tell."""
    last = len(ordered) - 1
    low, high = ordered[round(last * _LOW)], ordered[round(last * _HIGH)]
    fewest = min(one.blocks for one in runs)
    wider = (high - low) / 2 * _STUDENT / (fewest - 1)
    if metric == "rate":  # of when the last answer came, intervals know nothing
        wider += max(one.overrun for one in runs)
    return low - wider, high + wider


def _caveats(before: LoadReport, after: LoadReport) -> Iterator[str]:
    for name, report in (("first", before), ("second", after)):
        if report.caveat is not None:
            yield f"the {name} run is {report.status}: {report.caveat}"
    for name in ("scenario", "profile", "target", "processes", "max_attempts"):
        one, other = getattr(before.facts, name), getattr(after.facts, name)
        if one != other:
            yield f"they differ in their {name.replace('_', ' ')}: {one}, {other}"


class _Resampled:
    """A run as it might have been: its intervals, drawn with replacement.

    All counters of an interval lie in one long number, 64 bits each: how many took at
    most so long, for each duration that there was, then sums. So intervals are added by
    adding numbers, which is what makes a thousand draws a matter of a moment.
    """

    _SUMS = 3  # microseconds in all, well ended, ended

    def __init__(self, report: LoadReport) -> None:
        parts = list(report.recorder.intervals())
        counts = [dict(part.response.counts()) for part in parts]
        self._durations = sorted(set().union(*counts))
        self._size = len(self._durations) + self._SUMS
        self._longest = [max(count, default=0.0) for count in counts]
        self._spent = [
            sum(seconds * number for seconds, number in count.items())
            for count in counts
        ]
        self._lots = [
            self._packed(part, count, spent)
            for part, count, spent in zip(parts, counts, self._spent, strict=True)
        ]
        self._length = max(1, int(len(parts) ** (1 / 3)))
        self._report = report

    def _packed(self, part: Interval, counts: dict[float, int], spent: float) -> int:
        planned = part.counts.total()
        ended = planned - part.counts[Result.DROPPED] - part.counts[Result.CUT]
        lanes = (
            *accumulate(counts.get(one, 0) for one in self._durations),
            round(spent * _MICROSECONDS),
            part.counts[Result.OK],
            ended,
        )
        return int.from_bytes(
            b"".join(lane.to_bytes(_LANE, sys.byteorder) for lane in lanes),
            sys.byteorder,
        )

    @property
    def blocks(self) -> int:
        """How many blocks make a run."""
        return -(-len(self._lots) // self._length)

    @property
    def overrun(self) -> float:
        """Which share of the run its last answers took, after its planned end."""
        seconds = self._report.seconds
        return max(0.0, seconds - self._report.facts.seconds) / seconds

    def why_not(self, metric: str) -> str | None:
        """Return why it cannot be told how a figure varies; `None` if it can."""
        if metric == "max":
            return "the longest of a run is a single event"
        if len(self._lots) < FEWEST_INTERVALS:
            return f"too short to tell: fewer than {FEWEST_INTERVALS} intervals"
        if self._witnesses(metric) < FEWEST_BLOCKS:
            return "rests on too few events of the run"
        return None

    def _witnesses(self, metric: str) -> float:
        """Return how many blocks have a part in a figure."""
        percentile = percentile_of(metric)
        if percentile is not None:
            response = self._report.recorder.total.response
            least = response.percentiles([percentile])[percentile] * (1 - RESOLUTION)
            return sum(max(block) >= least for block in self._split(self._longest))
        if metric == "mean":  # as many as would weigh so, were all of them alike
            spent = [sum(block) for block in self._split(self._spent)]
            return sum(spent) ** 2 / (sum(one**2 for one in spent) or 1)
        return self.blocks

    def _split(self, values: Sequence[float]) -> Iterator[Sequence[float]]:
        starts = range(0, len(values), self._length)
        return (values[start : start + self._length] for start in starts)

    def draw(self, chance: random.Random) -> Iterator[dict[str, float | None]]:
        """Yield the figures of a thousand runs as this one might have been."""
        number, length = len(self._lots), self._length
        round_about = self._lots + self._lots[: length - 1]
        blocks = [sum(round_about[at : at + length]) for at in range(number)]
        for _ in range(_DRAWS if number else 0):
            some = chance.choices(blocks, k=self.blocks)
            yield self._figures(sum(some), self.blocks * length)

    def _figures(self, drawn: int, intervals: int) -> dict[str, float | None]:
        """Return the figures of so many *intervals*, which were *drawn*."""
        packed = drawn.to_bytes(_LANE * self._size, sys.byteorder)
        lanes = memoryview(packed).cast("Q")
        at_most, (total, ok, ended) = lanes[: -self._SUMS], lanes[-self._SUMS :]
        seconds = self._report.seconds * intervals / len(self._lots)
        figures: dict[str, float | None] = {
            "error_rate": (ended - ok) / ended if ended else None,
            "rate": ok / seconds if seconds else None,
        }
        if not at_most or not at_most[-1]:
            return dict.fromkeys(METRICS) | figures
        count = at_most[-1]
        for metric in METRICS:
            percentile = percentile_of(metric)
            if percentile is not None:
                rank = rank_of(percentile, count)
                figures[metric] = self._durations[bisect_left(at_most, rank)]
        return figures | {"mean": total / count / _MICROSECONDS, "max": None}
