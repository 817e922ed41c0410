"""Work for runners: small functions that other processes can import."""

import os
import signal
import sys
import time
from pathlib import Path


def sleep(seconds: float) -> float:
    """Take so long, and return how long."""
    time.sleep(seconds)
    return seconds


def wait_for(path: Path | None) -> Path | None:
    """Return once there is a file at *path*, if one is given; a minute is too long."""
    for _ in range(6_000):
        if path is None or path.exists():
            return path
        time.sleep(0.01)
    raise TimeoutError


def note(path: Path) -> int:
    """Add a line to the file at *path*; return how many it has now."""
    with path.open("a") as file:
        file.write("here\n")
    return len(path.read_text().splitlines())


def wait_for_two(path: Path) -> int:
    """Leave a note, and return once there are two; a minute is too long."""
    note(path)
    for _ in range(6_000):
        if (notes := len(path.read_text().splitlines())) > 1:
            return notes
        time.sleep(0.01)
    raise TimeoutError


def fail(path: Path) -> None:
    """Leave a note, and raise."""
    note(path)
    message = "no such luck"
    raise LookupError(message)


def die_once(path: Path) -> int:
    """Kill this process at the first call; return the number of calls at the next."""
    if note(path) == 1:
        die(path)
    return note(path)


def die(path: Path) -> None:
    """Kill this process."""
    note(path)
    os.kill(os.getpid(), signal.SIGKILL)


def environment(name: str) -> str | None:
    """Return what this process' environment says of *name*."""
    return os.environ.get(name)


def what_was_given(_: object) -> str:
    """Return this process' arguments and environment, but for the key's variable."""
    environ = {**os.environ}
    environ.pop("CONVERGEGATE_API_KEY", None)
    return f"{sys.orig_argv} {sys.argv} {environ}"
