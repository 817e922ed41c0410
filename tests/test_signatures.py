"""Every type that a public signature names can be imported from a public module."""

import enum
import inspect
import typing
from collections.abc import Iterator
from importlib import import_module

import aiohttp
import attrs
import pytest

import convergegate_async

MODULES = (
    "convergegate_async",
    "convergegate_async.bulk",
    "convergegate_async.contrib.aiohttp_web",
    "convergegate_async.contrib.django",
    "convergegate_async.contrib.fastapi",
    "convergegate_async.contrib.litestar",
    "convergegate_async.contrib.otel",
    "convergegate_async.contrib.quart",
    "convergegate_async.contrib.starlette",
    "convergegate_async.errors",
    "convergegate_async.factory",
    "convergegate_async.models",
    "convergegate_async.policy",
    "convergegate_async.runners",
    "convergegate_async.sandbox",
    "convergegate_async.webhooks",
)
EXCEPT = {
    "Transport",  # `transport=` is for tests
    "Database",  # a journal is got by `create` or `open`
}


def exported(module: str) -> Iterator[tuple[str, object]]:
    """Yield the public names of *module* with what they stand for."""
    imported = import_module(module)
    defined = [name for name in vars(imported) if not name.startswith("_")]
    for name in getattr(imported, "__all__", defined):
        yield name, getattr(imported, name)


NAMES = {**dict(exported(MODULES[0])), "BaseConnector": aiohttp.BaseConnector}
"""What annotations in quotes refer to."""

PUBLIC = {id(thing) for module in MODULES for _, thing in exported(module)}
SIGNATURES = [
    pytest.param(thing, id=f"{module}.{name}")
    for module in MODULES
    for name, thing in exported(module)
    if inspect.getmodule(thing) is not None
    and str(getattr(thing, "__module__", "")).startswith(convergegate_async.__name__)
    and (inspect.isclass(thing) or inspect.isroutine(thing))
]


def named(annotation: object) -> Iterator[type]:
    """Yield the classes of ours that *annotation* names."""
    if inspect.isclass(annotation) and annotation.__module__.startswith(
        convergegate_async.__name__
    ):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from named(argument)


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
