"""How long things took: exact enough, never dropped, and the same after a journey."""

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.load.times import COARSE, FINE, LONGEST, Times

SECOND = 1_000_000_000


def times_of(durations: list[int], digits: int = FINE) -> Times:
    """Return *durations*, recorded."""
    times = Times(digits)
    for one in durations:
        times.record(one)
    return times


@given(
    st.lists(st.integers(1_000, 3_000 * SECOND), min_size=1, max_size=50),
    st.sampled_from([(FINE, 2e-3), (COARSE, 2e-2)]),
)
def test_percentiles_are_as_exact_as_they_say(
    durations: list[int], digits: tuple[int, float]
) -> None:
    """The median and the longest are those of a sorted list."""
    kept, tolerance = digits
    times = times_of(durations, kept)

    in_order = sorted(durations)
    median = in_order[(len(in_order) + 1) // 2 - 1]
    found = times.percentiles([50])[50]
    assert found * SECOND == pytest.approx(median, rel=tolerance, abs=1e3)
    assert times.longest * SECOND == pytest.approx(in_order[-1], rel=tolerance, abs=1e3)


@given(
    st.lists(st.integers(1_000, 10 * SECOND), min_size=1, max_size=300),
    st.sampled_from([50.0, 90.0, 95.0, 99.0, 99.9]),
)
def test_a_percentile_leaves_out_no_more_than_it_says(
    durations: list[int], percentile: float
) -> None:
    """At least that share took at most so long: one slow one of sixty is their p99."""
    found = times_of(durations).percentiles([percentile])[percentile]

    rank = -(-round(percentile * 10) * len(durations) // 1_000)
    assert found * SECOND == pytest.approx(
        sorted(durations)[rank - 1], rel=2e-3, abs=1e3
    )


@given(st.lists(st.integers(1_000, 10 * SECOND), max_size=50))
def test_all_of_them_can_be_looked_at(durations: list[int]) -> None:
    """The shortest first, each as often as it was recorded."""
    seen = list(times_of(durations).counts())

    spread = [value for value, count in seen for _ in range(count)]
    assert [one * SECOND for one in spread] == pytest.approx(
        sorted(durations), rel=2e-3, abs=1e3
    )


def test_what_took_too_long_is_counted_as_such() -> None:
    """Never dropped: it is the longest there is, and told."""
    times = times_of([2 * LONGEST * SECOND])

    times.add(pickle.loads(pickle.dumps(times)))  # noqa: S301 -- our own

    assert (len(times), times.beyond) == (2, 2)
    assert times.longest == pytest.approx(LONGEST, rel=2e-3)


@given(st.lists(st.integers(1_000, SECOND)), st.lists(st.integers(1_000, SECOND)))
def test_times_are_sent_and_added(some: list[int], others: list[int]) -> None:
    """What processes measured apart is as if one had measured it."""
    merged = Times()
    for durations in (some, others):
        merged.add(pickle.loads(pickle.dumps(times_of(durations))))  # noqa: S301 -- our own

    assert merged.encoded() == times_of(some + others).encoded()


def test_of_none_there_is_nothing_to_tell() -> None:
    """No percentile, no mean, no longest: nought of each."""
    times = Times()

    assert times.percentiles([50, 99]) == {50: 0.0, 99: 0.0}
    assert (times.mean, times.longest, list(times.counts())) == (0.0, 0.0, [])


@given(st.lists(st.integers(1_000, 10 * SECOND), min_size=1, max_size=50))
def test_the_mean_is_that_of_the_durations(durations: list[int]) -> None:
    """As exact as the rest."""
    mean = sum(durations) / len(durations)

    assert times_of(durations).mean * SECOND == pytest.approx(mean, rel=2e-3, abs=1e3)


@given(st.binary(max_size=80))
def test_what_is_no_histogram_is_refused(garbage: bytes) -> None:
    """Whatever the library raises of it, it is a `ValueError`."""
    with pytest.raises(ValueError, match="no histogram"):
        Times(FINE, garbage)


def test_other_tools_read_percentiles_in_milliseconds() -> None:
    """HdrHistogram's text, which its plotter takes."""
    text = times_of([2_000_000, 4_000_000]).percentile_distribution()

    lines = text.splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert lines[2].split()[:3] == ["2.000", "0.000000000000", "1"]
    assert re.sub(" +", " ", lines[-3]) == "#[Mean = 3.001, StdDeviation = 1.000]"
