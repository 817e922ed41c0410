"""How the files of a journal are looked at, without changing a byte of them."""

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .commit_mark import read_mark
from .file_condition import Condition, Usage, damage
from .file_lock import GRACE
from .files import JournalFiles, size_of
from .records import WAY_OUT, DamagedJournalError, refusal
from .schema import APPLICATION, VERSION, is_of_version
from .wal import PAGE_SIZE, holds_commit

_HEADER = struct.Struct(">18x 2s 8x I")
"""Of SQLite: the versions of its format to write and to read by, and the pages."""

_OF_A_WAL = b"\2\2"

_COMMIT_LIMIT = 2**62
"""No number of a commit comes near it; those below fit into the mark and the file."""

_SHARED = "mode=ro"
_FILE_ALONE = "mode=ro&immutable=1"


def require_sound(files: JournalFiles, connection: sqlite3.Connection) -> Condition:
    """Return the condition of a journal that may be gone on with.

    Args:
        files: Those of the journal.
        connection: One that keeps out who would write.

    Raises:
        JournalError: It is damaged, or no journal.
        sqlite3.Error: It cannot be read.
    """
    found = condition_of(files, connection)
    if found.whole.version == 1 and found.has_wal and not found.has_mark:
        message = "was left by an older version that was killed: resume it once with it"
        raise refusal(files.path, message)
    reason = damage(found)
    if reason is not None:
        reason = f"is damaged: {reason}; {WAY_OUT}"
        raise refusal(files.path, reason, DamagedJournalError)
    require_unchanged_form(files, connection, found)
    return found


def require_unchanged_form(
    files: JournalFiles, connection: sqlite3.Connection, found: Condition
) -> None:
    """Refuse what SQLite would find, or mend, only when it writes.

    Raises:
        DamagedJournalError: The header was changed, or the tables are others.
    """
    reason = _change_of_form(files, connection, found)
    if reason is not None:
        reason = f"is damaged: {reason}; restore it from a copy"
        raise refusal(files.path, reason, DamagedJournalError)


def _change_of_form(
    files: JournalFiles, connection: sqlite3.Connection, found: Condition
) -> str | None:
    with files.path.open("rb") as file:  # others wait for the lock, not for this file
        formats, pages = _HEADER.unpack(file.read(_HEADER.size))
    has_pages = pages * PAGE_SIZE == size_of(files.path)
    if formats != _OF_A_WAL or not (has_pages or found.wal_commits):
        return "its header was changed"
    version = found.whole.version
    schema = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE typeof(sql) = 'text'"
    )
    if not is_of_version(version, [sql for (sql,) in schema]):
        return f"it says that it is of version {version}, and has not its tables"
    return None


@contextmanager
def open_to_read(files: JournalFiles) -> Iterator[sqlite3.Connection]:
    """Read the database, keep out who would write, and leave all as it is.

    Raises:
        sqlite3.Error: It cannot be read, or another process works on it.
    """
    keep_wal = files.wal.exists()
    # Where SQLite can make no file to lock, nobody can write, either.
    can_lock = bool(size_of(files.wal)) or os.access(files.path.parent, os.W_OK)
    lock = files.lock(shared=True) if can_lock else None
    try:
        with closing(connect(files.path, _SHARED if lock else _FILE_ALONE)) as opened:
            try:
                opened.execute("PRAGMA schema_version").close()  # takes the lock
                yield opened
            except sqlite3.OperationalError as error:
                # A text that is no UTF-8 is an error without a code.
                code = getattr(error, "sqlite_errorcode", 0)
                if code & 0xFF == sqlite3.SQLITE_BUSY:
                    keep_wal = True  # it is that of the process that has the lock
                raise
            finally:
                # We made one to read, and while we have the lock it stays empty.
                is_ours = not keep_wal and lock is not None and lock.is_current
                if is_ours and not size_of(files.wal):
                    files.wal.unlink(missing_ok=True)
    finally:
        files.shm.unlink(missing_ok=True)
        if lock is not None:
            lock.close()


def condition_of(files: JournalFiles, connection: sqlite3.Connection) -> Condition:
    """Return the condition of a journal, sound or not.

    Args:
        files: Those of the journal.
        connection: One that keeps out who would write.

    Raises:
        JournalError: It is no journal, or the WAL is another's.
        sqlite3.Error: It cannot be read.
    """
    whole = _usage(files.path, connection)
    with closing(connect(files.path, _FILE_ALONE)) as alone:
        # Or a file into which a checkpoint was half written would be "malformed".
        alone.execute("PRAGMA writable_schema = ON")
        usage = _usage(files.path, alone)
    has_wal = size_of(files.wal) > 0
    if len({usage.job_salt, usage.commit_salt, whole.job_salt, whole.commit_salt}) > 1:
        reason = (
            "is damaged: its -wal is another job's; put its own one back, or remove it"
        )
        raise refusal(files.path, reason, DamagedJournalError)
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


def connect(path: Path, options: str) -> sqlite3.Connection:
    """Open the database, never to be made, by the options of a SQLite URI."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=GRACE,
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
    if version < 1:
        reason = f"is damaged: there is no version {version}; restore it from a copy"
        raise refusal(path, reason, DamagedJournalError)
    [(salt,)] = connection.execute("SELECT salt FROM job")
    if version == 1:  # which numbered no commits
        return Usage(version, salt, salt, 0, in_use=False)
    [(commit_salt, commit, in_use)] = connection.execute(
        "SELECT salt, number, in_use FROM usage"
    )
    is_number = isinstance(commit, int) and 0 <= commit < _COMMIT_LIMIT
    if not is_number or in_use not in (0, 1):
        reason = "is damaged: what it says of its use cannot be; restore it from a copy"
        raise refusal(path, reason, DamagedJournalError)
    return Usage(version, salt, commit_salt, commit, bool(in_use))
