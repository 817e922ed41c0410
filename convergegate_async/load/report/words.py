"""How a report speaks: durations, shares and counts as people read them."""

from collections.abc import Mapping

from convergegate_async.load.recorder import Result
from convergegate_async.load.thresholds import Verdict, percentile_of

NOTHING = TO = "\N{EN DASH}"
"""Stands where nothing was measured."""

RESULTS: Mapping[Result, tuple[str, str]] = {
    Result.OK: ("ok", "ended as they should"),
    Result.REJECTED: ("rejected", "refused by the gateway: nothing has happened"),
    Result.NOT_SENT: ("not sent", "never left this machine: nothing has happened"),
    Result.UNKNOWN: ("unknown", "may have happened: neither ok nor failed"),
    Result.FAILED: ("failed", "the scenario itself raised"),
    Result.DROPPED: ("dropped", "due while as many were under way as may be"),
    Result.CUT: ("cut", "the run was over before they were done, or due"),
}
"""What each is called, and what it means."""


def spell_duration(seconds: float) -> str:
    """Return three digits of it: as exact as it was kept."""
    seconds = float(f"{seconds:.3g}")
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{_three_digits(seconds / size)} {unit}"
    raise AssertionError


def _three_digits(number: float) -> str:
    whole = len(str(int(number)))
    return f"{number:,.{max(0, 3 - whole)}f}" if number else "0"


def spell_share(share: float) -> str:
    """Return it in per cent; what is not all does not look so."""
    percent = share * 100
    return next(
        f"{text}%"
        for digits in range(3, 18)
        if float(text := f"{percent:.{digits}g}") != 100 or percent == 100  # noqa: PLR2004
    )


def spell_rate(rate: float) -> str:
    """Return so many a second."""
    return f"{rate:,.1f}/s"


def spell_figure(metric: str, figure: float | None) -> str:
    """Return what was observed of a threshold's metric."""
    if figure is None:
        return "nothing measured"
    if metric in {"max", "mean"} or percentile_of(metric) is not None:
        return spell_duration(figure)
    if metric.endswith("_rate"):
        return spell_share(figure)
    return spell_rate(figure) if metric == "rate" else f"{figure:,.0f}"


def spell_verdict(verdict: Verdict) -> str:
    """Return the observed figure of a threshold."""
    return spell_figure(verdict.threshold.metric, verdict.observed)
