"""Keeps the book in a SQLite file, so that sessions outlive the sandbox.

Webhooks on their way are not kept. The file holds what customers typed: mode 0600.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from convergegate_async._core.codec import encode_form
from convergegate_async.errors import ConfigurationError
from convergegate_async.models import RefundStatus, SessionStatus

from ._book import Book, BookedRefund, BookedSession, KeptAnswer
from ._forms import read_kept_form

_logger = logging.getLogger("convergegate_async")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS starts (number INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, kept TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    operation TEXT, key TEXT, body BLOB, answer TEXT, PRIMARY KEY (operation, key));
"""


class Store:
    """One file, opened for the life of a sandbox.

    Args:
        path: Where the file is, or shall be.

    Raises:
        ConfigurationError: It cannot be opened, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            with ExitStack() as undo:
                file = undo.enter_context(closing(sqlite3.connect(path, timeout=0.2)))
                # Two sandboxes with one book would not know of each other's sessions.
                file.execute("PRAGMA locking_mode = EXCLUSIVE")
                file.executescript(_SCHEMA)
                undo.pop_all()
        except OSError as error:
            problem = error.strerror or str(error)
            raise ConfigurationError(_cannot_keep(path, problem)) from None
        except sqlite3.Error as error:
            raise ConfigurationError(_cannot_keep(path, str(error))) from None
        self._file = file
        self._path = path
        self._forgets = False
        self._unwritten: int | None = None  # sessions, since it could last be written

    def load(self, book: Book, base_url: str) -> None:
        """Bring back what the book held; pay pages move to *base_url*.

        Raises:
            ConfigurationError: The file holds something else.
        """
        problem = None
        try:
            self._load(book, base_url)
        except (sqlite3.Error, LookupError, TypeError, ValueError) as error:
            # Not the error itself: it may hold what customers typed.
            problem = f"it holds something else ({type(error).__name__})"
        if problem is not None:
            raise ConfigurationError(_cannot_keep(self._path, problem))

    def _load(self, book: Book, base_url: str) -> None:
        with self._file:
            start = self._file.execute("INSERT INTO starts DEFAULT VALUES").lastrowid
        book.reseed(start or 0)
        for (kept,) in self._file.execute("SELECT kept FROM sessions ORDER BY rowid"):
            book.restore(_read_session(json.loads(kept), base_url))
        rows = self._file.execute("SELECT operation, key, body, answer FROM answers")
        for operation, key, body, kept_answer in rows:
            answer = json.loads(kept_answer)
            if "url" in answer:  # it is a session's
                answer["url"] = book.sessions[answer["id"]].url
            book.answers[operation, key] = KeptAnswer(body, answer)

    def save(self, book: Book) -> bool:
        """Write what has changed since the last time, and tell whether all is written.

        What is not, as where a disk is full, is tried again with what changes next.
        """
        changed, answered = book.changes()
        if not (changed or answered or self._forgets):
            return True
        try:
            self._write(changed, answered)
        except sqlite3.Error as error:
            if self._unwritten is None:
                _logger.warning("%s", _cannot_keep(self._path, str(error)))
            self._unwritten = len(changed)
            return False
        self._forgets, self._unwritten = False, None
        book.settle_changes()
        return True

    def _write(
        self,
        changed: Iterable[BookedSession],
        answered: Iterable[tuple[tuple[str, str], KeptAnswer]],
    ) -> None:
        sessions = [(s.id, json.dumps(_spell_session(s))) for s in changed]
        answers = [
            (*key, kept.request_body, json.dumps(kept.answer)) for key, kept in answered
        ]
        with self._file:
            if self._forgets:
                self._file.execute("DELETE FROM sessions")
                self._file.execute("DELETE FROM answers")
            self._file.executemany(
                "INSERT INTO sessions VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET kept = excluded.kept",
                sessions,
            )
            self._file.executemany("INSERT INTO answers VALUES (?, ?, ?, ?)", answers)

    def forget(self) -> None:
        """Let nothing be left of what was written, once the book is saved again."""
        self._forgets = True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        if self._unwritten is not None:
            lost = f"it ends with {self._unwritten} sessions that are not written"
            _logger.warning("%s", _cannot_keep(self._path, lost))


def _cannot_keep(path: Path, problem: str) -> str:
    return f"the sandbox cannot keep its book in {path}: {problem}"


def _spell_session(session: BookedSession) -> dict[str, object]:
    return {
        "id": session.id,
        "request": encode_form(session.request).decode(),
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "status": session.status,
        "payments": session.payments,
        "confirms_at": session.confirms_at,
        "refunds": [
            {
                "id": refund.id,
                "amount": refund.amount,
                "reason": refund.reason,
                "metadata": dict(refund.metadata or {}),
                "created_at": refund.created_at,
                "ends_at": refund.ends_at,
                "status": refund.status,
            }
            for refund in session.refunds
        ],
    }


def _read_session(kept: dict[str, Any], base_url: str) -> BookedSession:
    refunds = list(_read_refunds(kept.pop("refunds"), kept["id"]))
    return BookedSession(
        **{
            **kept,
            "request": read_kept_form(kept["request"].encode()),
            "status": SessionStatus(kept["status"]),
        },
        url=f"{base_url}/pay/{kept['id']}",
        refunds=refunds,
    )


def _read_refunds(
    kept: list[dict[str, Any]], session_id: str
) -> Iterator[BookedRefund]:
    for refund in kept:
        status = RefundStatus(refund.pop("status"))
        yield BookedRefund(**refund, session_id=session_id, status=status)
