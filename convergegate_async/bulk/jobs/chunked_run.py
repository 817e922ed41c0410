"""What a run knows of the chunks that it handed out: values, and a clock."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import RowOutcome
from convergegate_async.bulk.sending.pace import Pace
from convergegate_async.bulk.sending.retry_queue import RetryQueue
from convergegate_async.errors import CallError, ConfigurationError

from .chunks import ChunkResult, chunk_rows

T = TypeVar("T")


class ChunkedRun(Generic[T]):
    """Which chunks are under way, what is taken up again, and when to end.

    A worker paces its own chunk; what lasts longer than a chunk is known here only.

    Attributes:
        again: Rows that are pending again, and what came of them last.
        error: What ends the run.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.again: RetryQueue[tuple[T, RowOutcome]] = RetryQueue()
        self.error: CallError | ConfigurationError | None = None
        self._clock = clock
        self._limits = limits
        self._pace = Pace(limits)
        self._under_way: dict[int, list[T]] = {}
        self._number = 0

    @property
    def is_answered(self) -> bool:
        """Whether the gateway has answered anything in this run."""
        return self._pace.is_answered

    def rows(self, rate: float | None) -> int:
        """Return how many rows the next chunk has: one, while nothing gets through."""
        return 1 if self._pace.breaker.is_open else chunk_rows(rate)

    async def with_again(self, tasks: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield *tasks*, and between and behind them what is taken up again."""
        while True:
            back = self.again.take_due()
            task = back[0] if back is not None else await anext(tasks, None)
            if task is None:
                break
            yield task
        while (back := self.again.take_next()) is not None:
            yield back[0]

    def hand_out(self, tasks: list[T]) -> tuple[int, float]:
        """Note a chunk; return its number, and the seconds that it has to wait."""
        self._number += 1
        self._under_way[self._number] = tasks
        pause = self._pace.wait(self._clock())
        self._pace.breaker.let_through()
        return self._number, pause

    def take_back(self, number: int) -> list[T]:
        """Return the rows of a chunk that is over."""
        return self._under_way.pop(number)

    def learn(self, result: ChunkResult) -> bool:
        """Learn from a chunk; tell whether the run is to end."""
        now, last = self._clock(), None
        # What came later was sent after the pause was over; of the rest nobody knows.
        paused_from = len(result.outcomes) - self._limits.concurrency
        for number, outcome in enumerate(result.outcomes):
            self._pace.breaker.let_through()  # the worker has probed by itself
            self._pace.note(outcome, now)
            if not isinstance(outcome.error, CallError):
                continue
            if number >= paused_from:
                self._pace.note_retry_after(outcome.error, now)
            last = outcome.error
            if self._pace.ending is not None:
                self.error = self.error or last
        if self._pace.looks_unreachable:
            self.error = self.error or last
        self.error = self.error or result.error
        return self.error is not None

    def left(self) -> Iterator[RowOutcome]:
        """Yield the last outcome of each row that is not taken up again any more."""
        for _, outcome in self.again:
            yield outcome
