"""Code that is written once per class, as attrs writes its own.

attrs fills a frozen value by `object.__setattr__`, which costs 700 instructions a
field, and a loop over fields as much again; a straight line costs 100. So a value
begins as a draft, of a class with the same slots that can be written, and is sealed by
being given its own class back. Equality, hash, pickles and `FrozenInstanceError` stay
attrs'. A request of 13 fields is built, checked and spelled in half of what it took.
"""

import linecache
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import attrs

T = TypeVar("T")
Problems: TypeAlias = list[tuple[str, str]]
Get: TypeAlias = Callable[..., object]  # as `dict.get`
Hook: TypeAlias = Callable[[object, Any], object]
Reader: TypeAlias = Callable[[Get], tuple[Any, list[str]]]


class Check(NamedTuple):
    """How one field is checked.

    Attributes:
        judge: Returns a value as it is to be kept, or notes its problem.
        look: A type, and what tells of a value of just this type that it is to be kept
            as it is; `None` if only *judge* can tell.
    """

    judge: Callable[[object, Problems], object]
    look: tuple[type, Callable[[Any], object]] | None = None


@cache
def draft_of(noun: type[T]) -> type[T]:
    """Return a class with the slots of *noun*, whose values can be written."""
    writable = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    name, body = f"Draft{noun.__name__}", {"__slots__": (), **writable}
    # What calling ``type(noun)`` does, which no type checker lets pass.
    return type.__new__(type(noun), name, (noun,), body)


def new_draft(noun: type[attrs.AttrsInstance]) -> Any:  # noqa: ANN401 -- what `sealed` takes
    """Return a *noun* of which nothing is set yet, to be written and `sealed`."""
    return object.__new__(draft_of(noun))


def sealed(draft: Any, noun: type[T]) -> T:  # noqa: ANN401 -- what `Reader` returns
    """Return *draft* as a value of *noun*, frozen from now on."""
    draft.__class__ = noun
    value: T = draft
    return value


def write_constructor(
    noun: type[attrs.AttrsInstance],
    checks: Mapping[str, Check] = MappingProxyType({}),
    refuse: Callable[[Any, Problems], Exception | None] = lambda _, __: None,
) -> Callable[..., None]:
    """Write the ``__init__`` of *noun*, a frozen class of keywords.

    No error leaves it with the values in its frame: tracebacks show locals.

    Args:
        noun: The class.
        checks: By field. What is optional may always be `None`.
        refuse: Makes the error to raise, if there is one, of a value and its problems.
    """
    fields = attrs.fields(noun)
    names = ", ".join(field.name for field in fields)
    space = {"draft_of": draft_of, "refuse": refuse, "become": object.__setattr__}
    for field in fields:
        space |= _named(field.name, default=field.default)
    for name, check in checks.items():
        kind, look = check.look or (None, None)
        space |= _named(name, judge=check.judge, kind=kind, look=look)
    lines = [
        f"def __init__(self, *, {', '.join(map(_parameter, fields))}):",
        "    noun, problems, refusal = type(self), [], None",
        "    try:",
        *(line for field in fields for line in _checked(field, checks)),
        "        become(self, '__class__', draft_of(noun))",
        *(f"        self.{field.name} = {field.name}" for field in fields),
        "        refusal = refuse(self, problems)",
        "        self.__class__ = noun",
        "    except Exception as error:",
        "        refusal = error.with_traceback(None)",
        "    if refusal is not None:",
        f"        del self, {names}",
        "        raise refusal",
    ]
    return wraps(noun.__init__)(_written(noun, "__init__", lines, space))


def _has_factory(field: "attrs.Attribute[object]") -> bool:
    return isinstance(field.default, cast("type", attrs.Factory))


def _parameter(field: "attrs.Attribute[object]") -> str:
    if field.default is attrs.NOTHING:
        return field.name
    return f"{field.name}=default_{field.name}"


def _checked(
    field: "attrs.Attribute[object]", checks: Mapping[str, Check]
) -> Iterator[str]:
    name = field.name
    if _has_factory(field):
        yield f"        if {name} is default_{name}:"
        yield f"            {name} = default_{name}.factory()"
    if name not in checks:
        return
    conditions = [f"{name} is not None"] if field.default is None else []
    if checks[name].look is not None:
        conditions.append(f"not (type({name}) is kind_{name} and look_{name}({name}))")
    yield f"        if {' and '.join(conditions or ['True'])}:"
    yield f"            {name} = judge_{name}({name}, problems)"


