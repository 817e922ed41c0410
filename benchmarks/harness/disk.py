"""What a process did to the files of a folder, and what a kill or a power cut leaves.

The calls are recorded by strace from real processes and replayed here, up to any of
them. A kill leaves all that was called. A power cut takes what was not synced: any of
the writes, and the last names that files were given or lost.
"""

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs

Files: TypeAlias = Mapping[str, bytes]
"""What there is in a folder, by name."""

_CALLS = (
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,link,rename,unlink,"
    "linkat,renameat,renameat2,unlinkat"
)
_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?$")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_NUMBERS = re.compile(r", (\d+)")


@attrs.frozen
class Call:
    """A call that changed the folder.

    Attributes:
        kind: ``create``, ``write``, ``truncate``, ``sync``, ``link``, ``rename`` or
            ``unlink``.
        name: Of the file; "" for the folder itself.
        to: The new name, of link and rename.
        offset: Of a write; the new size, of a truncation; -1 for "at the end".
        data: What was written.
    """

    kind: str
    name: str
    to: str = ""
    offset: int = 0
    data: bytes = b""


def record(folder: Path, program: Path, *arguments: object) -> list[Call]:
    """Run *program* to its end, however it ends, and return its calls on *folder*."""
    trace = folder.with_name(f"{folder.name}.strace")
    options = ["-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o"]
    subprocess.run(  # noqa: S603 -- our own program
        ["strace", *options, trace, sys.executable, program, *map(str, arguments)],  # noqa: S607 -- Debian's
        check=False,
    )
    return list(_calls(trace.read_text(), folder))


def _calls(trace: str, folder: Path) -> Iterator[Call]:
    for line in _whole_lines(trace):
        match = _LINE.match(line)
        if match is None or int(match[3]) < 0:
            continue
        call = _call(match[1], match[2], match[4], folder)
        if call is not None:
            yield call


def _whole_lines(trace: str) -> Iterator[str]:
    """Yield the lines; a call that another thread's interrupted is put together."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        thread = line.split(" ", 1)[0]
        if line.endswith(" <unfinished ...>"):
            begun[thread] = line.removesuffix(" <unfinished ...>")
        elif " resumed>" in line:
            yield begun.pop(thread) + line.split(" resumed>", 1)[1]
        else:
            yield line


def _call(name: str, arguments: str, opened: str | None, folder: Path) -> Call | None:
    texts = [_bytes(text) for text in _QUOTED.findall(arguments)]
    if name == "openat":
        path = _within(folder, _path(opened or ""))
        return Call("create", path) if path and "O_CREAT" in arguments else None
    if "<" not in arguments.split(",", maxsplit=1)[0] or name.endswith("at"):
        return _named(name, texts, folder)
    path = _within(folder, _path(arguments[arguments.index("<") + 1 :]))
    if path is None:
        return None
    numbers = [int(number) for number in _NUMBERS.findall(_QUOTED.sub("", arguments))]
    match name:
        case "fsync" | "fdatasync":
            return Call("sync", path)
        case "ftruncate":
            return Call("truncate", path, offset=numbers[0])
        case _:
            offset = numbers[1] if name == "pwrite64" else -1
            return Call("write", path, offset=offset, data=texts[0])


def _named(name: str, texts: Sequence[bytes], folder: Path) -> Call | None:
    """Return a call that changes which files there are."""
    kind = name.removesuffix("2").removesuffix("at")
    names = [_within(folder, text.decode()) or "" for text in texts]
    return Call(kind, names[0], to=names[-1]) if names[0] else None


def _path(text: str) -> str:
    path = re.match(r"(?:\\x[0-9a-f]{2})*", text)
    return "" if path is None else _bytes(path[0]).decode()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _within(folder: Path, path: str) -> str | None:
    if path == str(folder):
        return ""
    head, _, name = path.rpartition("/")
    return name if head == str(folder) else None


@attrs.define(eq=False)
class _Inode:
    """A file, whatever its names: what it holds, and what of that is synced."""

    content: bytearray = attrs.field(factory=bytearray)
    durable: bytes = b""
    pending: list[Call] = attrs.field(factory=list)

    def apply(self, call: Call) -> None:
        self.pending.append(call)
        _change(self.content, call)

    def sync(self) -> None:
        self.durable = bytes(self.content)
        self.pending.clear()


def _change(content: bytearray, call: Call) -> None:
    if call.kind == "truncate":
        content.extend(bytes(max(0, call.offset - len(content))))
        del content[call.offset :]
        return
    start = len(content) if call.offset < 0 else call.offset
    content.extend(bytes(max(0, start - len(content))))
    content[start : start + len(call.data)] = call.data


class Disk:
    """A folder, as far as calls were replayed."""

    def __init__(self) -> None:
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._pending_names: list[dict[str, _Inode]] = []

    def replay(self, call: Call) -> None:
        """Do to the folder what a process did."""
        match call.kind:
            case "write" | "truncate":
                self._names[call.name].apply(call)
                return
            case "sync" if call.name:
                self._names[call.name].sync()
                return
            case "sync":
                self._durable_names = dict(self._names)
                self._pending_names.clear()
                return
            case "create":
                if call.name in self._names:
                    return
                self._names[call.name] = _Inode()
            case "link":
                self._names[call.to] = self._names[call.name]
            case "rename":
                self._names[call.to] = self._names.pop(call.name)
            case _:
                del self._names[call.name]
        self._pending_names.append(dict(self._names))

    def after_kill(self) -> Files:
        """Return what is there: all that was called."""
        return {name: bytes(file.content) for name, file in self._names.items()}

    def after_power_cut(self, dice: random.Random) -> Files:
        """Return what may be there: what was synced, and by chance some of the rest."""
        states = [self._durable_names, *self._pending_names]
        most = dice.choice([0, 1, len(states) - 1])  # often all or nothing
        names = states[dice.randint(0, min(most, len(states) - 1))]
        chance = dice.choice([0.0, 0.5, 1.0])
        return {
            name: self._survivor(file, dice, chance) for name, file in names.items()
        }

    def _survivor(self, file: _Inode, dice: random.Random, chance: float) -> bytes:
        content = bytearray(file.durable)
        for call in file.pending:
            if dice.random() < chance:
                _change(content, call)
        return bytes(content)


def restore(files: Files, folder: Path) -> None:
    """Make *folder* hold *files* and nothing else, for the owner only."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def states(calls: Sequence[Call]) -> Iterator[Disk]:
    """Yield the disk after each of *calls*; it is the same one, further on."""
    disk = Disk()
    for call in calls:
        disk.replay(call)
        yield disk
