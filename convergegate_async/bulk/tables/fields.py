"""What a cell means: the values of a request's fields, as files spell them.

Each reader is given the name of a field and the cells of its row, by field; one of a
text that is no field, the cell. It raises `InvalidFieldError` for what it cannot read,
and leaves what needs no reading to the rules.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from math import isfinite
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

import attrs

from convergegate_async._core.moments import read_moment
from convergegate_async._core.money import EXPONENTS, minor_units
from convergegate_async._core.strict_json import decode_exactly
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest

from .amounts import Mark, spell_plainly
from .dates import NO_TIME_OF_DAY, in_zone, read_local
from .phones import read_phone

FIELDS = {field.name: field for field in attrs.fields(CheckoutSessionRequest)}
REQUIRED = [name for name, field in FIELDS.items() if field.default is attrs.NOTHING]

Reader: TypeAlias = Callable[[str, Mapping[str, Any]], object]
TextReader: TypeAlias = Callable[[str, object], object]
"""Is given what the text is for, and the cell; raises `InvalidFieldError`, too."""

CellKind: TypeAlias = Literal["text", "json", "typed"]
"""What is in cells: all texts (CSV), JSON as one writes it, or what a program has made
of numbers and times (XLSX, Parquet)."""

MAX_ID = 128
"""The most characters of a row's id."""

_MINOR = re.compile("[0-9]{1,16}")
_NO_MINOR = "must be a whole number of minor units, unless the amount unit is major"
_MOST_EXACT = 10**15
_EPOCH_DIGITS = 10  # until 2286; 202612312359 is no year 8390
_TOO_LONG = "is a number of more than 15 digits, which are not exact: make it a text"
_WORD = re.compile("[^ |]+")


@attrs.frozen(kw_only=True)
class Spellings:
    """How texts are spelled that people have written, and not programs.

    Attributes:
        decimal: The decimal mark of amounts; `None` reads what can mean one thing only.
        date_format: That of times without a zone; see `read_local`.
        timezone: That of times which name none; they are refused if it is `None`.
        zone_currency: Times are in *timezone* where this is paid in, and refused in
            other rows; `None`: they are there in all.
        country: That of phone numbers which begin with no +; they are refused if it is
            `None`.
    """

    decimal: Mark | None = None
    date_format: str | None = None
    timezone: ZoneInfo | None = None
    zone_currency: str | None = None
    country: str | None = None

    def zone_of(self, row: Mapping[str, Any]) -> ZoneInfo | None:
        """Return the time zone of a row, by what is paid in it."""
        currency = str(row.get("currency", "")).upper()
        is_there = self.zone_currency in {None, currency}
        return self.timezone if is_there else None


def readers(
    kind: CellKind, *, in_major: bool, spellings: Spellings | None
) -> dict[str, Reader]:
    """Return the readers of the fields whose cells are not taken as they are.

    Args:
        kind: What is in the cells.
        in_major: Amounts are in major units.
        spellings: How texts are spelled; `None` reads what programs write, and no more.
    """
    found: dict[str, Reader] = {
        "amount": read_digits if kind == "text" else read_number,
        "payment_method": read_words,
        "expires_at": read_time,
        "extra": read_entries,
    }
    if kind == "typed":
        found |= {"amount": read_typed_number, "customer_phone": read_typed_text}
    if in_major:
        found["amount"] = read_typed_major if kind == "typed" else read_major
    if spellings is None:
        return found
    found["expires_at"] = partial(read_spelled_time, spellings=spellings)
    if in_major and kind != "json":
        found["amount"] = partial(read_spelled_major, decimal=spellings.decimal)
    if spellings.country is not None:
        found["customer_phone"] = partial(read_spelled_phone, country=spellings.country)
    return found


def text_reader(kind: CellKind) -> TextReader:
    """Return what reads a text that is no field, such as an id."""
    return digits_of if kind == "typed" else _as_it_is


def _as_it_is(_: str, value: object) -> object:
    return value