def write_reader(
    noun: type[attrs.AttrsInstance],
    plain: Mapping[str, type],
    hooks: Mapping[str, tuple[Hook, Any]],
    others: Mapping[str, str],
) -> Reader:
    """Write what reads a draft of *noun*, and names the fields that it cannot read.

    Fields that are neither plain nor have a hook are left to the caller.

    Args:
        noun: The class.
        plain: The types of fields that are taken as they are, or not at all.
        hooks: What reads a value, and its second argument; raises `TypeError` or
            `ValueError` where it cannot.
        others: By field, the name that it has elsewhere: read where the first is not
            there, and compared where both are.
    """
    space: dict[str, Any] = {"new": object.__new__, "Draft": draft_of(noun)}
    lines = ["def read(get):", "    noun, misread = new(Draft), []"]
    for field in attrs.fields(noun):
        name = field.name
        space |= _named(name, default=field.default)
        if name in plain:
            space |= _named(name, kind=plain[name])
            lines += _found(name, others)
            lines += _read_as_it_is(field, others, is_text=plain[name] is str)
        elif name in hooks:
            hook, kind = hooks[name]
            space |= _named(name, hook=hook, kind=kind)
            lines += _found(name, others)
            lines += _read_by_hook(field, others)
    return _written(noun, "read", [*lines, "    return noun, misread"], space)  # type: ignore[no-any-return]  # as it says


def _found(name: str, others: Mapping[str, str]) -> Iterator[str]:
    yield f"    value = get({name!r})"
    if name in others:
        yield f"    other = get({others[name]!r})"
        yield "    if value is None or value == '':"
        yield "        value, other = other, None"


def _compared(name: str, others: Mapping[str, str]) -> Iterator[str]:
    if name in others:
        yield "if other is not None and other not in (value, ''):"
        yield f"    misread.append({name!r})"


def _read_as_it_is(
    field: "attrs.Attribute[object]", others: Mapping[str, str], *, is_text: bool
) -> Iterator[str]:
    name, default = field.name, _default(field)
    has_content = " and value" if is_text else ""
    yield f"    if type(value) is kind_{name}{has_content}:"
    yield f"        noun.{name} = value"
    yield from (f"        {line}" for line in _compared(name, others))
    yield "    else:"
    yield f"        noun.{name} = {default}"
    yield "        if value is not None and value != '':"
    yield f"            misread.append({name!r})"


def _read_by_hook(
    field: "attrs.Attribute[object]", others: Mapping[str, str]
) -> Iterator[str]:
    name, default = field.name, _default(field)
    yield "    if value is None or value == '':"
    yield f"        noun.{name} = {default}"
    yield "    else:"
    yield "        try:"
    yield f"            noun.{name} = hook_{name}(value, kind_{name})"
    yield from (f"            {line}" for line in _compared(name, others))
    yield "        except (TypeError, ValueError):"
    yield f"            noun.{name} = {default}"
    yield f"            misread.append({name!r})"


def _default(field: "attrs.Attribute[object]") -> str:
    """Return what stands for a field that cannot be read; `None` if it has to be."""
    if field.default is attrs.NOTHING:
        return "None"
    return f"default_{field.name}" + (".factory()" if _has_factory(field) else "")


class Spelling(NamedTuple):
    """How one field is spelled in a form.

    Attributes:
        name: What stands before the value, quoted; without it *spell* brings its own.
        spell: Makes the text of a value; `None` if it is one that needs no quoting.
    """

    name: str | None
    spell: Callable[[Any], str] | None


def write_encoder(
    noun: type[attrs.AttrsInstance], spellings: Mapping[str, Spelling]
) -> Callable[[object], str]:
    """Write what spells a *noun* as a form; what is `None` is left out.

    The required fields come first, in one f-string, as all our nouns declare them.

    Args:
        noun: The class.
        spellings: Those of its fields that are sent.
    """
    space: dict[str, Any] = {}
    required, lines = "", []
    for field in attrs.fields(noun):
        if field.name not in spellings:
            continue
        spelling, value = spellings[field.name], f"noun.{field.name}"
        is_optional = field.default is not attrs.NOTHING
        space |= _named(field.name, spell=spelling.spell)
        expression = "value" if is_optional else value
        if spelling.spell is not None:
            expression = f"spell_{field.name}({expression})"
        text = f"{{{expression}}}"  # to stand in an f-string of what is written
        if spelling.name is not None:
            text = f"&{spelling.name}={text}"
        if is_optional:
            lines.append(f"    if (value := {value}) is not None: text += f'{text}'")
        else:
            required += text
    lines = ["def encode(noun):", f"    text = f'{required}'", *lines]
    return _written(noun, "encode", [*lines, "    return text[1:]"], space)  # type: ignore[no-any-return]  # as it says


def _named(name: str, **values: object) -> dict[str, Any]:
    return {f"{what}_{name}": value for what, value in values.items()}


def _written(noun: type, name: str, lines: list[str], space: dict[str, Any]) -> Any:  # noqa: ANN401 -- a function
    """Compile *lines*, which define *name*; tracebacks and debuggers can show them."""
    code, file = "\n".join(lines) + "\n", f"<{noun.__name__}.{name}>"
    space["__name__"] = noun.__module__
    exec(compile(code, file, "exec"), space)  # noqa: S102 -- of our own field names, as attrs does it
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    return space[name]
