"""What a load test came to, as text: the verdict first."""

from collections.abc import Iterable, Sequence

from convergegate_async.load import Comparison, Difference, LoadReport, Result, Times
from convergegate_async.load.report.words import (
    NOTHING,
    RESULTS,
    spell_duration,
    spell_figure,
    spell_rate,
    spell_share,
    spell_verdict,
)

from ._streams import print_data, printable

_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
_MOST_ERRORS = 10
_COLOURS = {0: "green", 98: "yellow", 99: "red", 130: "yellow"}


def print_report(report: LoadReport) -> None:
    """Print what a run came to."""
    colour = _COLOURS[report.exit_code]
    print_data(f"{report.headline}", colour)
    for reason in report.reasons:
        print_data(f"  {reason}")
    for verdict in report.verdicts:
        sign, colour = ("✓", "green") if verdict.is_kept else ("✗", "red")
        text = f"  {sign} {verdict.threshold.text:<24} {spell_verdict(verdict)}"
        print_data(text, colour)
    print_data("")
    print_data(_counts(report))
    for line in _table(_rows(report)):
        print_data(line)
    _print_errors(report)
    print_data("")
    for line in _generator(report):
        print_data(line)


def in_short(report: LoadReport) -> str:
    """Return what a run came to, in a line."""
    found = report.recorder.total.response.percentiles([50, 99])
    wrong = report.planned - report.counts[Result.OK]
    return (
        f"p50 {spell_duration(found[50])}, p99 {spell_duration(found[99])}, "
        f"{wrong:,} of {report.planned:,} not ok, sends late by "
        f"{spell_duration(report.health.lag_p99)} (p99)"
    )


def _counts(report: LoadReport) -> str:
    counts = [
        f"{RESULTS[one][0]} {report.counts[one]:,}"
        for one in Result
        if one is Result.OK or report.counts[one]
    ]
    rate = report.counts[Result.OK] / report.seconds if report.seconds else 0.0
    parts = (f"planned {report.planned:,}", f"sent {report.sent:,}", *counts)
    return f"{', '.join(parts)}; {spell_rate(rate)} ended ok"


def _rows(report: LoadReport) -> Iterable[Sequence[str]]:
    yield ["", *(f"p{p:g}" for p in _PERCENTILES), "max"]
    total = report.recorder.total
    yield ["response, from when it was due", *_times(total.response)]
    if len(report.recorder.steps) > 1:
        for name, step in report.recorder.steps.items():
            yield [f"  {printable(name)}", *_times(step.response)]
    yield ["service, from when it was sent", *_times(total.service)]


def _times(times: Times) -> list[str]:
    if not times:
        return [NOTHING] * (len(_PERCENTILES) + 1)
    found = times.percentiles(_PERCENTILES)
    return [
        *(spell_duration(found[p]) for p in _PERCENTILES),
        spell_duration(times.longest),
    ]


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines in which the first column is words, and all others figures."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _print_errors(report: LoadReport) -> None:
    errors = report.recorder.total.errors
    if not errors:
        return
    print_data("")
    by_count = sorted(errors.items(), key=lambda item: -item[1].count)
    for kind, failure in by_count[:_MOST_ERRORS]:
        print_data(f"{failure.count:>9,}  {kind}: {printable(failure.example)}", "red")
    if len(by_count) > _MOST_ERRORS:
        print_data(f"           and {len(by_count) - _MOST_ERRORS:,} further kinds")


def _generator(report: LoadReport) -> Iterable[str]:
    health = report.health
    p50, p99, longest = map(
        spell_duration, (health.lag_p50, health.lag_p99, health.lag_max)
    )
    yield f"generator: sends late by {p50} (p50), {p99} (p99), {longest} (max)"
    loop = report.facts.environment["loop"]
    pauses = ""
    if health.collections:
        longest = spell_duration(health.longest_pause)
        pauses = f"; garbage collections {health.collections:,}, the longest {longest}"
    yield f"           CPU {spell_share(health.cpu)} of a core, {loop}{pauses}"


def print_comparison(comparison: Comparison) -> None:
    """Print what is different in two runs, and by how much at least and at most."""
    head = ("", "before", "after", "change", "95 % interval", "")
    for line in _table([head, *map(_comparison_row, comparison.differences)]):
        print_data(line)
    for caveat in comparison.caveats:
        print_data(printable(caveat), "yellow")


def _comparison_row(one: Difference) -> Sequence[str]:
    return (
        one.metric,
        spell_figure(one.metric, one.before),
        spell_figure(one.metric, one.after),
        _change(one.metric, one.change),
        " to ".join(_change(one.metric, end) for end in one.interval or ()),
        "changed" if one.is_change else one.why_not or "no change",
    )


def _change(metric: str, change: float | None) -> str:
    if change is None:
        return NOTHING
    points = " points" if metric == "error_rate" else ""
    return f"{change:+.1%}{points}"
