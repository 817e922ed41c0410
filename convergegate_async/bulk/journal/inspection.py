"""Whether a journal is as its last process left it: judged before anything is changed.

What a kill or a power cut leaves is taken, and all of it is there. What was lost,
swapped or changed afterwards is refused: rows that were sent would be sent again.
An older copy of all the files together cannot be told.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from .files import JournalFiles, size_of
from .mark import Mark, read_mark
from .records import reason_of, refusal
from .schema import APPLICATION, VERSION
from .wal import holds_commit

WAY_OUT = "`bulk resume --after-damage` goes on without sending"

_MOMENT = 0.2
"""Seconds in which a process that is just beginning or ending comes further."""

_LOOKS = 10


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
        mark: What it says; `None` if it does not check.
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
        return "its mark does not check"
    if found.has_wal:
        return f"its -wal holds something, to commit {commit}, without a mark"
    if found.whole.in_use:
        return f"it was in use at commit {commit}, and its mark is missing"
    return None


def _damages(mark: Mark, found: Condition) -> Iterator[str]:
    whole, alone = found.whole, found.alone
    if {whole.job_salt, whole.salt, alone.job_salt, alone.salt} != {mark.salt}:
        yield "its files are not of one job"
    known = f"its mark knows of commit {mark.commit}"
    if whole.commit < mark.commit:
        yield f"{known}, and its files only of {whole.commit}"
    if mark.checkpointed != mark.commit and not found.wal_commits:
        yield f"{known}, and without the -wal it is whole only to {mark.checkpointed}"
    if alone.commit < mark.checkpointed:
        yield f"it was whole to {mark.checkpointed}, and the file is at {alone.commit}"
    if whole.commit < alone.commit:
        yield f"the file is at commit {alone.commit}, and its -wal at {whole.commit}"


def inspect(files: JournalFiles) -> Condition:
    """Return the condition of a sound journal, and leave it as it is.

    Raises:
        JournalError: It is damaged, or no journal; or another process works on it.
    """
    found = look(files)
    if found.whole.version == 1 and found.has_wal and not found.has_mark:
        message = "was left by an older version that was killed: resume it once by that"
        raise refusal(files.path, message)
    for _ in range(_LOOKS):
        reason = damage(found)
        if reason is None:
            return found
        # Between the looks at two files another process may have begun or ended.
        time.sleep(_MOMENT)
        before, found = found, look(files)
        if found == before:
            raise refusal(files.path, f"is damaged: {reason}; {WAY_OUT}")
    raise refusal(files.path, "another process works on this job; wait for it to end")


def connect_to_read(files: JournalFiles) -> sqlite3.Connection:
    """Open the database so that nothing is changed, not even by closing it.

    The index of a WAL, which SQLite makes to read it, is left behind; see `reading`.
    """
    # Without a WAL there is nothing to lock, and SQLite would make an empty one.
    return _connect(files.path, "" if size_of(files.wal) else "&immutable=1")


@contextmanager
def reading(files: JournalFiles) -> Iterator[sqlite3.Connection]:
    """Open the database to read it for a while, and leave nothing behind."""
    try:
        with closing(connect_to_read(files)) as connection:
            yield connection
    finally:
        files.shm.unlink(missing_ok=True)


def look(
    files: JournalFiles, connection: sqlite3.Connection | None = None
) -> Condition:
    """Return the condition of a journal, sound or not.

    Args:
        files: Those of the journal.
        connection: One that has locked it, and so keeps out any other.

    Raises:
        JournalError: It is no journal; or another process works on it.
    """
    has_wal = size_of(files.wal) > 0
    try:
        with closing(_connect(files.path, "&immutable=1")) as file_alone:
            # Or a file into which a checkpoint was half written would be "malformed".
            file_alone.execute("PRAGMA writable_schema = ON")
            whole = alone = _usage(files.path, file_alone)
        if connection is not None:
            whole = _usage(files.path, connection)
        elif has_wal:
            with reading(files) as both:
                whole = _usage(files.path, both)
    except (sqlite3.Error, ValueError) as error:
        raise refusal(files.path, reason_of(error)) from None
    has_mark, mark = True, None
    try:
        mark = read_mark(files.mark)
    except FileNotFoundError:
        has_mark = False
    return Condition(
        whole=whole,
        alone=alone,
        has_wal=has_wal,
        wal_commits=has_wal and holds_commit(files.wal),
        has_mark=has_mark,
        mark=mark,
    )


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{options}",
        uri=True,
        timeout=_MOMENT,
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
