"""How our nouns are spelled on the wire: form out, JSON in.

The one cattrs converter lives here. On its own cattrs turns ``null`` into ``"None"``,
12.7 into 12 and any text into `True`; its hooks here take a value as it is or not at
all.
"""

import functools
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin
from urllib.parse import urlencode

import attrs
import cattrs

from convergegate_async.models import (
    Answer,
    CallInfo,
    CheckoutSession,
    Refund,
    WebhookEvent,
)

T = TypeVar("T")
A = TypeVar("A", bound=Answer)
Hook: TypeAlias = Callable[[object, object], T]
Plan: TypeAlias = tuple[tuple[str, str | None, Any, Hook[object]], ...]

# Both spellings occur in the provider's own samples (API contract 1.12, 1 to 3).
_OTHER_SPELLINGS = {
    "amount_subtotal": "amount_sub_total",
    "expires_at": "expire_at",
    "payment_method": "payment_method_types",
}
_ID = re.compile(r"[\x20-\x7e]{1,255}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD]")


# -- form out ---------------------------------------------------------------------


def form_fields(request: attrs.AttrsInstance) -> tuple[tuple[str, str], ...]:
    """Return the names and texts that *request* puts on the wire, in their order.

    A hash is spelled ``metadata[key]``, a list as one bare pair an item, a time as
    whole epoch seconds; what is unset is left out (API contract 1.8).
    """
    pairs: list[tuple[str, str]] = []
    for field in attrs.fields(type(request)):
        if field.metadata.get("wire", True):
            pairs.extend(_spell(field.name, getattr(request, field.name)))
    return tuple(pairs)


