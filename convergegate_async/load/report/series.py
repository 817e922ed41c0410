"""What the charts of a report draw, as rows of plain values."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

from convergegate_async.load.recorder import Interval, Result
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.palette import HEAT
from convergegate_async.load.report.words import RESULTS, TO
from convergegate_async.load.steps import PHASES
from convergegate_async.load.times import Times

Row: TypeAlias = dict[str, str | float | None]

LINES = ("p50", "p90", "p99")
WRONG = tuple(one for one in RESULTS if one is not Result.OK)
_COLUMNS, _BANDS = 90, 10  # of the heat map: in all, and by factor of ten
_POINTS = 24  # of the curve, by factor of ten


def rate_of(report: LoadReport, part: Interval, count: int) -> float:
    """Return how many that is in a second; the last part may be over before its end."""
    planned = report.facts.seconds - part.start
    covered = min(part.seconds, planned) if planned > 0 else part.seconds
    return count / covered if covered else 0.0


def latency_rows(report: LoadReport) -> Iterator[Row]:
    """Yield percentiles over time, in the middle of each interval."""
    for part in report.intervals:
        found = part.response.percentiles([50, 90, 99])
        for line, seconds in zip(LINES, found.values(), strict=True):
            yield {
                "time": part.start + part.seconds / 2,
                "line": line,
                "seconds": seconds if part.response else None,
            }


def rate_rows(report: LoadReport) -> Iterator[Row]:
    """Yield what was planned over time, and what of it ended well."""
    for part in report.intervals:
        ok = part.counts[Result.OK]
        for line, count in (("planned", part.counts.total()), ("ended ok", ok)):
            rate = rate_of(report, part, count)
            yield {"time": part.start, "line": line, "rate": rate}
            end = min(part.start + part.seconds, max(report.seconds, part.start + 1))
            yield {"time": end, "line": line, "rate": rate}


def error_rows(report: LoadReport) -> Iterator[Row]:
    """Yield a piece of a bar for each result but ok of each interval."""
    for part in report.intervals:
        bottom = 0.0
        for result in WRONG:
            if part.counts[result]:
                top = bottom + part.counts[result]
                yield {
                    "start": part.start,
                    "end": part.start + part.seconds,
                    "result": RESULTS[result][0],
                    "bottom": bottom,
                    "top": top,
                }
                bottom = top


def heat_rows(report: LoadReport) -> tuple[list[str], list[Row]]:
    """Return the names of the shades, and the cells: time by duration."""
    parts = report.intervals
    if not parts:
        return [], []
    end = max(part.start + part.seconds for part in parts)
    width = max(1, math.ceil((end - parts[0].start) / _COLUMNS))
    cells: dict[tuple[int, int], int] = {}
    for part in parts:
        for seconds, count in part.response.counts():
            cell = part.start // width, math.floor(math.log10(seconds) * _BANDS)
            cells[cell] = cells.get(cell, 0) + count
    edges = _edges(max(cells.values(), default=0))
    names = [
        f"{low:,}" if low == high - 1 else f"{low:,}{TO}{high - 1:,}"
        for low, high in pairwise(edges)
    ]
    rows: list[Row] = [
        {
            "start": column * width,
            "end": (column + 1) * width,
            "low": 10 ** (band / _BANDS),
            "high": 10 ** ((band + 1) / _BANDS),
            "shade": names[sum(edge <= count for edge in edges) - 1],
        }
        for (column, band), count in cells.items()
    ]
    return names, rows


def _edges(most: int) -> list[int]:
    """Return where shades begin, each so many times more than the one before."""
    factor = (most + 1) ** (1 / HEAT)
    edges = {max(1, round(factor**number)) for number in range(HEAT)}
    return [*sorted(edge for edge in edges if edge <= most), most + 1]


def curve_rows(report: LoadReport) -> Iterator[Row]:
    """Yield durations by how many took longer: one in ten, in a hundred, ..."""
    total = report.recorder.total
    for line, times in (("response", total.response), ("service", total.service)):
        for one_in, seconds in _curve_of(times):
            yield {"one_in": one_in, "line": line, "seconds": seconds}


def _curve_of(times: Times) -> list[tuple[float, float]]:
    if not times:
        return []
    steps = math.floor(math.log10(len(times)) * _POINTS)
    shares = {10 ** (step / _POINTS) for step in range(steps + 1)} | {len(times)}
    percentiles = {100 * (1 - 1 / one_in): one_in for one_in in sorted(shares)}
    found = times.percentiles(percentiles)
    return [(one_in, found[percentile]) for percentile, one_in in percentiles.items()]


def phase_rows(report: LoadReport) -> Iterator[Row]:
    """Yield how long each phase of an attempt took."""
    for name, times in phases_of(report):
        found = times.percentiles([50, 90, 99])
        for line, seconds in zip(LINES, found.values(), strict=True):
            yield {"phase": name, "line": line, "seconds": seconds}


def phases_of(report: LoadReport) -> Iterator[tuple[str, Times]]:
    """Yield the phases that there were in their order, by what they are called."""
    for name in PHASES:
        times = report.recorder.phases.get(name)
        if times:
            yield name.replace("_", " "), times
