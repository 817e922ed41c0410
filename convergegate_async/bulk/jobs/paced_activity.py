"""What a job does to many of its sessions, at the pace of a run."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import Outcome, is_pending
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.bulk.sending.workers import Workers
from convergegate_async.factory import CheckoutSessionFactory, context_of

from .progress_file import JobProgress, noted_progress
from .row_counts import RowCounts

T = TypeVar("T")
R = TypeVar("R", bound=Outcome)


class PacedActivity(Generic[T, R]):
    """Does something for one item after the other, several at once.

    What is to come back later, as its error says, is taken up again in between.

    Args:
        journal: What is known of the rows.
        factory: Open, with the retry policy of the job.
        limits: How fast.
        path: Where it is written down how far it is; nowhere if `None`.

    Attributes:
        limits: How fast.
    """

    doing: ClassVar[str]

    def __init__(
        self,
        journal: Journal,
        factory: CheckoutSessionFactory,
        limits: Limits,
        path: Path | None = None,
    ) -> None:
        self._journal = journal
        self._factory = factory
        self._runtime = context_of(factory).runtime
        self.limits: Limits = limits
        self._path = path
        self._workers: Workers[T, R] | None = None
        self._is_stopped = False
        self._done = 0
        self._total: int | None = None
        self._counts = RowCounts(rows=None)

    @property
    def is_begun(self) -> bool:
        """Whether it has begun."""
        return self._workers is not None

    @property
    def progress(self) -> JobProgress:
        """How far it is."""
        return JobProgress(
            at=self._runtime.now(),
            doing=self.doing,
            done=self._done,
            total=self._total,
            counts=self._counts,
        )

    @property
    def is_answered(self) -> bool:
        """Whether the gateway has said anything."""
        return self._workers is not None and self._workers.is_answered

    @property
    def pace(self) -> PaceInfo | None:
        """What holds it back just now; `None` before it begins."""
        return None if self._workers is None else self._workers.pace

    def stop(self) -> None:
        """Begin nothing further; what is under way goes on to its end."""
        self._is_stopped = True
        if self._workers is not None:
            self._workers.stop()

    async def _each(
        self,
        items: AsyncIterator[T],
        work: Callable[[CheckoutSessionFactory, T], Awaitable[R]],
        total: int,
    ) -> AsyncGenerator[R, None]:
        """Do *work* for each of so many *items*, and yield what came of it."""
        header, states = self._journal.header, await self._journal.counts()
        self._counts, self._total = RowCounts.of(states, header), total
        self._workers = Workers(
            self._factory,
            items,
            work,
            self.limits,
            goes_again=lambda _, outcome: is_pending(outcome),
        )
        if self._is_stopped:
            self._workers.stop()
        async with (
            noted_progress(self._path, lambda: self.progress),
            aclosing(self._workers.outcomes()) as outcomes,
        ):
            async for outcome in outcomes:
                self._done += 1
                yield outcome
