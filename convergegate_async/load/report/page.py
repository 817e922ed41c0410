"""The page of a run: one file, which opens without a network and without scripts.

What it looks like is in ``page.html`` and ``page.css``; here is what it tells.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from convergegate_async._core.plain_text import without_controls
from convergegate_async.load.recorder import Measured, Result
from convergegate_async.load.report.charts import Chart
from convergegate_async.load.report.data import SYMBOLS, LoadReport
from convergegate_async.load.report.palette import DARK, LIGHT, declared, tone_of
from convergegate_async.load.report.series import WRONG, phases_of, rate_of
from convergegate_async.load.report.stored import PERCENTILES
from convergegate_async.load.report.words import (
    NOTHING,
    RESULTS,
    spell_duration,
    spell_rate,
    spell_share,
    spell_verdict,
)
from convergegate_async.load.times import Times

if TYPE_CHECKING:
    import jinja2

_LONGEST = 500
"""Characters of an example that are shown."""

_IN_SHORT = ("p50", "p95", "p99", "max")
_COLUMNS = [*(f"p{one:g}" for one in PERCENTILES), "max", "mean"]


def page_of(report: LoadReport, charts: Iterable[Chart] = ()) -> str:
    """Return the page of a run.

    Args:
        report: What it came to.
        charts: What `charts_of` drew of it.
    """
    total = report.recorder.total.response
    in_short = zip(_COLUMNS, _percentiles(total), strict=True) if total else ()
    return _template().render(
        report=report,
        charts=tuple(charts),
        light=declared(LIGHT),
        dark=declared(DARK),
        symbol=SYMBOLS[report.status],
        tone=tone_of(report.status),
        in_short=[f"{name} {time}" for name, time in in_short if name in _IN_SHORT],
        counts=[*_counts(report)],
        health=[*_health(report)],
        columns=_COLUMNS,
        times=[
            line
            for name, measured in report.measured()
            for line in _lines(name, measured)
        ],
        were_cut=report.counts[Result.CUT] > 0,
        beyond=f"{total.beyond:,}" if total.beyond else "",
        phases=[
            (name, f"{len(times):,}", *_percentiles(times))
            for name, times in phases_of(report)
        ],
        intervals=[*_intervals(report)],
        errors=[*_errors(report)],
        facts=[*_facts(report)],
    )


# The sandbox's pages are made in the same way, in `sandbox/site/_render.py`: leaves do
# not import each other, and a room below them would have to know Jinja2.
@functools.cache
def _template() -> "jinja2.Template":
    import jinja2  # noqa: PLC0415 -- of the extra `load`

    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("convergegate_async.load", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["observed"] = spell_verdict
    pages.filters["thousands"] = "{:,}".format
    return pages.get_template("page.html")


def _printable(value: object) -> object:
    """Leave out what no file of text may hold; markup is what the template made."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return without_controls(str(value)) if is_text else value


# -- what its tables tell --------------------------------------------------------------


def _counts(report: LoadReport) -> Iterator[Mapping[str, str]]:
    def line(
        name: str, meaning: str, count: int, *, share: bool = True, colour: str = ""
    ) -> Mapping[str, str]:
        of_planned = spell_share(count / planned) if share and planned else ""
        return {
            "name": name,
            "meaning": meaning,
            "number": f"{count:,}",
            "share": of_planned,
            "colour": colour,
        }

    planned = report.planned
    yield line("planned", "what the profile asks for", planned, share=False)
    yield line("sent", "went out", report.sent)
    for result, (name, meaning) in RESULTS.items():
        count, colour = report.counts[result], result.value.replace("_", "-")
        yield line(name, meaning, count, share=count > 0, colour=colour)


def _health(report: LoadReport) -> Iterator[tuple[str, str]]:
    health, lag = report.health, report.recorder.lag
    yield "send lag, p50", _spelled(health.lag_p50, lag)
    yield "send lag, p99", _spelled(health.lag_p99, lag)
    yield "send lag, max", _spelled(health.lag_max, lag)
    yield "processor, busiest process", spell_share(health.cpu)
    yield "garbage collections", f"{health.collections:,}"
    yield "the longest of them", spell_duration(health.longest_pause)
    yield "dropped sends", f"{health.dropped:,}"


def _lines(name: str | None, measured: Measured) -> Iterator[tuple[str, ...]]:
    response, service = (
        (f"{len(times):,}", *_percentiles(times))
        for times in (measured.response, measured.service)
    )
    if response == service:  # there was no queue
        yield name or "all", "response, service", *response
        return
    yield name or "all", "response", *response
    yield name or "all", "service", *service


def _percentiles(times: Times) -> Iterator[str]:
    for seconds in times.percentiles(PERCENTILES).values():
        yield _spelled(seconds, times)
    yield _spelled(times.longest, times)
    yield _spelled(times.mean, times)


def _spelled(seconds: float, of: Times) -> str:
    return spell_duration(seconds) if of else NOTHING


def _intervals(report: LoadReport) -> Iterator[tuple[str, ...]]:
    for part in report.intervals:
        times = part.response
        found = times.percentiles([50, 90, 99]).values()
        yield (
            f"{part.start:,} s",
            spell_rate(rate_of(report, part, part.counts.total())),
            spell_rate(rate_of(report, part, part.counts[Result.OK])),
            f"{sum(part.counts[result] for result in WRONG):,}",
            *(_spelled(seconds, times) for seconds in (*found, times.longest)),
        )


def _errors(report: LoadReport) -> Iterator[Mapping[str, str]]:
    for name, measured in report.measured():
        for kind, failure in sorted(
            measured.errors.items(), key=lambda item: -item[1].count
        ):
            yield {
                "step": "all" if name is None else name,
                "kind": kind,
                "example": failure.example[:_LONGEST],
                "number": f"{failure.count:,}",
            }


def _facts(report: LoadReport) -> Iterator[tuple[str, str]]:
    facts = report.facts
    yield "scenario", facts.scenario
    yield "profile", facts.profile
    yield "target", facts.target
    yield "started", f"{facts.started_at:%Y-%m-%d %H:%M:%S %Z}"
    yield "planned to take", f"{facts.seconds:,.1f} s"
    yield "took, to the last answer", f"{report.seconds:,.1f} s"
    yield "processes", f"{facts.processes:,}"
    yield "most in flight", f"{facts.max_in_flight:,}"
    yield "attempts of a call, at most", f"{facts.max_attempts:,}"
    yield "seed", str(facts.seed)
    yield from facts.environment.items()
    clocks = [
        f"{offset * 1e6:+,.0f} µs ± {margin * 1e6:,.0f}"
        for offset, margin in facts.clock_offsets
    ]
    if clocks:
        yield "clocks of workers", ", ".join(clocks)
