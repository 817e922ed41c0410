"""How far a job is, in a file beside its journal, which nobody else opens meanwhile."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs

from .row_counts import RowCounts

WRITTEN_EVERY = 1.0  # seconds
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


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
        known = json.loads(path.read_bytes())
        counts = RowCounts(**known.pop("counts"))
        return JobProgress(counts=counts, **known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # it is a note; the journal knows


@asynccontextmanager
async def noted_progress(
    path: Path | None, progress: Callable[[], JobProgress]
) -> AsyncIterator[None]:
    """Write how far a job is, once a second, and remove that at the end.

    A kill leaves it: whoever reads it looks at its time. Where it cannot be written it
    is not, as a job does not end because nobody can watch it.

    Args:
        path: Where; nowhere if `None`.
        progress: Gives what is known at the moment.
    """
    if path is None:
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
