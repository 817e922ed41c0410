"""The page of a run: one file, which opens without a network and without scripts."""

from collections.abc import Collection, Iterable, Iterator

from convergegate_async.load.recorder import Measured, Result
from convergegate_async.load.report.charts import Chart
from convergegate_async.load.report.data import SYMBOLS, LoadReport
from convergegate_async.load.report.markup import Content, Markup, element, rendered
from convergegate_async.load.report.palette import tone_of
from convergegate_async.load.report.series import WRONG, phases_of, rate_of
from convergegate_async.load.report.stored import PERCENTILES
from convergegate_async.load.report.style import STYLE
from convergegate_async.load.report.words import (
    NOTHING,
    RESULTS,
    spell_duration,
    spell_rate,
    spell_share,
    spell_verdict,
)
from convergegate_async.load.times import Times

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What browsers are told of the page: that it needs nothing."""

_LONGEST = 500
"""Characters of an example that are shown."""

_IN_SHORT = ("p50", "p95", "p99", "max")
_COLUMNS = (*(f"p{one:g}" for one in PERCENTILES), "max", "mean")


def page_of(report: LoadReport, charts: Iterable[Chart] = ()) -> str:
    """Return the page of a run.

    Args:
        report: What it came to.
        charts: What `charts_of` drew of it.
    """
    title = f"{SYMBOLS[report.status]} {report.status}: {report.title}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = element(
        "body",
        _warning(report),
        element("main", *_sections(report, tuple(charts))),
        class_=None if report.caveat is None else "void",
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _warning(report: LoadReport) -> Content:
    """Say on every screen and every sheet of paper what must not be quoted."""
    if report.caveat is None:
        return ""
    return element(
        "p",
        element("strong", f"{SYMBOLS[report.status]} {_caveat_word(report)} RUN"),
        " Do not quote these figures.",
        class_="ribbon",
    )


def _caveat_word(report: LoadReport) -> str:
    return "STOPPED" if report.stopped else report.status.upper()


def _sections(report: LoadReport, charts: tuple[Chart, ...]) -> Iterator[Markup]:
    yield _verdict(report)
    if report.thresholds:
        yield _section("Thresholds", _caveat(report), _thresholds(report))
    yield _section("What became of what was planned", _counts(report), class_="half")
    yield _section("How the generator fared", *_health(report), class_="half")
    if charts:
        yield _section("In pictures", *map(_figure, charts), class_="charts")
    yield _section("How long it took", *_times(report))
    if report.recorder.phases:
        yield _section("Where the time of an attempt went", _phases(report))
    if report.intervals:
        yield _section("Each interval", _intervals(report, is_open=not charts))
    yield _section("Errors", _errors(report))
    yield _section("What was run, and where", _facts(report))


def _verdict(report: LoadReport) -> Markup:
    return element(
        "header",
        element("p", report.title, class_="soft"),
        element(
            "h1",
            element("span", SYMBOLS[report.status], class_="sign", aria_hidden="true"),
            f" {report.status.upper()} ",
            element("span", f"exit code {report.exit_code}", class_="chip"),
        ),
        element("ul", *(element("li", reason) for reason in report.reasons))
        if report.reasons
        else element("p", "Every threshold was kept.")
        if report.thresholds
        else element("p", "There was no threshold to keep."),
        _in_short(report.recorder.total.response),
        _caveat(report),
        class_=f"verdict {tone_of(report.status)}",
    )


def _in_short(response: Times) -> Content:
    """Say what most come for, before all that it rests on."""
    if not response:
        return ""
    words = zip(_COLUMNS, _percentiles(response), strict=True)
    shown = [f"{name} {time}" for name, time in words if name in _IN_SHORT]
    return element("p", " · ".join(shown), class_="in-short")


def _caveat(report: LoadReport) -> Content:
    if report.caveat is None:
        return ""
    words = f"Do not quote the figures below: {report.caveat}."
    return element("p", words, class_="caveat")


# -- sections --------------------------------------------------------------------------


def _thresholds(report: LoadReport) -> Markup:
    rows = [
        (
            verdict.threshold.text,
            _kept(is_kept=verdict.is_kept),
            spell_verdict(verdict),
        )
        for verdict in report.verdicts
    ]
    heads = ("threshold", "verdict", "observed")
    return _table("Thresholds", heads, rows, text=(0, 1, 2), class_="words")


def _kept(*, is_kept: bool) -> Markup:
    words, tone = ("✓ kept", "good") if is_kept else ("✗ not kept", "bad")
    return element("span", words, class_=tone)


def _counts(report: LoadReport) -> Markup:
    counts, planned = report.counts, report.planned
    rows = [
        (_named("planned", "what the profile asks for"), f"{planned:,}", ""),
        (
            _named("sent", "went out"),
            f"{report.sent:,}",
            _share(report.sent, planned),
        ),
    ]
    for result, (name, meaning) in RESULTS.items():
        style = f"--key: var(--{_colour_of(result)})"
        mark = element("span", "", class_="key", style=style)
        count = counts[result]
        share = _share(count, planned) if count else ""
        rows.append((_named([mark, name], meaning), f"{count:,}", share))
    heads = ("iterations", "count", "of planned")
    return _table("What became of iterations", heads, rows)


def _named(name: Content, meaning: str) -> Markup:
    return rendered([name, " ", element("small", meaning, class_="soft")])


def _colour_of(result: Result) -> str:
    return result.value.replace("_", "-")


def _share(count: int, of: int) -> str:
    return spell_share(count / of) if of else ""


def _health(report: LoadReport) -> Iterator[Markup]:
    health = report.health
    lag = report.recorder.lag
    rows = [
        ("send lag, p50", _spelled(health.lag_p50, lag)),
        ("send lag, p99", _spelled(health.lag_p99, lag)),
        ("send lag, max", _spelled(health.lag_max, lag)),
        ("processor, busiest process", spell_share(health.cpu)),
        ("garbage collections", f"{health.collections:,}"),
        ("the longest of them", spell_duration(health.longest_pause)),
        ("dropped sends", f"{health.dropped:,}"),
    ]
    words = "It kept up: nothing of what follows was its own doing."
    if not lag:
        words = "It sent nothing."
    if health.problems:
        words = "It did not keep up: what follows tells of this machine, too."
    yield element("p", words, class_="bad" if health.problems else "soft")
    yield _table("The generator", ("of the generator", "figure"), rows)


def _times(report: LoadReport) -> Iterator[Markup]:
    yield element("div", _caveat(report))
    yield element(
        "p",
        element("strong", "Response time"),
        " counts from the moment at which an iteration was due, ",
        element("strong", "service time"),
        " from the moment at which it was sent. Where the first is longer there was a "
        "queue. Of a later step both count from where the scenario came to it.",
        class_="soft",
    )
    if report.counts[Result.CUT]:
        yield element(
            "p",
            "An iteration that was cut counts as long as it was under way: it would "
            "have taken at least so long, so the slowest of these are lower bounds.",
        )
    if beyond := report.recorder.total.response.beyond:
        yield element("p", f"{beyond:,} took longer than an hour, and count as one.")
    rows = [
        row for name, measured in report.measured() for row in _lines(name, measured)
    ]
    heads = ("step", "time", "count", *_COLUMNS)
    yield _table("Percentiles", heads, rows, text=(0, 1), class_="figures")


def _lines(name: str | None, measured: Measured) -> Iterator[tuple[Content, ...]]:
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


def _figure(chart: Chart) -> Markup:
    label = f"{chart.title}. {chart.text}"
    return element(
        "figure",
        element(
            "figcaption", element("strong", chart.title), element("br"), chart.text
        ),
        *(
            element("div", Markup(svg), class_=name, role="img", aria_label=label)
            for name, svg in (("wide", chart.wide), ("narrow", chart.narrow))
        ),
    )


def _phases(report: LoadReport) -> Markup:
    rows = [
        (name, f"{len(times):,}", *_percentiles(times))
        for name, times in phases_of(report)
    ]
    heads = ("phase", "count", *_COLUMNS)
    return _table("Phases", heads, rows, class_="figures")


def _intervals(report: LoadReport, *, is_open: bool) -> Markup:
    heads = ("from", "planned", "ok", "not ok", "p50", "p90", "p99", "max")
    rows = []
    for part in report.intervals:
        times = part.response
        found = times.percentiles([50, 90, 99]).values()
        rows.append(
            (
                f"{part.start:,} s",
                spell_rate(rate_of(report, part, part.counts.total())),
                spell_rate(rate_of(report, part, part.counts[Result.OK])),
                f"{sum(part.counts[result] for result in WRONG):,}",
                *(_spelled(seconds, times) for seconds in (*found, times.longest)),
            )
        )
    summary = element(
        "summary", f"{len(rows):,} intervals, by when iterations were due"
    )
    table = _table("Intervals", heads, rows, text=(), class_="figures")
    return element("details", summary, table, open="open" if is_open else None)


def _errors(report: LoadReport) -> Markup:
    rows = [
        (
            "all" if name is None else name,
            [
                element("code", kind),
                element("small", element("code", failure.example[:_LONGEST])),
            ],
            f"{failure.count:,}",
        )
        for name, measured in report.measured()
        for kind, failure in sorted(
            measured.errors.items(), key=lambda item: -item[1].count
        )
    ]
    if not rows:
        return element("p", "There were none.", class_="soft")
    heads = ("of", "kind, and an example", "count")
    return _table("Errors", heads, rows, text=(0, 1), class_="errors")


def _facts(report: LoadReport) -> Markup:
    facts = report.facts
    clocks = [
        f"{offset * 1e6:+,.0f} µs ± {margin * 1e6:,.0f}"
        for offset, margin in facts.clock_offsets
    ]
    rows: list[tuple[Content, Content]] = [
        ("scenario", facts.scenario),
        ("profile", facts.profile),
        ("target", facts.target),
        ("started", f"{facts.started_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("planned to take", f"{facts.seconds:,.1f} s"),
        ("took, to the last answer", f"{report.seconds:,.1f} s"),
        ("processes", f"{facts.processes:,}"),
        ("most in flight", f"{facts.max_in_flight:,}"),
        ("attempts of a call, at most", f"{facts.max_attempts:,}"),
        ("seed", str(facts.seed)),
        *facts.environment.items(),
    ]
    if clocks:
        rows.append(("clocks of workers", ", ".join(clocks)))
    return _table("Facts", ("fact", "value"), rows, text=(0, 1), class_="words")


# -- parts -----------------------------------------------------------------------------


def _section(title: str, *content: Content, class_: str | None = None) -> Markup:
    name = title.lower().replace(" ", "-").replace(",", "")
    heading = element("h2", title, id=name)
    return element("section", heading, *content, class_=class_, aria_labelledby=name)


def _table(
    caption: str,
    heads: Iterable[str],
    rows: Iterable[Iterable[Content]],
    *,
    text: Collection[int] = (0,),
    class_: str | None = None,
) -> Markup:
    """Return a table in a box of its own, which scrolls where it is too wide.

    Args:
        caption: For those who hear it.
        heads: Of the columns.
        rows: The first cell of each is its head.
        text: The columns that are no figures.
        class_: Of the table.
    """
    kinds: dict[int, str | None] = dict.fromkeys(text)
    head = element(
        "tr",
        *(
            element("th", words, scope="col", class_=kinds.get(number, "n"))
            for number, words in enumerate(heads)
        ),
    )
    body = [
        element(
            "tr",
            *(
                element("td", cell, class_=kinds.get(number, "n"))
                if number
                else element("th", cell, scope="row", class_=kinds.get(0, "n"))
                for number, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    table = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *body),
        class_=class_,
    )
    return element(
        "div", table, class_="box", role="region", aria_label=caption, tabindex="0"
    )
