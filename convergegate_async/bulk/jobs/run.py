"""One run of a job: a row is in the journal before a byte of it is on the wire.

It is longer than most modules, as both ways to send rows, from here or from workers
elsewhere, share what comes before a row is sent, and after.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import attrs

from convergegate_async._core.codec import encode_form
from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import Intent, RowResult, State
from convergegate_async.bulk.sending.create_many import create_one
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import (
    Numbered,
    Rejected,
    RowOutcome,
    is_pending,
)
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.bulk.sending.workers import Workers
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import AuthenticationError, ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models.code_generation import new_draft, sealed
from convergegate_async.runners import Done, Runner

from .chunked_run import ChunkedRun
from .chunks import CallOptions, Chunk, ChunkResult, Home, check_key, first_of, work_on
from .dead_letters import DeadLetters
from .header import fingerprint_of
from .input_cursor import InputCursor, InputEntry
from .job_plan import JobPlan
from .progress import Tally
from .progress_file import JobProgress, noted_progress
from .resume_rules import Decision
from .row_counts import RowCounts
from .row_results import (
    INTERRUPTED,
    interrupted_result,
    outcome_result,
    row_outcome,
)


@attrs.define
class _Task:
    entry: InputEntry
    body: bytes = attrs.field(repr=False)
    fingerprint: bytes
    times: int = 0  # that it came back


class Run:
    """Sends what is to be sent of a job, once.

    Args:
        journal: What is known of the rows.
        factory: What is called, with the retry policy of the job.
        plan: What to do.
        path: Where it is written down how far it is; nowhere if `None`.

    Attributes:
        tally: How far it has come.
    """

    def __init__(
        self,
        journal: Journal,
        factory: CheckoutSessionFactory,
        plan: JobPlan,
        path: Path | None = None,
    ) -> None:
        self.tally: Tally = Tally()
        self._journal = journal
        self._factory = factory
        self._runtime = context_of(factory).runtime
        self._plan = plan
        self._rules = plan.rules
        self._path = path
        self._states: Counter[State] = Counter()
        self._workers: Workers[_Task, RowOutcome] | None = None
        self._under_way: dict[int, InputEntry] = {}
        self._writing: dict[int, tuple[RowOutcome, Awaitable[None]]] = {}
        self._is_stopped = False
        self._is_whole = False
        self._dead_letters = DeadLetters()
        self._cursor: InputCursor | None = None
        self._failed_before: dict[int, InputEntry] = {}

    @property
    def is_begun(self) -> bool:
        """Whether it has looked at a row."""
        return self._cursor is not None

    @property
    def pace(self) -> PaceInfo | None:
        """What holds rows back just now; `None` before it begins, or on a runner."""
        return None if self._workers is None else self._workers.pace

    @property
    def limits(self) -> Limits:
        """How fast it may be."""
        return self._plan.limits

    @property
    def is_answered(self) -> bool:
        """Whether the gateway has said anything about a row."""
        return bool(self.tally.answered)

    @property
    def progress(self) -> JobProgress:
        """How far it is, and where all rows are, those of earlier runs, too."""
        header = self._journal.header
        invalid = 0 if self._cursor is None else self._cursor.invalid
        done, total = self.tally.seen, header.total
        return JobProgress(
            at=self._runtime.now(),
            doing="run",
            done=done,
            total=None if total is None else max(total, done),  # an input may grow
            counts=RowCounts.of(self._states, header, invalid),
        )

    def stop(self) -> None:
        """Begin no further row; what is under way goes on to its end."""
        self._is_stopped = True
        if self._workers is not None:
            self._workers.stop()

    def close(self) -> None:
        """Forget the dead letters."""
        self._dead_letters.close()

    async def here(
        self, rows: Iterable[Row | Problem] | None
    ) -> AsyncGenerator[RowOutcome, None]:
        """Send from this process; see `Job.run`."""
        cursor = await self._begin(rows)
        self._workers = Workers(
            self._factory,
            self._tasks(cursor),
            self._send,
            self._plan.limits,
            goes_again=self._goes_again,
        )
        if self._is_stopped:
            self._workers.stop()
        try:
            async with self._noted(), aclosing(self._workers.outcomes()) as outcomes:
                async for call_outcome in outcomes:
                    outcome, written = self._writing.pop(call_outcome.index)
                    await written
                    self.tally.count(outcome)
                    yield outcome
        finally:
            # What nobody waited to hear is durable all the same.
            left = [written for _, written in self._writing.values()]
            await asyncio.gather(*left, return_exceptions=True)

    async def on(
        self, runner: Runner, rows: Iterable[Row | Problem] | None
    ) -> AsyncGenerator[RowOutcome, None]:
        """Send from the workers of *runner*; see `Job.run_on`."""
        if not self._rules.keys_honoured:
            message = "a lost worker's rows are sent again: that needs keys_honoured"
            raise ConfigurationError(message)
        CallOptions.of(self._factory)  # or they cannot be had elsewhere
        cursor = await self._begin(rows)
        chunked: ChunkedRun[_Task] = ChunkedRun(self._plan.limits, self._runtime.clock)
        async with self._noted(), runner:
            await runner.everywhere(check_key, self._home)
            while True:
                chunks = self._chunks(cursor, runner, chunked)
                async with aclosing(runner.map(work_on, chunks)) as results:
                    async for done in results:
                        for outcome in await self._take_in(done, chunked):
                            yield outcome
                if self._is_stopped or not chunked.again:
                    break
        for outcome in chunked.left():
            self.tally.count(outcome)
            yield outcome
        if chunked.error is not None:
            raise chunked.error

    def _noted(self) -> AbstractAsyncContextManager[None]:
        """Write down how far it is, again and again."""
        return noted_progress(self._path, lambda: self.progress)

    async def gather_dead_letters(self) -> DeadLetters:
        """Return the rows that came to no session, those of earlier runs, too.

        What the run has not come to is looked through.
        """
        cursor = self._cursor or self._begin_cursor(None)
        async for entry in cursor:
            self._note_failed(entry)
        await self._keep_total(cursor)
        for entry in self._failed_before.values():
            self._note_failed(entry)
        self._failed_before.clear()
        return self._dead_letters

    async def _begin(self, rows: Iterable[Row | Problem] | None) -> InputCursor:
        if self.is_begun:
            message = "a Job runs once: go on with another, by Job.resume"
            raise ConfigurationError(message)
        self._plan.limits.require_kept_by(self._factory)
        context_of(self._factory).require_open()
        cursor = self._begin_cursor(rows)
        self._states.update(await self._journal.counts())
        return cursor

    def _begin_cursor(self, rows: Iterable[Row | Problem] | None) -> InputCursor:
        self._is_whole = rows is None
        rows = self._plan.rows() if rows is None else rows
        self._cursor = InputCursor(rows, self._journal, self.tally, self._dead_letters)
        return self._cursor

    @property
    def _home(self) -> Home:
        header = self._journal.header
        return Home(
            base_url=header.base_url,
            salt=header.salt,
            api_key_fingerprint=header.api_key_fingerprint,
        )

    async def _chunks(
        self, cursor: InputCursor, runner: Runner, chunked: ChunkedRun[_Task]
    ) -> AsyncIterator[Chunk]:
        tasks = chunked.with_again(self._tasks(cursor))
        limits, options = self._plan.limits, CallOptions.of(self._factory)
        while not self._is_stopped:
            # Workers come and go: the share is that of this moment.
            rate = limits.maximum_rps and limits.maximum_rps / runner.slots
            batch = [task async for task in first_of(tasks, chunked.rows(rate))]
            if not batch:
                return
            await asyncio.gather(*[self._intend(task) for task in batch])
            number, pause = chunked.hand_out(batch)
            yield Chunk(
                number=number,
                home=self._home,
                options=options,
                rows=tuple(self._numbered(task.entry) for task in batch),
                limits=attrs.evolve(limits, maximum_rps=rate),
                pause=pause,
                is_answered=chunked.is_answered,
            )

    async def _take_in(
        self, done: Done[ChunkResult], chunked: ChunkedRun[_Task]
    ) -> list[RowOutcome]:
        """Write what became of a chunk; return what is to be told of its rows."""
        result, is_lost = done.result, done.again
        tasks = chunked.take_back(result.number)
        by_index = {task.entry.index: task for task in tasks}
        writing, final = [], []
        for call_outcome in result.outcomes:
            task = by_index.pop(call_outcome.index)
            outcome, written = self._write(call_outcome, is_lost=is_lost)
            writing.append(written)
            if not is_lost and self._goes_again(task, call_outcome):
                back = attrs.evolve(task, times=task.times + 1)
                chunked.again.put((back, outcome), task.times)
            else:
                final.append(outcome)
        writing += [
            self._withdraw(task.entry, is_lost=is_lost) for task in by_index.values()
        ]
        await asyncio.gather(*writing)
        for outcome in final:
            self.tally.count(outcome)
        if chunked.learn(result):
            self.stop()
        return final

    def _withdraw(self, entry: InputEntry, *, is_lost: bool) -> Awaitable[None]:
        """Have it written of a row that it was not sent after all."""
        del self._under_way[entry.index]
        if is_lost:
            return self._give_up(entry)
        self._failed_before[entry.index] = entry
        return self._journal.forget(entry.row.row_id)

    async def _tasks(self, cursor: InputCursor) -> AsyncIterator[_Task]:
        async for entry in cursor:
            if self._is_stopped:
                self._note_failed(entry)
                return
            task = await self._judge(entry)
            if task is not None:
                yield task
        await self._keep_total(cursor)

    async def _keep_total(self, cursor: InputCursor) -> None:
        # What was handed in may be a part of the input.
        if not self._is_whole:
            return
        header = self._journal.header
        now = max(cursor.count, header.total or 0), cursor.invalid
        if now != (header.total, header.invalid):
            await self._journal.set_total(*now)

    async def _judge(self, entry: InputEntry) -> _Task | None:
        """Return what is to be done with a row, if anything is; count it if not."""
        row = entry.row
        body = encode_form(row.request)
        mark = fingerprint_of(body, self._journal.header.salt)
        task = _Task(entry, body, mark)
        del body  # tracebacks show locals
        match self._rules.decide(entry.known, mark, self._runtime.now()):
            case Decision.SEND:
                self._failed_before[entry.index] = entry  # until it is on its way
                return task
            case Decision.SKIP:
                self.tally.skipped += 1
                self._note_failed(entry)
            case Decision.CHANGED:
                self.tally.changed.append(row.row_id)
                self._note_failed(entry)
            case Decision.GIVE_UP:
                await self._give_up(entry)
        return None

    def _give_up(self, entry: InputEntry) -> Awaitable[None]:
        """Have it written of a row that nobody knows what became of it."""
        self.tally.unknown += 1
        self.tally.codes[INTERRUPTED] += 1
        return self._complete(interrupted_result(entry.row.row_id), entry)

    def _note_failed(self, entry: InputEntry) -> None:
        if entry.known is not None and entry.known.state is State.REJECTED:
            self._dead_letters.add_failed(entry.index, entry.row, entry.known)

    async def _send(self, factory: CheckoutSessionFactory, task: _Task) -> RowOutcome:
        await self._intend(task)
        try:
            outcome = await create_one(factory, self._numbered(task.entry, task.body))
        except ConfigurationError:  # the factory is closed: the row was not sent
            await self._withdraw(task.entry, is_lost=False)
            raise
        # The worker is free for the next row while this one is made durable.
        _, written = self._writing[outcome.index] = self._write(outcome)
        if is_pending(outcome):  # and may be taken up again before anybody is told
            await written
        return outcome

    def _goes_again(self, task: _Task, outcome: RowOutcome) -> bool:
        """Tell whether a row is taken up again: not one that was in doubt too long."""
        if not is_pending(outcome):
            return False
        known, now = task.entry.known, self._runtime.now()
        return self._rules.decide(known, task.fingerprint, now) is Decision.SEND

    async def _intend(self, task: _Task) -> None:
        entry = task.entry
        intent = new_draft(Intent)
        intent.row_id = entry.row.row_id
        intent.position = entry.index + 1
        intent.fingerprint = task.fingerprint
        intent.sent_at = self._runtime.now()
        # Before: an intent is written even if the wait for it is cancelled.
        self._failed_before.pop(entry.index, None)
        await self._journal.intend(sealed(intent, Intent))
        self._under_way[entry.index] = entry

    def _write(
        self, outcome: RowOutcome, *, is_lost: bool = False
    ) -> tuple[RowOutcome, Awaitable[None]]:
        """Have it written what came of a row's last call.

        Args:
            outcome: What came of the call alone.
            is_lost: A worker was lost that may have sent the row, too.

        Returns:
            What became of the row over all runs, and what is done once it is durable.
        """
        entry = self._under_way.pop(outcome.index)
        row = entry.row
        wrong_key = isinstance(outcome, Rejected) and isinstance(
            outcome.error, AuthenticationError
        )
        if not is_lost and (wrong_key or is_pending(outcome)):
            self._failed_before[entry.index] = entry  # it is what it was before
            written = self._journal.forget(row.row_id)
        else:
            result = outcome_result(row.row_id, outcome, entry.known, is_lost=is_lost)
            if result.state is State.REJECTED:
                self._dead_letters.add_failed(entry.index, row, result)
            written = self._complete(result, entry)
        return row_outcome(entry.known, outcome, is_lost=is_lost), written

    def _complete(self, result: RowResult, entry: InputEntry) -> Awaitable[None]:
        if entry.known is not None:
            self._states[entry.known.state] -= 1
        self._states[result.state] += 1
        return self._journal.complete(result)

    def _numbered(self, entry: InputEntry, body: bytes | None = None) -> Numbered:
        row = entry.row
        key = derive_key(self._journal.header.job, row.row_id)
        return Numbered(entry.index, row.request, key, body, row.row_id)
