"""JSON text to values: strictly one document in UTF-8, whichever parser is at hand."""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TypeAlias

Decoder: TypeAlias = Callable[[bytes], object]

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD]")

MOST_DEPTH = 100
"""Deeper objects and lists are read in no file: to write them elsewhere takes a stack
whose end differs by version and by format."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")

MOST_COMMAS = 50_000
"""A body with more is not read: in 1 MiB fit objects of 28 MiB."""


def decode_json(body: bytes) -> object:
    """Read one strict JSON document in UTF-8.

    Raises:
        ValueError: It is anything else: another encoding, trailing bytes, NaN, lone
            surrogates, too deep, a number of thousands of digits or a fraction beyond
            every float; or it has more than `MOST_COMMAS` (a `TooManyPartsError`).
    """
    # The length first: to count takes longer than most bodies deserve.
    if len(body) > MOST_COMMAS and body.count(b",") > MOST_COMMAS:
        raise TooManyPartsError
    try:
        return _decoder()(body)
    except RecursionError:
        message = "nested too deep"
    raise ValueError(message)  # without the frames that hold the body


class TooManyPartsError(ValueError):
    """A document is as large as any other, and would take many times the memory."""


@cache
def _decoder() -> Decoder:
    return fast_decoder() or decode_plainly


def decode_plainly(body: bytes) -> object:
    """Read a document with the standard library.

    Raises:
        ValueError: It is not strict JSON.
        RecursionError: It is nested too deep.
    """
    return _decode(_JSON, body)


def decode_exactly(body: bytes) -> object:
    """Read a document as `decode_plainly` does, with fractions as `Decimal`.

    Raises:
        DuplicateKeyError: An object in it has a duplicate key.
        TooDeepError: It is nested more than `MOST_DEPTH` deep.
        ValueError: It is not strict JSON.
        ArithmeticError: A number is beyond every `Decimal`.
    """
    if _is_too_deep(body):
        raise TooDeepError
    return _decode(_exact_json(), body)


class TooDeepError(ValueError):
    """A document is nested deeper than any that is written on purpose."""

    def __init__(self) -> None:
        super().__init__(f"is nested more than {MOST_DEPTH} deep")


def _is_too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:  # as most are
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in {b"[", b"{"} else -1
        if depth > MOST_DEPTH:
            return True
    return False


class DuplicateKeyError(ValueError):
    """An object has a duplicate key, and nobody knows which value is meant."""


def _decode(parser: json.JSONDecoder, body: bytes) -> object:
    value: object = parser.decode(body.decode("utf-8"))
    if rb"\u" in body and _SURROGATE_ESCAPE.search(body):
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    return value


FLOOR, NEWEST = (0, 21), (0, 23)
"""The minors of msgspec that are used: older ones refuse in words of their own, with no
`ValueError`, and newer ones the tests have not met."""

_MINOR = re.compile(r"(\d+)\.(\d+)\.")


def fast_decoder(module: str = "msgspec") -> Decoder | None:
    """Return the parser of *module*, four times as fast, if its version was met.

    It refuses what `decode_plainly` refuses, and reads the rest alike. Whichever other
    version somebody else has installed is passed over.
    """
    if find_spec(module) is None:
        return None
    try:
        found = import_module(module)
    except Exception:  # noqa: BLE001 -- what is broken there is not ours to tell
        return None
    if not is_met(getattr(found, "__version__", None)):
        return None
    decoder: Decoder = found.json.Decoder().decode
    return decoder


def is_met(version: object) -> bool:
    """Tell whether a version of msgspec lies between `FLOOR` and `NEWEST`."""
    minor = _MINOR.match(version) if isinstance(version, str) else None
    return minor is not None and FLOOR <= (int(minor[1]), int(minor[2])) <= NEWEST


def has_duplicate_key(body: bytes, document: Mapping[str, object]) -> bool:
    """Tell whether the outermost object of *body* has a critical key twice.

    Parsers keep the last without a word; which one is meant nobody knows.

    Args:
        body: One JSON object.
        document: What it was read as.
    """
    # Mostly each colon, or each behind a quote, belongs to a name that is still there,
    # but for those of addresses: only in a text a slash can follow one.
    metadata = document.get("metadata")
    names = len(document) + (len(metadata) if type(metadata) is dict else 0)
    if body.count(b":") - body.count(b"://") == names:
        return False
    if body.translate(None, _WHITE_SPACE).count(b'":') == names:
        return False
    outermost: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        # The outermost object is finished last.
        outermost[:] = [name for name, _ in pairs]

    try:
        json.loads(body, object_pairs_hook=note)
    except RecursionError:
        return True  # who can tell
    return any(outermost.count(name) > 1 for name in _CRITICAL_KEYS)


_WHITE_SPACE = b" \t\n\r"
_CRITICAL_KEYS = ("id", "status", "amount", "amount_total", "amount_sub_total")


def _refuse(constant: str) -> None:
    message = f"{constant} is not JSON"
    raise ValueError(message)


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        _refuse(number)
    return value


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "has a duplicate key"
        raise DuplicateKeyError(message)
    return members


_JSON = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


@cache
def _exact_json() -> json.JSONDecoder:
    from decimal import Decimal  # noqa: PLC0415 -- for files: no call has need of it

    return json.JSONDecoder(
        parse_constant=_refuse, parse_float=Decimal, object_pairs_hook=_once_each
    )
