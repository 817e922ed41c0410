"""Slices that begin together: what is known of clocks."""

import time

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.runners._spread import Clock, RoundTrip, clock_from, do_in_time

# -- clocks --------------------------------------------------------------------------

SECOND = 2**20  # of it, floats of today's times hold every sum and half exactly
times = st.integers(0, 2 * SECOND)


@given(
    offset=st.integers(-(2**30), 2**30),
    trips=st.lists(st.tuples(times, times), min_size=1),
)
def test_the_true_offset_is_within_the_margin(
    offset: int, trips: list[tuple[int, int]]
) -> None:
    """However long each way took, and whichever way took longer."""
    asked = 1_700_000_000 * SECOND
    clock = clock_from(
        RoundTrip(
            asked=asked / SECOND,
            answer=(asked + there + offset) / SECOND,
            took=(there + back) / SECOND,
        )
        for there, back in trips
    )

    assert abs(clock.offset - offset / SECOND) <= clock.margin
    assert clock.margin == min(map(sum, trips)) / 2 / SECOND


def test_trips_of_no_time_tell_it_exactly() -> None:
    """The shortest counts, and not the last."""
    trips = [RoundTrip(10, 12, took=2), RoundTrip(20, 23, took=0), RoundTrip(30, 31, 1)]

    assert clock_from(trips) == Clock(offset=3, margin=0)


@attrs.frozen
class Soon:
    """A part that begins in two seconds, by a clock that is known more or less."""

    margin: float
    start: float = attrs.field(factory=lambda: time.time() + 2.0)
    offset: float = 0.0

    def is_stopped(self) -> bool:
        """Whether it is to end early, which it is not."""
        return False

    def tell(self, news: object) -> None:
        """Lose the news."""


@pytest.mark.parametrize(("margin", "result"), [(0.0, "done"), (3.0, None)])
def test_a_start_that_may_have_passed_is_refused(
    margin: float, result: str | None
) -> None:
    """A worker that does not know the time well enough does not begin."""
    one = do_in_time(lambda item, _: item, "done", Soon(margin))

    assert (one.result, one.margin) == (result, margin)
