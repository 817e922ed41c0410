"""What a journal holds, and why it may be refused, as values."""

import sqlite3
from enum import StrEnum, auto
from pathlib import Path

import attrs

from convergegate_async.errors import ConfigurationError

_REASONS = {
    sqlite3.SQLITE_BUSY: (
        "another process works on this job, or this one has not closed it; wait for "
        "it to end"
    ),
    sqlite3.SQLITE_FULL: "the disk is full; make room, then {then}",
    sqlite3.SQLITE_IOERR: "the disk fails (I/O error); see to it, then {then}",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a copy",
    sqlite3.SQLITE_NOTADB: "the file is not a journal; give the path of one",
    sqlite3.SQLITE_READONLY: "the file cannot be written; see to its permissions",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; see to its permissions",
}


WAY_OUT = (
    "put it, its -wal and its -mark back as they were; if they are gone, "
    "`convergegate bulk resume JOB --after-damage` goes on and sends nothing"
)
"""What helps where something was lost."""

DAMAGED = "Damaged"
"""The code of a row of which a damaged journal may have lost what became of it."""


class JournalError(ConfigurationError):
    """The journal was refused or is broken; the message says why and what to do."""


class JournalInUseError(JournalError):
    """Another process works on the job, or this one has not closed it."""


class DamagedJournalError(JournalError):
    """Something of the journal was lost, swapped or changed since it was written."""


class State(StrEnum):
    """What is known of a row; one that is not in the journal is pending.

    A row is `SENT` from before its first byte leaves until its result is written.
    After a crash it may or may not have arrived.
    """

    SENT = auto()
    CREATED = auto()
    REJECTED = auto()
    UNKNOWN = auto()


@attrs.frozen(kw_only=True)
class JobHeader:
    """What a job is; stored once, compared when it is resumed.

    Attributes:
        job: The user's name of the job.
        live: Whether the API key is a live one.
        api_key_fingerprint: 16 hex digits that tell API keys apart, never the key.
        salt: 16 random bytes that key the fingerprints of the rows.
        source: The path of the input, as it was given.
        options: JSON: how the input is read and the job is run.
        total: How many rows the input has, once that is known.
        begun_at: When it was begun, in seconds since the epoch.
        damaged_at: When it was written off, in the same: a row that the journal does
            not know may have been sent until then, and is sent no more.
        invalid: How many rows of the input cannot be sent as they are, as far as that
            is known.
        refresh_at: When a refresh was begun that is not over, in seconds since the
            epoch.
    """

    job: str
    base_url: str
    live: bool
    api_key_fingerprint: str
    keys_honoured: bool
    salt: bytes = attrs.field(repr=False)
    sdk_version: str
    source: str = ""
    options: str = "{}"
    total: int | None = None
    begun_at: float | None = None
    damaged_at: float | None = None
    invalid: int = 0
    refresh_at: float | None = None


@attrs.frozen
class Intent:
    """A row that is about to be sent.

    Attributes:
        position: Its place in the input, from 1.
        fingerprint: 16 bytes: the keyed hash of its body.
        sent_at: Now, in seconds since the epoch.
    """

    row_id: str
    position: int
    fingerprint: bytes
    sent_at: float


def _whole(text: str) -> str:
    # The gateway's words, or a user's name, may hold half a surrogate pair.
    return text.encode(errors="replace").decode()


def _writable(message: str | None) -> str | None:
    return message and _whole(message)


@attrs.frozen
class SessionFacts:
    """What the session of a row was when it was last seen.

    Attributes:
        seen_at: When that was, in seconds since the epoch.
        status: In the gateway's word.
        currency: In lower case.
        amount_total: In minor units.
        amount_refunded: In minor units.
        expires_at: In seconds since the epoch.
    """

    seen_at: float
    status: str | None = attrs.field(default=None, converter=_writable)
    currency: str | None = attrs.field(default=None, converter=_writable)
    amount_total: int | None = None
    amount_refunded: int | None = None
    expires_at: float | None = None


@attrs.frozen(kw_only=True)
class TimeSpan:
    """From when to when, both included, in seconds since the epoch."""

    since: float
    until: float


