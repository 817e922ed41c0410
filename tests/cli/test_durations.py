"""How long, and until when, as options say it."""

import time
from datetime import datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.cli._durations import parse_duration, parse_moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("500ms", 0.5), ("2m", 120), ("1h", 3_600), ("1.5", 1.5), ("0s", 0)],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """Seconds without one."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "60 seconds", "-1s", "1e3s", "nans", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(click.BadParameter):
        parse_duration(text)


@pytest.mark.parametrize("text", ["99999999999999h", "9" * 400, "1" + "0" * 20 + "ms"])
def test_what_is_longer_than_years_is_refused(text: str) -> None:
    """No calendar reaches that far, and a float may not, either."""
    with pytest.raises(click.BadParameter, match="at most 87,840h"):
        parse_duration(text)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 -- local
    st.times(),
)
def test_a_time_of_day_is_the_next_one(naive: datetime, wanted: object) -> None:
    """Later than now, and by no more than a day: 18:00 said at 19:00 is tomorrow's."""
    text, now = f"{wanted:%H:%M}", naive.astimezone()

    moment = parse_moment(text, now)

    assert f"{moment:%H:%M}" == text
    assert now < moment <= now + timedelta(hours=25)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="zones cannot be set")
def test_a_time_of_day_is_that_of_its_own_day(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The clocks go forward in the night between, and 18:00 stays 18:00."""
    request.addfinalizer(time.tzset)  # once the environment is as it was
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Warsaw")
        time.tzset()
        evening = datetime(2027, 3, 27, 19).astimezone()

        moment = parse_moment("18:00", evening)

        assert moment.isoformat() == "2027-03-28T18:00:00+02:00"


def test_a_moment_may_be_a_whole_one() -> None:
    """As ISO 8601 has it, with or without a zone."""
    now = datetime(2026, 11, 28, 19).astimezone()

    assert (
        parse_moment("2026-12-01T08:00", now) == datetime(2026, 12, 1, 8).astimezone()
    )
    assert parse_moment("2026-12-01T08:00Z", now).isoformat() == (
        "2026-12-01T08:00:00+00:00"
    )


@pytest.mark.parametrize("text", ["", "noon", "25:00", "18:60", "18", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(click.BadParameter, match="18:00"):
        parse_moment(text, datetime.now().astimezone())
