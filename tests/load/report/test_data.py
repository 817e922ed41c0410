"""A report keeps what was measured, says what it proves, and survives its file."""

import json
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st
from load_reports import HOSTILE, facts_of, report_of

from convergegate_async.errors import ConfigurationError
from convergegate_async.load.recorder import Interval, Recorder, Result
from convergegate_async.load.report.data import LoadReport, Status
from convergegate_async.load.times import COARSE, LONGEST, Times

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
    ),
    max_leaves=10,
)
REPORT = report_of(
    3,
    20,
    errors=0.2,
    example=HOSTILE,
    thresholds=["p99<300ms", "pay:p50<1s"],
    stopped="as many errors as were allowed",
    lost=("worker 1 ended",),
)


def facts(report: LoadReport) -> object:
    """Return what can be told of a report."""
    document = json.loads(report.to_json())
    document["recorder"] = None
    return (
        document,
        [
            (name, measured.counts, measured.errors, measured.response.encoded())
            for name, measured in report.measured()
        ],
        [
            (part.start, part.seconds, part.counts, part.response.encoded())
            for part in report.recorder.intervals()
        ],
        {name: len(times) for name, times in report.recorder.phases.items()},
    )


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        report_of(0),
        report_of(2, 10, interrupted=True),
        report_of(700, 2),
        report_of(2, facts=facts_of(clock_offsets=(), seed=-3, environment={})),
    ],
    ids=["all of it", "nothing", "interrupted", "long", "few facts"],
)
def test_a_report_survives_its_file(report: LoadReport) -> None:
    """What is read is what was written, whatever errors said."""
    read = LoadReport.from_json(report.to_json())

    assert facts(read) == facts(report)
    assert read.facts == report.facts
    assert (read.status, read.reasons) == (report.status, report.reasons)


@given(JSON.map(json.dumps) | st.text(max_size=20))
def test_what_is_no_report_is_refused(text: str) -> None:
    """Whatever it is, it is told in words of ours."""
    with pytest.raises(ConfigurationError):
        LoadReport.from_json(text)


def paths(document: Any, path: tuple[str | int, ...] = ()) -> list[Any]:  # noqa: ANN401
    """Return the ways to every value of a document."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    if isinstance(document, list):
        items = enumerate(document)
    return [path, *(one for key, value in items for one in paths(value, (*path, key)))]


WRITTEN = REPORT.to_json()
DOCUMENT = json.loads(WRITTEN)
PATHS = [path for path in paths(DOCUMENT) if path]


@given(path=st.sampled_from(PATHS), value=JSON)
def test_a_mangled_report_is_refused_or_can_be_told(
    path: tuple[Any, ...], value: object
) -> None:
    """One value of it is another: it is refused, or all of it is still sound."""
    document: Any = json.loads(WRITTEN)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    try:
        report = LoadReport.from_json(json.dumps(document))
    except ConfigurationError:
        return

    assert facts(LoadReport.from_json(report.to_json())) == facts(report)


@given(st.data())
def test_a_mangled_histogram_is_refused_or_can_be_told(data: st.DataObject) -> None:
    """A letter of it is another one."""
    document = json.loads(WRITTEN)
    times = document["recorder"]["total"]["response"]
    at = data.draw(st.integers(0, len(times["hdr"]) - 1))
    letter = data.draw(st.sampled_from("AZaz09+/="))
    times["hdr"] = times["hdr"][:at] + letter + times["hdr"][at + 1 :]

    try:
        report = LoadReport.from_json(json.dumps(document))
    except ConfigurationError:
        return

    assert report.to_json()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format": 1e999}', '{"format": 2}', "\ud800", ""]
)
def test_strange_text_is_refused(text: str) -> None:
    """Too deep, too large, of another version, no text at all."""
    with pytest.raises(ConfigurationError, match="no report"):
        LoadReport.from_json(text)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({}, Status.MEASURED, 0),
        ({"thresholds": ["p99<1s"]}, Status.PASSED, 0),
        ({"thresholds": ["p99<1us"]}, Status.FAILED, 99),
        ({"stopped": "enough"}, Status.FAILED, 99),
        ({"seconds": 0}, Status.FAILED, 99),
        ({"lag": 0.1, "typical": 1.0}, Status.INVALID, 98),
        ({"lag": 0.1, "typical": 1.0, "thresholds": ["p99<1us"]}, Status.INVALID, 98),
        ({"lost": ("worker 1 ended",)}, Status.INCOMPLETE, 98),
        ({"interrupted": True, "lost": ("worker 1",)}, Status.CUT_SHORT, 130),
    ],
)
def test_what_proves_nothing_wins(
    changes: dict[str, Any], status: Status, code: int
) -> None:
    """A run that is no run of the target neither passes nor fails."""
    report = report_of(**({"seconds": 2} | changes))

    assert (report.status, report.exit_code) == (status, code)
    assert str(code) in report.headline


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"thresholds": ["p99<1us"]}, None),
        ({"lag": 0.1, "typical": 1.0}, "late or dropped"),
        ({"lost": ("worker 1 ended",)}, "lost"),
        ({"interrupted": True}, "before its time"),
        ({"stopped": "enough"}, "before its time"),
    ],
)
def test_figures_of_no_whole_run_are_not_to_be_quoted(
    changes: dict[str, Any], said: str | None
) -> None:
    """A run that is slow may be quoted, one that is not a run may not."""
    caveat = report_of(2, **changes).caveat

    assert (caveat is None) == (said is None)
    assert (said or "") in (caveat or "")


def test_a_histogram_of_more_than_any_run_is_refused() -> None:
    """What adds it up would run over."""
    endless = HdrHistogram(1, LONGEST * 1_000_000, COARSE)
    endless.record_value(1_000, 2**61)
    document = json.loads(report_of(2).to_json())
    document["recorder"]["lag"]["hdr"] = endless.encode().decode()

    with pytest.raises(ConfigurationError):
        LoadReport.from_json(json.dumps(document))


def test_a_broken_threshold_is_told_with_what_was_observed() -> None:
    """Without looking further."""
    report = report_of(2, typical=1.0, freezes=0, thresholds=["p50<20ms", "x:p50<1s"])

    first, second = report.reasons
    assert first.startswith("p50<20ms was not kept: ")
    assert first.endswith((" ms", " s"))
    assert second == (
        "x:p50<1s was not kept: nothing measured; "
        "the steps of the scenario are create, retrieve"
    )


def test_where_nothing_was_due_an_interval_is_empty() -> None:
    """However long the gap, it is one."""
    recorder = Recorder()
    for start in (1, 2, 500):
        part = Interval(start, 1)
        part.counts[Result.OK] += 1
        recorder.add_interval(part)
    report = report_of(0, recorder=recorder)

    found = [(one.start, one.seconds, one.counts.total()) for one in report.intervals]

    assert found == [(1, 1, 1), (2, 1, 1), (3, 497, 0), (500, 1, 1)]


def test_what_people_read_in_it_is_right() -> None:
    """Percentiles lie beside the histogram, in seconds."""
    document = json.loads(report_of(2, 50).to_json())
    response = document["recorder"]["total"]["response"]

    times = Times(response["digits"], response["hdr"].encode())
    assert response["p50"] == times.percentiles([50])[50]
    assert response["count"] == len(times) == 100
