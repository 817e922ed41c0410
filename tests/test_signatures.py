"""Public names and signatures: frozen, documented, and made of public types."""

import enum
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import attrs
import pytest
from public_api import MODULES, NAMES, exported, is_ours, named

import convergegate_async

EXCEPT = {
    "Transport",  # `transport=` is for tests
    "Database",  # a journal is got by `create` or `open`
}


PUBLIC = {id(thing) for module in MODULES for _, thing in exported(module)}
SIGNATURES = [
    pytest.param(thing, id=f"{module}.{name}")
    for module in MODULES
    for name, thing in exported(module)
    if inspect.getmodule(thing) is not None
    and str(getattr(thing, "__module__", "")).startswith(convergegate_async.__name__)
    and (inspect.isclass(thing) or inspect.isroutine(thing))
]


def annotations(thing: object) -> Iterator[object]:
    """Yield what the public signatures of a class or function are annotated with."""
    if not inspect.isclass(thing):
        yield from typing.get_type_hints(thing, localns=NAMES).values()
        return
    if attrs.has(thing):
        resolved = attrs.resolve_types(thing, localns=NAMES)
        yield from (field.type for field in attrs.fields(resolved))
    for name, member in vars(thing).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield from typing.get_type_hints(function, localns=NAMES).values()
    if not issubclass(thing, enum.Enum) and inspect.isfunction(thing.__init__):
        yield from typing.get_type_hints(thing.__init__, localns=NAMES).values()


@pytest.mark.parametrize("thing", SIGNATURES)
def test_what_a_signature_names_can_be_imported(thing: object) -> None:
    """Who is handed a value can annotate with its type."""
    hidden = {
        kind.__name__
        for annotation in annotations(thing)
        for kind in named(annotation)
        if id(kind) not in PUBLIC
    }

    assert hidden - EXCEPT == set()


# -- frozen --------------------------------------------------------------------------

FROZEN = Path(__file__).parent / "support" / "public_names.txt"
_PATHS = re.compile(r"(?<![\w.])(?:[a-z_]\w*\.)+(?=[A-Za-z_])")


def spelled(thing: object) -> str:
    """Return an annotation or a default as a line of `FROZEN` has it."""
    if inspect.isclass(thing) and not typing.get_args(thing):
        return thing.__qualname__
    if inspect.isroutine(thing):
        return thing.__qualname__
    if typing.get_origin(thing) is typing.Annotated:  # by a framework's own words
        return f"Annotated[{spelled(typing.get_args(thing)[0])}]"
    text = re.sub(r"Unpack\[(\w+)\]", r"*\1", _PATHS.sub("", str(thing)))
    return re.sub(r" at 0x\w+|<class '([^']+)'>", r"\1", text)


def signature_of(function: object) -> str:
    """Return parameters and result, alike on every Python."""
    assert callable(function)
    parts: list[str] = []
    signature = inspect.signature(function)
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not any(part[0] == "*" for part in parts):
            parts.append("*")
        stars = "*" * (one.kind is one.VAR_POSITIONAL)
        stars += "**" * (one.kind is one.VAR_KEYWORD)
        text = f"{stars}{one.name}"
        if one.annotation is not one.empty:
            text += f": {spelled(one.annotation)}"
        if one.default is not one.empty:
            default = one.default
            is_text = isinstance(default, str)
            text += f" = {repr(default) if is_text else spelled(default)}"
        parts.append(text)
    answer = signature.return_annotation
    arrow = "" if answer is signature.empty else f" -> {spelled(answer)}"
    return f"({', '.join(parts)}){arrow}"


def lines_of(path: str, thing: object) -> Iterator[str]:
    """Yield a public name with its signature, and those of what it holds."""
    if inspect.isclass(thing) and issubclass(thing, enum.Enum):
        yield f"{path}: {' '.join(f'{one.name}={one.value}' for one in thing)}"
    elif inspect.isclass(thing):
        has_init = inspect.isfunction(thing.__init__)
        has_init &= not getattr(thing, "_is_protocol", False)
        yield path + (signature_of(thing.__init__) if has_init else "")
        for name, member in sorted(vars(thing).items()):
            if name.startswith("_"):
                continue
            function = getattr(member, "__func__", member)
            if isinstance(member, property):
                yield f"{path}.{name}: {spelled(signature_of(member.fget))}"
            elif inspect.isfunction(function):
                yield f"{path}.{name}{signature_of(function)}"
    elif inspect.isroutine(thing):
        yield path + signature_of(thing)
    else:
        yield f"{path} = {spelled(thing)}"


def public_names() -> str:
    """Return every public name, a line each."""
    return "".join(
        f"{line}\n"
        for module in MODULES
        for name, thing in sorted(exported(module))
        if name != "__version__" and not inspect.ismodule(thing)
        if is_ours(thing)
        for line in lines_of(
            f"{module.removeprefix('convergegate_async')}.{name}", thing
        )
    )


def test_no_public_name_changes_unseen() -> None:
    """Who renames or moves one sees it in the diff.

    ``PYTHONPATH=tests/support python tests/test_signatures.py`` writes the list anew.
    """
    assert public_names() == FROZEN.read_text()


def test_no_public_signature_says_any() -> None:
    """Who calls it is told by the type checker what goes in, and what comes out."""
    vague = [
        line for line in public_names().splitlines() if re.search(r"\bAny\b", line)
    ]

    assert vague == []


def test_each_public_name_is_in_the_reference(tmp_path: Path) -> None:
    """The reference is built without a warning and shows every name with its words."""
    command = [sys.executable, "-W", "error", "-m", "pdoc", "--docformat", "google"]
    subprocess.run([*command, "-o", str(tmp_path), *MODULES], check=True)  # noqa: S603 -- our own
    missing = []
    for module in MODULES:
        page = tmp_path.joinpath(*module.split(".")).with_suffix(".html").read_text()
        missing += [
            f"{module}.{name}"
            for name in getattr(import_module(module), "__all__", ())
            if name != "__version__" and f'id="{name}"' not in page
        ]

    assert missing == []


if __name__ == "__main__":
    FROZEN.write_text(public_names())
