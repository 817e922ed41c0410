"""Pictures: of anything that may have happened, and only of that."""

import itertools
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_reports import HOSTILE, facts_of, report_of

from convergegate_async.load.recorder import Iteration, Recorder, Result
from convergegate_async.load.report.charts import charts_of, has_charts, png_of
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.palette import DARK, HEAT, LIGHT
from convergegate_async.load.report.series import (
    error_rows,
    heat_rows,
    latency_rows,
    rate_rows,
)

needs_charts = pytest.mark.skipif(not has_charts(), reason="needs the extra charts")
SECOND = 1_000_000_000


def run_of(iterations: list[tuple[int, int, Result]]) -> LoadReport:
    """Return a run of these: when they were due, how long they took, to what end."""
    recorder = Recorder()
    for due, took, result in iterations:
        sent = None if result is Result.DROPPED else due
        recorder.record(Iteration(due=due, sent=sent, ended=due + took, result=result))
    return report_of(0, recorder=recorder, facts=facts_of(seconds=60.0))


RUNS = st.lists(
    st.tuples(
        st.integers(0, 50_000 * SECOND),
        st.integers(0, 7_200 * SECOND),
        st.sampled_from(Result),
    ),
    max_size=30,
).map(run_of)


@given(RUNS)
def test_every_duration_lies_in_the_heat_map(report: LoadReport) -> None:
    """Each cell has a shade that is named, and there are no more than can be told."""
    names, rows = heat_rows(report)

    assert len(names) <= HEAT
    assert {row["shade"] for row in rows} <= set(names)
    assert bool(rows) is bool(report.recorder.total.response)
    assert all(float(row["low"] or 0) < float(row["high"] or 0) for row in rows)
    assert len({row["start"] for row in rows}) <= 91


@given(RUNS)
def test_rates_and_errors_add_up(report: LoadReport) -> None:
    """What is drawn over time is what was counted."""
    planned = [row for row in rate_rows(report) if row["line"] == "planned"]
    wrong = sum(
        float(row["top"] or 0) - float(row["bottom"] or 0) for row in error_rows(report)
    )

    times = [float(row["time"] or 0) for row in planned]
    assert times == sorted(times)
    assert wrong == report.planned - report.counts[Result.OK]


@given(RUNS)
def test_a_line_is_broken_where_nothing_was_due(report: LoadReport) -> None:
    """So that no slope is drawn across a gap."""
    rows = [row for row in latency_rows(report) if row["line"] == "p50"]
    intervals = list(report.recorder.intervals())

    gaps = sum(
        one.start + one.seconds < other.start
        for one, other in itertools.pairwise(intervals)
    )
    assert len(rows) == len(intervals) + gaps


def test_both_palettes_have_the_same_colours() -> None:
    """By light and in the dark."""
    assert LIGHT.keys() == DARK.keys()


@needs_charts
@settings(max_examples=15, deadline=None)
@given(RUNS)
def test_whatever_happened_can_be_drawn(report: LoadReport) -> None:
    """As well-formed SVG, whose colours are the page's."""
    for chart in charts_of(report):
        for svg in (chart.wide, chart.narrow):
            assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 -- our own
            assert "NaN" not in svg
            assert "undefined" not in svg
            assert set(re.findall(r"#[0-9a-f]{6}", svg)) == set()


@needs_charts
@pytest.mark.parametrize(
    "report",
    [
        report_of(0),
        report_of(1, 1),
        report_of(1, 20),
        report_of(20, 20, errors=0.2, example=HOSTILE, lost=(HOSTILE,)),
        report_of(3_000, 1),
        report_of(20, facts=facts_of(scenario=HOSTILE)),
    ],
    ids=["nothing", "one", "a second", "hostile", "long", "hostile name"],
)
def test_runs_of_all_sizes_have_a_picture(report: LoadReport) -> None:
    """One for chats."""
    assert png_of(report).startswith(b"\x89PNG\r\n")


@needs_charts
def test_a_long_run_makes_no_heavy_page() -> None:
    """Six hundred intervals weigh less than a photograph."""
    drawn = charts_of(report_of(600, 5, freezes=0.05, errors=0.1))

    assert len(drawn) == 6
    assert sum(len(chart.wide) + len(chart.narrow) for chart in drawn) < 1_000_000


@needs_charts
def test_the_same_run_is_drawn_the_same() -> None:
    """To the last letter: files can be compared."""
    assert charts_of(report_of(5, seed=3)) == charts_of(report_of(5, seed=3))


def test_reports_are_read_without_what_draws_them() -> None:
    """Its import takes longer than all else: it is left until something is drawn."""
    code = (
        "import sys, convergegate_async.load.report.files as files\n"
        "assert not {'altair', 'vl_convert'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603
