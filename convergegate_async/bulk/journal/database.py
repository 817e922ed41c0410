"""The file of a journal: SQLite, seen by one thread at a time.

It holds the user's row ids, keyed fingerprints of the bodies, session ids and links,
statuses and the names of errors: nothing of a customer. A link opens a payment page,
hence mode 0600. While a process works on the job, the newest rows are in the file
named ``…-wal`` beside it: the two belong together. Keep both on a local disk, as
network file systems do not lock and sync as SQLite needs it.

It is longer than most modules, as the schema and all that reads or writes it change
together.
"""

import os
import sqlite3
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

import attrs

from .records import (
    Intent,
    JobHeader,
    JournalRow,
    RowResult,
    State,
    reason_of,
    refusal,
)

_APPLICATION = int.from_bytes(b"CGJ1")
_VERSION = 1
_PAGE_SIZE = 4096
_SCHEMA = f"""
PRAGMA page_size = {_PAGE_SIZE};
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE job (
  job TEXT NOT NULL,
  base_url TEXT NOT NULL,
  live INTEGER NOT NULL,
  api_key_fingerprint TEXT NOT NULL,
  keys_honoured INTEGER NOT NULL,
  salt BLOB NOT NULL,
  sdk_version TEXT NOT NULL,
  source TEXT NOT NULL,
  options TEXT NOT NULL,
  total INTEGER
);
CREATE TABLE rows (
  position INTEGER PRIMARY KEY,
  row_id TEXT NOT NULL UNIQUE,
  fingerprint BLOB NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  sent_at REAL NOT NULL,
  before TEXT,         -- the state that a withdrawn intent falls back to, if any
  completed INTEGER,   -- rising in order of completion
  session_id TEXT,
  url,                 -- the link; or the number of its head, if the session id follows
  http_status INTEGER,
  code TEXT,
  message TEXT
);
CREATE TABLE heads (
  number INTEGER PRIMARY KEY,
  head TEXT NOT NULL UNIQUE
);
CREATE INDEX under_way ON rows (position) WHERE state = 'sent';
CREATE INDEX completion ON rows (completed) WHERE completed IS NOT NULL;
"""

_SELECT = """
SELECT row_id, position, fingerprint, state, attempts, sent_at,
  session_id, url, http_status, code, message
FROM rows WHERE """
_BY_ID = _SELECT + "row_id = ?"
_UNDER_WAY = _SELECT + "state = 'sent' ORDER BY position"
_LISTED = _SELECT + "state IN (?, ?, ?, ?) AND "
_BY_POSITION = _LISTED + "position > ? ORDER BY position LIMIT ?"
_BY_COMPLETION = _LISTED + (  # noqa: S608 -- constants
    "completed > ifnull((SELECT completed FROM rows WHERE position = ?), 0) "
    "AND state <> 'sent' ORDER BY completed LIMIT ?"
)
_COUNTS = "SELECT state, count(*) FROM rows GROUP BY state"

_INTEND_NEW = """
INSERT INTO rows (row_id, position, fingerprint, sent_at, state, attempts)
VALUES (?, ?, ?, ?, 'sent', 1) ON CONFLICT DO NOTHING
"""
_INTEND_DISPLACED = """
INSERT INTO rows (row_id, position, fingerprint, sent_at, state, attempts)
SELECT ?, max(position) + 1, ?, ?, 'sent', 1 FROM rows
"""
_INTEND_AGAIN = """
UPDATE rows SET state = 'sent', attempts = attempts + 1,
  before = ?, fingerprint = ?, sent_at = ?
WHERE row_id = ?
"""
_COMPLETE = """
UPDATE rows SET state = ?, completed = ?,
  session_id = ?, url = ?, http_status = ?, code = ?, message = ?
WHERE row_id = ? AND state IN ('sent', 'unknown')
"""
_FORGET_NEW = "DELETE FROM rows WHERE row_id = ? AND state = 'sent' AND before IS NULL"
_FORGET_AGAIN = """
UPDATE rows SET state = before, attempts = attempts - 1,
  completed = ifnull(completed, ?)
WHERE row_id = ? AND state = 'sent'
"""

_FAULTS = {
    "are in no known state": "state NOT IN ('sent', 'done', 'failed', 'unknown')",
    "were never attempted": "attempts < 1",
    "have a broken fingerprint": "length(fingerprint) <> 16",
    "are done without a session id": "state = 'done' AND session_id IS NULL",
    "were completed at no time": "state <> 'sent' AND completed IS NULL",
    "have a link that is lost": (
        "typeof(url) = 'integer' AND url NOT IN (SELECT number FROM heads)"
    ),
    "share their session id": (
        "session_id IN (SELECT session_id FROM rows GROUP BY 1 HAVING count(*) > 1)"
    ),
}
"""What may be wrong with rows, and how to find them."""

