"""The walls between rooms: what a room keeps private, and which libraries it knows."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convergegate_async

PACKAGE = Path(convergegate_async.__file__).parent
ROOT = PACKAGE.name
MODULES = sorted(PACKAGE.rglob("*.py"))

SHARED = {
    "_core": (),
    "_version": (),
    "_transport": ("factory", "cli"),
    "_waiting": ("_transport",),
}
"""Private to users, and open to these rooms, or to every one that lies above."""

LIBRARIES = {
    "attrs": ("",),
    "cattrs": ("_core/codec.py",),
    "aiohttp": (
        "_transport/",
        "contrib/aiohttp_web.py",
        "sandbox/",
        "testing/",
        "factory/__init__.py",
    ),
    "aioresponses": ("testing/_aioresponses.py", "testing/plugin.py"),
    "multidict": ("_transport/",),
    "yarl": ("_transport/",),
    "pytest": ("testing/plugin.py",),
    "tenacity": ("factory/_caller.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "distributed": ("runners/_dask",),
    "hdrh": ("load/times.py",),
    "jinja2": ("load/report/page.py", "sandbox/site/_render.py"),
    "uvloop": ("load/slices.py",),
    "altair": ("load/report/charts/drawing.py",),
    "vl_convert": ("load/report/charts/drawing.py",),
    "django": ("contrib/django.py",),
    "fastapi": ("contrib/fastapi.py",),
    "litestar": ("contrib/litestar.py",),
    "opentelemetry": ("contrib/otel.py",),
    "quart": ("contrib/quart.py",),
    "werkzeug": ("contrib/quart.py",),
    "redis": ("contrib/redis.py",),
    "starlette": ("contrib/starlette.py",),
    "_typeshed": ("cli/_streams.py",),
}
"""How the paths of those begin that know a library, typing-only imports included: the
factory names the type of an aiohttp connector, and no more."""

THE_TIME = {"now", "today", "utcnow"}
PURE = ("_core/", "models/", "errors.py", "policy.py")

INNER_ROOMS = {"bulk": {"jobs", "journal", "sending", "tables"}}
"""Folders in a room that outsiders enter by the room's own door."""


def imported(module: Path) -> Iterator[tuple[str, ...]]:
    """Yield the path of every name of ours that *module* imports, from the root."""
    package = (ROOT, *module.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            path = (*start, *(node.module or "").split(".")) if node.module else start
            yield from ((*path, alias.name) for alias in node.names)


def trespasses(room: str, name: tuple[str, ...]) -> bool:
    """Tell whether *name* is private to another room than *room*."""
    if name[0] != ROOT or name[1:2] in {(), (room,)}:
        return False
    private = {part for part in name[1:] if part.startswith("_") and part[:2] != "__"}
    if name[1] in SHARED and room in (SHARED[name[1]] or (room,)):
        private.discard(name[1])
    behind_the_door = set(name[2:]) & INNER_ROOMS.get(name[1], set())
    return bool(private or behind_the_door)


@pytest.mark.parametrize(
    "module", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)
def test_a_room_names_nothing_private_of_another(module: Path) -> None:
    """Outside of its room, a name that begins with an underscore is not imported."""
    room = module.relative_to(PACKAGE).parts[0].removesuffix(".py")

    found = [name for name in imported(module) if trespasses(room, name)]

    assert [".".join(name) for name in found] == []


@pytest.mark.parametrize(
    "module", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)
def test_a_library_is_known_where_it_belongs(module: Path) -> None:
    """One that is replaced one day is looked for in few places."""
    place = module.relative_to(PACKAGE).as_posix()
    names = {name[0] for name in imported(module)} - {ROOT} - sys.stdlib_module_names

    assert [name for name in names if not place.startswith(LIBRARIES[name])] == []


@pytest.mark.parametrize(
    "module",
    [path for path in MODULES if path.relative_to(PACKAGE).as_posix().startswith(PURE)],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_what_is_pure_has_no_clock(module: Path) -> None:
    """The time is handed to it: `datetime` is imported for its values."""
    nodes = ast.walk(ast.parse(module.read_text()))

    assert not THE_TIME & {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("cli", "convergegate_async.sandbox._book.Book"),
        ("cli", "convergegate_async.factory._caller"),
        ("contrib", "convergegate_async.webhooks._receiver.WebhookReceiver"),
        ("cli", "convergegate_async.bulk.journal.database.Database"),
        ("bulk", "convergegate_async.policy._duration"),
        ("bulk", "convergegate_async._transport.AiohttpTransport"),
    ],
)
def test_a_trespass_is_seen(room: str, name: str) -> None:
    """The test above can fail."""
    assert trespasses(room, tuple(name.split(".")))


def test_the_walk_finds_the_modules() -> None:
    """Relative, absolute and nested imports are all read."""
    names = {".".join(name) for name in imported(PACKAGE / "cli" / "_jobs.py")}

    assert {
        "convergegate_async.bulk.Job",
        "convergegate_async.cli._gateway.Gateway",
        "convergegate_async.runners.DaskRunner",
    } <= names
