"""A run in short: Markdown that stays Markdown, XML that every reader takes."""

from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_reports import HOSTILE, facts_of, report_of

from convergegate_async.load.report.summaries import junit_of, markdown_of
from convergegate_async.load.thresholds import Threshold


def suite_of(text: str) -> ET.Element:
    """Return what a CI system reads."""
    return ET.fromstring(text.encode())  # noqa: S314 -- our own


@given(st.text() | st.just(HOSTILE))
def test_whatever_is_said_is_xml(text: str) -> None:
    """Of thresholds, of workers, and of why it was stopped."""
    report = report_of(0, lost=(text,), stopped=text, facts=facts_of(scenario=text))
    threshold = Threshold("p99", "<", 1.0, text)

    suite = suite_of(junit_of(attrs.evolve(report, thresholds=(threshold,))))

    assert suite.get("tests") == "3"


@pytest.mark.parametrize(
    ("changes", "errors", "failures"),
    [
        ({}, 0, 0),
        ({"thresholds": ["p99<1us", "rate>1"]}, 0, 1),
        ({"lag": 0.1, "typical": 1.0}, 1, 0),
        ({"interrupted": True}, 1, 0),
        ({"stopped": "enough"}, 0, 1),
        ({"seconds": 0}, 0, 1),
    ],
)
def test_a_broken_threshold_is_a_failure_and_no_run_is_an_error(
    changes: dict[str, object], errors: int, failures: int
) -> None:
    """And they are counted, as readers of JUnit expect."""
    report = report_of(**({"seconds": 2} | changes))  # type: ignore[arg-type]

    suite = suite_of(junit_of(report))

    assert suite.get("name") == "convergegate load"
    found = len(suite.findall("*/error")), len(suite.findall("*/failure"))
    assert found == (errors, failures)
    assert (suite.get("errors"), suite.get("failures")) == (str(errors), str(failures))


def test_a_failure_says_what_was_observed() -> None:
    """Beside the threshold."""
    suite = suite_of(junit_of(report_of(2, thresholds=["error_rate<0%", "x:p50<1s"])))

    cases = {case.get("name"): case.find("failure") for case in suite}
    assert [
        None if failure is None else failure.get("message")
        for failure in cases.values()
    ] == [None, None, "observed 0%", "observed nothing measured"]


def test_markdown_tells_the_verdict_first() -> None:
    """Then thresholds, counts and percentiles."""
    text = markdown_of(report_of(2, thresholds=["p99<1us", "rate>1"]))

    lines = text.splitlines()
    assert lines[0] == "## ✗ FAILED, exit code 99"
    assert "| ✓ | rate&gt;1 | " in text
    assert "| planned | 100 |" in text
    assert text.index("p99&lt;1us") < text.index("planned") < text.index("p99.9")


@given(st.text() | st.just("|a|\n# b <img> [x](y)"))
def test_markdown_stays_as_it_is(text: str) -> None:
    """What others wrote begins no line, no cell and no element."""
    plain = markdown_of(report_of(1, 5, lost=("a",)))
    other = markdown_of(report_of(1, 5, lost=(f"a{text}",)))

    assert len(other.splitlines()) == len(plain.splitlines())
    assert other.encode()
    assert "<img" not in other


def test_markdown_warns_of_what_is_not_to_be_quoted() -> None:
    """Before any figure."""
    text = markdown_of(report_of(2, interrupted=True))

    assert text.index("Do not quote") < text.index("planned")
