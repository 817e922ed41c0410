"""How our nouns are spelled on the wire: form out, JSON in.

The one cattrs converter lives here. On its own cattrs turns ``null`` into ``"None"``,
12.7 into 12 and any text into `True`; its hooks here take a value as it is or not at
all.
"""

import functools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)
from urllib.parse import quote_plus

import attrs

from convergegate_async.models import Answer, CallInfo, rules
from convergegate_async.models.answers import OTHER_SPELLINGS
from convergegate_async.models.code_generation import (
    Reader,
    Spelling,
    sealed,
    write_encoder,
    write_reader,
)

from .secret import Secret

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")
A = TypeVar("A", bound=Answer)
Hook: TypeAlias = Callable[[object, object], T]

_PLAIN = (str, int, bool)

_LONGEST_ID = 255


# -- form out ---------------------------------------------------------------------


def form_fields(request: attrs.AttrsInstance) -> tuple[tuple[str, str], ...]:
    """Return the names and texts that *request* puts on the wire, in their order.

    A hash is spelled ``metadata[key]``, or as pairs of its own where it has no name on
    the wire; a list as one bare pair an item, a time as whole epoch seconds; what is
    unset is left out (DESIGN.md, *What is assumed of the gateway*).
    """
    return tuple(
        pair
        for name, wire_name in _wire_names(type(request)).items()
        if (value := getattr(request, name)) is not None
        for pair in _pairs(wire_name, value)
    )


@functools.cache
def _wire_names(noun: type[attrs.AttrsInstance]) -> dict[str, str]:
    """Return the fields of *noun* that are on the wire, and their names there.

    A field's own metadata may name it: by "" if its value brings names of its own, by
    `False` if it is not sent.
    """
    fields = attrs.fields(noun)
    names = {field.name: field.metadata.get("wire", field.name) for field in fields}
    return {name: wire for name, wire in names.items() if wire is not False}


def encode_form(request: attrs.AttrsInstance) -> bytes:
    """Return `form_fields` as ``application/x-www-form-urlencoded`` bytes in UTF-8."""
    return _encoder(type(request))(request).encode("ascii")


@functools.cache
def _encoder(noun: type[attrs.AttrsInstance]) -> Callable[[object], str]:
    fields = attrs.fields_dict(noun)
    names = _wire_names(noun)
    spellings = {
        name: _spelling_of(wire_name, fields[name].metadata.get("rule"))
        for name, wire_name in names.items()
    }
    return write_encoder(noun, spellings)


def _spelling_of(name: str, rule: object) -> Spelling:
    if rule in _QUOTE_BY_RULE:
        return Spelling(quote_plus(name), _QUOTE_BY_RULE[rule])

    if rule is rules.metadata:
        return Spelling(None, functools.partial(_spell_hash, name))
    spell = functools.partial(_spell_pairs, name)
    if rule is rules.words:  # a shop has few of these
        return Spelling(None, functools.lru_cache(maxsize=64)(spell))
    return Spelling(None, spell)


def _spell_pairs(name: str, value: object) -> str:
    text = ""
    for one, content in _pairs(name, value):
        text += f"&{_quote_name(one)}={_quote(content)}"
    return text


def _spell_hash(name: str, value: Mapping[str, str]) -> str:
    """Do as `_spell_pairs` does, sooner: most orders have metadata."""
    text = ""
    for key, content in value.items():
        text += f"&{_quote_name(f'{name}[{key}]')}={_quote(content)}"
    return text


_QUOTED = {code: quote_plus(chr(code)) for code in range(128)}
_IS_PLAIN_EMAIL = re.compile("[A-Za-z0-9_.-]*@[A-Za-z0-9.-]*").fullmatch


def _quote(text: str) -> str:
    # `quote_plus` takes several microseconds, which most texts have no need of.
    if not text.isascii():
        return quote_plus(text)
    if text.isalnum() or text.replace("-", "").isalnum():  # a name, an order number
        return text
    if text.startswith("http"):  # one of a few that come again
        return _quote_address(text)
    return text.translate(_QUOTED)


def _quote_email(text: str) -> str:
    return text.replace("@", "%40") if _IS_PLAIN_EMAIL(text) else _quote(text)


def _quote_phone(text: str) -> str:
    return f"%2B{text[1:]}"  # the rest is digits


# A shop has few names for its metadata, and few addresses to return to.
_quote_name = functools.lru_cache(maxsize=512)(quote_plus)
_quote_address = functools.lru_cache(maxsize=512)(quote_plus)

_QUOTE_BY_RULE: dict[object, Callable[[Any], str] | None] = {
    rules.amount: None,
    rules.currency: None,
    rules.country: None,
    rules.locale: None,
    rules.email: _quote_email,
    rules.name: _quote,
    rules.phone: _quote_phone,
    rules.url: _quote_address,
    rules.ip_address: _quote,
}
"""What quotes a value that a rule has let through; `None`: it needs no quoting."""


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, content in value.items():
                yield f"{name}[{key}]" if name else key, content
        case tuple():
            for item in value:
                yield name, item
        case str():  # a word of an enum
            yield name, value
        case Secret():
            yield name, str.__str__(value.reveal())  # not what a subclass makes of it
        case int():
            yield name, str(value)
        case datetime():
            yield name, str(int(value.timestamp()))
        case _:
            raise AssertionError(type(value))


