"""Slips that a table may hold: when a question is asked, and when not."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async._core.money import EXPONENTS, spell_major
from convergegate_async.bulk.tables.doubts import (
    is_ruined,
    looks_major,
    meant_currency,
)

ZLOTY = "PLN"
AMOUNTS = st.lists(st.integers(500, 200_000), min_size=1, max_size=9)
FUNDS = {"BOV", "CHE", "CHW", "COU", "MXV", "USN", "XAD"}
CODES = st.sampled_from(
    [code for code, digits in EXPONENTS.items() if digits == 2 and code not in FUNDS]
)


def in_zloty(*amounts: object) -> list[tuple[str, str]]:
    """Return cells of amounts and their currency."""
    return [(str(amount), ZLOTY) for amount in amounts]


def near(code: str) -> set[str]:
    """Return all that is one slip away from *code*."""
    others = {
        code[:place] + letter + code[place + 1 :]
        for place in range(3)
        for letter in string.ascii_uppercase
    }
    return (others | {code[1] + code[0] + code[2], code[0] + code[2] + code[1]}) - {
        code
    }


class TestProperties:
    @given(AMOUNTS)
    def test_ordinary_minor_units_are_no_doubt(self, amounts: list[int]) -> None:
        """From 5.00 to 2,000.00 nobody is asked."""
        assert not looks_major(in_zloty(*amounts))

    @given(AMOUNTS, st.sampled_from([".", ","]))
    def test_decimals_look_major(self, amounts: list[int], point: str) -> None:
        """Two decimals tell the unit."""
        spelled = [spell_major(amount, ZLOTY, point) for amount in amounts]

        assert looks_major(in_zloty(*spelled))

    @given(st.integers(10**5, 10**20), st.integers(0, 5))
    def test_a_rounded_number_is_seen_and_a_whole_one_is_fine(
        self, number: int, digits: int
    ) -> None:
        """As Excel, LibreOffice and pandas write it, with a comma too."""
        text = f"{number:.{digits}E}"

        assert is_ruined(text)
        assert is_ruined(text.replace(".", ","))
        assert is_ruined(text.lower())
        assert not is_ruined(str(number))

    @given(CODES, st.data())
    def test_a_slip_of_a_currency_in_the_table_is_seen(
        self, code: str, data: st.DataObject
    ) -> None:
        """What stands beside it was meant, as nothing else does."""
        slip = data.draw(st.sampled_from(sorted(near(code) - EXPONENTS.keys())))

        meant = meant_currency(slip.lower(), {code})

        assert meant == code

    @given(st.text(max_size=5) | st.text(string.ascii_letters, min_size=3, max_size=3))
    def test_what_was_meant_is_one_slip_away(self, code: str) -> None:
        """No text is a crash, and a currency that there is means itself."""
        meant = meant_currency(code)

        assert meant is None or meant in near(code.upper()) & EXPONENTS.keys()
        assert meant is None or code.upper() not in EXPONENTS


@pytest.mark.parametrize("text", ["1E+05", "1,23457E+11", "4.8601E+10", "1e+16"])
def test_a_spreadsheet_ruins_ids_so(text: str) -> None:
    """All ids that begin alike are the same afterwards."""
    assert is_ruined(text)


@pytest.mark.parametrize(
    "text", ["1E5", "7E-12", "E+05", "12E", "ZAM/1E+05", "00014", "1E+05a", "+", ""]
)
def test_somebody_s_own_ids_are_no_doubt(text: str) -> None:
    """What may have been an id before is one."""
    assert not is_ruined(text)


@pytest.mark.parametrize(
    "cells",
    [
        in_zloty(50),
        in_zloty(120, 89, 250, 1200),
        in_zloty("49.99", "50", "49,9", "1 234,50", "49.999", "-5", "49.99 zł"),
        in_zloty("177,11", "747,06"),
        [("1.5", "KWD"), ("2.250", "KWD")],
    ],
)
def test_amounts_that_look_major(cells: list[tuple[str, str]]) -> None:
    """Decimals, or whole złoty that would be a few groszy."""
    assert looks_major(cells)


@pytest.mark.parametrize(
    "cells",
    [
        in_zloty(4999, 12900, 990),
        in_zloty(1),  # who tries it sends one grosz
        in_zloty(4999, 12900, "49.99"),
        in_zloty("4999.0", "12900.0"),  # pandas
        in_zloty("1,234", "free", ""),
        [("120", "JPY"), ("450", "HUF"), ("450", "PLM")],
        [],
    ],
)
def test_amounts_that_do_not_look_major(cells: list[tuple[str, str]]) -> None:
    """One slip among many is a problem of its row, and no unit."""
    assert not looks_major(cells)


@pytest.mark.parametrize(
    ("code", "beside", "meant"),
    [
        ("PLM", (), "PLN"),
        ("plz", (), "PLN"),
        ("PNL", (), None),  # or HNL
        ("PNL", ("PLN",), "PLN"),
        ("EUE", (), "EUR"),
        ("EUD", (), None),  # or AUD
        ("EUD", ("PLN", "EUR"), "EUR"),
        ("EUD", ("AUD", "EUR"), None),
        ("CHX", (), "CHF"),  # and not CHE or CHW, which are funds
        ("PLN", ("EUR",), None),
        ("PL", (), None),
        ("EURO", (), None),
        ("QQQ", (), None),
        ("", (), None),
    ],
)
def test_a_currency_is_meant_if_it_is_the_only_one(
    code: str, beside: tuple[str, ...], meant: str | None
) -> None:
    """Those of the same table come first."""
    assert meant_currency(code, beside) == meant
