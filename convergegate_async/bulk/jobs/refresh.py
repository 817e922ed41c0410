"""Sessions of a job are looked at again, until they are final."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import attrs

from convergegate_async.bulk.journal.records import JournalRow, TimeSpan
from convergegate_async.errors import CallError, InvalidFieldError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSession

from .paced_activity import PacedActivity
from .refund_doubts import settle_refunds
from .session_facts import facts_of

GOES_ON_FOR = 3600.0
"""Seconds after its last look that a refresh, if it was ended, is gone on with."""

_PAGE = 1_000  # rows


@attrs.frozen(kw_only=True)
class SessionSeen:
    """What came of looking at the session of a row.

    Attributes:
        row: What was known of the row before.
        session: What the session is now; `None` if it could not be seen.
        error: Why not.
    """

    row: JournalRow
    session: CheckoutSession | None = None
    error: CallError | InvalidFieldError | None = None

    @property
    def row_id(self) -> str:
        """The id of the row."""
        return self.row.row_id


def begin_of_looks(now: float, begun_at: float | None, last: float | None) -> float:
    """Return since when a look counts: if one was ended just now, since its begin.

    Args:
        now: Epoch seconds, as are the others.
        begun_at: When a refresh was begun that is not over.
        last: When a session was seen last.
    """
    if begun_at is None or last is None or not 0 <= now - last < GOES_ON_FOR:
        return now
    return begun_at


class Refresh(PacedActivity[JournalRow, SessionSeen]):
    """Looks at the sessions of a job that are not final, once."""

    doing = "refresh"
    _has_refunds = False

    async def outcomes(self, *, final: bool) -> AsyncGenerator[SessionSeen, None]:
        """Look; see `Job.refresh`."""
        span, sessions = await self._begin(), self._journal.sessions
        total = await sessions.count_to_be_seen(span, final=final)
        looks = self._each(self._rows(span, final=final), self._look, total)
        async with aclosing(looks):
            async for seen in looks:
                yield seen
        if not self._is_stopped:
            await self._journal.note_refresh(None)

    async def _begin(self) -> TimeSpan:
        """Return since when a look counts, and until when."""
        now, journal = self._runtime.now(), self._journal
        self._has_refunds = bool(await journal.refunds.counts())
        last = await journal.sessions.last_seen_at()
        begun_at = begin_of_looks(now, journal.header.refresh_at, last)
        await journal.note_refresh(begun_at)
        return TimeSpan(since=begun_at, until=now)

    async def _rows(self, span: TimeSpan, *, final: bool) -> AsyncIterator[JournalRow]:
        after = 0
        while page := await self._journal.sessions.to_be_seen(
            span, final=final, after=after, limit=_PAGE
        ):
            for row in page:
                yield row
            after = page[-1].position

    async def _look(
        self, factory: CheckoutSessionFactory, row: JournalRow
    ) -> SessionSeen:
        if row.session_id is None:  # a row that is created has one
            raise AssertionError
        try:
            session = await factory.retrieve(row.session_id)
        except (CallError, InvalidFieldError) as error:
            return SessionSeen(row=row, error=error)
        facts = facts_of(session, self._runtime.now())
        await self._journal.sessions.see(row.row_id, facts)
        if self._has_refunds:
            await settle_refunds(self._journal, factory, row.session_id, facts)
        return SessionSeen(row=row, session=session)
