"""Times from text: what is read, and what is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async._core.moments import from_epoch, read_moment

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 -- zones are drawn
    max_value=datetime(2900, 1, 1),  # noqa: DTZ001 -- zones are drawn
    timezones=ZONES,
)


@given(moment=MOMENTS)
def test_iso_8601_is_read_with_its_zone(moment: datetime) -> None:
    """What `isoformat` writes is the same moment again."""
    assert read_moment(moment.isoformat()) == moment


@given(moment=MOMENTS)
def test_epoch_seconds_are_read_in_utc(moment: datetime) -> None:
    """Digits are whole seconds since the epoch."""
    # By integers: a float of that size rounds the last microsecond up.
    seconds = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1)

    assert (
        read_moment(str(seconds))
        == from_epoch(seconds)
        == moment.replace(microsecond=0)
    )


@given(text=st.text(max_size=30))
def test_any_other_text_is_a_value_error(text: str) -> None:
    """No text is a crash, and none is read without a zone."""
    try:
        moment = read_moment(text)
    except ValueError:
        return
    assert moment.utcoffset() is not None


@pytest.mark.parametrize("seconds", [10**12 - 1, 10**30, -(10**30)])
def test_a_time_outside_of_the_calendar_is_refused(seconds: int) -> None:
    """Whichever error the platform has for it."""
    with pytest.raises(ValueError, match=r"calendar|range"):
        from_epoch(seconds)


def test_a_time_without_a_zone_is_refused_with_an_example() -> None:
    """Six o'clock is another moment in every country."""
    with pytest.raises(ValueError, match=r"needs a time zone, such as 2026-12"):
        read_moment("2026-12-24T18:00")


def test_digits_are_seconds_and_not_a_date() -> None:
    """Basic ISO dates are not read: eight digits are epoch seconds."""
    assert read_moment("20261224") == datetime(1970, 8, 23, 12, 7, 4, tzinfo=UTC)
