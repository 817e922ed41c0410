"""What is stored of the refunds of a job: intended first, then sent, as its rows are.

A batch is written down whole before the first of its refunds is made, so that its name
alone goes on with it. The journal itself refuses what would pay back twice.

- `intend`: pending → sent, beside no other doubt of its session
- `withdraw`: sent → pending
- `complete`: sent, unknown → created, rejected, unknown
- `refuse`: pending → rejected
- `fail`: created → rejected
- `reopen`: created → unknown, where the gateway's id of it is not known
"""

from collections.abc import Collection, Sequence
from functools import cache

import attrs

from .connection import Reader
from .content_check import refund_faults, require_no_faults
from .records import refusal
from .refund_records import (
    Batch,
    JournalRefund,
    PlannedRefund,
    RefundCode,
    RefundCount,
    RefundResult,
    RefundState,
)

_SELECT = """
SELECT number, batch, row_id, session_id, currency, amount, state, refunded_before,
  sent_at, refund_id, http_status, code, message, refunded_elsewhere
FROM refunds WHERE """
_PLAN = """
INSERT INTO refunds (batch, row_id, session_id, currency, amount, refunded_elsewhere,
  state)
VALUES (?, ?, ?, ?, ?, ?, 'pending') ON CONFLICT DO NOTHING
"""
_LISTED = (
    "batch = ? AND state IN (?, ?, ?, ?, ?) AND number > ? ORDER BY number LIMIT ?"
)
_IS_WHOLE = "batch IN (SELECT name FROM batches WHERE is_whole)"
_EVERY = f"number > ? AND {_IS_WHOLE} ORDER BY number LIMIT ?"
_INTEND = """
UPDATE refunds SET state = 'sent', refunded_before = ?, sent_at = ?
WHERE number = ? AND state = 'pending'
"""
_COMPLETE = """
UPDATE refunds SET state = ?, refund_id = ?, http_status = ?, code = ?, message = ?
WHERE number = ? AND state IN ('sent', 'unknown')
"""
_REFUSE = """
UPDATE refunds SET state = 'rejected', code = ?, message = ?
WHERE number = ? AND state = 'pending'
"""
_FAIL = """
UPDATE refunds SET state = 'rejected', code = ?, message = ?
WHERE number = ? AND state = 'created'
"""
_REOPEN = """
UPDATE refunds SET state = 'unknown', code = ?, message = ?
WHERE number = ? AND state = 'created' AND refund_id IS NULL
"""
_WITHDRAW = """
UPDATE refunds SET state = 'pending', refunded_before = NULL, sent_at = NULL
WHERE number = ? AND state = 'sent'
"""
# Whole sums may be more than an integer of SQLite holds, halves of them are not.
_COUNTS = """
SELECT batch, state, currency, count(*), sum(amount >> 32), sum(amount & 0xffffffff)
FROM refunds WHERE batch IN (SELECT name FROM batches WHERE is_whole)
GROUP BY 1, 2, 3 ORDER BY min(number), 2, 3
"""
_ALIKE = """
SELECT name FROM batches
WHERE is_whole AND rtrim(lower(name), '.') = rtrim(lower(?), '.') AND name <> ?
"""

_MAY_BE_LOST = (
    "was damaged, and a refund that it lost may have been made: nothing is paid back "
    "any more; `convergegate bulk refresh JOB --all` shows what was"
)


