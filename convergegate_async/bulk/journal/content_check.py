"""What may be wrong with the content of a journal, page by page and row by row."""

import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from convergegate_async.models.rules import MAX_AMOUNT

from .records import WAY_OUT, DamagedJournalError, refusal
from .schema import CONTROL_TOTAL, FIRST_WITH_REFUNDS, FIRST_WITH_TOTAL, STATE_WORDS

_YEAR_1, _YEAR_9999 = -62_135_596_800, 253_370_764_800
"""The begin of each: between them is what can be told as a time."""

_FAULTS = {
    "are in no known state": (
        "state NOT IN ('sent', {words.created}, {words.rejected}, 'unknown')"
    ),
    "were never attempted": "attempts < 1",
    "have a broken fingerprint": "length(fingerprint) <> 16",
    "are created without a session id": (
        "state = {words.created} AND session_id IS NULL"
    ),
    "were completed at no time": "state <> 'sent' AND completed IS NULL",
    "have a link that is lost": (
        "CASE typeof(url) WHEN 'integer' THEN url NOT IN (SELECT number FROM heads) "
        "ELSE typeof(url) NOT IN ('text', 'null') END"
    ),
}
"""What no process writes: the file was changed, and is not gone on with."""

_FACT_FAULTS = {
    "have an amount that is none": (
        f"amount_total NOT BETWEEN 0 AND {MAX_AMOUNT} "
        f"OR amount_refunded NOT BETWEEN 0 AND {MAX_AMOUNT}"
    ),
    "have a time that is none": (
        f"expires_at NOT BETWEEN {_YEAR_1} AND {_YEAR_9999} "
        f"OR seen_at NOT BETWEEN {_YEAR_1} AND {_YEAR_9999}"
    ),
}
"""The same, of the columns that rows have since there are refunds."""

_REFUND_FAULTS = {
    "are in no known state": (
        "state NOT IN ('pending', 'sent', 'created', 'rejected', 'unknown')"
    ),
    "pay back nothing": "amount < 1",
    "have an amount that is none": f"amount > {MAX_AMOUNT}",
    "have a time that is none": f"sent_at NOT BETWEEN 0 AND {_YEAR_9999}",
    "are of another session than their row": (
        "session_id <> (SELECT rows.session_id FROM rows, job "
        "WHERE rows.row_id = refunds.row_id AND damaged_at IS NULL)"
    ),
    "are of no batch": "batch NOT IN (SELECT name FROM batches)",
    "were made before their batch was whole": (
        "state <> 'pending' AND batch IN (SELECT name FROM batches WHERE NOT is_whole)"
    ),
    "were sent at no time": (
        "state IN ('sent', 'unknown') AND (sent_at IS NULL OR refunded_before IS NULL)"
    ),
    "are in doubt beside another one": (
        "session_id IN (SELECT session_id FROM refunds "
        "WHERE state IN ('sent', 'unknown') GROUP BY 1 HAVING count(*) > 1)"
    ),
}
"""The same, of refunds."""

_ODDITIES = {
    "share their session id": (
        "session_id IN (SELECT session_id FROM rows GROUP BY 1 HAVING count(*) > 1)"
    ),
}
"""What a gateway may bring about: it is told, and a job goes on."""


_DECLARED = """
SELECT '"' || name || '"', lower(type) FROM pragma_table_info('{}')
"""


class _Connection(Protocol):
    def execute(self, sql: str, /) -> sqlite3.Cursor: ...


def faults(connection: _Connection) -> list[str]:
    """Return what is broken, in words; the whole file is read, several times.

    Raises:
        sqlite3.Error: It is so damaged that it cannot be read.
    """
    findings = [text for (text,) in connection.execute("PRAGMA integrity_check")]
    if findings != ["ok"]:
        return findings
    findings = _value_faults(connection, "job", "usage", "resolutions")
    findings += row_faults(connection)
    if _version(connection) >= FIRST_WITH_REFUNDS:
        findings += refund_faults(connection)
    return findings