@attrs.frozen
class Resolution:
    """Somebody's word on a row of which nobody knew what became, or on a refund of it.

    Attributes:
        session_id: The session that the row has; `None` if it has none.
        resolved_by: The user's name.
        resolved_at: When that was, in seconds since the epoch.
        batch: That of the refund; `None` if it is about the row.
        refund_id: The gateway's, of the refund; `None` if it was not made.
    """

    row_id: str
    session_id: str | None
    resolved_by: str = attrs.field(converter=_whole)
    resolved_at: float
    batch: str | None = None
    refund_id: str | None = None


@attrs.frozen
class SessionCount:
    """How many sessions of a job are alike, and what they come to.

    Attributes:
        status: In the gateway's word; `None` if it said none, or was not asked yet.
        currency: In lower case; likewise.
        count: How many there are.
        amount_total: Of them all, in minor units.
        amount_refunded: Likewise.
        seen_at: When the first of them was seen last, in seconds since the epoch.
        without_amount: Of how many the gateway told no amount, or none that can be.
    """

    status: str | None
    currency: str | None
    count: int
    amount_total: int = 0
    amount_refunded: int = 0
    seen_at: float | None = None
    without_amount: int = 0


def _says_what(result: "RowResult", _: object, state: State) -> None:
    if state is State.SENT:
        message = "a row ends as created, rejected or unknown"
        raise ValueError(message)
    if state is State.CREATED and result.session_id is None:
        message = "a row that is created has a session id"
        raise ValueError(message)


@attrs.frozen
class RowResult:
    """What became of a row that was sent.

    Attributes:
        state: `CREATED`, `REJECTED` or `UNKNOWN`; else, or created without a session
            id, it is a ValueError.
        code: The class name of the error.
        message: At most 200 characters, with nothing of the row in them.
    """

    row_id: str
    state: State = attrs.field(validator=_says_what)
    session_id: str | None = None
    url: str | None = attrs.field(default=None, repr=False)
    http_status: int | None = None
    code: str | None = None
    message: str | None = attrs.field(default=None, converter=_writable)


@attrs.frozen(kw_only=True)
class JournalRow:
    """What the journal knows of a row.

    Attributes:
        position: Its place in the input, from 1. Where another row already holds
            that place (the input was sorted anew between two runs), the next free
            one after all others.
        attempts: How often it was intended; the first time makes 1.
        sent_at: Seconds since the epoch: the last intent, or the first of those
            whose outcomes are all unknown. The gateway's memory of the idempotency
            key is as old as that one.
        sent_until: Seconds since the epoch: the last moment at which it may have been
            sent, where that is not known better.
        facts: What its session was when it was last seen.
    """

    row_id: str
    position: int
    fingerprint: bytes
    state: State
    attempts: int
    sent_at: float
    session_id: str | None = None
    url: str | None = attrs.field(default=None, repr=False)
    http_status: int | None = None
    code: str | None = None
    message: str | None = None
    sent_until: float | None = None
    facts: SessionFacts | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether it was sent, and nobody knows what became of it."""
        return self.state in (State.SENT, State.UNKNOWN)


_KINDS: dict[int, type[JournalError]] = {
    sqlite3.SQLITE_BUSY: JournalInUseError,
    sqlite3.SQLITE_CORRUPT: DamagedJournalError,
}


def refusal(
    path: Path, reason: str, kind: type[JournalError] = JournalError
) -> JournalError:
    """Return the error that says what is wrong with the journal at *path*."""
    return kind(f"journal {path}: {reason}")


def failure(path: Path, error: Exception, then: str = "resume") -> JournalError:
    """Return the error that says why SQLite gave up on the journal at *path*.

    Args:
        path: Where it is.
        error: SQLite's, or that of the disk.
        then: What is to be done once the disk is well.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return refusal(path, _reason_of(error, then), _KINDS.get(code, JournalError))


def _reason_of(error: Exception, then: str) -> str:
    """Return in words why SQLite gave up, and what to do about it."""
    if isinstance(error, OSError):
        return f"the disk fails ({error.strerror}); see to it, then {then}"
    code = getattr(error, "sqlite_errorcode", 0)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    reason = _REASONS.get(code & 0xFF)  # the upper bits give details
    if reason is None:
        return f"the file cannot be used ({name}); look at it with `bulk verify`"
    return reason.format(then=then)
