"""The files of a journal: what they are called, and whether they may be trusted."""

import logging
import os
import stat
from pathlib import Path

import attrs

from convergegate_async._core.private_files import problem_of_private_file

from .file_lock import FileLock
from .records import DamagedJournalError, refusal
from .wal import PAGE_SIZE

_logger = logging.getLogger("convergegate_async")


def _absolute(path: Path) -> Path:
    return path.absolute()  # the process may change its folder


@attrs.frozen
class JournalFiles:
    """The database at *path*, and what lies beside it while a process works on it."""

    path: Path = attrs.field(converter=_absolute)

    @property
    def wal(self) -> Path:
        """The newest commits, as SQLite keeps them."""
        return self._beside("-wal")

    @property
    def shm(self) -> Path:
        """SQLite's index of the WAL; worth nothing once nobody reads."""
        return self._beside("-shm")

    @property
    def mark(self) -> Path:
        """The number of the last commit; see `Mark`."""
        return self._beside("-mark")

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}{suffix}")

    def admit(self) -> None:
        """Refuse files that others could have made or changed.

        They are looked at by name and never opened: closing a descriptor would end the
        POSIX locks that another journal of this process has on the same file.

        Raises:
            JournalError: With the file, and what to do about it.
        """
        _admit_folder(self.path)
        _admit(self.path)
        # SQLite would read on in zeros, or delete the WAL of an empty file. If there
        # is one, it holds what was cut off.
        size = size_of(self.path)
        if not size or (size % PAGE_SIZE and not self.wal.exists()):
            reason = "is damaged or not a journal; restore it from a copy"
            raise refusal(self.path, reason, DamagedJournalError)
        for path in (self.wal, self.shm, self.mark):
            if os.path.lexists(path):
                _admit(path)

    def lock(self, *, shared: bool = False) -> FileLock:
        """Keep out all others, or if *shared* only who would write.

        Raises:
            sqlite3.OperationalError: Another process works on it.
            OSError: There is no WAL to lock, and none can be made.
        """
        return FileLock(self.wal, shared=shared)

    def sync_wal(self) -> None:
        """Make durable what the WAL holds, or that it holds nothing."""
        wal = os.open(self.wal, os.O_RDWR)
        try:
            os.fsync(wal)
        finally:
            os.close(wal)

    def sync_folder(self) -> None:
        """Make durable which files there are."""
        if os.name != "posix":  # folders cannot be opened
            return
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _admit(path: Path) -> None:
    try:
        facts = path.lstat()
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); is the job's name right?"
        raise refusal(path, reason) from None
    user = os.geteuid() if os.name == "posix" else None
    problem = problem_of_private_file(facts.st_mode, facts.st_uid, user)
    if problem is not None:
        raise refusal(path, problem)


def _admit_folder(path: Path) -> None:
    """Refuse a folder in which others can swap the files of a journal."""
    if os.name != "posix" or not path.parent.is_dir():
        return
    mode = path.parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise refusal(path, "lies in a folder in which anyone may write; chmod that")
    if mode & stat.S_IWGRP and not mode & stat.S_ISVTX:
        _logger.warning(
            "journal %s lies in a folder in which a group may write: "
            "each of its members can change what was sent",
            path,
        )
