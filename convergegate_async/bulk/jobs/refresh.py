"""Sessions of a job are looked at again, until they are final."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import is_pending
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.bulk.sending.workers import Workers
from convergegate_async.errors import CallError, InvalidFieldError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models import CheckoutSession

from .progress_file import JobProgress, noted_progress
from .refund_doubts import settle
from .row_counts import RowCounts
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


class Refresh:
    """Looks at the sessions of a job that are not final, once.

    Args:
        journal: What is known of the rows.
        factory: Open.
        limits: How fast.
        path: Where it is written down how far it is; nowhere if `None`.
    """

    def __init__(
        self,
        journal: Journal,
        factory: CheckoutSessionFactory,
        limits: Limits,
        path: Path | None = None,
    ) -> None:
        self._path = path
        self._done = 0
        self._total: int | None = None
        self._counts = RowCounts(rows=None)
        self._journal = journal
        self._factory = factory
        self._runtime = context_of(factory).runtime
        self._limits = limits
        self._workers: Workers[JournalRow, SessionSeen] | None = None
        self._is_stopped = False
        self._has_refunds = False

    @property
    def is_begun(self) -> bool:
        """Whether it has begun to look."""
        return self._workers is not None

    @property
    def progress(self) -> JobProgress:
        """How far it is."""
        return JobProgress(
            at=self._runtime.now(),
            doing="refresh",
            done=self._done,
            total=self._total,
            counts=self._counts,
        )

    @property
    def pace(self) -> PaceInfo | None:
        """What holds looks back just now; `None` before it begins."""
        return None if self._workers is None else self._workers.pace

    def stop(self) -> None:
        """Look at no further session; what is under way goes on to its end."""
        self._is_stopped = True
        if self._workers is not None:
            self._workers.stop()

    async def outcomes(self, *, final: bool) -> AsyncGenerator[SessionSeen, None]:
        """Look; see `Job.refresh`."""
        begun_at = await self._begin()
        counting = self._journal.sessions.count_to_be_seen(begun_at, final=final)
        self._total = await counting
        self._workers = Workers(
            self._factory,
            self._rows(begun_at, final=final),
            self._look,
            self._limits,
            goes_again=lambda _, seen: is_pending(seen),
        )
        if self._is_stopped:
            self._workers.stop()
        async with (
            noted_progress(self._path, lambda: self.progress),
            aclosing(self._workers.outcomes()) as outcomes,
        ):
            async for seen in outcomes:
                self._done += 1
                yield seen
        if not self._is_stopped:
            await self._journal.note_refresh(None)

    async def _begin(self) -> float:
        """Return since when a look counts."""
        now, journal = self._runtime.now(), self._journal
        self._counts = RowCounts.of(await journal.counts(), journal.header)
        self._has_refunds = bool(await journal.refunds.counts())
        last = await journal.sessions.last_seen_at()
        begun_at = begin_of_looks(now, journal.header.refresh_at, last)
        await journal.note_refresh(begun_at)
        return begun_at

    async def _rows(self, begun_at: float, *, final: bool) -> AsyncIterator[JournalRow]:
        after = 0
        while page := await self._journal.sessions.to_be_seen(
            begun_at, final=final, after=after, limit=_PAGE
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
            for refund in await self._journal.refunds.of_sessions(session.id):
                await settle(self._journal, refund, facts)
        return SessionSeen(row=row, session=session)
