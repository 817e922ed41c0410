"""What a cell means: the values of a request's fields, as files spell them.

Each function raises `InvalidFieldError` for what it cannot read, and leaves what needs
no reading to the rules.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs

from convergegate_async._core.moments import read_moment
from convergegate_async._core.money import exponent_of
from convergegate_async._core.strict_json import decode_exactly
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest, rules

FIELDS = {field.name: field for field in attrs.fields(CheckoutSessionRequest)}
REQUIRED = [name for name, field in FIELDS.items() if field.default is attrs.NOTHING]

_MINOR = re.compile("[0-9]{1,16}")
_MAJOR = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,16}))?")


def read_minor(field: str, value: object) -> int:
    """Return the minor units that a cell spells in digits."""
    if isinstance(value, str) and _MINOR.fullmatch(value):
        return int(value)
    raise InvalidFieldError(field, "must be a whole number of minor units")


def read_major(field: str, value: object, currency: object) -> int:
    """Return the minor units of *value*, exactly: no float comes near money."""
    spelled = str(value) if type(value) in {str, int, Decimal} else ""
    parts = _MAJOR.fullmatch(spelled)
    if parts is None:
        raise InvalidFieldError(field, "must be a plain decimal number, such as 49.99")
    try:
        digits = exponent_of(rules.currency("currency", currency))
    except InvalidFieldError:
        digits = None
    if digits is None:
        raise InvalidFieldError(field, "needs a valid currency in the same row")
    fraction = (parts[2] or "").rstrip("0")
    if len(fraction) > digits:
        reason = f"must have at most {digits} decimals in this currency"
        raise InvalidFieldError(field, reason)
    return int(parts[1] + fraction.ljust(digits, "0"))


def read_words(value: object) -> object:
    """Return the words of a cell; they stand apart by spaces or bars."""
    return tuple(re.findall(r"[^ |]+", value)) if isinstance(value, str) else value


def read_time(field: str, value: object) -> object:
    """Return the time that epoch seconds or ISO 8601 with a zone tell."""
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        return value
    try:
        return read_moment(value)
    except ValueError:
        reason = "must be epoch seconds, or ISO 8601 with a time zone"
        raise InvalidFieldError(field, reason) from None


def read_entries(field: str, value: object) -> dict[str, object]:
    """Return the entries of an object, or of its JSON text in a cell."""
    entries = value
    if isinstance(value, str):
        try:
            entries = decode_exactly(value.encode())
        except (ValueError, ArithmeticError, RecursionError):
            entries = None
    if not isinstance(entries, Mapping):
        raise InvalidFieldError(field, "must be a JSON object whose values are text")
    return {key: text for key, text in entries.items() if text is not None}


def broken_rules(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each field that breaks its rule, and how; metadata by entry."""
    for name, field in FIELDS.items():
        value = fields.get(name)
        if value is None:
            if name in REQUIRED:
                yield name, "must be given"
            continue
        parts = {name: value}
        if name == "metadata":
            parts = {f"{name}[{key}]": {key: text} for key, text in value.items()}
        for part, content in parts.items():
            try:
                field.metadata["rule"](name, content)
            except InvalidFieldError as error:
                yield part, error.reason
