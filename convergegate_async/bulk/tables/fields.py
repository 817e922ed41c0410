"""What a cell means: the values of a request's fields, as files spell them.

Each reader is given the name of a field and the cells of its row, by field. It raises
`InvalidFieldError` for what it cannot read, and leaves what needs no reading to the
rules.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from convergegate_async._core.moments import read_moment
from convergegate_async._core.money import minor_units
from convergegate_async._core.strict_json import decode_exactly
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest

FIELDS = {field.name: field for field in attrs.fields(CheckoutSessionRequest)}
REQUIRED = [name for name, field in FIELDS.items() if field.default is attrs.NOTHING]

Reader: TypeAlias = Callable[[str, Mapping[str, Any]], object]

_MINOR = re.compile("[0-9]{1,16}")
_NO_MINOR = "must be a whole number of minor units, unless the amount unit is major"
_WORD = re.compile("[^ |]+")


def readers(*, textual: bool, in_major: bool) -> dict[str, Reader]:
    """Return the readers of the fields whose cells are not taken as they are.

    Args:
        textual: All in the cells is text.
        in_major: Amounts are in major units.
    """
    read_minor = read_digits if textual else read_number
    return {
        "amount": read_major if in_major else read_minor,
        "payment_method": read_words,
        "expires_at": read_time,
        "extra": read_entries,
    }


def read_digits(field: str, row: Mapping[str, Any]) -> int:
    """Return the minor units that a cell spells."""
    value = row[field]
    if isinstance(value, str) and _MINOR.fullmatch(value):
        return int(value)
    raise InvalidFieldError(field, _NO_MINOR)


def read_number(field: str, row: Mapping[str, Any]) -> int:
    """Return the minor units that a cell holds."""
    value = row[field]
    if type(value) is int:
        return value
    raise InvalidFieldError(field, _NO_MINOR)


def read_major(field: str, row: Mapping[str, Any]) -> int:
    """Return the minor units of a cell, exactly: no float comes near money."""
    try:
        return minor_units(row[field], row.get("currency", ""))
    except InvalidFieldError as error:
        needs_currency = error.field == "currency"
        reason = "needs a currency of ISO 4217 in the same row"
        raise InvalidFieldError(
            field, reason if needs_currency else error.reason
        ) from None


def read_words(field: str, row: Mapping[str, Any]) -> object:
    """Return the words of a cell; they stand apart by spaces or bars."""
    value = row[field]
    return tuple(_WORD.findall(value)) if isinstance(value, str) else value


def read_time(field: str, row: Mapping[str, Any]) -> object:
    """Return the time that epoch seconds or ISO 8601 with a zone tell."""
    value = row[field]
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        return value
    try:
        return read_moment(value)
    except ValueError:
        reason = "must be epoch seconds, or ISO 8601 with a time zone"
        raise InvalidFieldError(field, reason) from None


def read_entries(field: str, row: Mapping[str, Any]) -> dict[str, object]:
    """Return the entries of an object, or of its JSON text in a cell."""
    entries = row[field]
    if isinstance(entries, str):
        try:
            entries = decode_exactly(entries.encode())
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
