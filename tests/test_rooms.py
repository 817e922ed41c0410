"""The walls between rooms: what a room keeps private, no other room names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import convergegate_async

PACKAGE = Path(convergegate_async.__file__).parent
ROOT = PACKAGE.name
MODULES = sorted(PACKAGE.rglob("*.py"))

SHARED = {"_core", "_transport", "_version", "_waiting"}
"""Private to users, and open to every room that lies above them."""

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
    if name[0] != ROOT or name[1] == room:
        return False
    private = [part for part in name[1:] if part.startswith("_") and part[:2] != "__"]
    behind_the_door = set(name[2:]) & INNER_ROOMS.get(name[1], set())
    return bool(set(private) - SHARED or behind_the_door)


@pytest.mark.parametrize(
    "module", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)
def test_a_room_names_nothing_private_of_another(module: Path) -> None:
    """Outside of its room, a name that begins with an underscore is not imported."""
    room = module.relative_to(PACKAGE).parts[0].removesuffix(".py")

    found = [name for name in imported(module) if trespasses(room, name)]

    assert [".".join(name) for name in found] == []


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("cli", "convergegate_async.sandbox._book.Book"),
        ("cli", "convergegate_async.factory._caller"),
        ("contrib", "convergegate_async.webhooks._receiver.WebhookReceiver"),
        ("cli", "convergegate_async.bulk.journal.database.Database"),
        ("bulk", "convergegate_async.policy._duration"),
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