def missing(connection: _Connection) -> list[str]:
    """Return how much less there is than was written, in words.

    Pages that are older than others show in nothing else: each of them is sound, and
    the number of the last commit is on another one.
    """
    if _version(connection) < FIRST_WITH_TOTAL:
        return []
    [(kept,)] = connection.execute("SELECT control_total FROM usage")
    [(found,)] = connection.execute(CONTROL_TOTAL)
    return (
        [] if found == kept else [f"it holds {found} of {kept} orders to the gateway"]
    )


def row_faults(connection: _Connection) -> list[str]:
    """Return what is broken about the rows of a journal, in words."""
    version = _version(connection)
    words = STATE_WORDS[version]
    conditions = {name: text.format(words=words) for name, text in _FAULTS.items()}
    if version >= FIRST_WITH_REFUNDS:
        conditions |= _FACT_FAULTS
    findings = _value_faults(connection, "rows", "heads")
    return findings + _those_that(conditions, connection, "rows")


def refund_faults(connection: _Connection) -> list[str]:
    """Return what is broken about the refunds of a journal that has any, in words."""
    findings = _value_faults(connection, "refunds", "batches")
    return findings + _those_that(_REFUND_FAULTS, connection, "refunds")


def require_no_faults(
    path: Path,
    connection: _Connection,
    found_by: Callable[[_Connection], list[str]] = faults,
) -> None:
    """Refuse the journal at *path* if its content is broken.

    Raises:
        DamagedJournalError: With what is broken.
        sqlite3.Error: It is so damaged that it cannot be read.
    """
    findings = found_by(connection)
    if findings:
        reason = f"is damaged: {'; '.join(findings)}; restore it from a copy"
        raise refusal(path, reason, DamagedJournalError)


def require_complete(path: Path, connection: _Connection) -> None:
    """Refuse the journal at *path* if there is less in it than was written.

    Raises:
        DamagedJournalError: With how much.
    """
    for reason in missing(connection):
        raise refusal(path, f"is damaged: {reason}; {WAY_OUT}", DamagedJournalError)


def oddities(connection: _Connection) -> list[str]:
    """Return what is strange about the rows of a sound journal, in words."""
    return _those_that(_ODDITIES, connection, "rows")


def _version(connection: _Connection) -> int:
    [(version,)] = connection.execute("PRAGMA user_version")
    return int(version)


def _value_faults(connection: _Connection, *tables: str) -> list[str]:
    """Return which tables hold what their columns are not declared for, in words."""
    wrong = []
    for table in tables:
        columns = connection.execute(_DECLARED.format(table)).fetchall()
        if not columns:
            continue  # this version had it not yet
        others = [
            f"{name} IS NOT NULL AND typeof({name}) <> '{kind}'"
            for name, kind in columns
            if kind
        ]
        number = _count(connection, table, " OR ".join(others))
        if number:
            wrong.append(f"table {table} has values of another type: {number}")
        texts = [name for name, kind in columns if kind in {"text", ""}]
        if texts and not _can_be_read(connection, table, texts):
            wrong.append(f"table {table} has a text that is no UTF-8")
    return wrong


def _can_be_read(connection: _Connection, table: str, names: Sequence[str]) -> bool:
    """Tell whether all texts are UTF-8: SQLite does not look, and a reader fails."""
    sql = f"SELECT {', '.join(names)} FROM {table}"  # noqa: S608 -- our own
    try:
        deque(connection.execute(sql), maxlen=0)
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):  # not of a text that cannot be decoded
            raise
        return False
    return True


def _those_that(
    conditions: Mapping[str, str], connection: _Connection, table: str
) -> list[str]:
    wrong = []
    for fault, condition in conditions.items():
        number = _count(connection, table, condition)
        if number:
            wrong.append(f"{table} that {fault}: {number}")
    return wrong


def _count(connection: _Connection, table: str, condition: str) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608 -- our own
    [(number,)] = connection.execute(sql)
    return int(number)
