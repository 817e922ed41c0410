"""How many rows of a job are where, in four words that add up."""

from collections.abc import Mapping
from typing import Self

import attrs

from convergegate_async.bulk.journal.records import JobHeader, State


@attrs.frozen(kw_only=True)
class RowCounts:
    """How many rows of a job are where; together they are all.

    Attributes:
        rows: How many the input has; `None` until that is known.
        created: They have their session.
        rejected: The gateway refused them, or they cannot be sent as they are.
        unknown: They may or may not have a session.
    """

    rows: int | None
    created: int = 0
    rejected: int = 0
    unknown: int = 0

    @classmethod
    def of(
        cls, states: Mapping[State, int], header: JobHeader, invalid: int = 0
    ) -> Self:
        """Count the rows of a journal.

        Args:
            states: How many of its rows are in each state.
            header: What the job is.
            invalid: How many rows were found so far that cannot be sent, if the header
                does not know more.
        """
        created = states.get(State.CREATED, 0)
        rejected = states.get(State.REJECTED, 0) + max(header.invalid, invalid)
        unknown = states.get(State.UNKNOWN, 0) + states.get(State.SENT, 0)
        rows = header.total
        if rows is not None:  # a row that was sent counts, though the input lost it
            rows = max(rows, created + rejected + unknown)
        return cls(rows=rows, created=created, rejected=rejected, unknown=unknown)

    @property
    def pending(self) -> int | None:
        """How many are still to be sent; `None` where it is not known how many are."""
        if self.rows is None:
            return None
        return self.rows - self.created - self.rejected - self.unknown

    def __str__(self) -> str:
        counts = [
            f"created {self.created:,}",
            f"rejected {self.rejected:,}",
            f"unknown {self.unknown:,}",
        ]
        if self.pending is not None:
            counts.append(f"pending {self.pending:,}")
        return ", ".join(counts)