_GRACE = 0.2
"""Seconds to wait for the lock of a process that is just ending."""

_MOST_HEADS = 100
"""A gateway with more of them has links that do not end with the session id."""


class Database:
    """The open file of a journal, locked against every other process.

    Between two calls of `transaction` nothing is written. Apart from what is said
    below, every method may raise `sqlite3.Error`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._heads: dict[int, str] = dict(connection.execute("SELECT * FROM heads"))
        self._numbers = {head: number for number, head in self._heads.items()}
        [(last,)] = connection.execute("SELECT max(completed) FROM rows")
        self._completed = int(last or 0)
        self.header: JobHeader = self._stored_header()

    @classmethod
    def create(cls, path: Path, header: JobHeader) -> None:
        """Make the file.

        Raises:
            JournalError: There is one already, or none can be made there.
        """
        try:
            # Complete before it has its name: a kill leaves a whole journal or none.
            # Temporary files are made with O_EXCL and mode 0600, and SQLite gives
            # that mode to the WAL, too. Unlike a renaming, a link replaces no file.
            with NamedTemporaryFile(dir=path.parent, prefix=".journal-") as file:
                file.write(_image(header))
                file.flush()
                os.fsync(file.fileno())
                os.link(file.name, path)
        except FileExistsError:
            reason = "exists already; resume that job, or give this one another name"
            raise refusal(path, reason) from None
        except OSError as error:
            reason = f"cannot be made there ({error.strerror}); choose another place"
            raise refusal(path, reason) from None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, and keep all others out.

        Raises:
            JournalError: It is refused; see `Journal.open`.
        """
        _admit_file(path)
        try:
            with ExitStack() as undo:
                connection = undo.enter_context(closing(_connected(path)))
                _admit_content(path, connection)
                database = cls(path, connection)
                undo.pop_all()
                return database
        except (sqlite3.Error, ValueError) as error:
            raise refusal(path, reason_of(error)) from None

    def close(self) -> None:
        """Merge the WAL into the file, and let others have it."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside durable when it ends; undo it if it fails."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    def set_total(self, total: int) -> None:
        """Note how many rows the input has."""
        self._changes("UPDATE job SET total = ?", total)
        self.header = attrs.evolve(self.header, total=total)

    def intend(self, row: Intent) -> None:
        """Make *row* `SENT`.

        Raises:
            JournalError: It must not be sent: it is done, or may be and has changed.
        """
        values = row.row_id, row.position, row.fingerprint, row.sent_at
        if self._changes(_INTEND_NEW, *values):
            return
        known = next(self._select(_BY_ID, row.row_id), None)
        if known is None:  # its place is taken
            self._changes(_INTEND_DISPLACED, row.row_id, row.fingerprint, row.sent_at)
            return
        before, since = State.UNKNOWN, known.sent_at
        if known.state is State.FAILED:
            before, since = State.FAILED, row.sent_at
        elif known.state is State.DONE:
            raise refusal(self.path, "a row that is done was to be sent again")
        elif known.fingerprint != row.fingerprint:
            reason = "a row that may be done was to be sent again with another body"
            raise refusal(self.path, reason)
        self._changes(_INTEND_AGAIN, before, row.fingerprint, since, row.row_id)

    def complete(self, result: RowResult) -> None:
        """Write what became of a row.

        Raises:
            JournalError: The row is neither `SENT` nor `UNKNOWN`.
        """
        changed = self._changes(
            _COMPLETE,
            result.state,
            self._next(),
            result.session_id,
            self._spelled(result.url, result.session_id),
            result.http_status,
            result.code,
            result.message,
            result.row_id,
        )
        if not changed:
            raise refusal(
                self.path, "a result was given of a row that is not under way"
            )

    def forget(self, row_id: str) -> None:
        """Withdraw the last intent of a row.

        Raises:
            JournalError: The row is not `SENT`.
        """
        if self._changes(_FORGET_NEW, row_id):
            return
        if not self._changes(_FORGET_AGAIN, self._next(), row_id):
            raise refusal(self.path, "a row was withdrawn that is not under way")

    def lookup(self, row_ids: Sequence[str]) -> dict[str, JournalRow]:
        """Return those of the rows that are not pending, by their ids."""
        return {
            row.row_id: row
            for row_id in row_ids
            for row in self._select(_BY_ID, row_id)
        }

    def under_way(self) -> list[JournalRow]:
        """Return the rows that are `SENT`, by position."""
        return list(self._select(_UNDER_WAY))

    def counts(self) -> dict[State, int]:
        """Return how many rows are in each state."""
        found = dict(self._connection.execute(_COUNTS))
        return {state: found.get(state, 0) for state in State}

    def rows(
        self, states: Collection[State], *, by_completion: bool, after: int, limit: int
    ) -> list[JournalRow]:
        """Return a page of rows; see `Journal.rows`."""
        sql = _BY_COMPLETION if by_completion else _BY_POSITION
        wanted = [state if state in states else None for state in State]
        return list(self._select(sql, *wanted, after, limit))

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words."""
        query = self._connection.execute
        findings = [text for (text,) in query("PRAGMA integrity_check")]
        if findings != ["ok"]:
            return findings
        wrong = []
        for fault, condition in _FAULTS.items():
            sql = f"SELECT count(*) FROM rows WHERE {condition}"  # noqa: S608 -- our own
            [(number,)] = query(sql)
            if number:
                wrong.append(f"rows that {fault}: {number}")
        return wrong

    def _stored_header(self) -> JobHeader:
        [row] = self._connection.execute("SELECT * FROM job")
        stored = JobHeader(**dict(zip(_names(JobHeader), row, strict=True)))
        return attrs.evolve(
            stored, live=bool(stored.live), keys_honoured=bool(stored.keys_honoured)
        )

    def _changes(self, sql: str, *values: object) -> bool:
        return self._connection.execute(sql, values).rowcount > 0

    def _select(self, sql: str, *values: object) -> Iterator[JournalRow]:
        for row in self._connection.execute(sql, values):
            yield self._journal_row(*row)

    def _journal_row(self, *row: Any) -> JournalRow:  # noqa: ANN401 -- as SQLite gives it
        known = JournalRow(**dict(zip(_names(JournalRow), row, strict=True)))
        url = known.url
        if isinstance(url, int):
            url = f"{self._heads[url]}{known.session_id}"
        return attrs.evolve(known, state=State(known.state), url=url)

    def _next(self) -> int:
        # One that is not used leaves a gap, which does no harm.
        self._completed += 1
        return self._completed

    def _spelled(self, url: str | None, session_id: str | None) -> str | int | None:
        # The documented link ends with the session id; its head is kept but once.
        if url is None or session_id is None or not url.endswith(session_id):
            return url
        head = url.removesuffix(session_id)
        if head in self._numbers:
            return self._numbers[head]
        number = len(self._heads) + 1
        if number > _MOST_HEADS:
            return url
        self._changes("INSERT INTO heads VALUES (?, ?)", number, head)
        self._heads[number], self._numbers[head] = head, number
        return number


