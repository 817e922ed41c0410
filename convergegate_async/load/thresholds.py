"""What a run has to keep: ``p99<300ms``, ``error_rate<0.1%``, ``rate>=195``.

Each may be of one step of the scenario, ``pay:p99<2s``. What nothing was measured of is
not kept: a run that sent nothing proves nothing.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from convergegate_async.errors import ConfigurationError

from .recorder import Measured, Result, Snapshot

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_SHARES = {"%": 0.01, "": 1.0}
_COUNTS = {"": 1.0, "/s": 1.0}
_NUMBERS = {"": 1.0}

_FORM = re.compile(
    r"(?:(?P<step>[A-Za-z_][A-Za-z0-9_-]*):)?(?P<metric>[a-z][a-z_0-9.]*)"
    r"\s*(?P<comparison><=|>=|<|>)\s*(?P<bound>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-zµ/%]*)"
)
_PERCENTILE = re.compile(r"p(?P<percentile>[0-9]{1,2}(?:\.[0-9]{1,4})?)")
_TIMES = frozenset({"max", "mean"})
_SHARE_METRICS = frozenset({"error_rate", "unknown_rate", "dropped_rate"})
_COUNT_METRICS = frozenset({"rate", "dropped", "errors"})


class Run(Protocol):
    """A run that is over, or on."""

    @property
    def total(self) -> Measured | Snapshot:
        """What became of all iterations."""
        ...

    @property
    def steps(self) -> Mapping[str, Measured | Snapshot]:
        """What became of the steps of the scenario, by name."""
        ...


@attrs.frozen
class Threshold:
    """What a figure has to keep.

    Of a step of the scenario::

        threshold = Threshold.parse("pay:p99<2s")
        plan = LoadPlan(profile=profile, thresholds=[threshold])

    Attributes:
        metric: ``p99``, ``p99.9``, ``max``, ``mean``, ``error_rate``, ``unknown_rate``,
            ``dropped_rate``, ``rate``, ``errors`` or ``dropped``.
        comparison: ``<``, ``<=``, ``>`` or ``>=``.
        bound: In seconds, or as a share, or a count.
        text: As it was given.
        step: Of the scenario; `None` for all of it.
    """

    metric: str
    comparison: str
    bound: float
    text: str
    step: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Read a threshold.

        Raises:
            ConfigurationError: It is none, or its unit is not one of its metric.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            message = (
                "a threshold is a metric, a comparison and a bound, such as "
                "p99<300ms, error_rate<0.1% or rate>=195"
            )
            raise ConfigurationError(message)
        metric, unit = found["metric"], found["unit"]
        units = _units_of(metric)
        if unit not in units:
            expected = " or ".join(filter(None, units)) or "none"
            message = f"the unit of the threshold's {metric} must be {expected}"
            raise ConfigurationError(message)
        bound = float(found["bound"]) * units[unit]
        if metric in _SHARE_METRICS and bound >= 1:
            message = f"the threshold's {metric} must be below 100%, as in 0.1%"
            raise ConfigurationError(message)
        return cls(metric, found["comparison"], bound, text.strip(), found["step"])

    def judge(self, run: Run, seconds: float) -> "Verdict":
        """Return whether it is kept by what was measured in so many *seconds*."""
        measured = run.total if self.step is None else run.steps.get(self.step)
        observed = None
        if measured is not None:
            observed = figure_of(self.metric, measured, seconds)
        compare = _COMPARISONS[self.comparison]
        is_kept = observed is not None and compare(observed, self.bound)
        return Verdict(self, observed, is_kept)


@attrs.frozen
class Verdict:
    """Whether a threshold was kept.

    Attributes:
        observed: In the unit of the threshold's *bound*; `None` of nothing.
    """

    threshold: Threshold
    observed: float | None
    is_kept: bool


def figure_of(
    metric: str, measured: Measured | Snapshot, seconds: float
) -> float | None:
    """Return what was *measured* in so many *seconds*; `None` if nothing was.

    Times are in seconds of response time. A *rate* is what ended well in a second.
    Shares of errors are of all that ended, whatever they came to; those dropped, of all
    that was planned.
    """
    counts = measured.counts
    planned = counts.total()
    ended = planned - counts[Result.DROPPED] - counts[Result.CUT]
    wrong = ended - counts[Result.OK]
    if metric in _COUNT_METRICS | _SHARE_METRICS:
        figures = {
            "rate": _share(counts[Result.OK], seconds),
            "errors": wrong,
            "dropped": counts[Result.DROPPED],
            "dropped_rate": _share(counts[Result.DROPPED], planned),
            "error_rate": _share(wrong, ended),
            "unknown_rate": _share(counts[Result.UNKNOWN], ended),
        }
        return figures[metric] if planned else None
    if not measured.response:
        return None
    percentile = percentile_of(metric)
    if percentile is not None:
        return measured.response.percentiles([percentile])[percentile]
    return measured.response.longest if metric == "max" else measured.response.mean


def _share(part: int, whole: float) -> float | None:
    return part / whole if whole else None


def percentile_of(metric: str) -> float | None:
    """Return 99.9 of ``p99.9``; `None` of what is no percentile."""
    found = _PERCENTILE.fullmatch(metric)
    return None if found is None else float(found["percentile"])


def _units_of(metric: str) -> dict[str, float]:
    if metric in _TIMES or percentile_of(metric) is not None:
        return _SECONDS
    if metric in _SHARE_METRICS:
        return _SHARES
    if metric in _COUNT_METRICS:
        return _COUNTS if metric == "rate" else _NUMBERS
    message = (
        "a threshold's metric must be one of p50, p99 and the like, "
        f"{', '.join(sorted(_TIMES | _SHARE_METRICS | _COUNT_METRICS))}"
    )
    raise ConfigurationError(message)
