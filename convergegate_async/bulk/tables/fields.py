"""What a cell means: the values of a request's fields, as files spell them.

Each function raises `InvalidFieldError` for what it cannot read, and leaves what needs
no reading to the rules.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import attrs

from convergegate_async._core.moments import read_moment
from convergegate_async._core.money import minor_units
from convergegate_async._core.strict_json import decode_exactly
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest

FIELDS = {field.name: field for field in attrs.fields(CheckoutSessionRequest)}
REQUIRED = [name for name, field in FIELDS.items() if field.default is attrs.NOTHING]

_MINOR = re.compile("[0-9]{1,16}")
_WORD = re.compile("[^ |]+")


def read_minor(field: str, value: object, *, textual: bool) -> int:
    """Return the minor units that a cell holds, in digits if all in it is text."""
    if textual and isinstance(value, str) and _MINOR.fullmatch(value):
        return int(value)
    if not textual and type(value) is int:
        return value
    reason = "must be a whole number of minor units, unless the amount unit is major"
    raise InvalidFieldError(field, reason)


def read_major(field: str, value: object, currency: object) -> int:
    """Return the minor units of *value*, exactly: no float comes near money."""
    try:
        return minor_units(cast("str", value), cast("str", currency))
    except InvalidFieldError as error:
        needs_currency = error.field == "currency"
        reason = "needs a currency of ISO 4217 in the same row"
        raise InvalidFieldError(
            field, reason if needs_currency else error.reason
        ) from None


def read_words(value: object) -> object:
    """Return the words of a cell; they stand apart by spaces or bars."""
    return tuple(_WORD.findall(value)) if isinstance(value, str) else value


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
