"""Verified webhooks in a file, a line of JSON each: how they get there, and back."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import attrs

from convergegate_async._core.bounded_lines import bounded_lines
from convergegate_async._core.messages import BODY_LIMIT
from convergegate_async._core.private_files import problem_of_private_file
from convergegate_async._core.signatures import read_event
from convergegate_async.errors import ConfigurationError
from convergegate_async.models import WebhookEvent


class Recording:
    """A file that the bodies of webhooks are appended to.

    It is opened for each anew, so that it can be moved away meanwhile, and whoever may
    read or write it is looked at each time.

    Args:
        path: The file; it is made, for its owner alone, if there is none.

    Raises:
        ConfigurationError: It cannot be written, or is not its owner's alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened():
            pass  # better now than with the first webhook

    def append(self, body: bytes) -> None:
        """Write a body as one line; once it returns, a kill takes nothing of it.

        Raises:
            ConfigurationError: It cannot be written, or not whole.
        """
        line = on_one_line(body) + b"\n"
        with self._opened() as file:
            if _is_torn(file):
                line = b"\n" + line
            while line:
                line = line[file.write(line) :]

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        try:
            with suppress(FileNotFoundError):
                self._admit(self._path.lstat())
            with open(self._path, "a+b", buffering=0, opener=_open_private) as file:
                self._admit(os.fstat(file.fileno()))  # it may have been swapped
                yield file
        except OSError as error:
            message = f"cannot write {self._path}: {error.strerror}"
            raise ConfigurationError(message) from None

    def _admit(self, facts: os.stat_result) -> None:
        user = os.geteuid() if os.name == "posix" else None
        problem = problem_of_private_file(facts.st_mode, facts.st_uid, user)
        if problem is not None:
            message = f"{self._path} {problem}"
            raise ConfigurationError(message)


def on_one_line(body: bytes) -> bytes:
    """Return a JSON document without its line breaks, which are between its tokens.

    It is not read and written anew: what it says twice would be lost.
    """
    return b" ".join(filter(None, map(bytes.strip, body.splitlines())))


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _is_torn(file: FileIO) -> bool:
    """Tell whether the last line was cut off, by a kill or a full disk.

    One that another listener is about to end looks so, too; what comes of that is an
    empty line, which is passed over by all who read.
    """
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


@attrs.frozen
class RecordedLine:
    """A line of a recording; without an event if it is no webhook's body."""

    number: int
    body: bytes = attrs.field(repr=False)
    event: WebhookEvent | None


def lines_in(path: Path) -> Iterator[RecordedLine]:
    """Yield the lines of a recording that are not empty.

    Those that come meanwhile are left out: a listener may record what it is sent from
    its own recording.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            end = facts.st_size if stat.S_ISREG(facts.st_mode) else None
            lines = enumerate(bounded_lines(file.readline, BODY_LIMIT + 2), 1)
            for number, line in lines:
                if line is None:
                    yield RecordedLine(number, b"", None)
                elif body := line.strip():
                    yield RecordedLine(number, body, _event_in(body))
                if end is not None and file.tell() >= end:
                    return
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigurationError(message) from None


def _event_in(body: bytes) -> WebhookEvent | None:
    event = read_event(body) if len(body) <= BODY_LIMIT else None
    return event if isinstance(event, WebhookEvent) else None
