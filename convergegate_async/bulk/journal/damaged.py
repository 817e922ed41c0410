"""A journal that lost something: what it still knows is kept, and nothing is sent."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from .connection import Reader, locked, release, whole_checkpoint
from .database import Database
from .faults import faults
from .files import JournalFiles
from .inspection import Condition, damage, look, reading
from .records import Intent, JobHeader, State, reason_of, refusal
from .schema import VERSION


class DamagedJournal:
    """A journal that `Journal.open` refuses as damaged, to be made sound again.

    It is locked against every other process until `close`.
    """

    def __init__(self, connection: "_Salvage") -> None:
        self._connection = connection
        self._database = Database(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the journal at *path*.

        Raises:
            JournalError: It is sound; or it cannot be read, its files are another
                job's, or it is another version's: only a copy can help.
        """
        files = JournalFiles(path)
        files.admit()
        try:
            return cls(_Salvage.open(files))
        except (sqlite3.Error, ValueError) as error:
            raise refusal(path, reason_of(error)) from None

    @property
    def header(self) -> JobHeader:
        """What the job is."""
        return self._database.header

    def write_off(self, rows: Iterable[Intent], now: float) -> dict[State, int]:
        """Make every row unknown that is not done, in one step; the rest stays.

        Args:
            rows: All of the input: what the journal lost may have been any of them.
            now: Epoch seconds: they may have been sent until then.

        Returns:
            How many rows are in each state.

        Raises:
            JournalError: It cannot be written: it is as damaged as before.
        """
        try:
            with self._connection.transaction():
                self._database.write_off(rows, now)
            return self._database.counts()
        except (sqlite3.Error, OSError) as error:
            raise refusal(self._database.path, reason_of(error)) from None

    def close(self) -> None:
        """Let others have it; it is sound if rows were written off, else as before."""
        self._database.close()


class _Salvage(Reader):
    """Writes to a damaged journal, once, and makes it sound by that."""

    def __init__(
        self, files: JournalFiles, connection: sqlite3.Connection, found: Condition
    ) -> None:
        super().__init__(files, connection)
        self._found = found
        self._is_sound = False

    @classmethod
    def open(cls, files: JournalFiles) -> Self:
        with reading(files) as connection:
            found = look(files, connection)
            findings = faults(connection)
        whole, alone = found.whole, found.alone
        if damage(found) is None:
            raise refusal(files.path, "is sound; go on with it as with any other")
        if whole.version != VERSION or alone.version != VERSION:
            raise refusal(files.path, "is another version's; restore it from a copy")
        if len({whole.job_salt, whole.salt, alone.job_salt}) > 1:
            raise refusal(files.path, "has files of another job; put its own ones back")
        if findings:
            reason = f"cannot be read: {'; '.join(findings)}; restore it from a copy"
            raise refusal(files.path, reason)
        return cls(files, locked(files), found)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        found = self._found
        known = [found.whole.commit, found.alone.commit]
        if found.mark is not None:
            known.append(found.mark.commit)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            sql = "UPDATE usage SET number = ?, in_use = 0"
            self._connection.execute(sql, (max(known) + 1,))
        whole_checkpoint(self._connection, "TRUNCATE")
        self._is_sound = True

    def close(self) -> None:
        # One that is still damaged is left open: SQLite would merge what it should not.
        if not self._is_sound or not self.is_ours or self._is_closed:
            return
        self._is_closed = True
        release(self._connection)
        self.files.shm.unlink(missing_ok=True)
        self.files.sync_folder()
        self.files.mark.unlink(missing_ok=True)
