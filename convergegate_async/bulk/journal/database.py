"""The file of a journal: SQLite, seen by one thread at a time.

It holds the user's row ids, keyed fingerprints of the bodies, session ids and links,
statuses and the names of errors: nothing of a customer. A link opens a payment page,
hence mode 0600. While a process works on the job, the newest rows are in the file
named ``…-wal`` beside it: the two belong together. Keep both on a local disk, as
network file systems do not lock and sync as SQLite needs it.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from functools import cache
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

import attrs

from .connection import Reader, Writer
from .content_check import faults, missing, oddities, require_no_faults, row_faults
from .files import JournalFiles
from .records import (
    DAMAGED,
    Intent,
    JobHeader,
    JournalRow,
    Resolution,
    RowResult,
    SessionFacts,
    State,
    failure,
    refusal,
)
from .refund_records import RefundResult
from .refund_table import RefundTable
from .resolutions import ResolutionTable
from .schema import image
from .sessions import SessionTable
from .stored_rows import StoredRows

_UNDER_WAY = "state = 'sent' ORDER BY position"
_LISTED = "state IN (?, ?, ?, ?) AND "
_BY_POSITION = _LISTED + "position > ? ORDER BY position LIMIT ?"
_BY_COMPLETION = _LISTED + (  # noqa: S608 -- constants
    "completed > ifnull((SELECT completed FROM rows WHERE position = ?), 0) "
    "AND state <> 'sent' ORDER BY completed LIMIT ?"
)
_SESSIONS = "SELECT session_id FROM rows WHERE session_id IS NOT NULL"
_COUNTS = "SELECT state, count(*) FROM rows GROUP BY state"

_INSERT_INTENTS = """
INSERT INTO rows (row_id, position, fingerprint, sent_at, state, attempts) VALUES
"""
_INTENT = "(?, ?, ?, ?, 'sent', 1)"
_INTEND_NEW = f"{_INSERT_INTENTS}{_INTENT} ON CONFLICT DO NOTHING"
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
UPDATE rows SET completed = ?,
  state = iif(? = 'rejected' AND 'unknown' IN (state, before), 'unknown', ?),
  session_id = ?, url = ?,
  http_status = nullif(?, 0), code = nullif(?, 0), message = nullif(?, 0)
WHERE row_id = ? AND state IN ('sent', 'unknown')
"""
_PUT_IN_DOUBT = """
UPDATE rows SET state = 'unknown', completed = ? + position, sent_at = ?,
  sent_until = ?, http_status = NULL, code = ?, message = ?
WHERE state <> 'created' AND sent_until IS NULL
"""
_FORGET_NEW = "DELETE FROM rows WHERE row_id = ? AND state = 'sent' AND before IS NULL"
_FORGET_AGAIN = """
UPDATE rows SET state = before, attempts = attempts - 1,
  completed = ifnull(completed, ?)
WHERE row_id = ? AND state = 'sent'
"""

_MOST_VALUES = 500
"""How many go into one statement at most: every SQLite takes 999."""

_MOST_INTENTS = _MOST_VALUES // _INTENT.count("?")

_MAY_BE_LOST = (
    "was not in the input after the journal was damaged, and may have been sent: "
    "`convergegate bulk resume JOB --after-damage` puts it in doubt, too"
)


