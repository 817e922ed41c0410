"""The page of a run: whole, safe, and loud where it must not be quoted."""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_reports import HOSTILE, facts_of, report_of

from convergegate_async.load.recorder import Iteration, Recorder, Result
from convergegate_async.load.report.charts import charts_of, has_charts
from convergegate_async.load.report.data import LoadReport, Status
from convergegate_async.load.report.page import page_of
from convergegate_async.load.report.palette import DARK, LIGHT
from convergegate_async.load.report.words import (
    spell_duration,
    spell_share,
)

REPORT = report_of(12, 30, errors=0.1, freezes=0.1, thresholds=["p99<1us", "rate>1"])
EMPTY = report_of(0)


def tree_of(page: str) -> ET.Element:
    """Return a page as the tree that it is: it is well-formed XML, too."""
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>"))  # noqa: S314 -- our own


def text_of(page: str) -> str:
    """Return what a page says."""
    body = tree_of(page).find("body")
    assert body is not None
    return " ".join("".join(body.itertext()).split())


@pytest.mark.parametrize("report", [REPORT, EMPTY], ids=["a run", "nothing"])
def test_a_page_needs_nothing_but_itself(report: LoadReport) -> None:
    """No script, no address, and browsers are told so; with pictures and without."""
    for charts in ((), charts_of(report)):
        page = page_of(report, charts)
        tree = tree_of(page)

        names = {node.tag.rpartition("}")[2] for node in tree.iter()}
        assert not names & {"script", "link", "img", "iframe", "object", "image", "use"}
        assert not re.search(r"url\(|@import|javascript:|href=", page)
        assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        policy = tree.find("head/meta[@http-equiv='Content-Security-Policy']")
        assert policy is not None
        assert "default-src 'none'" in str(policy.get("content"))


@pytest.mark.parametrize("status", Status)
def test_the_verdict_comes_first(status: Status) -> None:
    """In a word and a sign, with the code that a program ended with."""
    report = report_of(2, **CHANGES[status])

    text = text_of(page_of(report))
    assert report.status is status
    verdict = f"{status.upper()} exit code {report.exit_code}"
    assert text.index(verdict) < text.index("What became of what was planned")


CHANGES: dict[Status, dict[str, Any]] = {
    Status.PASSED: {"thresholds": ["p99<1s"]},
    Status.FAILED: {"thresholds": ["p99<1us"]},
    Status.MEASURED: {},
    Status.INVALID: {"lag": 0.1, "typical": 1.0},
    Status.INCOMPLETE: {"lost": ("worker 1 ended",)},
    Status.CUT_SHORT: {"interrupted": True},
}


@pytest.mark.parametrize("status", Status)
def test_nobody_quotes_what_proves_nothing(status: Status) -> None:
    """Above all that is seen, beside the verdict, and again beside the percentiles."""
    report = report_of(2, **CHANGES[status])
    page = page_of(report)

    warnings = text_of(page).count("Do not quote")
    assert warnings >= 3 if report.caveat else warnings == 0
    assert ('class="void"' in page) is (report.caveat is not None)


TEXT = st.text(max_size=30) | st.just(HOSTILE)


@settings(max_examples=40, deadline=None)
@given(TEXT, TEXT, TEXT, TEXT)
def test_text_stays_text(error: str, example: str, name: str, value: str) -> None:
    """Whatever errors, steps and machines are called, no element is made of it."""
    recorder = Recorder()
    recorder.record(
        Iteration(
            due=0,
            sent=0,
            ended=1_000_000,
            result=Result.UNKNOWN,
            error=error,
            example=example,
        )
    )
    recorder.step(name).record(1_000_000, 1_000_000)
    recorder.step(name).count(Result.UNKNOWN, error, example)
    facts = facts_of(scenario=name, environment={name: value}, target=value)
    report = report_of(0, recorder=recorder, facts=facts, stopped=value, lost=(name,))
    plain = attrs.evolve(report, facts=facts_of(environment={"a": "b"}))

    page = page_of(report)

    assert page.encode()
    tags = [node.tag for node in tree_of(page).iter()]
    assert len(tags) == len(list(tree_of(page_of(plain)).iter()))
    assert "script" not in tags


def test_a_page_without_pictures_shows_each_interval() -> None:
    """Where nothing draws them, what happened when is in a table that is open."""
    page = page_of(REPORT)

    assert '<details open="open">' in page
    assert "0 s" in text_of(page)


@pytest.mark.skipif(not has_charts(), reason="needs the extra charts")
def test_every_table_and_picture_can_be_heard() -> None:
    """Tables have names and heads that say what they are of, pictures have words."""
    page = page_of(REPORT, charts_of(REPORT))
    tree = tree_of(page)

    assert '<details open="open">' not in page
    assert len(tree.findall(".//table")) == len(tree.findall(".//table/caption")) > 5
    assert {head.get("scope") for head in tree.iter("th")} == {"col", "row"}
    pictures = tree.findall(".//figure/div")
    assert len(pictures) == 2 * 6
    assert all(one.get("role") == "img" and one.get("aria-label") for one in pictures)


def test_what_was_cut_is_told_to_be_a_lower_bound() -> None:
    """It counts as long as it was under way."""
    recorder = Recorder()
    recorder.record(Iteration(due=0, sent=0, ended=5_000_000_000, result=Result.CUT))
    page = page_of(report_of(0, recorder=recorder))

    assert "lower bounds" in text_of(page)
    assert "lower bounds" not in text_of(page_of(REPORT))


def luminance(colour: str) -> float:
    """Return how light a colour is, as WCAG counts it."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def pairs() -> Iterator[tuple[str, str, str, float]]:
    """Yield colours that lie on another, and how much they have to differ."""
    for palette in (LIGHT, DARK):
        for name in ("ink", "soft", "good", "bad", "warn", "plain"):
            yield name, palette[name], palette["paper"], 4.5
        for name in ("p50", "p90", "p99", "ok", "unknown", "failed", "rejected"):
            yield name, palette[name], palette["paper"], 2.9


@pytest.mark.parametrize(("name", "colour", "paper", "least"), list(pairs()))
def test_colours_can_be_told_from_the_paper(
    name: str, colour: str, paper: str, least: float
) -> None:
    """Words as WCAG AA asks, lines as it asks of pictures."""
    assert contrast(colour, paper) >= least, name


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (0, "0 µs"),
        (0.000_001, "1.00 µs"),
        (0.000_842, "842 µs"),
        (0.000_999_9, "1.00 ms"),
        (0.004_2, "4.20 ms"),
        (0.0421, "42.1 ms"),
        (0.999_6, "1.00 s"),
        (1.034, "1.03 s"),
        (3600, "3,600 s"),
    ],
)
def test_durations_are_spelled_for_people(seconds: float, spelled: str) -> None:
    """Three digits, as many as were kept."""
    assert spell_duration(seconds) == spelled


@given(st.floats(0, 1))
def test_only_all_of_it_is_a_hundred_per_cent(share: float) -> None:
    """One error in a million is not hidden by rounding."""
    assert (spell_share(share) == "100%") is (share * 100 == 100)
