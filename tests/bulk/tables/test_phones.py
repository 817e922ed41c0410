"""Phone numbers in cells: what becomes E.164, and what is not guessed."""

import subprocess
import sys
from contextlib import suppress

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async import InvalidFieldError
from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.phones import check_country, read_phone
from convergegate_async.models import rules

COUNTRIES = st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS))
PHONE = "+48601234567"


def read(text: str, country: str) -> str | None:
    """Return what is read, or `None` where it is refused."""
    with suppress(InvalidFieldError):
        return read_phone("customer_phone", text, country)
    return None


def e164(number: phonenumbers.PhoneNumber) -> str:
    """Return *number* in E.164."""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def spellings(number: phonenumbers.PhoneNumber, country: str) -> set[str]:
    """Return how people write *number*: without a +, too."""
    kinds = phonenumbers.PhoneNumberFormat
    texts = {
        phonenumbers.format_number(number, kind)
        for kind in (kinds.E164, kinds.INTERNATIONAL, kinds.NATIONAL)
    }
    texts.add(phonenumbers.format_out_of_country_calling_number(number, country))
    return texts | {text.removeprefix("+") for text in texts}


def valid(text: str, country: str) -> str | None:
    """Return what phonenumbers alone makes of *text*."""
    number = phonenumbers.parse(text, country)
    return e164(number) if phonenumbers.is_valid_number(number) else None


class TestProperties:
    @given(st.from_regex(rules.PHONE, fullmatch=True), COUNTRIES)
    def test_e_164_stays_as_it_is(self, text: str, country: str) -> None:
        """Also where phonenumbers knows no such number yet."""
        assert read_phone("customer_phone", text, country) == text

    @pytest.mark.parametrize("kind", range(11))
    def test_no_number_is_read_as_another(self, kind: int) -> None:
        """In no country, in whatever way it is written; few are refused."""
        examples = [
            (country, number)
            for country in phonenumbers.SUPPORTED_REGIONS
            if (number := phonenumbers.example_number_for_type(country, kind))
        ]
        found = [
            (text, read(text, country), e164(number))
            for country, number in examples
            for text in spellings(number, country)
        ]

        assert [case for case in found if case[1] not in {case[2], None}] == []
        assert sum(case[1] is None for case in found) <= len(found) / 50

    @given(st.text(max_size=20) | st.from_regex(r"[0-9 +().-]{1,20}"), COUNTRIES)
    @example("4.8601E+10", "PL")
    @example("++48601234567", "PL")
    @example("48601234567.0", "PL")
    def test_any_other_text_is_a_number_of_its_digits_or_refused(
        self, text: str, country: str
    ) -> None:
        """No text is a crash, and what is read ends with the last digits of it."""
        phone = read(text, country)

        last = "".join(filter(str.isdigit, text))[-4:]
        assert phone is None or rules.PHONE.fullmatch(phone)
        assert phone is None or phone.endswith(last)


@pytest.mark.parametrize(
    "text",
    [
        "601234567",
        "601 234 567",
        "601-234-567",
        "601.234.567",
        "601\u00a0234\u00a0567",
        "601\u2011234\u2011567",
        "48601234567",
        "48 601 234 567",
        "0048 601 234 567",
        "0048601234567",
        "+48 601-234-567",
        "(+48) 601 234 567",
        "(0048) 601 234 567",
        PHONE,
    ],
)
def test_a_polish_number_is_read_as_poles_write_it(text: str) -> None:
    """With the code, with the prefix for abroad, or with neither."""
    assert read_phone("customer_phone", text, "PL") == PHONE


@pytest.mark.parametrize(
    ("text", "country", "phone"),
    [
        ("+49 (0)30 123456", "PL", "+4930123456"),
        ("0049 30 123456", "PL", "+4930123456"),
        ("(22) 123 45 67", "PL", "+48221234567"),
        ("48 601 23 45", "PL", "+48486012345"),  # Radom's code is 48, as Poland's
        ("030 123456", "DE", "+4930123456"),
        ("(212) 555-0123", "US", "+12125550123"),
        ("07400 123456", "GB", "+447400123456"),
    ],
)
def test_other_numbers_are_read_by_their_countries(
    text: str, country: str, phone: str
) -> None:
    """A + or the prefix tells another country, and trunk zeros fall away."""
    assert read_phone("customer_phone", text, country) == phone


NO_PHONE = "must be a phone number: digits"
INVALID = r"must be a valid phone number of PL, or begin with a \+ and a code"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4.8601E+10", NO_PHONE),
        ("48601234567.0", NO_PHONE),
        ("601 234 567 w. 5", NO_PHONE),
        ("601 234 567;ext=5", NO_PHONE),
        ("601 234 567/8", NO_PHONE),
        ("601 234 567, 602 345 678", NO_PHONE),
        ("601-BLIK-99", NO_PHONE),
        ("++48601234567", NO_PHONE),
        ("\uff16\uff10\uff11234567", NO_PHONE),
        ("tel:+48601234567", NO_PHONE),
        ("", NO_PHONE),
        ("60123456", INVALID),
        ("6012345678", INVALID),
        ("601 234 567 602 345 678", INVALID),
        ("0601234567", INVALID),
        ("+48 601 234 56", INVALID),
        ("49 30 123456", INVALID),
        ("112", INVALID),
    ],
)
def test_what_is_no_number_is_refused(text: str, reason: str) -> None:
    """What a spreadsheet made of one is not mended, and no code is guessed."""
    with pytest.raises(InvalidFieldError, match=reason) as caught:
        read_phone("customer_phone", text, "PL")

    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "country"), [("4915123456789", "DE"), ("468123456", "SE")]
)
def test_a_code_that_may_be_none_is_refused(text: str, country: str) -> None:
    """Where numbers have many lengths, both are valid, and phonenumbers takes one."""
    with pytest.raises(InvalidFieldError, match="begin with its country's code or not"):
        read_phone("customer_phone", text, country)

    assert valid(text, country) not in {None, valid(f"+{text}", country)}


@pytest.mark.parametrize("country", ["PL", "pl"])
def test_a_country_is_two_letters_in_any_case(country: str) -> None:
    """It is handed on in capitals."""
    assert check_country(country) == "PL"


@pytest.mark.parametrize("country", ["UK", "POL", "48", "001", "", "P\u0142"])
def test_what_is_no_country_is_refused(country: str) -> None:
    """Britain is GB."""
    with pytest.raises(SourceError, match="two letters of ISO 3166, such as PL"):
        check_country(country)


def test_without_phonenumbers_its_extra_is_named() -> None:
    """It is needed for a default country, and for nothing else."""
    program = (
        "import sys; sys.modules['phonenumbers'] = None\n"
        "from convergegate_async.bulk.tables.phones import check_country\n"
        "check_country('PL')"
    )

    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 'phonenumbers: pip install "convergegate-async[bulk]"' in done.stderr
