"""A row in doubt, and whether a session could be what came of it."""

from collections.abc import Mapping
from typing import Self

import attrs

from convergegate_async._core.echo import ECHO_FIELDS, differing_fields
from convergegate_async._core.endpoints import CREATE_ECHO
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.bulk.tables.rows import Row
from convergegate_async.models import CheckoutSession

from .resume_rules import KEY_WINDOW

CLOCKS_DIFFER = 300.0
"""Seconds that the gateway's clock may be ahead of ours, or behind it."""


@attrs.frozen(eq=False)
class Doubt:
    """A row in doubt: what its session has to repeat, and when it may have been made.

    Attributes:
        since: Epoch seconds, and so is *until*.
    """

    row_id: str
    expected: Mapping[str, object] = attrs.field(repr=False)
    since: float
    until: float

    @classmethod
    def of(cls, row: Row, known: JournalRow) -> Self:
        """Return the doubt about *row*, which is as it was sent."""
        return cls(
            row.row_id,
            CREATE_ECHO.expected_of(row.request),
            since=known.sent_at - CLOCKS_DIFFER,
            until=(known.sent_until or known.sent_at) + KEY_WINDOW + CLOCKS_DIFFER,
        )

    def differing(self, session: CheckoutSession) -> tuple[str, ...]:
        """Return the fields in which *session* is none that the row could ask for."""
        return differing_fields(self.expected, session, ECHO_FIELDS)

    def fits_time(self, session: CheckoutSession) -> bool:
        """Tell whether *session* was made when the row may have asked for it."""
        made = session.created_at
        return made is not None and self.since <= made.timestamp() <= self.until
