"""Whether a journal is as its last process left it: judged before anything is changed.

What a kill or a power cut leaves is taken, and all of it is there. What was lost,
swapped or changed afterwards is refused: rows that were sent would be sent again.
An older copy of all the files together cannot be told.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from .files import JournalFiles, size_of
from .mark import Mark, read_mark
from .records import refusal
from .schema import APPLICATION, VERSION
from .wal import holds_commit

_WAY_OUT = (
    "put its -wal and -mark back as they were; if they are gone, "
    "`convergegate bulk resume JOB --after-damage` goes on and sends nothing"
)

_GRACE = 0.2
"""Seconds to wait for the lock of a process that is just ending."""


@attrs.frozen
class Usage:
    """What a database says of its use.

    Attributes:
        version: Of the schema.
        job_salt: The job's.
        salt: The same, as each commit writes it; another's in the WAL of another job.
        commit: The number of the last commit.
        in_use: Whether a process has begun to write, and not yet ended it.
    """

    version: int
    job_salt: bytes = attrs.field(repr=False)
    salt: bytes = attrs.field(repr=False)
    commit: int
    in_use: bool


@attrs.frozen(kw_only=True)
class Condition:
    """What the files of a journal say of each other.

    Attributes:
        whole: The usage by the file and its WAL together.
        alone: The usage by the file alone.
        has_wal: There is a WAL, and something in it.
        wal_commits: The WAL holds a commit.
        has_mark: There is a mark.
        mark: What it says; `None` if it fails its checksum.
    """

    whole: Usage
    alone: Usage
    has_wal: bool
    wal_commits: bool
    has_mark: bool
    mark: Mark | None = None


def damage(found: Condition) -> str | None:
    """Return what was lost, swapped or changed, in words; `None` if nothing was."""
    mark = found.mark
    if mark is None:
        return _damage_without_mark(found)
    return next(_damages(mark, found), None)


def _damage_without_mark(found: Condition) -> str | None:
    commit = found.whole.commit
    if found.has_mark:
        return "its mark fails its checksum"
    if found.has_wal:
        return f"its -wal holds something, to commit {commit}, without a mark"
    if found.whole.in_use:
        return f"it was in use at commit {commit}, and its mark is missing"
    return None


def _damages(mark: Mark, found: Condition) -> Iterator[str]:
    whole, alone = found.whole, found.alone
    if mark.salt != alone.job_salt:
        yield "its mark is another job's"
    known = f"its mark knows of commit {mark.commit}"
    if whole.commit < mark.commit:
        yield f"{known}, and its files only of {whole.commit}"
    if mark.checkpointed != mark.commit and not found.wal_commits:
        yield f"{known}, and without the -wal it is whole only to {mark.checkpointed}"
    if alone.commit < mark.checkpointed:
        yield f"it was whole to {mark.checkpointed}, and the file is at {alone.commit}"
    if whole.commit < alone.commit:
        yield f"the file is at commit {alone.commit}, and its -wal at {whole.commit}"


def require_sound(files: JournalFiles, connection: sqlite3.Connection) -> Condition:
    """Return the condition of a journal that may be gone on with.

    Args:
        files: Those of the journal.
        connection: One that keeps out who would write.

    Raises:
        JournalError: It is damaged, or no journal.
        sqlite3.Error: It cannot be read.
    """
    found = look(files, connection)
    if found.whole.version == 1 and found.has_wal and not found.has_mark:
        message = "was left by an older version that was killed: resume it once with it"
        raise refusal(files.path, message)
    reason = damage(found)
    if reason is not None:
        raise refusal(files.path, f"is damaged: {reason}; {_WAY_OUT}")
    return found


@contextmanager
def reading(files: JournalFiles) -> Iterator[sqlite3.Connection]:
    """Read the database, keep out who would write, and leave all as it is.

    Raises:
        sqlite3.Error: It cannot be read, or another process works on it.
    """
    keep_wal = files.wal.exists()
    try:
        with closing(_connect_to_read(files)) as connection:
            try:
                connection.execute("PRAGMA schema_version").close()  # takes the lock
                yield connection
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                    keep_wal = True  # it is that of the process that has the lock
                raise
            finally:
                # SQLite made one to read, and while we have the lock it stays empty.
                if not keep_wal and not size_of(files.wal):
                    files.wal.unlink(missing_ok=True)
    finally:
        files.shm.unlink(missing_ok=True)


def look(files: JournalFiles, connection: sqlite3.Connection) -> Condition:
    """Return the condition of a journal, sound or not.

    Args:
        files: Those of the journal.
        connection: One that keeps out who would write.

    Raises:
        JournalError: It is no journal, or the WAL is another's.
        sqlite3.Error: It cannot be read.
    """
    whole = _usage(files.path, connection)
    with closing(_connect(files.path, "&immutable=1")) as alone:
        # Or a file into which a checkpoint was half written would be "malformed".
        alone.execute("PRAGMA writable_schema = ON")
        usage = _usage(files.path, alone)
    has_wal = size_of(files.wal) > 0
    if len({usage.job_salt, usage.salt, whole.job_salt, whole.salt}) > 1:
        reason = (
            "is damaged: its -wal is another job's; put its own one back, or remove it"
        )
        raise refusal(files.path, reason)
    has_mark, mark = True, None
    try:
        mark = read_mark(files.mark)
    except FileNotFoundError:
        has_mark = False
    return Condition(
        whole=whole,
        alone=usage,
        has_wal=has_wal,
        wal_commits=has_wal and holds_commit(files.wal),
        has_mark=has_mark,
        mark=mark,
    )


def _connect_to_read(files: JournalFiles) -> sqlite3.Connection:
    # Where SQLite can make no file to lock, nobody can write, either.
    can_lock = size_of(files.wal) or os.access(files.path.parent, os.W_OK)
    return _connect(files.path, "" if can_lock else "&immutable=1")


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{options}",
        uri=True,
        timeout=_GRACE,
        isolation_level=None,
        check_same_thread=False,
    )


def _usage(path: Path, connection: sqlite3.Connection) -> Usage:
    [(application,)] = connection.execute("PRAGMA application_id")
    [(version,)] = connection.execute("PRAGMA user_version")
    if application != APPLICATION:
        raise refusal(path, "is not a journal; give the path of one")
    if version > VERSION:
        raise refusal(path, "was made by a newer version of this package; use that")
    [(salt,)] = connection.execute("SELECT salt FROM job")
    if version == 1:  # which numbered no commits
        return Usage(version, salt, salt, 0, in_use=False)
    [(commit_salt, commit, in_use)] = connection.execute("SELECT * FROM usage")
    return Usage(version, salt, commit_salt, commit, bool(in_use))
