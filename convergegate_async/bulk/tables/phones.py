"""Phone numbers as people write them, in E.164, for a table of one country.

It is the only module that knows phonenumbers, and loads it once it is needed.
"""

import re
from importlib import import_module
from types import ModuleType

from convergegate_async.errors import ConfigurationError, InvalidFieldError
from convergegate_async.models import rules

from .formats import SourceError

# No letters: phonenumbers would read them by a dial, and leave extensions out.
_WRITTEN = re.compile(r"\(?\+?[0-9][0-9\s().\u2010-\u2015\u2212-]*")
_NO_DIGIT = re.compile("[^0-9]+")
_OF_A_FLOAT = ".0"
_LEAST = 7  # digits of a phone number

NO_CODE = (
    "must be a phone number in E.164 (+48123456789), unless --default-country tells "
    "its country, such as PL"
)

_NO_PHONE = "must be a phone number: digits, spaces, brackets, dashes"
_NO_NUMBER = "must be a valid phone number of {}, or begin with a + and a code"
_TWO_READINGS = (
    "may begin with its country's code or not: write it with a + and the code"
)


def check_country(country: str) -> str:
    """Return *country* as `read_phone` takes it.

    Args:
        country: Two letters of ISO 3166, in any case.

    Raises:
        SourceError: There are no phones in such a country.
        ConfigurationError: phonenumbers is not installed.
    """
    code = country.upper()
    if code not in _phonenumbers().SUPPORTED_REGIONS:
        message = "default_country must be two letters of ISO 3166, such as PL"
        raise SourceError(message)
    return code


def lacks_code(text: object) -> bool:
    """Tell whether *text* may be a phone number, but for the code of its country."""
    if not isinstance(text, str) or "+" in text or not _WRITTEN.fullmatch(text):
        return False
    return len(_NO_DIGIT.sub("", text)) >= _LEAST


def read_phone(field: str, text: str, country: str) -> str:
    """Return the phone number in *text* in E.164; one that is in E.164 stays as it is.

    Args:
        field: Whose number it is.
        text: A number with a + or the prefix by which *country* calls abroad, with the
            code of *country* alone, or without.
        country: What `check_country` returned.

    Raises:
        InvalidFieldError: It is no valid number, or is one with and one without the
            code that it seems to begin with; or something else stands beside it.
        ConfigurationError: phonenumbers is not installed.
    """
    if rules.PHONE.fullmatch(text):
        return text
    if not _WRITTEN.fullmatch(text) or text.endswith(_OF_A_FLOAT):
        raise InvalidFieldError(field, _NO_PHONE)
    library = _phonenumbers()
    readings = {_e164(library, text, country)}
    with_code = f"+{_NO_DIGIT.sub('', text)}"
    code = f"+{library.country_code_for_region(country)}"
    if with_code.startswith(code) and "+" not in text and with_code not in readings:
        readings.add(_e164(library, with_code, country))
    numbers = [number for number in readings if number is not None]
    if len(numbers) != 1:
        raise InvalidFieldError(
            field, _TWO_READINGS if numbers else _NO_NUMBER.format(country)
        )
    return numbers[0]


def _e164(library: ModuleType, text: str, country: str) -> str | None:
    """Return the number that *text* is, if that is valid."""
    try:
        number = library.parse(text, country)
    except library.NumberParseException:
        return None
    if not library.is_valid_number(number):
        return None
    e164: str = library.format_number(number, library.PhoneNumberFormat.E164)
    return e164


def _phonenumbers() -> ModuleType:
    try:
        return import_module("phonenumbers")
    except ModuleNotFoundError:
        message = (
            "a default country needs phonenumbers: pip install "
            '"convergegate-async[bulk]"'
        )
    raise ConfigurationError(message)