def as_row_id(value: object) -> str | None:
    """Return the id that a cell holds; `None` if it holds none."""
    if type(value) is int and abs(value) < 10**MAX_ID:
        value = str(value)
    if not isinstance(value, str):
        return None
    # Not the same bytes on every system, and yet the same id.
    row_id = unicodedata.normalize("NFC", value)
    fits = 0 < len(row_id) <= MAX_ID and row_id.isprintable()
    return row_id if fits and row_id == row_id.strip() else None


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
    if not isinstance(value, str):
        return value
    return (value,) if value.isalpha() else tuple(_WORD.findall(value))


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
        except (ValueError, ArithmeticError):
            entries = None
    if not isinstance(entries, Mapping):
        raise InvalidFieldError(field, "must be a JSON object whose values are text")
    return {key: text for key, text in entries.items() if text is not None}


# -- typed cells -------------------------------------------------------------------


def digits_of(field: str, value: object) -> object:
    """Return the digits of a whole number, and anything else as it is.

    Programs make floats of whole columns, such as ids and phone numbers.

    Raises:
        InvalidFieldError: The number has more digits than a float holds.
    """
    if type(value) is int:
        return str(value)
    if not isinstance(value, float | Decimal) or not isfinite(value):
        return value
    if value != int(value):
        return value
    if not -_MOST_EXACT < value < _MOST_EXACT:
        raise InvalidFieldError(field, _TOO_LONG)
    return str(int(value))


def read_typed_text(field: str, row: Mapping[str, Any]) -> object:
    """Return the text of a cell, or the digits of its number."""
    return digits_of(field, row[field])


def read_typed_number(field: str, row: Mapping[str, Any]) -> int:
    """Return the minor units that a cell holds or spells."""
    if type(row[field]) is int:
        return read_number(field, row)
    return read_digits(field, {field: digits_of(field, row[field])})


def read_typed_major(field: str, row: Mapping[str, Any]) -> int:
    """Return the minor units of a cell; a float is what it is written as.

    One that was computed, such as 0.30000000000000004, has too many decimals.
    """
    value = row[field]
    if isinstance(value, float):
        row = {**row, field: Decimal(repr(value))}
    return read_major(field, row)


# -- spelled cells -----------------------------------------------------------------


def read_spelled_major(
    field: str, row: Mapping[str, Any], *, decimal: Mark | None
) -> int:
    """Return the minor units of an amount that somebody has written."""
    value = row[field]
    if not isinstance(value, str):
        return read_typed_major(field, row)
    if decimal == ".":
        with suppress(InvalidFieldError):  # most are plain as they are
            return read_major(field, row)
    plain = spell_plainly(field, value, decimal)
    currency = str(row.get("currency", "")).upper()
    most = EXPONENTS.get(currency)
    if decimal and most is not None and len(plain.partition(".")[2]) > most:
        # It is no part of a thousand: its mark was found, or given.
        reason = f"must have at most {most} decimals in {currency}"
        raise InvalidFieldError(field, reason)
    return read_major(field, {**row, field: plain})


def read_spelled_time(
    field: str, row: Mapping[str, Any], *, spellings: Spellings
) -> object:
    """Return a time that somebody has written, or a program has made of it."""
    value = row[field]
    value = value if isinstance(value, str) else digits_of(field, value)
    if isinstance(value, str):
        if value.isdigit() and len(value) > _EPOCH_DIGITS:
            reason = "has more digits than the seconds since 1970: write it apart"
            raise InvalidFieldError(field, reason)
        try:
            return read_moment(value)
        except ValueError:
            zone = spellings.zone_of(row)
            return _read_local(field, value, spellings.date_format, zone)
    if isinstance(value, datetime):
        return in_zone(field, value, spellings.zone_of(row))
    if isinstance(value, date):
        raise InvalidFieldError(field, NO_TIME_OF_DAY)
    return value


_read_local = lru_cache(maxsize=2**10)(read_local)
"""Links of a table mostly expire together: reading one such time takes 6 µs."""


def read_spelled_phone(field: str, row: Mapping[str, Any], *, country: str) -> object:
    """Return the phone number that a cell spells, in E.164."""
    value = digits_of(field, row[field])
    return read_phone(field, value, country) if isinstance(value, str) else value


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
