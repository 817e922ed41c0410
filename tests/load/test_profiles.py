"""A plan of arrivals: how many, when, the same again, and for ten hours."""

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import ConfigurationError
from convergegate_async.load.profiles import (
    Profile,
    Segment,
    Trace,
)
from convergegate_async.load.times import NANOSECONDS

RATES = st.floats(0.5, 500)
DURATIONS = st.floats(0.1, 20)
SEGMENTS = st.builds(Segment, DURATIONS, RATES, RATES)


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.sampled_from(["even", "poisson"]))
def test_a_plan_is_in_order_and_in_time(segments: list[Segment], arrivals: str) -> None:
    """No arrival before the one before it, none before 0 or past the end."""
    profile = Profile(segments=tuple(segments), arrivals=arrivals)  # type: ignore[arg-type]  # sampled

    moments = list(profile.due_times())

    assert moments == sorted(moments)
    assert all(0 <= moment <= profile.duration * NANOSECONDS + 1 for moment in moments)


@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_even_arrivals_are_as_many_as_the_rate_adds_up_to(
    segments: list[Segment],
) -> None:
    """A part of one, at most, is still owed at the end."""
    moments = list(Profile(segments=tuple(segments)).due_times())

    owed = math.fsum(segment.owed for segment in segments)
    assert len(moments) == pytest.approx(owed, abs=1.001)


@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_even_arrivals_can_be_counted_without_going_through_them(
    segments: list[Segment],
) -> None:
    """As many as there are, to the last; what chance decides cannot."""
    profile = Profile(segments=tuple(segments))

    assert profile.count() == len(list(profile.due_times()))
    assert Profile.constant(1, 1, arrivals="poisson").count() is None
    assert Trace([0, 1, 5]).count() == 3


@given(RATES, st.integers(1, 20))
def test_a_constant_rate_is_evenly_spaced(rate: float, duration: int) -> None:
    """The n-th is due n / rate after the beginning, whatever became of the others."""
    moments = list(Profile.constant(rate, duration).due_times())

    assert moments == pytest.approx(
        [n / rate * NANOSECONDS for n in range(len(moments))], abs=2
    )


@given(DURATIONS, RATES, RATES, st.floats(0, 1))
def test_what_is_owed_is_turned_round(
    duration: float, start: float, end: float, share: float
) -> None:
    """After `when` of it, the rate has added up to just that."""
    segment = Segment(duration, start, end)
    owed = share * segment.owed

    moment = segment.when(owed)

    rate = start + (end - start) * moment / duration
    assert moment * (start + rate) / 2 == pytest.approx(owed, abs=1e-6)


def test_a_ramp_from_nothing_begins_with_the_first_request() -> None:
    """0 to 2 a second over 2 seconds is two requests, at 0 and at the square root."""
    assert list(Profile.ramp(0, 2, 2).due_times()) == [0, round(math.sqrt(2) * 1e9)]


def test_steps_follow_each_other() -> None:
    """Each takes its own time, at its own rate."""
    moments = list(Profile.steps([1, 2], 2).due_times())

    assert [moment / NANOSECONDS for moment in moments] == [0, 1, 2, 2.5, 3, 3.5]


@given(st.integers(0, 2**32))
def test_chance_is_the_same_again_with_its_seed(seed: int) -> None:
    """A run can be repeated, and compared."""
    plans = [Profile.constant(50, 5, arrivals="poisson", seed=seed) for _ in range(2)]

    assert list(plans[0].due_times()) == list(plans[1].due_times())


