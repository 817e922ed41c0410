"""Minor units, major ones, and how people read them."""

from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async import InvalidFieldError, major_units, minor_units
from convergegate_async._core.money import EXPONENTS, exponent_of, spell_major

CODES = sorted(code for code, digits in EXPONENTS.items() if digits is not None)


@given(st.integers(-(2**53), 2**53), st.sampled_from(CODES))
def test_units_survive_the_way_there_and_back(amount: int, currency: str) -> None:
    """What is made major is the same minor units again, also as it is printed."""
    major = major_units(amount, currency)

    assert minor_units(major, currency.lower()) == amount
    assert minor_units(f"{major:f}", currency) == amount


@given(
    st.decimals()
    | st.integers()
    | st.from_regex(r"-?[0-9]{1,5}(\.[0-9]{1,5})?", fullmatch=True),
    st.sampled_from(CODES),
)
@example(Decimal("1e999999999"), "PLN")
@example(Decimal("1e-999999999"), "PLN")
@example(Decimal("0e-999999999"), "PLN")
@example(Decimal("1234567890123456789012345678901.5"), "JPY")
def test_nothing_is_rounded(amount: str | int | Decimal, currency: str) -> None:
    """The minor units are exactly the amount, or it is refused."""
    try:
        units = minor_units(amount, currency)
    except InvalidFieldError:
        return

    assert Fraction(units, 10 ** exponent_of(currency)) == Fraction(amount)


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        ("49,99", "PLN", 'a point before its decimals: write "49.99"'),
        ("1 234.50", "PLN", 'not part thousands: write "1234.50"'),
        ("1\u00a0234,50", "PLN", "not part thousands"),
        ("1,234.50", "PLN", "not part thousands"),
        ("1.234,50", "PLN", "not part thousands"),
        ("1_234", "PLN", "not part thousands"),
        ("1.234.567", "KWD", "not part thousands"),
        ("1.000", "PLN", "may mean thousands"),
        ("49.99", "JPY", "at most 0 decimals in JPY"),
        ("0.005", "pln", "at most 2 decimals in PLN"),
        (49.99, "PLN", 'a float is not: write "49.99" or Decimal'),
        (True, "PLN", "a plain decimal number"),
        (None, "PLN", "a plain decimal number"),
        ("", "PLN", "a plain decimal number"),
        ("49.99 zł", "PLN", "a plain decimal number"),
        ("٤٩", "PLN", "a plain decimal number"),
        ("1e2", "PLN", "a plain decimal number"),
        (Decimal("NaN"), "PLN", "a plain decimal number"),
        (Decimal("Infinity"), "PLN", "a plain decimal number"),
        (10**40, "PLN", "too large"),
        ("9" * 40, "PLN", "too large"),
        ("1", "PLM", "ISO 4217 as of 2026-01-01"),
        ("1", "xau", "XAU has no minor unit"),
        ("1", "zł", "three-letter"),
        ("1", None, "must be a str"),
    ],
)
def test_what_is_not_exact_is_refused(
    amount: object, currency: object, reason: str
) -> None:
    """The refusal says how to write it."""
    with pytest.raises(InvalidFieldError, match=reason):
        minor_units(cast("str", amount), cast("str", currency))


@pytest.mark.parametrize("amount", ["4999", 49.99, True, None, 10**40])
def test_only_minor_units_are_made_major(amount: object) -> None:
    """Neither a float nor a text is taken for minor units."""
    with pytest.raises(InvalidFieldError, match="amount"):
        major_units(cast("int", amount), "PLN")


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("49.99", "PLN", 4999),
        ("0.5", "pln", 50),
        ("1.234", "KWD", 1234),
        ("49.9900", "PLN", 4999),
        (Decimal("49.990"), "PLN", 4999),
        (49, "PLN", 4900),
        ("4999", "JPY", 4999),
        ("-0.01", "PLN", -1),
    ],
)
def test_the_exponent_is_the_currency_s(
    amount: str | int | Decimal, currency: str, units: int
) -> None:
    """ISO 4217 gives most currencies two decimals, yen none and dinars three."""
    assert minor_units(amount, currency) == units


def test_the_table_is_whole() -> None:
    """List one of 2026 has 178 codes of three capital letters, each one time."""
    assert len(EXPONENTS) == 178
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)


@given(st.integers(0, 2**53), st.sampled_from(["pln", "JPY", "kwd", "xyz"]))
def test_no_minor_unit_is_lost(amount: int, currency: str) -> None:
    """Without its separators, the major spelling is the minor units again."""
    spelled = spell_major(amount, currency)

    assert int(spelled.replace("\u202f", "").replace(".", "")) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "point", "spelled"),
    [
        (4999, "pln", ".", "49.99"),
        (4999, "PLN", ",", "49,99"),
        (5, "pln", ".", "0.05"),
        (4999, "jpy", ".", "4\u202f999"),
        (1234567, "kwd", ".", "1\u202f234.567"),
    ],
)
def test_the_currency_says_where_the_point_stands(
    amount: int, currency: str, point: str, spelled: str
) -> None:
    """ISO 4217 gives yen no minor unit and dinars a thousand."""
    assert spell_major(amount, currency, point) == spelled


@pytest.mark.parametrize("currency", ["clf", "UYW"])
def test_units_of_account_have_four_digits(currency: str) -> None:
    """ISO 4217 gives Chile's and Uruguay's indexed units four."""
    assert spell_major(12_345, currency) == "1.2345"


def test_most_currencies_have_two_digits() -> None:
    """A currency that is not listed is read in hundredths."""
    assert exponent_of("usd") == 2
