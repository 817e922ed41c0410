"""A run in short: as Markdown for pull requests, as JUnit's XML for CI."""

import re
from collections.abc import Iterable
from html import escape
from xml.etree import ElementTree as ET

from convergegate_async._core.plain_text import without_controls
from convergegate_async.load.recorder import Result
from convergegate_async.load.report.data import (
    SYMBOLS,
    LoadReport,
)
from convergegate_async.load.report.stored import PERCENTILES
from convergegate_async.load.report.words import (
    NOTHING,
    RESULTS,
    spell_duration,
    spell_verdict,
)

_SUITE = "convergegate load"
_MARKED = re.compile(r"([\\`*_{}\[\]()#+!|~-])")
_LINES = re.compile(r"\s+")


def markdown_of(report: LoadReport) -> str:
    """Return a run in short, for a pull request or the summary of a CI job."""
    found = [
        f"## {SYMBOLS[report.status]} {report.headline}",
        f"Load test: {_plain(report.title)}",
    ]
    if report.caveat is not None:
        found.append(f"> **Do not quote these figures:** {_plain(report.caveat)}.")
    if report.reasons:
        found.append("\n".join(f"- {_plain(reason)}" for reason in report.reasons))
    if report.thresholds:
        found.append(_table(("", "threshold", "observed"), _threshold_rows(report)))
    found.append(_table(("iterations", "count"), _count_rows(report)))
    columns = (*(f"p{one:g}" for one in PERCENTILES), "max", "mean")
    found.append(_table(("", "count", *columns), _time_rows(report)))
    found.append(
        "Response time counts from when an iteration was due, service time from when "
        "it was sent."
    )
    return "\n\n".join(found) + "\n"


def _threshold_rows(report: LoadReport) -> Iterable[tuple[str, ...]]:
    for verdict in report.verdicts:
        sign = "✓" if verdict.is_kept else "✗"
        yield sign, _plain(verdict.threshold.text), spell_verdict(verdict)


def _count_rows(report: LoadReport) -> Iterable[tuple[str, ...]]:
    yield "planned", f"{report.planned:,}"
    yield "sent", f"{report.sent:,}"
    for result, (name, _) in RESULTS.items():
        yield name, f"{report.counts[result]:,}"
    yield "send lag, p99", spell_duration(report.health.lag_p99)


def _time_rows(report: LoadReport) -> Iterable[tuple[str, ...]]:
    for name, measured in report.measured():
        for kind, times in (
            ("response", measured.response),
            ("service", measured.service),
        ):
            figures = (
                *times.percentiles(PERCENTILES).values(),
                times.longest,
                times.mean,
            )
            yield (
                kind if name is None else f"{_plain(name)}, {kind}",
                f"{len(times):,}",
                *(spell_duration(one) if times else NOTHING for one in figures),
            )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    lines = [heads, (":--", *["--:"] * (len(heads) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return *text* in one line, without what Markdown takes for its own."""
    line = escape(_LINES.sub(" ", without_controls(text)), quote=False)
    return _MARKED.sub(r"\\\1", line)


def junit_of(report: LoadReport) -> str:
    """Return a run as the XML that CI systems read.

    Each threshold is a test case. So is whether the generator kept up, and whether the
    run came to its end: without these, thresholds prove nothing.
    """
    suite = ET.Element("testsuite", name=_SUITE, time=f"{report.seconds:.3f}")
    suite.set("timestamp", report.facts.started_at.isoformat())
    kept_up = _case(suite, "generator kept up")
    if problems := report.health.problems:
        _tell(kept_up, "error", "the generator could not keep up", problems)
    ended = _case(suite, "run came to its end")
    if report.interrupted or report.lost:
        _tell(ended, "error", "a part of it is missing", report.reasons)
    elif report.stopped or not report.counts[Result.OK]:
        _tell(ended, "failure", "it did not end well", report.reasons)
    for verdict in report.verdicts:
        case = _case(suite, verdict.threshold.text)
        if not verdict.is_kept:
            observed = f"observed {spell_verdict(verdict)}"
            _tell(case, "failure", observed, [verdict.threshold.text])
    for attribute, path in (
        ("tests", "testcase"),
        ("failures", "testcase/failure"),
        ("errors", "testcase/error"),
    ):
        suite.set(attribute, str(len(suite.findall(path))))
    ET.indent(suite)
    text = ET.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(
        suite,
        "testcase",
        classname=_SUITE.replace(" ", "."),
        name=without_controls(name),
    )


def _tell(case: ET.Element, kind: str, message: str, lines: Iterable[str]) -> None:
    element = ET.SubElement(case, kind, message=without_controls(message), type=kind)
    element.text = "\n".join(map(without_controls, lines))