class RefundTable:
    """What is stored of refunds, by an open connection."""

    def __init__(self, connection: Reader) -> None:
        self._connection = connection
        self._path = connection.files.path

    def begin(self, batch: Batch) -> Batch:
        """Return the batch of that name; begin it if there is none that is whole.

        One that was being written down at a kill has made nothing, and is begun anew.
        """
        known = self.batch(batch.name)
        if known is not None and known.is_whole:
            return known
        self._do("DELETE FROM refunds WHERE batch = ?", batch.name)
        self._do("DELETE FROM batches WHERE name = ?", batch.name)
        values = (batch.name, batch.begun_at)
        self._do("INSERT INTO batches VALUES (?, ?, 0)", *values)
        return batch

    def plan(self, name: str, refunds: Sequence[PlannedRefund]) -> list[PlannedRefund]:
        """Write down a part of a batch that is not whole yet.

        Returns:
            Those whose sessions it pays back already: they are left out.

        Raises:
            JournalError: There is no such batch, or it is whole.
        """
        known = self.batch(name)
        if known is None or known.is_whole:
            raise refusal(self._path, "a batch that is being made was added to")
        return [
            one for one in refunds if not self._do(_PLAN, name, *attrs.astuple(one))
        ]

    def seal(self, name: str) -> None:
        """Say that a batch is whole: its refunds may be made."""
        self._do("UPDATE batches SET is_whole = 1 WHERE name = ?", name)

    def batch(self, name: str) -> Batch | None:
        """Return the batch of that name, if there is one."""
        sql = "SELECT * FROM batches WHERE name = ?"
        for row in self._connection.execute(sql, (name,)):
            return Batch(row[0], row[1], bool(row[2]))
        return None

    def alike(self, name: str) -> list[str]:
        """Return the names of whole batches that differ in case or last dots."""
        return [found for (found,) in self._connection.execute(_ALIKE, (name, name))]

    def numbered(self, number: int) -> JournalRefund:
        """Return the refund of that number."""
        [refund] = self._select("number = ?", number)
        return refund

    def listed(
        self, name: str, states: Collection[RefundState], after: int, limit: int
    ) -> list[JournalRefund]:
        """Return a page of the refunds of a batch; see `Refunds.listed`."""
        wanted = [state.value if state in states else None for state in RefundState]
        return self._select(_LISTED, name, *wanted, after, limit)

    def every(self, after: int, limit: int) -> list[JournalRefund]:
        """Return a page of the refunds of all batches that are whole."""
        return self._select(_EVERY, after, limit)

    def of_sessions(self, session_ids: Sequence[str]) -> list[JournalRefund]:
        """Return the refunds of some sessions, of whatever batch that is whole."""
        marks = ", ".join("?" * len(session_ids))
        condition = f"session_id IN ({marks}) AND {_IS_WHOLE} ORDER BY number"
        return self._select(condition, *session_ids)

    def known_as(self, refund_id: str) -> list[JournalRefund]:
        """Return the refunds that the gateway calls so."""
        return self._select("refund_id = ?", refund_id)

    def intend(self, number: int, refunded_before: int, now: float) -> None:
        """Make a refund `SENT`.

        Raises:
            JournalError: It must not be sent: it is not pending, its batch is not
                whole, another refund of its session is in doubt, or the journal was
                damaged.
        """
        self.require_undamaged()
        refund = self.numbered(number)
        batch = self.batch(refund.batch)
        if batch is None or not batch.is_whole:
            raise refusal(self._path, "its batch was not whole: nothing is paid back")
        beside = self.of_sessions([refund.session_id])
        if any(other.is_in_doubt for other in beside):
            raise refusal(self._path, "a refund was to be made beside one in doubt")
        if not self._do(_INTEND, refunded_before, now, number):
            raise refusal(self._path, "a refund that is not pending was to be made")

    def require_undamaged(self) -> None:
        """Refuse refunds for good if the journal was written off.

        Raises:
            JournalError: It was.
        """
        [(damaged_at,)] = self._connection.execute("SELECT damaged_at FROM job")
        if damaged_at is not None:
            raise refusal(self._path, _MAY_BE_LOST)

    def complete(self, result: RefundResult) -> None:
        """Write what became of a refund that was sent.

        Raises:
            JournalError: It is not in doubt.
        """
        changed = self._do(
            _COMPLETE,
            result.state.value,
            result.refund_id,
            result.http_status,
            result.code,
            result.message,
            result.number,
        )
        if not changed:
            raise refusal(self._path, "a refund that was not sent had a result")

    def refuse(self, number: int, code: RefundCode) -> None:
        """Write that a refund is not made, and why.

        Raises:
            JournalError: It is not pending.
        """
        if not self._do(_REFUSE, code.value, code.reason, number):
            raise refusal(self._path, "a refund that is not pending was refused")

    def fail(self, number: int) -> None:
        """Write that a refund that was made has failed since.

        Raises:
            JournalError: It was not made.
        """
        code = RefundCode.FAILED
        if not self._do(_FAIL, code.value, code.reason, number):
            raise refusal(self._path, "a refund that was not made has failed")

    def reopen(self, number: int) -> None:
        """Write that a refund that was made by all signs is in doubt again.

        Raises:
            JournalError: It was not made, or the gateway's id of it is known.
        """
        code = RefundCode.NOT_SHOWN
        if not self._do(_REOPEN, code.value, code.reason, number):
            raise refusal(self._path, "a refund that is known was put in doubt")

    def withdraw(self, number: int) -> None:
        """Withdraw an intent, as provably nothing was done for it.

        Raises:
            JournalError: It was not sent.
        """
        if not self._do(_WITHDRAW, number):
            raise refusal(self._path, "a refund was withdrawn that was not sent")

    def require_sound(self) -> None:
        """Refuse to read refunds that no process has written so.

        Raises:
            DamagedJournalError: With what is broken.
        """
        require_no_faults(self._path, self._connection, refund_faults)

    def counts(self) -> list[RefundCount]:
        """Return how many refunds are alike, and what they come to."""
        return [
            RefundCount(batch, RefundState(state), currency, count, (high << 32) + low)
            for batch, state, currency, count, high, low in (
                self._connection.execute(_COUNTS)
            )
        ]

    def _select(self, condition: str, *values: object) -> list[JournalRefund]:
        rows = self._connection.execute(_SELECT + condition, values)
        found = (JournalRefund(**dict(zip(_names(), row, strict=True))) for row in rows)
        return [attrs.evolve(one, state=RefundState(one.state)) for one in found]

    def _do(self, sql: str, *values: object) -> bool:
        return self._connection.execute(sql, values).rowcount > 0


@cache
def _names() -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(JournalRefund))
