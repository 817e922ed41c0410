"""Rows in doubt that somebody has settled by hand, and who that was."""

import attrs

from .connection import Reader
from .records import Resolution, RowResult, refusal
from .stored_rows import StoredRows

# Unlike what a run is told, somebody's word ends a doubt, whatever was before it.
_RESOLVE = """
UPDATE rows SET completed = ?, state = ?, session_id = ?, url = ?, http_status = NULL,
  code = ?, message = ?, sent_until = NULL
WHERE row_id = ? AND state IN ('sent', 'unknown')
"""
_NOTE = """
INSERT INTO resolutions
  (row_id, session_id, resolved_by, resolved_at, batch, refund_id)
VALUES (?, ?, ?, ?, ?, ?)
"""
_ALL = """
SELECT row_id, session_id, resolved_by, resolved_at, batch, refund_id
FROM resolutions ORDER BY number
"""


class ResolutionTable:
    """Who has settled which row, by an open connection."""

    def __init__(self, connection: Reader, rows: StoredRows) -> None:
        self._connection = connection
        self._rows = rows

    def resolve(self, result: RowResult, completed: int, by: str, now: float) -> None:
        """Settle a row, and note who did; see `Journal.resolve`.

        Args:
            result: What became of it.
            completed: Its place in the order of completion.
            by: The user's name.
            now: Epoch seconds.

        Raises:
            JournalError: It is not in doubt.
        """
        values = (
            *(completed, result.state.value, result.session_id),
            self._rows.spelled(result.url, result.session_id),
            *(result.code, result.message, result.row_id),
        )
        if not self._connection.execute(_RESOLVE, values).rowcount:
            path = self._connection.files.path
            raise refusal(path, "a row was to be resolved that is not in doubt")
        self.note(Resolution(result.row_id, result.session_id, by, now))

    def note(self, resolution: Resolution) -> None:
        """Note what somebody has said."""
        self._connection.execute(_NOTE, attrs.astuple(resolution))

    def all(self) -> list[Resolution]:
        """Return who has settled which row, in the order of that."""
        return [Resolution(*row) for row in self._connection.execute(_ALL)]
