"""How values are spelled as texts: in cells of CSV and XLSX, and in JSON."""

import json
import re
from datetime import date, time
from decimal import Decimal
from math import isfinite

_MOST_ZEROS = 30
"""An exponent becomes so many zeros at most; who writes JSON can ask for 10**18."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def text_of(value: object) -> str:  # noqa: PLR0911 -- one for each kind
    """Return the text of a cell that holds *value*, by which it is read again.

    Decimals are digits and a point, times ISO 8601, lists of texts have ``|`` between
    them, and other lists and objects are JSON.
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return json.dumps(value)
        case Decimal():
            return _digits(value)
        case float():
            return _digits(Decimal(repr(value)))
        case date() | time():
            return value.isoformat()
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return "|".join(value)
        case list() | tuple() | dict():
            return json_of(value)
        case _:
            return str(value)


def _digits(number: Decimal) -> str:
    is_short = number.is_finite() and abs(number.adjusted()) <= _MOST_ZEROS
    return format(number, "f") if is_short else str(number)


def json_of(value: object) -> str:
    """Return *value* in JSON, where an exact decimal stays exact as a text.

    So are NaN and the infinities, which JSON has no numbers for.
    """
    try:
        return _ENCODER.encode(value)
    except ValueError:  # once it is needed: few tables hold any
        return _ENCODER.encode(_with_finite_numbers(value))


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=text_of)


def _with_finite_numbers(value: object) -> object:
    match value:
        case float() if not isfinite(value):
            return text_of(value)
        case list() | tuple():
            return list(map(_with_finite_numbers, value))
        case dict():
            return {name: _with_finite_numbers(part) for name, part in value.items()}
        case _:
            return value


# -- lone surrogates ---------------------------------------------------------------


def encoded(text: str) -> bytes:
    """Return *text* in UTF-8, and what was read as no UTF-8 as the bytes it was.

    Other lone surrogates, which only JSON can hold, are spelled as JSON does.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _NO_BYTE.sub(_spelled, text).encode("utf-8", "surrogateescape")


def without_surrogates(text: str) -> str:
    r"""Return *text* for where there are no bytes: lone surrogates are ``\udcb3``."""
    return text if text.isascii() else _SURROGATE.sub(_spelled, text)


def _spelled(surrogate: re.Match[str]) -> str:
    return f"\\u{ord(surrogate[0]):04x}"
