"""How a journal is read, and how it is written so that a loss shows.

Each commit has a number, which the database holds and the mark repeats. The order of
the steps is what matters: `condition` takes what is left at any of them. A page that is
older than its number shows by the control total (`content_check.missing`).

- Begin: the mark is made; then the database says that it is in use, in the file itself.
- Commit: into the WAL, synced; then into the mark; then its rows may be sent.
- Checkpoint: the WAL into the file, synced; then into the mark, synced.
- Rewriting: a commit, also into the mark; all into the WAL, synced; a checkpoint.
- End: a checkpoint; then the database says that it is not in use, in the file itself;
  the WAL is empty, synced; the mark goes; then the lock and the WAL.
"""

import ctypes
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

from .commit_mark import Mark, MarkFile
from .content_check import require_complete, require_no_faults
from .file_condition import Condition
from .file_inspection import connect, open_to_read, require_sound
from .files import JournalFiles
from .records import refusal
from .schema import UPGRADES, VERSION

_DURABLE = ("synchronous = FULL", "fullfsync = 1", "checkpoint_fullfsync = 1")

_CHECKPOINT_AFTER = 1_000
"""How many changes of rows make a WAL of some MiB."""


class Reader:
    """Reads a journal and changes nothing, not even by being closed.

    Args:
        files: Those of the journal.
        connection: Open; what it may do depends on the class.
        leave: How it is closed.
    """

    def __init__(
        self,
        files: JournalFiles,
        connection: sqlite3.Connection,
        leave: Callable[[], object] = lambda: None,
    ) -> None:
        self.files = files
        self._connection = connection
        self._leave = leave
        self._process = os.getpid()
        self._is_closed = False

    @classmethod
    def open(cls, files: JournalFiles) -> Self:
        """Open a sound journal, and keep out who would write.

        Raises:
            JournalError: It is refused; see `Journal.open`.
            sqlite3.Error: It cannot be read.
        """
        with ExitStack() as opened:
            connection = opened.enter_context(open_to_read(files))
            if require_sound(files, connection).whole.version != VERSION:
                reason = "was made by an older version of this package: resume the job"
                raise refusal(files.path, reason)
            return cls(files, connection, opened.pop_all().close)

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that opened it, and no fork of that."""
        return os.getpid() == self._process

    def execute(self, sql: str, values: "tuple[object, ...]" = ()) -> sqlite3.Cursor:
        """Run a statement."""
        return self._connection.execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See the same journal from begin to end."""
        with self._connection:
            self._connection.execute("BEGIN")
            yield

    def close(self) -> None:
        """Leave it as it is; in a fork of the process this does nothing."""
        if self.is_ours and not self._is_closed:
            self._is_closed = True
            self._leave()


