"""What became of the sessions of a job's rows, as far as they were looked at."""

from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from .connection import Reader
from .ordering import Order
from .records import JournalRow, SessionCount, SessionFacts, TimeSpan, refusal
from .stored_rows import StoredRows

_SEE = """
UPDATE rows SET seen_at = ?, status = ?, currency = ?, amount_total = ?,
  amount_refunded = ?, expires_at = ?
WHERE row_id = ? AND state = 'created'
"""
# What was seen later than now was seen by a clock that has gone back since.
_IS_TO_BE_SEEN = """state = 'created' AND ifnull(seen_at < ? OR seen_at > ?, 1) AND (
  ? OR ifnull(status, '') NOT IN ('completed', 'expired') OR session_id IN (
    SELECT session_id FROM refunds WHERE state IN ('sent', 'unknown')))
"""
_TO_BE_SEEN = f"{_IS_TO_BE_SEEN} AND position > ? ORDER BY position LIMIT ?"
_COUNT_TO_BE_SEEN = f"SELECT count(*) FROM rows WHERE {_IS_TO_BE_SEEN}"  # noqa: S608 -- our own
# Whole sums may be more than an integer of SQLite holds, halves of them are not.
_COUNTS = """
SELECT status, currency, count(*),
  ifnull(sum(amount_total >> 32), 0), ifnull(sum(amount_total & 0xffffffff), 0),
  ifnull(sum(amount_refunded >> 32), 0), ifnull(sum(amount_refunded & 0xffffffff), 0),
  min(seen_at), count(seen_at) - count(amount_total)
FROM rows WHERE state = 'created' GROUP BY 1, 2 ORDER BY 2, 1
"""


class SessionTable:
    """What is stored of sessions, by an open connection."""

    def __init__(self, connection: Reader, rows: StoredRows) -> None:
        self._connection = connection
        self._rows = rows

    def see(self, row_id: str, facts: SessionFacts) -> None:
        """Write what the session of a row is now.

        Raises:
            JournalError: The row has none.
        """
        values = (*attrs.astuple(facts), row_id)
        if not self._connection.execute(_SEE, values).rowcount:
            path = self._connection.files.path
            raise refusal(path, "a session was seen of a row that has none")

    def to_be_seen(
        self, span: TimeSpan, after: int, limit: int, *, final: bool
    ) -> list[JournalRow]:
        """Return a page of rows; see `Sessions.to_be_seen`."""
        values = span.since, span.until, final, after, limit
        return list(self._rows.where(_TO_BE_SEEN, *values))

    def count_to_be_seen(self, span: TimeSpan, *, final: bool) -> int:
        """Return how many rows `to_be_seen` has in all."""
        values = span.since, span.until, final
        [(count,)] = self._connection.execute(_COUNT_TO_BE_SEEN, values)
        return int(count)

    def last_seen_at(self) -> float | None:
        """Return when a session was last looked at."""
        [(last,)] = self._connection.execute("SELECT max(seen_at) FROM rows")
        return None if last is None else float(last)

    def counts(self) -> list[SessionCount]:
        """Return how many sessions are alike, and what they come to."""
        return [
            SessionCount(
                *(status, currency, count),
                amount_total=(total << 32) + more,
                amount_refunded=(back << 32) + rest,
                seen_at=seen_at,
                without_amount=untold,
            )
            for status, currency, count, total, more, back, rest, seen_at, untold in (
                self._connection.execute(_COUNTS)
            )
        ]


class Sessions:
    """What a journal knows of the sessions of its rows."""

    def __init__(self, order: Order, table: SessionTable) -> None:
        self._order = order
        self._table = table

    def see(self, row_id: str, facts: SessionFacts) -> Awaitable[None]:
        """Write what the session of a row is now.

        Raises:
            JournalError: From the awaitable: the row has none, or the journal is
                broken.
        """
        return self._order(partial(self._table.see, row_id, facts))

    async def to_be_seen(
        self,
        span: TimeSpan,
        *,
        final: bool = False,
        after: int = 0,
        limit: int = 10_000,
    ) -> list[JournalRow]:
        """Return a page of the rows, by position, whose sessions are to be looked at.

        Args:
            span: Those that were seen in it are left out.
            final: Final sessions, too: those that are completed or expired, and have
                no refund in doubt.
            after: The position of the last row of the page before; 0 for the first.
            limit: How many rows a page has at most.
        """
        page: Callable[[], list[JournalRow]] = partial(
            self._table.to_be_seen, span, after, limit, final=final
        )
        return await self._order(page)

    async def count_to_be_seen(self, span: TimeSpan, *, final: bool = False) -> int:
        """Return how many rows `to_be_seen` has in all."""
        count = partial(self._table.count_to_be_seen, span, final=final)
        return await self._order(count)

    async def last_seen_at(self) -> float | None:
        """Return when a session was last looked at, in epoch seconds, if ever."""
        return await self._order(self._table.last_seen_at)

    async def counts(self) -> list[SessionCount]:
        """Return how many sessions are alike, and what they come to.

        This reads the whole file.
        """
        return await self._order(self._table.counts)
