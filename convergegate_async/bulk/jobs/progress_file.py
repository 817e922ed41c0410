"""How far a job is, in a file beside its journal, which nobody else opens meanwhile."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import isfinite
from pathlib import Path

import attrs

from .row_counts import RowCounts

WRITTEN_EVERY = 1.0  # seconds
_LONGEST = 4_096  # bytes
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# Windows has neither links of that kind nor files that block.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError),
    *(RecursionError, OverflowError),
)


@attrs.frozen
class JobProgress:
    """How far a job was at a moment of its work.

    Attributes:
        at: Epoch seconds.
        doing: What it is at: ``run``, ``refresh`` or ``refund``.
        done: How much of that is done, in rows.
        total: How much it is; `None` if that is not known.
        counts: How many rows were where.
    """

    at: float
    doing: str
    done: int
    total: int | None
    counts: RowCounts


def read_progress(path: Path) -> JobProgress | None:
    """Return what was written last at *path*; `None` if nothing is there."""
    try:
        known = json.loads(_bytes_of(path))
        counts = RowCounts(**known.pop("counts"))
        progress = JobProgress(counts=counts, **known)
        states = (counts.created, counts.rejected, counts.unknown)
        numbers = (progress.done, progress.total or 0, counts.rows or 0, *states)
        is_sound = all(type(number) is int and number >= 0 for number in numbers)
    except _UNREADABLE:
        return None  # it is a note; the journal knows
    if not is_sound or type(progress.at) is not float or not isfinite(progress.at):
        return None
    return progress


def _bytes_of(path: Path) -> bytes:
    """Return the content of a file that may be anything, as far as it is a note.

    Raises:
        OSError: It cannot be opened, or is a link.
        ValueError: It is no file, or longer than a note.
    """
    with os.fdopen(os.open(path, _READ), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LONGEST:
            raise ValueError
        return file.read(_LONGEST)


@asynccontextmanager
async def noted_progress(
    path: Path | None, progress: Callable[[], JobProgress]
) -> AsyncIterator[None]:
    """Write how far a job is, once a second, and remove that at the end.

    A kill leaves it: whoever reads it looks at its time. Where it cannot be written it
    is not, as a job does not end because nobody can watch it; nor where somebody else's
    file is.

    Args:
        path: Where; nowhere if `None`.
        progress: Gives what is known at the moment.
    """
    if path is None or is_foreign(path):
        yield
        return

    async def note() -> None:
        while True:
            with suppress(OSError):
                _write(path, progress())
            await asyncio.sleep(WRITTEN_EVERY)

    noting = asyncio.create_task(note())
    try:
        yield
    finally:
        noting.cancel()
        await asyncio.wait([noting])
        _remove(path)


def is_foreign(path: Path) -> bool:
    """Tell whether there is a file of that name that no version of this has written."""
    try:
        note = json.loads(_bytes_of(path))
    except FileNotFoundError:
        return False
    except _UNREADABLE:
        return True
    return not (isinstance(note, dict) and "doing" in note)


def draft_of(path: Path) -> Path:
    """Return where what becomes *path* is written."""
    return path.with_name(f"{path.name}.new")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _write(path: Path, progress: JobProgress) -> None:
    """Put it in place whole, for its owner alone."""
    draft = draft_of(path)
    draft.unlink(missing_ok=True)  # of a process that was killed
    with os.fdopen(os.open(draft, _NEW, 0o600), "w") as file:
        json.dump(attrs.asdict(progress), file)
    draft.replace(path)
