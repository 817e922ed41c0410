"""What the control API takes, as values: read strictly, by the types that they have."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import UnionType
from typing import TypeVar, Union, get_args, get_origin

import attrs

from convergegate_async._core.strict_json import decode_json
from convergegate_async.errors import InvalidFieldError

from ._numbered import numbered

T = TypeVar("T")
R = TypeVar("R", bound=attrs.AttrsInstance)

PREFIX = "/sandbox/api"
"""What the addresses of the control API begin with."""

MOST_ROWS = 100  # of a page
LONGEST = 315_360_000  # seconds, ten years: a clock is moved by no more at once
LATEST = 32_503_680_000  # the year 3000: no clock has to show more
_LONGEST_NAME = 50  # characters of what is no field


@attrs.frozen(kw_only=True)
class PayOrder:
    """A customer's payment, by a code that decides what becomes of it."""

    blik_code: str = "123456"


@attrs.frozen(kw_only=True)
class ClockOrder:
    """Time that shall pass.

    Attributes:
        wait: Answer when all that is due until then has happened, webhooks included,
            each at its own time; otherwise at once.
    """

    seconds: float
    wait: bool = False


@attrs.frozen(kw_only=True)
class PageOrder:
    """Which rows of a list are wanted.

    Attributes:
        cursor: Those that are older than this one; the newest, if `None`.
        filters: What they must have.
    """

    limit: int = 50
    cursor: int | None = None
    filters: Mapping[str, str] = attrs.field(factory=dict)

    def page_of(self, rows: Iterable[T], count: int) -> tuple[list[T], str | None]:
        """Return the rows, the newest first, and the cursor of those that follow.

        Args:
            rows: All there are, the newest first.
            count: How many there ever were.
        """
        wanted = numbered(rows, count, self.cursor, self._wants)
        page = list(islice(wanted, self.limit))
        more = next(wanted, None) is not None
        return [row for _, row in page], str(page[-1][0]) if more else None

    def _wants(self, row: object) -> bool:
        return all(getattr(row, name) == text for name, text in self.filters.items())


def read_order(kind: type[R], body: bytes) -> R:
    """Read a JSON object whose fields are those of *kind*; nothing is no fields.

    Raises:
        InvalidFieldError: It is none, or a field is missing, unknown or no such value.
        ConfigurationError: *kind* takes no such value.
        ValueError: The same.
    """
    given = _read_object(body) if body else {}
    fields = attrs.fields_dict(attrs.resolve_types(kind))
    for name in given:
        if name not in fields:
            reason = f"is no field of this request: {', '.join(fields)}"
            raise InvalidFieldError(name[:_LONGEST_NAME], reason)
    for name, field in fields.items():
        if name not in given and field.default is attrs.NOTHING:
            reason = "is required"
            raise InvalidFieldError(name, reason)
    return kind(
        **{name: _read_value(fields[name], value) for name, value in given.items()}
    )


def _read_object(body: bytes) -> dict[str, object]:
    try:
        document = decode_json(body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    field, reason = "body", "must be a JSON object"
    raise InvalidFieldError(field, reason)


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def _read_value(field: "attrs.Attribute[object]", value: object) -> object:
    kinds = set(_kinds_of(field.type))
    if value is None and type(None) in kinds:
        return None
    kind = next(one for one in _KINDS if any(issubclass(own, one) for own in kinds))
    if kind is float and type(value) is int and abs(value) <= LATEST:
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # JSON has one kind of numbers
    if type(value) is not kind:
        reason = f"must be {_KINDS[kind]}"
        raise InvalidFieldError(field.name, reason)
    return value


def _kinds_of(annotation: type | None) -> Sequence[type]:
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return () if annotation is None else (annotation,)


def read_page_order(
    pairs: Iterable[tuple[str, str]], filters: Mapping[str, Sequence[str]]
) -> PageOrder:
    """Read the query of a list.

    Args:
        pairs: Of the query.
        filters: What rows can be chosen by, and which words that can be; any, if none.

    Raises:
        InvalidFieldError: A pair is unknown, given twice or cannot be right.
    """
    names = ("limit", "cursor", *filters)
    given: dict[str, str] = {}
    for name, text in pairs:
        if name not in names:
            reason = f"is no parameter of this list: {', '.join(names)}"
            raise InvalidFieldError(name[:_LONGEST_NAME], reason)
        if name in given:
            reason = "is given twice"
            raise InvalidFieldError(name, reason)
        given[name] = text
    for name, words in filters.items():
        if words and given.get(name, words[0]) not in words:
            reason = f"must be one of {', '.join(words)}"
            raise InvalidFieldError(name, reason)
    limit = _whole("limit", given.pop("limit", "50"))
    if not 1 <= limit <= MOST_ROWS:
        field, reason = "limit", f"must be from 1 to {MOST_ROWS}"
        raise InvalidFieldError(field, reason)
    cursor = given.pop("cursor", None)
    return PageOrder(
        limit=limit,
        cursor=None if cursor is None else _whole("cursor", cursor),
        filters=given,
    )


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):  # noqa: PLR2004 -- no list is longer
        reason = "must be a whole number"
        raise InvalidFieldError(name, reason)
    return int(text)
