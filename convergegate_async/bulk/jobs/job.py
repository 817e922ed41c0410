"""Durable jobs: begun once, gone on with as often as it takes, left at any moment.

It is longer than most modules: nearly half of it is what editors show of a method.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import (
    JournalError,
    JournalRow,
    SessionCount,
)
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundCount,
    RefundState,
)
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import RowOutcome
from convergegate_async.bulk.sending.pace import PaceInfo
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.runners import Runner

from .activities import Activities
from .export import Export, ExportOptions, export_from
from .folder import JobFolder
from .header import new_header, require_same_home
from .job_plan import JobPlan, plan_of
from .moved_source import move_source
from .paging import every_refund
from .progress import Tally
from .progress_file import JobProgress
from .refresh import Refresh, SessionSeen
from .refund_batch import BatchOrder, plan_refunds
from .refund_plan import RefundPlan
from .refund_run import RefundOutcome, RefundRun
from .resolve import (
    resolve_created,
    resolve_not_created,
    resolve_refund_created,
    resolve_refund_not_created,
)
from .resume_rules import OnUnknown
from .row_counts import RowCounts
from .run import Run
from .wanted_refunds import Wanted, WantedRefund, sessions_in


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
        policy = self.plan.rules.policy(context_of(factory).policy)
        self._journal = journal
        self._factory = factory.with_options(retry=policy)
        self._now = context_of(factory).runtime.now
        self._noted_in = None if folder is None else folder.progress
        self._run = Run(journal, self._factory, self.plan, self._noted_in)
        self.tally: Tally = self._run.tally
        self._folder = folder
        self._activities = Activities(self._run)

    # -- how it begins, and is left --------------------------------------------------

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
        source: str | None = None,
    ) -> Self:
        """Go on with a job, whoever began it.

        Args:
            folder: Where the job's files are, and its name.
            factory: For the gateway and the key that the job was begun with.
            on_unknown: In the place of what it was begun with.
            retries_failed: Send the rows again that the gateway rejected.
            source: Where the file of its rows is now, if it was moved: it has to hold
                the same rows, is read as it was, and is looked for there from now on.

        Raises:
            JournalError: There is no such job, its journal is refused, it belongs
                to another gateway, key, or mode, or *source* holds other rows.
            ConfigurationError: *source* is of another format, or the job has no file.
            SourceError: *source* cannot be read.
        """
        with ExitStack() as opened:
            journal = opened.enter_context(Journal.open(folder.journal))
            if source is not None:
                await move_source(journal, factory, folder, source)
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
        try:
            await self._activities.end(at_once=is_cut)
        except JournalError:
            if error is None:  # else that is what ended the job
                raise
        finally:
            self.close()

    def stop(self) -> None:
        """Begin no further row; what is under way goes on to its end."""
        self._activities.stop()

    def close(self) -> None:
        """Close the journal, so that others can have it; a run has to be over."""
        self._run.close()
        self._journal.close()

    # -- how far it is ---------------------------------------------------------------

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
        return self._activities.last.pace

    @property
    def limits(self) -> Limits:
        """How fast it may do what it does, or did last."""
        return self._activities.last.limits

    @property
    def is_answered(self) -> bool:
        """Whether the gateway has said anything in what it does, or did last."""
        return self._activities.last.is_answered

    @property
    def progress(self) -> JobProgress:
        """How far it is with what it does, or did last; nothing before that."""
        return self._activities.last.progress

    async def counts(self) -> RowCounts:
        """Return how many rows are where; this reads the whole journal."""
        return RowCounts.of(await self._journal.counts(), self._journal.header)

    # -- rows are sent ---------------------------------------------------------------

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
        return self._activities.keep(self._run, self._run.here(rows))

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
        return self._activities.keep(self._run, self._run.on(runner, rows))

    # -- what became of them is written ----------------------------------------------

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
        letters = await self._run.gather_dead_letters()
        return letters.write(self._folder, self.plan)

    async def export(self, path: str, **options: Unpack[ExportOptions]) -> Export:
        """Write what became of each row, beside all columns of the input.

        As `bulk.export` does, which needs neither a job nor a gateway.

        Args:
            path: A new file, or one to replace; ``-`` is stdout.
            options: How it is written; see `ExportOptions`.

        Raises:
            JournalError: The job is at work, or the journal is broken.
            SourceError: The input breaks off, after it was begun to be read.
            ConfigurationError: *path* is the input or a file of the job; or as of
                `write_results`.
            OSError: The file cannot be written.
        """
        self._require_idle("an export is written")
        return await self._journal.read_by(partial(export_from, path=path, **options))

    # -- sessions are looked at, and paid back ---------------------------------------

    def refresh(
        self, *, final: bool = False, maximum_rps: float | None = None
    ) -> AsyncGenerator[SessionSeen, None]:
        """Look at the sessions that are not final, and yield each once it is durable.

        Final are those that are completed or expired, and have no refund in doubt; such
        a doubt is over if what is paid back has risen by exactly that amount. Where a
        refresh was ended, by a kill or `stop`, and its last look is less than an hour
        ago, this one goes on. A session that cannot be seen is told with the error, and
        left as it was.

        Args:
            final: Look at the final ones, too: they may have been paid back.
            maximum_rps: The most looks started in a second; that of the plan if `None`.

        Raises:
            AuthenticationError: The key is wrong.
            PermissionDeniedError: Three consecutive looks were answered 403.
            CallError: As in `run`.
            JournalError: The journal cannot be written.
            ConfigurationError: A limit cannot be kept, or the factory is not open.
        """
        limits = self._limits(maximum_rps)
        refresh = Refresh(self._journal, self._factory, limits, self._noted_in)
        return self._activities.keep(refresh, refresh.outcomes(final=final))

    async def sessions(self) -> list[SessionCount]:
        """Return how many sessions are in each status, and what they come to.

        As far as they were looked at; this reads the whole journal.
        """
        return await self._journal.sessions.counts()

    def sessions_in(self, status: str) -> AsyncIterator[WantedRefund]:
        """Yield all rows whose session had that *status* when it was last seen.

        For `refund`, which pays back all that is left of each.
        """
        return sessions_in(self._journal, status)

    async def plan_refunds(self, batch: str, wanted: Wanted) -> RefundPlan:
        """Return what a batch of refunds would come to; see `bulk.plan_refunds`."""
        return await plan_refunds(self._journal, batch, wanted)

    def refund(
        self,
        batch: str,
        wanted: Wanted,
        *,
        expect_sum: Mapping[str, Decimal],
        leaves_out: bool = False,
        maximum_rps: float | None = None,
    ) -> AsyncGenerator[RefundOutcome, None]:
        """Pay sessions back, each once in a batch, and yield each once it is durable.

        The batch is written down whole before any of it is sent; its name then goes on
        with it, after a kill, too, and never repeats what was sent. Each session is
        looked at first: all batches together pay back no more than its amount, and none
        pays it back while another refund of it is in doubt. A doubt is over once what
        is paid back has risen by exactly that amount, else by hand. A refund of that
        amount by hand meanwhile cannot be told apart.

        Args:
            batch: A name as jobs have them.
            wanted: What to pay back; of a batch that was begun before, only whether any
                session has the status of a `RefundSelection`. If nothing can be paid
                back, no batch is begun.
            expect_sum: What the batch comes to, as `plan_refunds` says, in major units
                by currency.
            leaves_out: Go on without what cannot be paid back.
            maximum_rps: The most refunds started in a second; that of the plan if
                `None`.

        Raises:
            ConfigurationError: The sum is another one, or something cannot be paid
                back: nothing was sent. Or a limit cannot be kept, or the factory is not
                open.
            AuthenticationError: The key is wrong; the refunds are pending.
            PermissionDeniedError: Three consecutive refunds were answered 403.
            CallError: As in `run`.
            JournalError: The journal cannot be written, or the job is at work.
        """
        require_idle = partial(self._require_idle, "refunds are made")
        require_idle()
        order = BatchOrder(batch, wanted, expect_sum, leaves_out=leaves_out)
        limits = self._limits(maximum_rps)
        refunds = RefundRun(self._journal, self._factory, limits, self._noted_in)
        return self._activities.keep(refunds, refunds.outcomes(order, require_idle))

    async def refunds(self) -> list[RefundCount]:
        """Return how many refunds are where, by batch, and what they come to."""
        return await self._journal.refunds.counts()

    def refunds_in(
        self, batch: str, states: Collection[RefundState] = tuple(RefundState)
    ) -> AsyncIterator[JournalRefund]:
        """Yield the refunds of a batch that are in one of *states*, as planned."""
        return every_refund(self._journal, batch, states)

    # -- doubts that a person ends ---------------------------------------------------

    async def resolve(
        self,
        row_id: str,
        *,
        session_id: str | None = None,
        not_created: bool = False,
        rows: Iterable[Row | Problem] | None = None,
    ) -> JournalRow:
        """Settle a row in doubt by hand; who did so, and when, is in the journal.

        The session is looked at: it must not be another row's, and what it repeats of
        the row has to be what was sent. A row that was not created is rejected, as
        ``NotCreated``: a run that *retries_failed* sends it again.

        Args:
            row_id: The row's, which is `UNKNOWN`, or `SENT` by a process that died.
            session_id: The session that it has.
            not_created: It has none; give one of the two.
            rows: The input; that of the plan's file if `None`.

        Returns:
            What is known of the row now.

        Raises:
            ConfigurationError: Both are given, or neither.
            JournalError: The row is not in doubt, or not in the input as it was sent;
                the session is another's; or the job is at work.
            CallError: The session cannot be seen.
            InvalidFieldError: It cannot be the id of one.
            SourceError: The plan's file cannot be read.
        """
        self._require_one_word(session_id, not_created=not_created)
        if session_id is None:
            return await resolve_not_created(self._journal, row_id, now=self._now())
        given = self.plan.rows() if rows is None else rows
        return await resolve_created(
            self._journal, self._factory, given, row_id, session_id
        )

    async def resolve_refund(
        self,
        row_id: str,
        batch: str,
        *,
        refund_id: str | None = None,
        not_created: bool = False,
    ) -> JournalRefund:
        """Settle a refund in doubt by hand; who did so, and when, is in the journal.

        The gateway's refund is looked at: it must be of that amount. One that was not
        created is rejected, as ``NotCreated``: another batch may make it.

        Args:
            row_id: That of the row whose session is paid back.
            batch: The name of the refund's batch.
            refund_id: The gateway's id of the refund, which was made.
            not_created: It was not made; give one of the two.

        Returns:
            What is known of the refund now.

        Raises:
            ConfigurationError: Both are given, or neither.
            JournalError: The refund is not in doubt, the gateway's is another one, or
                the job is at work.
            CallError: The refund or its session cannot be seen.
            InvalidFieldError: It cannot be the id of one.
        """
        self._require_one_word(refund_id, not_created=not_created)
        if refund_id is None:
            return await resolve_refund_not_created(
                self._journal, row_id, batch, now=self._now()
            )
        return await resolve_refund_created(
            self._journal, self._factory, row_id, batch, refund_id
        )

    def _require_one_word(self, its_id: str | None, *, not_created: bool) -> None:
        if not_created is (its_id is not None):
            message = "a doubt is resolved by an id, or as not_created"
            raise ConfigurationError(message)
        self._require_idle("a doubt is resolved")

    # -- for all of it ---------------------------------------------------------------

    def _require_idle(self, what: str) -> None:
        if self._activities.are_begun:
            message = f"{what} before what the job does now, or after it"
            raise JournalError(message)

    def _limits(self, maximum_rps: float | None) -> Limits:
        if maximum_rps is None:
            return self.plan.limits
        return attrs.evolve(self.plan.limits, maximum_rps=maximum_rps)
