"""The public names of the package, and what their annotations refer to."""

import inspect
import typing
from collections.abc import Iterator
from importlib import import_module

import aiohttp
from aioresponses import aioresponses

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
    "convergegate_async.contrib.redis",
    "convergegate_async.contrib.starlette",
    "convergegate_async.errors",
    "convergegate_async.factory",
    "convergegate_async.load",
    "convergegate_async.models",
    "convergegate_async.policy",
    "convergegate_async.runners",
    "convergegate_async.sandbox",
    "convergegate_async.testing",
    "convergegate_async.testing.plugin",
    "convergegate_async.webhooks",
)


def exported(module: str) -> Iterator[tuple[str, object]]:
    """Yield the public names of *module* with what they stand for."""
    imported = import_module(module)
    defined = [name for name in vars(imported) if not name.startswith("_")]
    for name in getattr(imported, "__all__", defined):
        yield name, getattr(imported, name)


NAMES = {
    **dict(exported("convergegate_async")),
    **dict(exported("convergegate_async.testing")),
    "BaseConnector": aiohttp.BaseConnector,
    "aioresponses": aioresponses,
}
"""What annotations in quotes refer to."""


def named(annotation: object) -> Iterator[type]:
    """Yield the classes of ours that *annotation* names."""
    if inspect.isclass(annotation) and annotation.__module__.startswith(
        convergegate_async.__name__
    ):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from named(argument)


def is_ours(thing: object) -> bool:
    """Tell whether *thing* was defined in the package."""
    if typing.get_origin(thing) is typing.Annotated:
        thing = typing.get_args(thing)[0]
    module = str(getattr(thing, "__module__", ""))
    return module.startswith(convergegate_async.__name__)
