"""Two runs beside each other: chance is no change, and a change is found."""

import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_reports import SECOND, facts_of, latencies, report_of

from convergegate_async.load.effort import Effort
from convergegate_async.load.recorder import Iteration, Recorder, Result
from convergegate_async.load.report.compare import (
    FEWEST_INTERVALS,
    METRICS,
    Comparison,
    Difference,
    compare,
)
from convergegate_async.load.report.data import LoadReport


def run_of(  # noqa: PLR0913 -- each is another way to be
    seed: int,
    seconds: int = 60,
    rate: float = 40,
    *,
    typical: float = 0.012,
    freezes: float = 0.0,
    errors: float = 0.0,
) -> LoadReport:
    """Return a run of a target that is so quick, and stands still so often."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    recorder = Recorder()
    count = int(seconds * rate)
    for due, takes in latencies(chance, count, rate, typical=typical, freezes=freezes):
        begun = int(due * SECOND)
        recorder.record(
            Iteration(
                due=begun,
                sent=begun,
                ended=begun + int(takes * SECOND),
                result=Result.UNKNOWN if chance.random() < errors else Result.OK,
            )
        )
    return LoadReport(
        facts=facts_of(seconds=float(seconds)),
        recorder=recorder,
        effort=Effort(),
        seconds=max(seconds, recorder.ended / SECOND),
    )


def changed(comparison: Comparison) -> set[str]:
    """Return what differs by more than chance."""
    return {one.metric for one in comparison.differences if one.is_change}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(0, 40), st.sampled_from([0.0, 0.1]))
def test_a_run_does_not_differ_from_itself(
    seed: int, seconds: int, freezes: float
) -> None:
    """Of any length, and one that sent nothing."""
    report = run_of(seed, seconds, 20, freezes=freezes, errors=0.05)

    comparison = compare(report, report)

    assert changed(comparison) == set()
    assert [one.metric for one in comparison.differences] == list(METRICS)
    for one in comparison.differences:
        assert one.change in {0, None}
        assert one.interval is None or one.interval[0] <= 0 <= one.interval[1]
        assert (one.interval is None) >= (one.why_not is not None)


@pytest.mark.slow
def test_chance_is_rarely_called_a_change() -> None:
    """Of runs of one target, whether it stands still at times or not."""
    figures = calls = 0
    for pair in range(20):
        for freezes in (0.0, 0.1):
            one, other = (
                run_of(2 * pair + number, freezes=freezes, errors=0.01)
                for number in range(2)
            )
            comparison = compare(one, other)
            figures += sum(bool(one.interval) for one in comparison.differences)
            calls += len(changed(comparison))

    assert calls / figures < 0.1


@pytest.mark.parametrize("freezes", [0.0, 0.1])
def test_a_fifth_more_is_found(freezes: float) -> None:
    """Of the median even where standstills hide it from the rest."""
    comparison = compare(
        run_of(1, freezes=freezes), run_of(2, typical=0.0144, freezes=freezes)
    )

    expected = {"p50"} if freezes else {"p50", "p90", "p95", "mean"}
    assert expected <= changed(comparison)
    median = comparison.differences[0]
    assert median.change == pytest.approx(0.2, abs=0.08)
    assert median.change is not None
    assert median.interval is not None
    assert median.interval[0] < median.change < median.interval[1]


def test_a_target_that_stands_still_is_seen() -> None:
    """In what its slowest took, though not in what half took."""
    found = changed(compare(run_of(1), run_of(2, freezes=0.3)))

    assert {"p90", "mean"} <= found


def test_more_errors_are_found_even_where_there_were_none() -> None:
    """In shares, as nothing is a part of none."""
    comparison = compare(run_of(1), run_of(2, errors=0.03))

    by_metric = {one.metric: one for one in comparison.differences}
    assert by_metric["error_rate"].is_change
    assert by_metric["error_rate"].change == by_metric["error_rate"].after
    assert by_metric["error_rate"].before == 0


def test_the_same_two_come_to_the_same() -> None:
    """Draws are seeded, and a file is as good as what it was written of."""
    one, other = run_of(1, 20), run_of(2, 20)

    read = [LoadReport.from_json(report.to_json()) for report in (one, other)]
    assert compare(one, other) == compare(one, other) == compare(*read)


@pytest.mark.parametrize("seconds", [0, 1, FEWEST_INTERVALS - 1])
def test_a_short_run_is_too_short_to_tell(seconds: int) -> None:
    """Its figures are shown, and no interval is made up for them."""
    comparison = compare(run_of(1, seconds), run_of(2))

    assert changed(comparison) == set()
    assert not any(one.interval for one in comparison.differences)
    assert "too short" in str(comparison.differences[0].why_not)


def test_what_rests_on_single_events_is_said_to() -> None:
    """The longest always does; the last percentiles of a run with one standstill do."""
    comparison = compare(run_of(1, freezes=0.02), run_of(2, freezes=0.02))

    reasons = {one.metric: one.why_not for one in comparison.differences}
    assert reasons["max"] == "the longest of a run is a single event"
    assert "too few events" in str(reasons["p99.9"])
    assert reasons["p50"] is None


def test_runs_that_are_no_match_are_said_to_be_none() -> None:
    """One is cut short, and they differ in what was run."""
    one = run_of(1, 20)
    other = attrs.evolve(
        one, interrupted=True, facts=attrs.evolve(one.facts, scenario="create")
    )

    caveats = compare(one, other).caveats
    assert caveats[0].startswith("the second run is cut short")
    assert caveats[1] == "they differ in their scenario: create-retrieve, create"
    assert compare(one, one).caveats == ()


def test_what_cannot_be_resolved_is_no_change() -> None:
    """However sure it is: histograms of intervals are exact to one per cent."""
    sure = Difference(
        metric="p50", before=1.0, after=1.005, change=0.005, interval=(0.004, 0.006)
    )

    assert not sure.is_change
    assert attrs.evolve(sure, change=0.02, interval=(0.01, 0.03)).is_change
    assert attrs.evolve(sure, metric="error_rate").is_change


def test_steps_and_phases_do_not_matter() -> None:
    """A report of a real scenario is compared by its iterations."""
    report = report_of(20, 20)

    assert changed(compare(report, report)) == set()