def encode_form(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return ``application/x-www-form-urlencoded`` bytes in UTF-8."""
    return urlencode(list(pairs)).encode("ascii")


def _spell(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case str():
            yield name, value
        case int():
            yield name, str(value)
        case datetime():
            yield name, str(int(value.timestamp()))
        case Mapping():
            for key, content in value.items():
                yield f"{name}[{key}]", content
        case tuple():
            for item in value:
                yield name, item
        case _:
            raise AssertionError(type(value))


# -- JSON in ----------------------------------------------------------------------


def decode_json(body: bytes) -> object:
    """Read one strict JSON document in UTF-8.

    Raises:
        ValueError: It is anything else: another encoding, trailing bytes, NaN, lone
            surrogates, too deep, numbers of thousands of digits or beyond a float.
    """
    try:
        value: object = _JSON.decode(body.decode("utf-8"))
    except RecursionError:
        value, too_deep = None, True
    else:
        too_deep = False
    if too_deep:
        message = "nested too deep"
        raise ValueError(message)
    if rb"\u" in body and _SURROGATE_ESCAPE.search(body):
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def repeats_a_name(body: bytes) -> bool:
    """Tell whether the outermost object of *body* names something vital twice.

    Parsers keep the last without a word; which one is meant nobody knows.

    Args:
        body: One JSON object, read before.
    """
    if rb"\u" not in body and all(body.count(name) < _TWICE for name in _QUOTED_NAMES):
        return False
    told: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        # The outermost object is finished last.
        told[:] = [name for name, _ in pairs]

    json.loads(body, object_pairs_hook=note)
    return any(told.count(name) > 1 for name in _VITAL_NAMES)


_TWICE = 2
_VITAL_NAMES = ("id", "status", "amount", "amount_total")
_QUOTED_NAMES = tuple(f'"{name}"'.encode() for name in _VITAL_NAMES)


def _refuse(constant: str) -> None:
    message = f"{constant} is not JSON"
    raise ValueError(message)


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        _refuse(number)
    return value


_JSON = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def structure(answer: type[A], raw: Mapping[str, object], call: CallInfo) -> A | None:
    """Read *raw* into *answer*, or return `None` if it has no usable id.

    Every other field that cannot be read is left at its default and named in
    ``call.misread``: what the gateway did stays done.
    """
    values, misread = read_fields(answer, raw)
    if not _is_id(values.get("id")):
        return None
    if misread:
        call = attrs.evolve(call, misread=misread)
    return answer(**values, raw=raw, call=call)


def read_fields(
    noun: type[attrs.AttrsInstance], raw: Mapping[str, object]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields of *noun* that *raw* tells, and the names of the unreadable."""
    values: dict[str, Any] = {}
    misread: list[str] = []
    told = raw.get
    for name, other, kind, hook in _PLANS[noun]:
        value = told(name)
        if other is not None and (value is None or value == ""):
            value = told(other)
        if value is None or value == "":
            continue
        try:
            values[name] = hook(value, kind)
        except (TypeError, ValueError):
            misread.append(name)
            continue
        if other is not None and told(other, value) not in (value, None, ""):
            misread.append(name)
    return values, tuple(misread)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _plan(noun: type[attrs.AttrsInstance]) -> Plan:
    """List name, other spelling, type and hook of every field that is on the wire."""
    return tuple(
        (
            field.name,
            _OTHER_SPELLINGS.get(field.name),
            field.type,
            _converter.get_structure_hook(_without_none(field.type)),
        )
        for field in attrs.fields(attrs.resolve_types(noun))
        if field.metadata.get("wire", True)
    )


def _without_none(kind: Any) -> Any:  # noqa: ANN401 -- a type, as the typing module has it
    """Return *kind* without its `None`, which `read_fields` has dealt with."""
    if not _is_union(kind):
        return kind
    return functools.reduce(operator.or_, _members(kind))


def _exactly(kind: type[T]) -> Hook[T]:
    def hook(raw: object, _: object) -> T:
        if type(raw) is not kind:
            message = f"expected {kind.__name__}"
            raise TypeError(message)
        return raw

    return hook


def _moment(raw: object, _: object) -> datetime:
    if type(raw) is not int:
        message = "expected whole epoch seconds"
        raise TypeError(message)
    try:
        return datetime.fromtimestamp(raw, UTC)
    except (OverflowError, OSError):
        pass
    message = "outside of the calendar"
    raise ValueError(message)


def _is_mapping(kind: object) -> bool:
    return get_origin(kind) is Mapping


def _texts(raw: object, _: object) -> Mapping[str, str]:
    if not isinstance(raw, dict) or not all(type(v) is str for v in raw.values()):
        message = "expected an object of texts"
        raise TypeError(message)
    return raw


def _is_union(kind: object) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _members(kind: object) -> list[Any]:
    return [member for member in get_args(kind) if member is not type(None)]


def _is_open_enum(kind: object) -> bool:
    members = _members(kind)
    return _is_union(kind) and str in members and len(members) > 1


def _open_enum(kind: object, _: cattrs.Converter) -> Hook[str]:
    """Build the hook of ``Words | str``: a word we do not know stays a text."""
    (words,) = (member for member in _members(kind) if member is not str)
    known: dict[str, StrEnum] = {word.value: word for word in words}

    def hook(raw: object, _: object) -> str:
        if type(raw) is not str:
            message = "expected str"
            raise TypeError(message)
        return known.get(raw, raw)

    return hook


def _is_list(kind: object) -> bool:
    return get_origin(kind) is tuple


def _list(kind: object, converter: cattrs.Converter) -> Hook[tuple[object, ...]]:
    item_kind = get_args(kind)[0]
    read: Hook[object] = (
        (lambda raw, _: raw)
        if item_kind is object
        else converter.get_structure_hook(item_kind)
    )

    def hook(raw: object, _: object) -> tuple[object, ...]:
        if type(raw) is not list:
            message = "expected a list"
            raise TypeError(message)
        return tuple(read(item, item_kind) for item in raw)

    return hook


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(datetime, _moment)
    converter.register_structure_hook_func(_is_mapping, _texts)
    converter.register_structure_hook_factory(_is_list, _list)
    converter.register_structure_hook_factory(_is_open_enum, _open_enum)
    return converter


_converter = _make_converter()
_PLANS: dict[type[object], Plan] = {
    noun: _plan(noun) for noun in (CheckoutSession, Refund, WebhookEvent)
}