class Writer(Reader):
    """Keeps all others out of a journal, and numbers its commits."""

    _mark: MarkFile
    _number: int
    _since_checkpoint: int = 0

    @classmethod
    def open(cls, files: JournalFiles) -> Self:
        """Check the whole of a journal, and say in it that it is in use.

        Raises:
            JournalError: It is refused; see `Journal.open`.
            sqlite3.Error: It cannot be written.
            OSError: The mark cannot be written.
        """
        with open_to_read(files) as connection:
            require_sound(files, connection)
            require_no_faults(files.path, connection)
            require_complete(files.path, connection)
        writer = cls(files, *locked(files))
        # Between the two locks another process may have worked on it.
        writer._begin_use(require_sound(files, writer._connection))
        return writer

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside durable when it ends; undo it if it fails."""
        before = self._connection.total_changes
        number = self._number + 1
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            changes = self._connection.total_changes - before
            if changes:
                self.execute("UPDATE usage SET number = ?", (number,))
        if changes:
            self._number = number
            self._mark.note_commit(number)
            self._since_checkpoint += changes
            if self._since_checkpoint >= _CHECKPOINT_AFTER:
                self._checkpoint()

    def rewrite(self) -> None:
        """Write the whole file anew: nothing is left in it of what was deleted.

        *secure_delete* would zero what is deleted from now on, and not what SQLite has
        left behind before, where it moved rows from page to page.
        """
        # A commit of its own: a WAL that is lost on the way is then missed.
        self._number += 1
        self.execute("UPDATE usage SET number = ?", (self._number,))
        self._mark.note_commit(self._number)
        self.execute("VACUUM")
        self._checkpoint()

    def close(self) -> None:
        """Bring all into the file, and let others have it.

        Where the disk fails it is left as by a kill, and locked while the process
        lives. In a fork of the process this does nothing.

        Raises:
            JournalError: It is not there any more.
        """
        if not self.is_ours or self._is_closed:
            return
        self._is_closed = True
        try:
            self._checkpoint()
            self._use(in_use=False)
        except (sqlite3.Error, OSError):
            self._mark.close()
            return
        # While it is locked: afterwards the mark may be that of the next process.
        is_there = self.files.path.exists()
        with suppress(OSError):  # a mark that stays does no harm
            self.files.sync_wal()  # or a power cut could bring back what it held
            self.files.mark.unlink()
        self._mark.close()
        self._leave()
        if not is_there:
            reason = "was removed or moved while it was in use: find it again"
            raise refusal(self.files.path, reason)

    def _begin_use(self, found: Condition) -> None:
        self._number = found.whole.commit
        if found.mark is None:
            mark = Mark(found.whole.commit_salt, self._number, self._number)
            self._mark = MarkFile.create(self.files, mark)
        else:
            self._mark = MarkFile(self.files, found.mark)
            self._checkpoint()
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for version in range(found.whole.version, VERSION):
                for statement in UPGRADES[version]:
                    self._connection.execute(statement)
        self._use(in_use=True)
        self._mark.note_checkpoint(self._number)

    def _use(self, *, in_use: bool) -> None:
        """Say in the file itself whether it is in use; the mark is not told."""
        self._number += 1
        self.execute("UPDATE usage SET number = ?, in_use = ?", (self._number, in_use))
        whole_checkpoint(self._connection, "TRUNCATE")

    def _checkpoint(self) -> None:
        whole_checkpoint(self._connection, "PASSIVE")
        self._since_checkpoint = 0
        self._mark.note_checkpoint(self._number)


def locked(files: JournalFiles) -> tuple[sqlite3.Connection, Callable[[], None]]:
    """Open the database to be written, and keep out all others.

    Returns:
        The connection, and how it is closed: SQLite then removes the WAL.

    Raises:
        JournalError: It cannot be kept on this file system.
        sqlite3.Error: It cannot be written, or another process works on it.
        OSError: There is no WAL to lock, and none can be made.
    """
    lock = files.lock()  # before SQLite could remove the WAL of another process
    connection = connect(files.path, "mode=rw")
    # SQLite removes a WAL when its connection is closed: by the garbage collector, by
    # the end of the process, in a fork. Only `release` may do so.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))

    def release() -> None:
        connection.close()
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(connection))
        lock.close()

    with ExitStack() as refused:
        refused.callback(release)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # Here it fails if another process has the lock and the WAL, or it is damaged.
        [(kept,)] = connection.execute("PRAGMA journal_mode = WAL")
        if kept != "wal":
            reason = "cannot be kept on this file system; choose a local disk"
            raise refusal(files.path, reason)
        for setting in _DURABLE:
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN EXCLUSIVE").execute("COMMIT")
        refused.pop_all()
    return connection, release


def whole_checkpoint(connection: sqlite3.Connection, mode: str) -> None:
    """Bring all of the WAL into the file, durably.

    Raises:
        sqlite3.OperationalError: Some of it was left.
    """
    [(busy, pages, done)] = connection.execute(f"PRAGMA wal_checkpoint({mode})")
    if busy or pages != done:
        message = "the WAL could not be merged"
        raise sqlite3.OperationalError(message)
