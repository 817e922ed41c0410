"""Work for runners: small functions that other processes can import."""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path

from convergegate_async.runners import Part, run_until_cut


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
    return wait_for_lines(path, 2)


def wait_for_lines(path: Path, count: int) -> int:
    """Return once there are so many notes, and how many; a minute is too long."""
    for _ in range(6_000):
        if (notes := len(path.read_text().splitlines())) >= count:
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


def note_until_cut(path: Path) -> None:
    """Leave a note, and another once it is cut; a minute is too long."""
    run_until_cut(_note_until_cut(path))


async def _note_until_cut(path: Path) -> None:
    note(path)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        note(path)
        raise


def environment(name: str) -> str | None:
    """Return what this process' environment says of *name*."""
    return os.environ.get(name)


def what_was_given(_: object) -> str:
    """Return this process' arguments and environment, but for the key's variable."""
    environ = {**os.environ}
    environ.pop("CONVERGEGATE_API_KEY", None)
    return f"{sys.orig_argv} {sys.argv} {environ}"


# -- slices --------------------------------------------------------------------------


def wait_for_start(path: Path, part: Part) -> tuple[float, float, float]:
    """Leave a note, and wait; return when it was asked for, the start, and the end."""
    asked = time.time()
    note(path)
    while time.time() < part.start:
        time.sleep(0.01)
    return asked, part.start, time.time()


def note_slice(path: Path, _: Part) -> int:
    """Leave a note, at once; return the number of notes."""
    return note(path)


def work_until_stopped(path: Path, part: Part) -> str:
    """Leave a note, and another at the end; a minute is too long."""
    note(path)
    for _ in range(6_000):
        if part.is_stopped():
            note(path)
            return "what there is"
        time.sleep(0.01)
    raise TimeoutError


def die_or_go_on(path: Path, part: Part) -> str:
    """Kill this process where the file is to be named so; else work until stopped."""
    if path.name == "dies":
        die(path)
    return work_until_stopped(path, part)


def fail_or_go_on(path: Path, part: Part) -> str:
    """Raise, once the other works, where the file is to be named so; else work."""
    if path.name != "fails":
        return work_until_stopped(path, part)
    wait_for(path.with_name("goes on"))
    fail(path)
    raise AssertionError


def tell(words: list[str], part: Part) -> int:
    """Tell them one by one; return how many."""
    for word in words:
        part.tell(word)
    return len(words)


def tell_and_wait(path: Path, part: Part) -> None:
    """Tell where the file is awaited, and wait for it."""
    part.tell(path)
    wait_for(path)


def tell_until_stopped(news: object, part: Part) -> None:
    """Tell it, and work until stopped; a minute is too long."""
    part.tell(news)
    for _ in range(6_000):
        if part.is_stopped():
            return
        time.sleep(0.01)
    raise TimeoutError


def tell_much(news: int, part: Part) -> int:
    """Tell more than a pipe holds; return how many."""
    for _ in range(news):
        part.tell("x" * 1_000)
    return news


def clock(_: object, part: Part) -> tuple[float, float]:
    """Return what is known of this worker's clock."""
    return part.offset, part.margin


def make_lock(_: object, __: Part) -> object:
    """Return what cannot be pickled."""
    return threading.Lock()


def meet_the_end(_: object, __: Part) -> None:
    """Raise what a pipe raises, too."""
    raise EOFError


class RiddleError(Exception):
    """Can be pickled, and not unpickled."""

    def __init__(self, question: str, answer: str) -> None:
        super().__init__(f"{question} {answer}")


def ask_a_riddle(_: object, __: Part) -> None:
    """Raise what cannot be unpickled."""
    question, answer = "What is lost", "and never done again?"
    raise RiddleError(question, answer)


def leave_a_child(path: Path, _: Part) -> None:
    """Kill this process, but leave a fork of it that holds all it had open."""
    child = os.fork()
    if child == 0:
        wait_for(path)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def give_back(item: bytes, _: Part) -> bytes:
    """Return the slice."""
    return item
