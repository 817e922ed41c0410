"""A journal that lost something: what it still knows is kept, and nothing is sent."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .connection import Reader, locked, whole_checkpoint
from .content_check import missing, require_no_faults
from .database import Database
from .file_condition import Condition, damage
from .file_inspection import condition_of, open_to_read, require_unchanged_form
from .files import JournalFiles
from .records import Intent, JobHeader, State, failure, refusal
from .schema import SET_CONTROL_TOTAL, VERSION


def damaged_header(path: Path) -> JobHeader:
    """Return what the job of the damaged journal at *path* is; it stays as it is.

    Raises:
        JournalError: It is sound; or it cannot be read, its files are another job's,
            or it is another version's: only a copy can help.
    """
    with _refusing(path) as files, open_to_read(files) as connection:
        found = condition_of(files, connection)  # of a version whose faults are known
        require_no_faults(path, connection)
        if damage(found) is None:  # else a checkpoint may have been half written
            require_unchanged_form(files, connection, found)
        _require_damaged(files.path, connection, found)
        return Database(Reader(files, connection)).header


def write_off(path: Path, rows: Iterable[Intent], now: float) -> dict[State, int]:
    """Make every row unknown that is not done, in one step: the journal is sound then.

    Its content was looked at by `damaged_header` before. Where this fails, also by an
    error of *rows*, the journal is as damaged as before, and locked while the process
    lives.

    Args:
        path: Where the journal is.
        rows: All of the input: what the journal lost may have been any of them.
        now: Epoch seconds: they may have been sent until then.

    Returns:
        How many rows are in each state.

    Raises:
        JournalError: As `damaged_header`; or it cannot be written, or another process
            works on it.
    """
    with _refusing(path) as files:
        connection, release = locked(files)
        found = condition_of(files, connection)
        _require_damaged(files.path, connection, found)
        database = Database(Reader(files, connection))
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            database.put_in_doubt(rows, now)
            sql = "UPDATE usage SET number = ?, in_use = 0"
            connection.execute(sql, (_last_commit(found) + 1,))
            connection.execute(SET_CONTROL_TOTAL)
        whole_checkpoint(connection, "TRUNCATE")
        counts = database.counts()
        files.sync_wal()
        files.mark.unlink(missing_ok=True)
        release()
    return counts


@contextmanager
def _refusing(path: Path) -> Iterator[JournalFiles]:
    files = JournalFiles(path)
    files.admit()
    if files.path.stat().st_nlink > 1:  # its -wal may be beside the other name
        raise refusal(path, "has a second name; remove that, or work under it")
    try:
        yield files
    except (sqlite3.Error, ValueError, OSError) as error:
        raise failure(path, error) from None


def _require_damaged(
    path: Path, connection: sqlite3.Connection, found: Condition
) -> None:
    is_current = {found.whole.version, found.alone.version} == {VERSION}
    is_whole = damage(found) is None and not missing(connection)
    if is_whole and not (is_current and _was_damaged(connection)):
        raise refusal(path, "is sound; go on with it as with any other")
    if not is_current:
        raise refusal(path, "is another version's; restore it from a copy")


def _last_commit(found: Condition) -> int:
    known = [found.whole.commit, found.alone.commit]
    if found.mark is not None:
        known.append(found.mark.commit)
    return max(known)


def _was_damaged(connection: sqlite3.Connection) -> bool:
    """Whether it was written off before: what was missing then can be added."""
    [(damaged_at,)] = connection.execute("SELECT damaged_at FROM job")
    return damaged_at is not None
