"""Cells that hold numbers and times, where texts may have been: XLSX and Parquet."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async._core.money import EXPONENTS
from convergegate_async.bulk.tables.fields import (
    Spellings,
    digits_of,
    read_typed_major,
    read_typed_number,
    read_typed_text,
    readers,
)
from convergegate_async.errors import InvalidFieldError

WARSAW = ZoneInfo("Europe/Warsaw")
HOW = "write it in ISO 8601 with one of these"
CURRENCIES = st.sampled_from([code for code, digits in EXPONENTS.items() if digits])


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_a_whole_number_is_its_digits(number: int) -> None:
    """Whatever a program made of it: an integer, a float or a decimal."""
    spellings = [number, float(number), Decimal(number), Decimal(f"{number}.00")]

    assert {digits_of("id", value) for value in spellings} == {str(number)}


@given(st.integers(1, 10**12), CURRENCIES)
def test_a_float_is_the_amount_that_it_is_written_as(units: int, code: str) -> None:
    """Every amount of so many minor units survives a column of floats."""
    exponent = EXPONENTS[code]
    value = float(Decimal(f"{units}e-{exponent}"))

    assert read_typed_major("amount", {"amount": value, "currency": code}) == units


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.1 + 0.2, "must have at most 2 decimals in PLN"),
        (49.999, "must have at most 2 decimals in PLN"),
        (float("inf"), 'must be a plain decimal number, such as "49.99"'),
        (1e20, "is too large"),
        (True, 'must be a plain decimal number, such as "49.99"'),
    ],
)
def test_a_float_that_is_no_exact_amount_is_refused(value: object, reason: str) -> None:
    """Nothing is rounded."""
    with pytest.raises(InvalidFieldError) as caught:
        read_typed_major("amount", {"amount": value, "currency": "pln"})

    assert caught.value.reason == reason


@pytest.mark.parametrize("value", [4999, 4999.0, Decimal("4999.00"), "4999"], ids=repr)
def test_minor_units_are_whole(value: object) -> None:
    """A number, or digits that are a text, as cells that are formatted so hold them."""
    assert read_typed_number("amount", {"amount": value}) == 4999


@pytest.mark.parametrize(
    "value", [49.99, Decimal("49.99"), "49.99", True, None], ids=repr
)
def test_other_minor_units_are_refused(value: object) -> None:
    """A fraction is no number of minor units, and is not taken for a major one."""
    with pytest.raises(InvalidFieldError):
        read_typed_number("amount", {"amount": value})


def test_a_number_that_no_float_holds_is_refused() -> None:
    """Its last digits were made up: an id, and no phone number, may be as long."""
    with pytest.raises(InvalidFieldError) as caught:
        read_typed_text("id", {"id": 1.2345678901234567e19})

    assert "more than 15 digits" in caught.value.reason


@pytest.mark.parametrize("value", ["048601234567", 4.5, True, None, b"1"])
def test_what_is_no_whole_number_is_as_it_was(value: object) -> None:
    """A zero in front of a text stays, too; the rules judge the rest."""
    assert digits_of("customer_phone", value) is value


def read_time(value: object, zone: ZoneInfo | None = WARSAW) -> object:
    """Return what is read of a time in a cell."""
    read = readers("typed", in_major=False, spellings=Spellings(timezone=zone))
    return read["expires_at"]("expires_at", {"expires_at": value})


class Timestamp(datetime):
    """A time of another library, such as pandas'."""


@pytest.mark.parametrize("kind", [datetime, Timestamp])
def test_a_time_without_a_zone_is_in_the_one_that_is_told(
    kind: type[datetime],
) -> None:
    """Spreadsheets' times name none."""
    found = read_time(kind(2026, 12, 31, 23, 59))

    assert found == datetime(2026, 12, 31, 22, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC),
        2_000_000_000,
        2e9,
        "2033-05-18T05:33:20+02:00",
    ],
)
def test_a_time_that_names_its_zone_stays(value: object) -> None:
    """Epoch seconds do, also as a float."""
    found = read_time(value)

    assert found == datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "zone", "reason"),
    [
        (
            datetime(2026, 12, 31, 23, 59),  # noqa: DTZ001 -- that is the point
            None,
            "needs a time zone: say which with --timezone, such as Europe/Warsaw",
        ),
        (
            date(2026, 12, 31),
            WARSAW,
            "must have a time of day, such as 24.12.2026 18:00: a date has two ends",
        ),
        (
            datetime(2026, 3, 29, 2, 30),  # noqa: DTZ001
            WARSAW,
            f"is skipped by clocks from UTC+01:00 to UTC+02:00: {HOW}",
        ),
        (
            datetime(2026, 10, 25, 2, 30),  # noqa: DTZ001
            WARSAW,
            "comes twice as clocks go from UTC+02:00 to UTC+01:00: " + HOW,
        ),
    ],
    ids=["no zone", "no time", "skipped", "doubled"],
)
def test_a_time_that_may_be_another_is_refused(
    value: date, zone: ZoneInfo | None, reason: str
) -> None:
    """It is told what it may be, without the value."""
    with pytest.raises(InvalidFieldError) as caught:
        read_time(value, zone)

    assert caught.value.reason == reason


@given(st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1)))  # noqa: DTZ001
def test_no_time_is_moved(moment: datetime) -> None:
    """It is what clocks show then, or refused where they changed within two hours."""
    try:
        found = read_time(moment)
    except InvalidFieldError:
        near = [moment.replace(tzinfo=WARSAW) + timedelta(hours=h) for h in (-3, 3)]
        assert len({time.utcoffset() for time in near}) == 2
    else:
        assert isinstance(found, datetime)
        assert found.astimezone(WARSAW).replace(tzinfo=None) == moment
