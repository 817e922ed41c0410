"""The pictures of a run, one function for each."""

import math
from collections.abc import Callable, Iterator

import attrs

from convergegate_async.load.report.charts.drawing import (
    HEIGHT,
    Drawing,
    Sheet,
    chart_of,
    duration_axis,
    legend_of,
    libraries,
    time_axis,
)
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.palette import HEAT
from convergegate_async.load.report.series import (
    LINES,
    WRONG,
    curve_rows,
    error_rows,
    heat_rows,
    latency_rows,
    phase_rows,
    rate_rows,
)
from convergegate_async.load.report.words import RESULTS, spell_duration, spell_rate
from convergegate_async.load.thresholds import figure_of

OVER_TIME = 4
"""How many of the first pictures are over time."""

_SHARES = {1: "0", 2: "50", 10: "90", 100: "99", 1_000: "99.9"}
_STEPS = 4  # of an axis that counts
_MOST_DOTS = 60  # intervals, beyond which lines do without


@attrs.frozen
class Picture:
    """What a picture shows, and how it is drawn.

    Attributes:
        has_data: Whether there is something to draw.
    """

    title: str
    text: str
    draw: Callable[[LoadReport, Sheet], Drawing]
    has_data: bool


def pictures_of(report: LoadReport) -> Iterator[Picture]:
    """Yield the pictures of a run in their order, those over time first."""
    total = report.recorder.total
    found = total.response.percentiles([50, 90, 99])
    p50, p90, p99 = map(spell_duration, found.values())
    text = (
        "Percentiles of each interval on a logarithmic axis. Over the whole run "
        f"p50 was {p50}, p90 {p90} and p99 {p99}."
    )
    yield Picture("Response time over time", text, _latency, bool(total.response))
    text = (
        "A heat map: the stronger its colour, the more requests that were due then "
        f"took so long; half took {p50} or less, one in a hundred {p99} or more."
    )
    yield Picture("Where response times lay", text, _heat, bool(total.response))
    rate = figure_of("rate", total, report.seconds) or 0.0
    text = f"What was planned, and what ended ok: {spell_rate(rate)} on average."
    yield Picture("Rate over time", text, _rates, bool(report.intervals))
    wrong = sum(total.counts[result] for result in WRONG)
    text = f"Iterations of each interval by what became of them: {wrong:,} in all."
    has_errors = any(True for _ in error_rows(report))
    yield Picture("What did not end ok, over time", text, _errors, has_errors)
    text = (
        "How long the slowest took: response time from when they were due beside "
        f"service time from when they were sent; p99 of the response is {p99}."
    )
    yield Picture("Percentile curve", text, _curve, bool(total.response))
    text = "Percentiles of each phase; the table below has the figures."
    has_phases = any(True for _ in phase_rows(report))
    yield Picture("Where the time of an attempt went", text, _phases, has_phases)


def _latency(report: LoadReport, sheet: Sheet) -> Drawing:
    rows = list(latency_rows(report))
    is_short = len(report.intervals) <= _MOST_DOTS
    return (
        chart_of(rows, sheet)
        .mark_line(
            strokeWidth=2,
            point={"filled": True, "size": 18} if is_short else False,
            strokeJoin="round",
        )
        .encode(
            x=time_axis("time:Q", sheet),
            y=duration_axis("seconds:Q", rows, sheet),
            color=legend_of("line:N", {line: line for line in LINES}, sheet),
        )
    )


def _heat(report: LoadReport, sheet: Sheet) -> Drawing:
    names, rows = heat_rows(report)
    return (
        chart_of(rows, sheet)
        .mark_rect()
        .encode(
            x=time_axis("start:Q", sheet),
            x2="end:Q",
            y=duration_axis("low:Q", rows, sheet, keys=("low", "high")),
            y2="high:Q",
            color=legend_of(
                "shade:O",
                {name: f"heat{_shade(i, len(names))}" for i, name in enumerate(names)},
                sheet,
                symbol="square",
                title="requests",
            ),
        )
    )


def _shade(number: int, of: int) -> int:
    """Return which of all shades a name gets, so that few of them still differ."""
    most = HEAT - 1
    return most if of == 1 else round(number * most / (of - 1))