def _admit_file(path: Path) -> None:
    # By name and not by a descriptor: closing one would end the POSIX locks that
    # another journal of this process has on the same file.
    try:
        facts = path.lstat()
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); is the job's name right?"
        raise refusal(path, reason) from None
    if stat.S_ISLNK(facts.st_mode):
        raise refusal(path, "is a symbolic link; give the path of the file itself")
    if not stat.S_ISREG(facts.st_mode):
        raise refusal(path, "is not a file; give the path of one")
    # SQLite would read on in zeros. If a WAL is there, it holds what was cut off.
    if facts.st_size % _PAGE_SIZE and not path.with_name(f"{path.name}-wal").exists():
        raise refusal(path, "is damaged or not a journal; restore it from a copy")
    if os.name != "posix":  # no owners and modes
        return
    if facts.st_uid != os.geteuid():
        raise refusal(path, "belongs to another user; work as that user")
    if facts.st_mode & 0o077:
        raise refusal(path, "is open to others; chmod it to 0600 if you trust it")


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",  # and never made
        uri=True,
        timeout=_GRACE,
        isolation_level=None,
        check_same_thread=False,
    )


def _admit_content(path: Path, connection: sqlite3.Connection) -> None:
    def ask(pragma: str) -> object:
        return connection.execute(f"PRAGMA {pragma}").fetchone()[0]

    ask("locking_mode = EXCLUSIVE")
    if ask("application_id") != _APPLICATION:
        raise refusal(path, "is not a journal; give the path of one")
    if ask("user_version") != _VERSION:
        raise refusal(path, "was made by another version of this package; use that")
    if ask("journal_mode = WAL") != "wal":
        raise refusal(path, "cannot be kept on this file system; choose a local disk")
    connection.execute("PRAGMA synchronous = FULL")


def _image(header: JobHeader) -> bytes:
    values = attrs.astuple(header)
    marks = ", ".join("?" * len(values))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute(f"INSERT INTO job VALUES ({marks})", values)  # noqa: S608 -- question marks
        return connection.serialize()


@cache
def _names(kind: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))