def test_arrivals_by_chance_are_as_a_poisson_process_has_them() -> None:
    """As many as the rate says, and as spread: mean and variance of a second agree."""
    rate, seconds = 20, 2_000
    profile = Profile.constant(rate, seconds, arrivals="poisson", seed=7)

    counts = [0] * seconds
    for moment in profile.due_times():
        counts[moment // NANOSECONDS] += 1

    mean = sum(counts) / seconds
    variance = sum((one - mean) ** 2 for one in counts) / seconds
    assert mean == pytest.approx(rate, rel=0.02)
    assert variance == pytest.approx(rate, rel=0.1)


def test_ten_hours_are_planned_one_request_at_a_time() -> None:
    """The plan is no list: its last requests are exactly as due as its first."""
    moments = Profile.constant(10, 36_000).due_times()

    last = max(itertools.islice(moments, 359_999, None))

    assert last == 359_999 * NANOSECONDS // 10


@given(st.lists(st.floats(-1e6, 1e8), min_size=1, max_size=20).map(sorted))
def test_a_trace_begins_with_its_first_arrival(moments: list[float]) -> None:
    """Whatever clock recorded it: its distances are kept."""
    due = list(Trace(moments).due_times())

    assert due[0] == 0
    assert due == sorted(due)
    assert due[-1] == round((moments[-1] - moments[0]) * NANOSECONDS)


REFUSED: dict[str, Callable[[], object]] = {
    "no rate": lambda: Profile.constant(0, 1),
    "a negative rate": lambda: Profile.constant(-1, 1),
    "no number": lambda: Profile.constant(math.nan, 1),
    "an endless rate": lambda: Profile.constant(math.inf, 1),
    "a rate beyond all": lambda: Profile.constant(1e308, 1),
    "more than can be": lambda: Profile.constant(1e6, 1e6),
    "a time beyond all": lambda: Profile.constant(1e-9, 1e300),
    "no time": lambda: Profile.constant(1, 0),
    "a ramp of nothing": lambda: Profile.ramp(0, 0, 1),
    "no steps": lambda: Profile.steps([], 1),
    "other arrivals": lambda: Profile.constant(1, 1, arrivals="bursts"),  # type: ignore[arg-type]  # wrong on purpose
    "an empty trace": lambda: Trace([]),
    "a trace in disorder": lambda: Trace([2.0, 1.0]),
    "a trace beyond all": lambda: Trace([0.0, 1e300]),
    "a trace without end": lambda: Trace([0.0, math.inf]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_planned_is_refused(name: str) -> None:
    """With what is wrong, before anything is sent."""
    with pytest.raises(ConfigurationError):
        REFUSED[name]()


@pytest.mark.parametrize(
    ("rate", "profile", "words"),
    [
        ("200", Profile.constant(200, 60), "200/s for 60 s"),
        ("10..200", Profile.ramp(10, 200, 60), "10/s to 200/s for 60 s"),
        (
            "50,100",
            Profile.steps([50, 100], 30),
            "50/s for 30 s, then 100/s for 30 s",
        ),
        ("0.5", Profile.constant(0.5, 60), "0.5/s for 60 s"),
    ],
)
def test_a_profile_is_written_in_a_word(
    rate: str, profile: Profile, words: str
) -> None:
    """And read back to people."""
    assert Profile.parse(rate, 60) == profile
    assert str(profile) == words


@pytest.mark.parametrize(
    "rate", ["", "fast", "200/s", "1..2..3", "..", "0", "-5", "10,", "nan"]
)
def test_a_word_that_is_no_profile_is_refused(rate: str) -> None:
    """With what one looks like, or with what is wrong with its numbers."""
    with pytest.raises(ConfigurationError):
        Profile.parse(rate, 60)


def test_a_trace_is_a_moment_a_line() -> None:
    """Remarks and blank lines are passed over."""
    trace = Trace.parse("# seconds\n10\n\n10.5\n 12 \n")

    assert trace == Trace([10, 10.5, 12])
    assert (trace.duration, trace.peak) == (2.0, 2)
    assert str(trace) == "3 recorded arrivals in 2 s"
    for text in ("", "10:00:01\n", "2\n1\n"):
        with pytest.raises(ConfigurationError):
            Trace.parse(text)
