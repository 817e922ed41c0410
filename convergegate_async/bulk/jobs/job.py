"""Durable jobs: a row is in the journal before a byte of it is on the wire.

It is longer than most modules, as both ways to send a row share what comes before it is
sent, and after.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable
from contextlib import ExitStack, aclosing
from pathlib import Path
from types import AsyncGeneratorType, TracebackType
from typing import Self

import attrs

from convergegate_async._core.codec import encode_form
from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import Intent, JournalError, State
from convergegate_async.bulk.sending.create_many import create_one
from convergegate_async.bulk.sending.outcomes import (
    Numbered,
    Rejected,
    RowOutcome,
    is_pending,
)
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.bulk.sending.workers import Workers
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.writers import write_dead_letters
from convergegate_async.errors import (
    AuthenticationError,
    ConfigurationError,
    ConvergeGateError,
)
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models.code_generation import new_draft, sealed
from convergegate_async.runners import Done, Runner

from .chunked_run import ChunkedRun
from .chunks import CallOptions, Chunk, ChunkResult, Home, check_key, first_of, work_on
from .dead_letters import DeadLetters
from .folder import JobFolder
from .header import fingerprint_of, new_header, require_same_home
from .job_plan import JobPlan, plan_of
from .passage import Met, Passage
from .progress import Tally
from .resume_rules import Decision, OnUnknown
from .row_results import interrupted_result, outcome_result, row_outcome


@attrs.define
class _Task:
    met: Met
    body: bytes = attrs.field(repr=False)
    fingerprint: bytes
    times: int = 0  # that it came back


class Job:
    """Opens a session for every row of an input, over as many runs as it takes.

    Begin one, or go on with one, by its folder::

        async with await Job.begin(folder, plan, factory) as job:
            async for outcome in job.run():
                ...

    Left in the middle of a run, by a ``break`` or an error, it begins no further row;
    what is under way goes on to its end and is written down, which takes no longer than
    the factory's *timeouts.total*. A cancelled job does not wait for it. Should the
    journal fail then, leaving raises the `JournalError`.

    Args:
        journal: What is known of the rows.
        factory: Open; the job repeats by the rules of *plan*, whatever the factory's
            own policy.
        plan: What to do.
        folder: Where dead letters go; needed for `write_dead_letters` only.

    Attributes:
        plan: What it does.
        tally: How far this run has come.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode.
    """

    def __init__(
        self,
        journal: Journal,
        factory: CheckoutSessionFactory,
        plan: JobPlan | None = None,
        folder: JobFolder | None = None,
    ) -> None:
        require_same_home(journal.header, factory)
        self.plan: JobPlan = plan or JobPlan()
        self.tally: Tally = Tally()
        self._journal = journal
        self._rules = self.plan.rules
        context = context_of(factory)
        self._factory = factory.with_options(retry=self._rules.policy(context.policy))
        self._runtime = context.runtime
        self._folder = folder
        self._workers: Workers[_Task] | None = None
        self._under_way: dict[int, Met] = {}
        self._writing: dict[int, tuple[RowOutcome, Awaitable[None]]] = {}
        self._runs: list[AsyncGenerator[RowOutcome, None]] = []
        self._is_stopped = False
        self._is_whole = False
        self._dead_letters = DeadLetters()
        self._passage: Passage | None = None
        self._failed_before: dict[int, Met] = {}

    @classmethod
    async def begin(
        cls,
        folder: JobFolder,
        plan: JobPlan,
        factory: CheckoutSessionFactory,
        *,
        total: int | None = None,
    ) -> Self:
        """Make the journal of a new job; nothing is sent yet.

        Args:
            folder: Where the job's files go, and its name.
            plan: What to do. Check the rows before, by `check`.
            factory: Open, or to be opened before `run`.
            total: How many rows the input has, if that is known: who has counted them
                has read them, so that the file is not looked at again here.

        Raises:
            ConfigurationError: There is a job of that name, the input would be written
                over, or the factory's pool has no room for *concurrency*.
            SourceError: The plan's file cannot be read.
            JournalError: The journal cannot be made there.
        """
        folder.require_new()
        plan = await asyncio.to_thread(plan.kept_in, folder)
        plan.limits.require_kept_by(factory)
        if plan.source and total is None:
            next(plan.rows(), None)  # or it cannot be read at all
        # In the file from its first byte on: a lost -wal does not take it along.
        header = attrs.evolve(new_header(factory, folder.job, plan), total=total)
        with ExitStack() as opened:
            journal = opened.enter_context(Journal.create(folder.journal, header))
            job = cls(journal, factory, plan, folder)
            opened.pop_all()
        return job

    @classmethod
    async def resume(
        cls,
        folder: JobFolder,
        factory: CheckoutSessionFactory,
        *,
        on_unknown: OnUnknown | None = None,
        retries_failed: bool = False,
    ) -> Self:
        """Go on with a job, whoever began it.

        Args:
            folder: Where the job's files are, and its name.
            factory: For the gateway and the key that the job was begun with.
            on_unknown: In the place of what it was begun with.
            retries_failed: Send the rows again that the gateway rejected.

        Raises:
            JournalError: There is no such job, its journal is refused, or it belongs
                to another gateway, key, or mode.
        """
        with ExitStack() as opened:
            journal = opened.enter_context(Journal.open(folder.journal))
            plan = plan_of(journal.header, on_unknown, retries_failed=retries_failed)
            job = cls(journal, factory, plan, folder)
            opened.pop_all()
        return job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        is_cut = isinstance(error, BaseException) and not isinstance(error, Exception)
        self.stop()
        try:
            for outcomes in self._runs:
                while _is_awaited(outcomes):  # noqa: ASYNC110 -- by another task
                    await asyncio.sleep(0.01)
                if is_cut or self._passage is None:  # cancelled, or never begun
                    await outcomes.aclose()
                else:
                    await _exhaust(outcomes)
        except JournalError:
            if error is None:  # else that is what ended the job
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Close the journal, so that others can have it; a run has to be over."""
        self._dead_letters.close()
        self._journal.close()

    @property
    def total(self) -> int | None:
        """How many rows the input has, if that is known."""
        return self._journal.header.total

    @property
    def base_url(self) -> str:
        """The gateway that it was begun with, and calls in every run."""
        return self._journal.header.base_url

    @property
    def pace(self) -> PaceInfo | None:
        """What holds rows back just now; `None` before a run, or on a runner."""
        return None if self._workers is None else self._workers.pace

    async def counts(self) -> dict[State, int]:
        """Return how many rows are in each state, over all runs."""
        return await self._journal.counts()

    def run(
        self, rows: Iterable[Row | Problem] | None = None
    ) -> AsyncGenerator[RowOutcome, None]:
        """Send what is to be sent, and yield each outcome once it is durable.

        Rows are taken one by one; what was completed before is passed over. What could
        not be sent, or was to come back later, is taken up again, after some others; it
        is told only if the run ends before.

        After a ``break`` leave the job, which ends the run; ``contextlib.aclosing``
        would cut what is under way, and leave those rows in doubt.

        Args:
            rows: What to send; those of the plan's file if `None`.

        Raises:
            AuthenticationError: The key is wrong.
            PermissionDeniedError: Three consecutive rows were answered 403.
            CallError: The gateway cannot be called at all (unknown host, untrusted
                certificate, a proxy that refuses: three rows in a row, before anything
                was answered), or the plan's *max_pause* or *max_outage* is over: the
                last such error of a row. The job can be resumed.
            JournalError: The journal cannot be written: nothing more was sent.
            ConfigurationError: A limit cannot be kept, the factory is not open, or the
                job has run: `resume` it.
            SourceError: The plan's file cannot be read.
        """
        return self._kept(self._run(rows))

    async def _run(
        self, rows: Iterable[Row | Problem] | None
    ) -> AsyncGenerator[RowOutcome, None]:
        passage = self._begin_run(rows)
        self._workers = Workers(
            self._factory,
            self._tasks(passage),
            self._send,
            self.plan.limits,
            goes_again=self._goes_again,
        )
        if self._is_stopped:
            self._workers.stop()
        try:
            async with aclosing(self._workers.outcomes()) as outcomes:
                async for call_outcome in outcomes:
                    outcome, written = self._writing.pop(call_outcome.index)
                    await written
                    self.tally.count(outcome)
                    yield outcome
        finally:
            # What nobody waited to hear is durable all the same.
            left = [written for _, written in self._writing.values()]
            await asyncio.gather(*left, return_exceptions=True)

    def run_on(
        self, runner: Runner, rows: Iterable[Row | Problem] | None = None
    ) -> AsyncGenerator[RowOutcome, None]:
        """Do the same on the workers of *runner*, a chunk of rows at a time.

        A runner does a lost worker's chunk again, so keys must be honoured. A row of it
        that is not created then is `Unknown`, with what was answered last in the error.
        The rate is split over its workers; each sends *concurrency* rows at once.
        They retry, wait and compare as the factory does; its pool and its observers are
        its own, and see nothing of theirs.
        After a ``break`` leave the job, as in `run`: chunks under way are waited for.

        Raises:
            ConfigurationError: As in `run`; or it is not known that keys are honoured,
                the factory has a proxy, an *ssl* or a connector of its own, or a
                worker has not the job's key; its rows are pending.
            AuthenticationError: The workers' key is wrong.
            PermissionDeniedError: Three consecutive rows were answered 403.
            CallError: As in `run`.
            JournalError: The journal cannot be written: nothing more was sent.
            SourceError: The plan's file cannot be read.
            WorkersLostError: Workers were lost again and again, or all at once.
        """
        return self._kept(self._run_on(runner, rows))

    async def _run_on(
        self, runner: Runner, rows: Iterable[Row | Problem] | None
    ) -> AsyncGenerator[RowOutcome, None]:
        if not self._rules.keys_honoured:
            message = "a lost worker's rows are sent again: that needs keys_honoured"
            raise ConfigurationError(message)
        CallOptions.of(self._factory)  # or they cannot be had elsewhere
        passage = self._begin_run(rows)
        chunked: ChunkedRun[_Task] = ChunkedRun(self.plan.limits, self._runtime.clock)
        async with runner:
            await runner.everywhere(check_key, self._home)
            while True:
                chunks = self._chunks(passage, runner, chunked)
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

    def _kept(
        self, outcomes: AsyncGenerator[RowOutcome, None]
    ) -> AsyncGenerator[RowOutcome, None]:
        """Keep a run, so that whoever leaves the job can end it."""
        self._runs.append(outcomes)
        return outcomes

    def _begin_run(self, rows: Iterable[Row | Problem] | None) -> Passage:
        if self._passage is not None:
            message = "a Job runs once: go on with another, by Job.resume"
            raise ConfigurationError(message)
        self.plan.limits.require_kept_by(self._factory)
        context_of(self._factory).require_open()
        return self._begin_passage(rows)

    def _begin_passage(self, rows: Iterable[Row | Problem] | None) -> Passage:
        self._is_whole = rows is None
        rows = self.plan.rows() if rows is None else rows
        self._passage = Passage(rows, self._journal, self.tally, self._dead_letters)
        return self._passage

    def stop(self) -> None:
        """Begin no further row; what is under way goes on to its end."""
        self._is_stopped = True
        if self._workers is not None:
            self._workers.stop()

    async def write_dead_letters(self) -> Path | None:
        """Write the rows that came to no session, if any, as input for another job.

        Call it after a run, also after one that was stopped: the rest of the input is
        looked through for rows that an earlier run has sent.

        Returns:
            Where they are; `None` if there are none.

        Raises:
            ConfigurationError: The job has no folder, or the file cannot be written.
        """
        if self._folder is None:
            message = "dead letters need a folder: use Job.begin or Job.resume"
            raise ConfigurationError(message)
        passage = self._passage or self._begin_passage(None)
        async for met in passage:
            self._note_failed(met)
        await self._keep_total(passage)
        for met in self._failed_before.values():
            self._note_failed(met)
        self._failed_before.clear()
        file_format = self.plan.dead_letter_format
        path = self._folder.dead_letters(file_format)
        if not self._dead_letters:
            path.unlink(missing_ok=True)  # of an earlier run: to send it would be wrong
            return None
        write_dead_letters(str(path), self._dead_letters, format=file_format)
        return path

    @property
    def _home(self) -> Home:
        header = self._journal.header
        return Home(
            base_url=header.base_url,
            salt=header.salt,
            api_key_fingerprint=header.api_key_fingerprint,
        )

    async def _chunks(
        self, passage: Passage, runner: Runner, chunked: ChunkedRun[_Task]
    ) -> AsyncIterator[Chunk]:
        tasks = chunked.with_again(self._tasks(passage))
        limits, options = self.plan.limits, CallOptions.of(self._factory)
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
                rows=tuple(self._numbered(task.met) for task in batch),
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
        by_index = {task.met.index: task for task in tasks}
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
            self._withdraw(task.met, is_lost=is_lost) for task in by_index.values()
        ]
        await asyncio.gather(*writing)
        for outcome in final:
            self.tally.count(outcome)
        if chunked.learn(result):
            self.stop()
        return final

    def _withdraw(self, met: Met, *, is_lost: bool) -> Awaitable[None]:
        """Have it written of a row that it was not sent after all."""
        row = met.row
        del self._under_way[met.index]
        if is_lost:
            self.tally.unknown += 1
            return self._journal.complete(interrupted_result(row.row_id))
        self._failed_before[met.index] = met
        return self._journal.forget(row.row_id)

    async def _tasks(self, passage: Passage) -> AsyncIterator[_Task]:
        async for met in passage:
            if self._is_stopped:
                self._note_failed(met)
                return
            task = await self._judge(met)
            if task is not None:
                yield task
        await self._keep_total(passage)

    async def _keep_total(self, passage: Passage) -> None:
        if self.total is None and self._is_whole:  # else it may be a part of it
            await self._journal.set_total(passage.count)

    async def _judge(self, met: Met) -> _Task | None:
        """Return what is to be done with a row, if anything is; count it if not."""
        row = met.row
        body = encode_form(row.request)
        mark = fingerprint_of(body, self._journal.header.salt)
        task = _Task(met, body, mark)
        del body  # tracebacks show locals
        match self._rules.decide(met.known, mark, self._runtime.now()):
            case Decision.SEND:
                self._failed_before[met.index] = met  # until it is on its way
                return task
            case Decision.SKIP:
                self.tally.skipped += 1
                self._note_failed(met)
            case Decision.CHANGED:
                self.tally.changed.append(row.row_id)
                self._note_failed(met)
            case Decision.GIVE_UP:
                await self._journal.complete(interrupted_result(row.row_id))
                self.tally.unknown += 1
        return None

    def _note_failed(self, met: Met) -> None:
        if met.known is not None and met.known.state is State.FAILED:
            self._dead_letters.add_failed(met.index, met.row, met.known)

    async def _send(self, factory: CheckoutSessionFactory, task: _Task) -> RowOutcome:
        await self._intend(task)
        try:
            outcome = await create_one(factory, self._numbered(task.met, task.body))
        except ConfigurationError:  # the factory is closed: the row was not sent
            await self._withdraw(task.met, is_lost=False)
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
        known, now = task.met.known, self._runtime.now()
        return self._rules.decide(known, task.fingerprint, now) is Decision.SEND

    async def _intend(self, task: _Task) -> None:
        met = task.met
        intent = new_draft(Intent)
        intent.row_id = met.row.row_id
        intent.position = met.index + 1
        intent.fingerprint = task.fingerprint
        intent.sent_at = self._runtime.now()
        # Before: an intent is written even if the wait for it is cancelled.
        self._failed_before.pop(met.index, None)
        await self._journal.intend(sealed(intent, Intent))
        self._under_way[met.index] = met

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
        met = self._under_way.pop(outcome.index)
        row = met.row
        wrong_key = isinstance(outcome, Rejected) and isinstance(
            outcome.error, AuthenticationError
        )
        if not is_lost and (wrong_key or is_pending(outcome)):
            self._failed_before[met.index] = met  # it is what it was before
            written = self._journal.forget(row.row_id)
        else:
            result = outcome_result(row.row_id, outcome, met.known, is_lost=is_lost)
            if result.state is State.FAILED:
                self._dead_letters.add_failed(met.index, row, result)
            written = self._journal.complete(result)
        return row_outcome(met.known, outcome, is_lost=is_lost), written

    def _numbered(self, met: Met, body: bytes | None = None) -> Numbered:
        key = derive_key(self._journal.header.job, met.row.row_id)
        return Numbered(met.index, met.row.request, key, body)


def _is_awaited(outcomes: AsyncGenerator[RowOutcome, None]) -> bool:
    return isinstance(outcomes, AsyncGeneratorType) and outcomes.ag_running


async def _exhaust(outcomes: AsyncGenerator[RowOutcome, None]) -> None:
    """Have written what is under way; what ends the run is told to nobody any more."""
    try:
        async for _ in outcomes:
            pass
    except JournalError:
        raise
    except ConvergeGateError:  # every row has its state, which the next run goes by
        pass
