"""Amounts in cells: every usual spelling is read, and none that may mean two."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async import InvalidFieldError, minor_units
from convergegate_async._core.money import spell_major
from convergegate_async.bulk.tables.amounts import Mark, find_decimal, spell_plainly

SIGNS = " \u00a0\u2009\u202f'\u2019"  # they part thousands, and nothing else
MARKS: list[Mark] = [".", ","]
AMOUNTS = st.decimals(-(10**13), 10**13, places=2) | st.decimals(
    -9999, 9999, places=3
).filter(bool)


def written(amount: Decimal, mark: Mark, group: str) -> str:
    """Return *amount* as people write it."""
    return f"{amount:,f}".translate({ord(","): group, ord("."): mark})


def other(mark: Mark) -> Mark:
    """Return the mark that is not *mark*."""
    return "," if mark == "." else "."


def spelled(text: str, decimal: Mark | None = None) -> str | None:
    """Return what is read, or `None` where it is refused."""
    try:
        return spell_plainly("amount", text, decimal)
    except InvalidFieldError:
        return None


def readings(text: str) -> Iterator[Decimal]:
    """Yield each number that *text* may mean, found by taking it apart."""
    for mark in MARKS:
        whole, *fractions = text.removeprefix("-").split(mark)
        if not all(part.isdecimal() for part in fractions) or len(fractions) > 1:
            continue
        for group in SIGNS + other(mark):
            first, *threes = whole.split(group)
            is_grouped = len(first) <= 3 and all(len(three) == 3 for three in threes)
            if threes and (first.startswith("0") or not is_grouped):
                continue
            if all(part.isdecimal() for part in [first, *threes]):
                sign = "-" if text.startswith("-") else ""
                yield Decimal(sign + ".".join(["".join([first, *threes]), *fractions]))


class TestProperties:
    @given(AMOUNTS, st.sampled_from(MARKS), st.sampled_from(SIGNS + "~"))
    def test_what_is_written_is_read(
        self, amount: Decimal, mark: Mark, group: str
    ) -> None:
        """By its own mark an amount is the same again, however thousands are parted."""
        text = written(amount, mark, other(mark) if group == "~" else group)

        assert Decimal(spell_plainly("amount", text, mark)) == amount

    @given(
        st.integers(0, 2**53),
        st.sampled_from(["PLN", "JPY", "KWD"]),
        st.sampled_from(MARKS),
    )
    def test_what_we_show_is_read_to_the_last_minor_unit(
        self, amount: int, currency: str, mark: Mark
    ) -> None:
        """Thousands are parted by narrow no-break spaces there."""
        text = spell_major(amount, currency, mark)

        plain = spell_plainly("amount", text, mark)

        assert minor_units(plain, currency) == amount

    @given(AMOUNTS, st.sampled_from(MARKS), st.sampled_from(["", *SIGNS, "~"]))
    @example(Decimal(1234), ".", "~")
    @example(Decimal("1.234"), ".", "")
    def test_without_a_mark_it_is_read_right_or_refused(
        self, amount: Decimal, mark: Mark, group: str
    ) -> None:
        """No amount is ever another one, and one of two decimals is never refused."""
        text = written(amount, mark, other(mark) if group == "~" else group)

        plain = spelled(text)

        assert plain is None or Decimal(plain) == amount
        assert plain is not None or not text[-3:].startswith(mark)

    @given(st.text("123450.,' \u00a0-", max_size=12))
    @example("1,234")
    @example("0,123")
    @example("1234,567")
    @example("1.234.567")
    @example("-1.000")
    def test_two_readings_are_never_read_and_one_always_is(self, text: str) -> None:
        """Without a mark, a text is read if it can mean one number, and only then."""
        meant = set(readings(text))

        plain = spelled(text)

        assert ({Decimal(plain)} if plain else set()) == (
            meant if len(meant) == 1 else set()
        )

    @given(st.text(max_size=15), st.sampled_from([*MARKS, None]))
    @example("1e3", None)
    @example("٤٩", None)
    @example("²", ",")
    @example("1_234", ".")
    def test_what_is_read_is_digits_and_a_point(
        self, text: str, mark: Mark | None
    ) -> None:
        """Whatever the cell, a plain text comes of it, or a refusal."""
        plain = spelled(text, mark) or "0"

        whole, _, fraction = plain.removeprefix("-").partition(".")
        assert (whole + fraction).isascii()
        assert (whole + fraction).isdigit()

    @given(st.text(max_size=15), st.sampled_from([*MARKS, None]))
    def test_no_refusal_repeats_its_cell(self, text: str, mark: Mark | None) -> None:
        """Rows are personal data."""
        with pytest.raises(InvalidFieldError) as caught:
            spell_plainly("amount", f"§{text}§", mark)

        assert "§" not in str(caught.value)

    @given(
        st.lists(st.tuples(AMOUNTS, st.sampled_from(["", *SIGNS, "~"])), max_size=5),
        st.sampled_from(MARKS),
    )
    def test_a_column_never_shows_another_mark(
        self, column: list[tuple[Decimal, str]], mark: Mark
    ) -> None:
        """What is found is the mark that all was written by, or none."""
        texts = [
            written(amount, mark, other(mark) if group == "~" else group)
            for amount, group in column
        ]

        assert find_decimal(texts) in {mark, None}
        assert find_decimal([*texts, f"49{mark}99"]) == mark


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("4999", "4999"),
        ("49.99", "49.99"),
        ("49,99", "49.99"),
        ("0,5", "0.5"),
        ("1 234,50", "1234.50"),
        ("1\u00a0234,50", "1234.50"),
        ("1\u202f234\u202f567,8", "1234567.8"),
        ("1.234,50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("1\u2019234", "1234"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("0,125", "0.125"),
        ("1234,567", "1234.567"),
        ("-5", "-5"),
        ("-1 234,50", "-1234.50"),
        ("007", "007"),
    ],
)
def test_what_means_one_number_needs_no_mark(text: str, plain: str) -> None:
    """It is spelled with a point and no groups, and loses no digit."""
    assert spell_plainly("amount", text, None) == plain


@pytest.mark.parametrize(
    ("text", "decimal", "plain"),
    [
        ("1,234", ",", "1.234"),
        ("1,234", ".", "1234"),
        ("1.000", ",", "1000"),
        ("1.000", ".", "1.000"),
    ],
)
def test_the_mark_tells_what_three_digits_are(
    text: str, decimal: Mark, plain: str
) -> None:
    """They are decimals behind it, and thousands behind the other one."""
    assert spell_plainly("amount", text, decimal) == plain


@pytest.mark.parametrize(
    ("text", "decimal", "reason"),
    [
        ("1,234", None, r"one mark before three digits.*--decimal"),
        ("-1.000", None, r"one mark before three digits.*--decimal"),
        ("49.99", ",", "must have a comma as its decimal mark, and no other"),
        ("49,99", ".", "must have a point as its decimal mark, and no other"),
        ("1,234,567", ",", "must have a comma"),
        ("49.99 zł", None, "must be a decimal number"),
        ("49.99 zł", ",", "must be a decimal number"),
        ("", None, "must be a decimal number"),
        ("49,", None, "must be a decimal number"),
        (",50", ",", "must be a decimal number"),
        ("1 23", None, "must be a decimal number"),
        ("1234 567", None, "must be a decimal number"),
        ("0 123", None, "must be a decimal number"),
        ("1 234'567", None, "must be a decimal number"),
        ("1.234,567,890", None, "must be a decimal number"),
        ("12,34,567.89", None, "must be a decimal number"),
        ("+5", None, "must be a decimal number"),
        ("(5,00)", None, "must be a decimal number"),
        ("5,00-", None, "must be a decimal number"),
        ("1E+05", None, "must be a decimal number"),
        ("٤٩,٩٩", None, "must be a decimal number"),
        ("49,99\n", None, "must be a decimal number"),
    ],
)
def test_what_is_no_number_or_two_is_refused(
    text: str, decimal: Mark | None, reason: str
) -> None:
    """The reason says what would be read, or which option tells."""
    with pytest.raises(InvalidFieldError, match=reason):
        spell_plainly("amount", text, decimal)


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["49,99", "1,234", "50"], ","),
        (["49.99", "1,234.50", "50"], "."),
        (["1.234.567", "1.234"], ","),
        (["1234,567"], ","),
        (["49,99", "49.99"], None),
        (["49,99", "1,234,567"], None),
        (["1,234", "1.234", "50", "1 234", "49,99 zł", ""], None),
        ([], None),
    ],
)
def test_the_mark_of_a_column_is_found_from_what_is_sure(
    texts: list[str], mark: Mark | None
) -> None:
    """What may mean two things tells nothing, and two marks are none."""
    assert find_decimal(texts) == mark