# -- JSON in ----------------------------------------------------------------------


def structure(answer: type[A], raw: Mapping[str, object], call: CallInfo) -> A | None:
    """Read *raw* into *answer*, or return `None` if it has no usable id.

    Every other field that cannot be read is left at its default and named in
    ``call.misread``: what the gateway did stays done.
    """
    draft, misread = read_fields(answer, raw)
    if not _is_id(draft.id):
        return None
    if misread:
        call = attrs.evolve(call, misread=tuple(misread))
    draft.raw, draft.call = raw, call
    return sealed(draft, answer)


def read_fields(
    noun: type[attrs.AttrsInstance], raw: Mapping[str, object]
) -> tuple[Any, list[str]]:
    """Return a draft of *noun* filled from *raw*, and the names of unreadable fields.

    Fields that are not on the wire are still to be set.
    """
    return _reader(noun)(raw.get)


def _is_id(value: object) -> bool:
    """Tell whether *value* is a text of 1 to 255 printable ASCII characters."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_ID
        and value.isascii()
        and value.isprintable()
    )


@functools.cache
def _reader(noun: type[attrs.AttrsInstance]) -> Reader:
    plain: dict[str, type] = {}
    hooks: dict[str, tuple[Hook[object], object]] = {}
    on_wire = _wire_names(noun)
    for field in attrs.fields(attrs.resolve_types(noun)):
        if field.name not in on_wire:
            continue
        kind = _without_none(field.type)
        if kind in _PLAIN:
            plain[field.name] = kind
        else:
            hooks[field.name] = _converter().get_structure_hook(kind), kind
    return write_reader(noun, plain, hooks, OTHER_SPELLINGS)


def _without_none(kind: Any) -> Any:  # noqa: ANN401 -- a type, as the typing module has it
    """Return *kind* without its `None`, which `read_fields` has dealt with."""
    if not _is_union(kind):
        return kind
    return functools.reduce(operator.or_, _members(kind))


def _moment(raw: object, _: object) -> datetime:
    if type(raw) is not int:
        message = "expected whole epoch seconds"
        raise TypeError(message)
    try:
        return _utc(raw)
    except (OverflowError, OSError):
        message = "outside of the calendar"
        raise ValueError(message) from None


@functools.lru_cache(maxsize=64)
def _utc(seconds: int) -> datetime:
    # What is opened in one second shares its times.
    return datetime.fromtimestamp(seconds, UTC)


def _is_mapping(kind: object) -> bool:
    return get_origin(kind) is Mapping


_ONLY_STR = frozenset({str})


def _texts(raw: object, _: object) -> Mapping[str, str]:
    if type(raw) is not dict or not _ONLY_STR.issuperset(map(type, raw.values())):
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


def _known_words(kind: object) -> dict[str, StrEnum]:
    (words,) = (member for member in _members(kind) if member is not str)
    return {word.value: word for word in words}


def _open_enum(kind: object, _: "cattrs.Converter") -> Hook[str]:
    """Build the hook of ``Words | str``: a word we do not know stays a text."""
    known = _known_words(kind)

    def hook(raw: object, _: object) -> str:
        if type(raw) is not str:
            message = "expected str"
            raise TypeError(message)
        return known.get(raw, raw)

    return hook


def _is_list(kind: object) -> bool:
    return get_origin(kind) is tuple


def _items(raw: object, _: object) -> tuple[object, ...]:
    if type(raw) is not list:
        message = "expected a list"
        raise TypeError(message)
    return tuple(raw)


def _is_word_list(kind: object) -> bool:
    return _is_list(kind) and _is_open_enum(get_args(kind)[0])


def _word_list(kind: object, _: "cattrs.Converter") -> Hook[tuple[str, ...]]:
    """Build the hook of ``tuple[Words | str, ...]``."""
    known = _known_words(get_args(kind)[0])

    def hook(raw: object, _: object) -> tuple[str, ...]:
        words: list[str] = []
        for word in _items(raw, None):  # of one: a comprehension takes twice as long
            if type(word) is not str:
                message = "expected a list of texts"
                raise TypeError(message)
            words.append(known.get(word, word))
        return tuple(words)

    return hook


@functools.cache
def _converter() -> "cattrs.Converter":
    import cattrs  # noqa: PLC0415 -- ready since `CheckoutSessionFactory.open`

    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(datetime, _moment)
    converter.register_structure_hook_func(_is_mapping, _texts)
    converter.register_structure_hook_func(_is_list, _items)
    converter.register_structure_hook_factory(_is_word_list, _word_list)
    converter.register_structure_hook_factory(_is_open_enum, _open_enum)
    return converter
