"""Minor units as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async._core.money import exponent_of, spell_major


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
