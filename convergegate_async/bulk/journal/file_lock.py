"""A lock on a file that ends only when who has it says so, or dies.

SQLite locks a database by POSIX, and such locks are gone as soon as their process
closes any descriptor of the file: a copy of it that somebody makes is enough. So the
WAL, which is there as long as anybody works on the journal, has a lock by flock, which
goes with its own descriptor. It is not on the database, as systems differ in whether
the two kinds of locks would shut each other out there.
"""

import os
import sqlite3
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE = 0.2
"""Seconds to wait for the lock of a process that is just ending."""

_INTERVAL = 0.01

if sys.platform != "win32":  # where closing a file ends no other lock
    import fcntl


class FileLock:
    """A lock that this process has until `close`; a fork of it has no part in it.

    Args:
        path: The file, which is made if there is none; no link is followed.
        shared: Keep out only who does not share it.

    Raises:
        sqlite3.OperationalError: Another one has it, as SQLite itself says that.
        OSError: The file cannot be opened or locked.
    """

    def __init__(self, path: Path, *, shared: bool) -> None:
        self._path = path
        self._descriptor = -1
        self._has_made_it = False
        if sys.platform == "win32":
            return
        patience = time.monotonic() + GRACE
        while not self._has_locked(shared=shared):
            if time.monotonic() > patience:
                error = sqlite3.OperationalError("the WAL is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            time.sleep(_INTERVAL)

    @property
    def is_current(self) -> bool:
        """Whether the file that is locked is still the one at the path."""
        if self._descriptor < 0:
            return True
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let others have it; leave no file that was not there before."""
        if self._descriptor >= 0:
            if self._has_made_it:
                self._remove_if_empty()
            self.forget()

    def forget(self) -> None:
        """Close the descriptor alone, as a fork does whose parent has the lock."""
        os.close(self._descriptor)
        self._descriptor = -1
        _held.discard(self)

    def _remove_if_empty(self) -> None:
        with suppress(OSError):  # others share it: they need it
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._descriptor).st_size == 0 and self.is_current:
                self._path.unlink()

    def _has_locked(self, *, shared: bool) -> bool:
        """Tell whether the lock was free, on the file that the path has now."""
        access, kind = (
            (os.O_RDONLY, fcntl.LOCK_SH) if shared else (os.O_RDWR, fcntl.LOCK_EX)
        )
        flags = access | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(self._path, flags)
        except FileNotFoundError:
            flags |= os.O_CREAT
            self._descriptor = os.open(self._path, flags, 0o600)
            self._has_made_it = True
        _held.add(self)
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            # Who had it before may have removed the file since it was opened.
            is_locked = self.is_current
        except BlockingIOError:
            is_locked = False
        except OSError:
            self.close()
            raise
        if not is_locked:
            self.close()
        return is_locked


_held: set[FileLock] = set()


def _leave_to_parent() -> None:
    """Close a fork's descriptors: the locks are the parent's, and end with it."""
    for lock in list(_held):
        lock.forget()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)