def _rates(report: LoadReport, sheet: Sheet) -> Drawing:
    altair, _ = libraries()
    rows = list(rate_rows(report))
    colours = {"planned": "planned", "ended ok": "ok"}
    base = chart_of(rows, sheet)
    x = time_axis("time:Q", sheet)
    most = max(float(row["rate"] or 0) for row in rows) or 1
    y = altair.Y(
        "rate:Q",
        title="iterations a second",
        scale={"domain": [0, most * 1.08], "nice": False},
    )
    area = (
        base.transform_filter("datum.line == 'ended ok'")
        .mark_area(opacity=0.14, color=sheet.colours["ok"])
        .encode(x=x, y=y.stack(None))
    )
    lines = base.mark_line(strokeWidth=1.8).encode(
        x=x,
        y=y,
        color=legend_of("line:N", colours, sheet),
        strokeDash=altair.StrokeDash(
            "line:N",
            scale={"domain": list(colours), "range": [[4, 3], [1, 0]]},
            legend=None,
        ),
    )
    return area + lines


def _errors(report: LoadReport, sheet: Sheet) -> Drawing:
    altair, _ = libraries()
    rows = list(error_rows(report))
    met = {row["result"] for row in rows}
    most = max(int(row["top"] or 0) for row in rows)
    ticks = list(range(0, most + 1, math.ceil(most / _STEPS)))
    colours = {RESULTS[one][0]: one.value for one in WRONG if RESULTS[one][0] in met}
    return (
        chart_of(rows, sheet)
        .mark_rect()
        .encode(
            x=time_axis("start:Q", sheet),
            x2="end:Q",
            y=altair.Y(
                "bottom:Q", title="iterations", axis={"values": ticks, "format": ",d"}
            ),
            y2="top:Q",
            color=legend_of("result:N", colours, sheet, symbol="square"),
        )
        .properties(height=HEIGHT * 0.6)
    )


def _curve(report: LoadReport, sheet: Sheet) -> Drawing:
    altair, _ = libraries()
    rows = list(curve_rows(report))
    most = max(float(row["one_in"] or 1) for row in rows)
    ticks = [10**power for power in range(math.floor(math.log10(most)) + 1)]
    labels = " : ".join(
        f"datum.value == {one} ? '{_share_label(one)}'" for one in (*ticks, 2)
    )
    return (
        chart_of(rows, sheet)
        .mark_line(strokeJoin="round", interpolate="step-before")
        .encode(
            x=altair.X(
                "one_in:Q",
                title="percentile",
                scale={"type": "log", "domain": [1, max(2.0, most)], "nice": False},
                axis={"values": [1, 2, *ticks[1:]], "labelExpr": f"{labels} : ''"},
            ),
            y=duration_axis("seconds:Q", rows, sheet),
            color=legend_of("line:N", {"response": "p99", "service": "p90"}, sheet),
            strokeWidth=altair.StrokeWidth(  # where both are one, both are seen
                "line:N",
                scale={"domain": ["response", "service"], "range": [4.5, 1.6]},
                legend=None,
            ),
        )
    )


def _share_label(one_in: int) -> str:
    return f"{_SHARES.get(one_in) or f'{100 - 100 / one_in:.10g}'}%"


def _phases(report: LoadReport, sheet: Sheet) -> Drawing:
    altair, _ = libraries()
    rows = list(phase_rows(report))
    names = list(dict.fromkeys(row["phase"] for row in rows))
    y = altair.Y(
        "phase:N", sort=names, title=None, axis={"labelLimit": 140, "domain": False}
    )
    base = chart_of(rows, sheet).properties(height=44 * len(names))
    x = duration_axis("seconds:Q", rows, sheet, across=True)
    rule = base.mark_rule(strokeWidth=3, color=sheet.colours["line"]).encode(
        x=altair.X("min(seconds):Q"), x2="max(seconds):Q", y=y
    )
    dots = base.mark_circle(size=90, opacity=1).encode(
        x=x,
        y=y,
        color=legend_of(
            "line:N", {line: line for line in LINES}, sheet, symbol="circle"
        ),
    )
    return rule + dots
