"""A cursor over an input: each row beside what the journal knows of it."""

from collections.abc import AsyncIterator, Iterable

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JournalRow, State
from convergegate_async.bulk.tables.row_counter import RowCounter
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.seen import SeenTexts

from .dead_letters import DeadLetters
from .paging import in_chunks
from .progress import Tally


@attrs.define
class InputEntry:
    """A row of the input, and what the journal knows of it.

    Attributes:
        index: Its place among all that are given, from 0: unlike a position, which
            counts in one file, no other row of the job has it.
    """

    index: int
    row: Row
    known: JournalRow | None


class InputCursor:
    """Passes over rows once: good ones are yielded, bad ones counted and put aside.

    Whoever goes on after another was cut off misses no row.

    Args:
        rows: The input.
        journal: What is known of the rows.
        tally: Where bad rows are counted.
        dead_letters: Where they are put.
    """

    def __init__(
        self,
        rows: Iterable[Row | Problem],
        journal: Journal,
        tally: Tally,
        dead_letters: DeadLetters,
    ) -> None:
        self._batches = in_chunks(rows)
        self._journal = journal
        self._tally = tally
        self._dead_letters = dead_letters
        self._seen = SeenTexts()
        self._counter = RowCounter()
        self._invalid = 0
        self._fault: Exception | None = None
        self._batch: list[Row | Problem] = []
        self._known: dict[str, JournalRow] | None = None

    @property
    def count(self) -> int:
        """How many rows were passed."""
        return self._counter.count

    @property
    def invalid(self) -> int:
        """How many of them cannot be sent, and are no rows of the journal."""
        return self._invalid

    def __aiter__(self) -> AsyncIterator[InputEntry]:
        return self

    async def __anext__(self) -> InputEntry:
        while True:
            if self._known is None:
                await self._look_up()
            while self._batch:
                entry = self._entry_of(self._batch.pop(0))
                if entry is not None:
                    return entry
            self._known = None

    async def _look_up(self) -> None:
        if self._fault is not None:
            raise self._fault
        try:
            # A look-up that is cancelled leaves its batch to whoever goes on.
            self._batch = self._batch or next(self._batches, [])
        except Exception as error:
            self._fault = error  # or the input would seem to end here
            raise
        if not self._batch:
            raise StopAsyncIteration
        row_ids = [row.row_id for row in self._batch if row.row_id is not None]
        self._known = await self._journal.lookup(row_ids)

    def _entry_of(self, row: Row | Problem) -> InputEntry | None:
        is_new = self._counter.take(row)
        index = self.count - 1
        known = (self._known or {}).get(row.row_id or "")
        if isinstance(row, Problem):
            if is_new:  # a row may have several problems
                self._tally.invalid += 1
                self._invalid += known is None
                if self._is_dead(known):
                    self._dead_letters.add_problem(index, row)
        elif not self._seen.add(row.row_id):
            # Of two rows under one id one is sent. The other is no dead letter: sent by
            # another job, it would open a second session for the same order.
            self._tally.repeated.append(row.line)
            self._tally.invalid += 1
            self._invalid += 1
        else:
            return InputEntry(index, row, known)
        return None

    def _is_dead(self, known: JournalRow | None) -> bool:
        """Tell whether a spoilt row has no session from before it was spoilt."""
        if known is None:  # what damage took from the journal may have been sent
            return self._journal.header.damaged_at is None
        return known.state is State.REJECTED