class Database:
    """The rows of a journal, by an open connection.

    Between two calls of `transaction` nothing is written. Apart from what is said
    below, every method may raise `sqlite3.Error`, or OSError for the mark.
    """

    def __init__(self, connection: Reader) -> None:
        self.path: Path = connection.files.path
        self._connection = connection
        self._rows = StoredRows(connection)
        self.sessions: SessionTable = SessionTable(connection, self._rows)
        self.refunds: RefundTable = RefundTable(connection)
        self.resolutions: ResolutionTable = ResolutionTable(connection, self._rows)
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
                file.write(image(header))
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
        return cls._over(Writer, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open the file, and change nothing.

        Raises:
            JournalError: It is refused; see `Journal.open`.
        """
        return cls._over(Reader, path)

    @classmethod
    def _over(cls, kind: type[Reader], path: Path) -> Self:
        files = JournalFiles(path)
        files.admit()
        try:
            return cls(kind.open(files))
        except (sqlite3.Error, ValueError, OSError) as error:
            raise failure(path, error) from None

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that opened it, and no fork of that."""
        return self._connection.is_ours

    def close(self) -> None:
        """Merge the WAL into the file, and let others have it."""
        self._connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Make what is done inside durable when it ends; undo it if it fails."""
        return self._connection.transaction()

    def set_total(self, total: int, invalid: int) -> None:
        """Note how many rows the input has, and how many of them cannot be sent."""
        self._changes("UPDATE job SET total = ?, invalid = ?", total, invalid)
        self.header = attrs.evolve(self.header, total=total, invalid=invalid)

    def set_source(self, source: str, options: str) -> None:
        """Note where the input is now, and how it is read."""
        self._changes("UPDATE job SET source = ?, options = ?", source, options)
        self.header = attrs.evolve(self.header, source=source, options=options)

    def intend(self, row: Intent) -> None:
        """Make *row* `SENT`.

        Raises:
            JournalError: It must not be sent: it is done, or may be and has changed,
                or may be and the journal has lost it.
        """
        if self.header.damaged_at is not None and not self.lookup([row.row_id]):
            raise refusal(self.path, f"row {row.position} {_MAY_BE_LOST}")
        known = self._known_or_new(row)
        if known is None:
            return
        before, since = State.UNKNOWN, known.sent_at
        if known.state is State.REJECTED:
            before, since = State.REJECTED, row.sent_at
        elif known.state is State.CREATED:
            raise refusal(self.path, "a row that has its session was to be sent again")
        elif known.code == DAMAGED:
            raise refusal(self.path, "a row was to be sent that damage left in doubt")
        elif known.fingerprint != row.fingerprint:
            reason = "a row that may be done was to be sent again with another body"
            raise refusal(self.path, reason)
        self._changes(_INTEND_AGAIN, before, row.fingerprint, since, row.row_id)

    def intend_new(self, rows: Sequence[Intent]) -> int:
        """Make the first of *rows* `SENT`, many at once, which takes half as long.

        Returns:
            How many: it ends before the first many of which the journal knows a row or
            a position. The rest is for `intend`.
        """
        if self.header.damaged_at is not None:  # `intend` looks each of them up
            return 0
        for start in range(0, len(rows), _MOST_INTENTS):
            part = rows[start : start + _MOST_INTENTS]
            try:
                self._changes(_insert_of(len(part)), *chain(*map(_values, part)))
            except sqlite3.IntegrityError:
                return start
        return len(rows)

    def complete(self, result: RowResult) -> None:
        """Write what became of a row; one that was in doubt does not fail.

        Raises:
            JournalError: The row is neither `SENT` nor `UNKNOWN`.
        """
        state = str(result.state)  # sqlite3 searches its adapters for an enum
        changed = self._changes(
            _COMPLETE,
            self._next(),
            state,
            state,
            result.session_id,
            self._rows.spelled(result.url, result.session_id),
            _or_zero(result.http_status),
            _or_zero(result.code),
            _or_zero(result.message),
            result.row_id,
        )
        if not changed:
            raise refusal(
                self.path, "a result was given of a row that is not under way"
            )

    def resolve(
        self, result: RowResult, facts: SessionFacts | None, by: str, now: float
    ) -> None:
        """Settle a row that is in doubt; see `Journal.resolve`.

        Raises:
            JournalError: It is not in doubt.
        """
        self.resolutions.resolve(result, self._next(), by, now)
        if facts is not None:
            self.sessions.see(result.row_id, facts)

    def forget(self, row_id: str) -> None:
        """Withdraw the last intent of a row.

        Raises:
            JournalError: The row is not `SENT`.
        """
        if self._changes(_FORGET_NEW, row_id):
            return
        if not self._changes(_FORGET_AGAIN, self._next(), row_id):
            raise refusal(self.path, "a row was withdrawn that is not under way")

    def put_in_doubt(self, rows: Iterable[Intent], now: float) -> None:
        """Make all *rows* unknown that are not done, and all others of the journal."""
        for row in rows:
            self._known_or_new(row)
        self._changes("UPDATE job SET damaged_at = ifnull(damaged_at, ?)", now)
        begun_at = self.header.begun_at or 0.0
        until = self.header.damaged_at or now
        reason = "the journal was damaged: the row may have been sent"
        self._changes(_PUT_IN_DOUBT, self._completed, begun_at, until, DAMAGED, reason)

    def note_refresh(self, begun_at: float | None) -> None:
        """Note when a refresh was begun that is not over; `None` if it is."""
        self._changes("UPDATE job SET refresh_at = ?", begun_at)
        self.header = attrs.evolve(self.header, refresh_at=begun_at)

    def resolve_refund(self, result: RefundResult, by: str, now: float) -> None:
        """Settle a refund that is in doubt; see `Journal.resolve_refund`.

        Raises:
            JournalError: It is not in doubt.
        """
        self.refunds.complete(result)
        refund = self.refunds.numbered(result.number)
        self.resolutions.note(
            Resolution(refund.row_id, None, by, now, refund.batch, refund.refund_id)
        )

    def lookup(self, row_ids: Sequence[str]) -> dict[str, JournalRow]:
        """Return those of the rows that are not pending, by their ids."""
        return {
            row.row_id: row
            for start in range(0, len(row_ids), _MOST_VALUES)
            for row in self._by_ids(*row_ids[start : start + _MOST_VALUES])
        }

    def under_way(self) -> list[JournalRow]:
        """Return the rows that are `SENT`, by position."""
        return list(self._rows.where(_UNDER_WAY))

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
        return list(self._rows.where(sql, *wanted, after, limit))

    def sessions_among(self, session_ids: AbstractSet[str]) -> set[str]:
        """Return those of *session_ids* that rows have already."""
        rows = self._connection.execute(_SESSIONS)
        return {session_id for (session_id,) in rows if session_id in session_ids}

    def require_sound_rows(self) -> None:
        """Refuse to read rows that no process has written so.

        Raises:
            DamagedJournalError: With what is broken.
        """
        require_no_faults(self.path, self._connection, row_faults)

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words."""
        looks = (faults, missing, oddities)
        return next(filter(None, (look(self._connection) for look in looks)), [])

    def _known_or_new(self, row: Intent) -> JournalRow | None:
        """Return what is known of a row; if nothing is, make it `SENT`."""
        if self._changes(_INTEND_NEW, *_values(row)):
            return None
        known = next(self._by_ids(row.row_id), None)
        if known is None:  # its place is taken
            self._changes(_INTEND_DISPLACED, row.row_id, row.fingerprint, row.sent_at)
        return known

    def _by_ids(self, *row_ids: str) -> Iterator[JournalRow]:
        return self._rows.where(
            f"row_id IN ({', '.join('?' * len(row_ids))})", *row_ids
        )

    def _stored_header(self) -> JobHeader:
        [row] = self._connection.execute("SELECT * FROM job")
        stored = JobHeader(**dict(zip(_names(JobHeader), row, strict=True)))
        return attrs.evolve(
            stored, live=bool(stored.live), keys_honoured=bool(stored.keys_honoured)
        )

    def _changes(self, sql: str, *values: object) -> bool:
        return self._connection.execute(sql, values).rowcount > 0

    def _next(self) -> int:
        # One that is not used leaves a gap, which does no harm.
        self._completed += 1
        return self._completed


def _values(row: Intent) -> tuple[object, ...]:
    mark = bytearray(row.fingerprint)  # sqlite3 searches its adapters for bytes
    return row.row_id, row.position, mark, row.sent_at


@cache
def _insert_of(intents: int) -> str:
    return _INSERT_INTENTS + ", ".join([_INTENT] * intents)


def _or_zero(value: str | int | None) -> str | int:
    # sqlite3 searches its adapters for `None`; `nullif` turns 0 back into NULL.
    return 0 if value is None else value


@cache
def _names(kind: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))
