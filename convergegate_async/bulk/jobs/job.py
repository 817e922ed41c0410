"""Durable jobs: a row is in the journal before a byte of it is on the wire."""

import asyncio
import json
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from hashlib import blake2b

import attrs

from convergegate_async._core.codec import encode_form
from convergegate_async._core.idempotency import derive_key
from convergegate_async._version import __version__
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import (
    Intent,
    JobHeader,
    JournalError,
    JournalRow,
)
from convergegate_async.bulk.sending.create_many import create_one
from convergegate_async.bulk.sending.outcomes import (
    NotSent,
    Numbered,
    Rejected,
    RowOutcome,
)
from convergegate_async.bulk.sending.workers import Workers, check_limits
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.validation import Seen
from convergegate_async.errors import AuthenticationError, ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models import CheckoutSessionRequest
from convergegate_async.runners import Runner

from .chunks import Chunk, ChunkRow, work_on
from .progress import Tally
from .reports import in_chunks
from .results import interrupted_result, outcome_result
from .rules import Decision, ResumeRules

CHUNK_ROWS = 1_000  # that go to a runner together, at most
_CHUNK_SECONDS = 5.0


def new_header(
    factory: CheckoutSessionFactory,
    job: str,
    *,
    keys_honoured: bool = False,
    source: str = "",
    options: Mapping[str, object] | None = None,
) -> JobHeader:
    """Return what a new journal says of the job and of whom it is run for."""
    salt, context = secrets.token_bytes(16), context_of(factory)
    return JobHeader(
        job=job,
        base_url=context.base_url,
        live=context.is_live,
        api_key_fingerprint=context.api_key_fingerprint(salt),
        keys_honoured=keys_honoured,
        salt=salt,
        sdk_version=__version__,
        source=source,
        options=json.dumps(dict(options or {})),
    )


@attrs.frozen
class _Task:
    row: Row
    fingerprint: bytes


class Job:
    """Opens a session for every row of an input, over as many runs as it takes.

    Args:
        journal: What is known of the rows.
        factory: Open; the job repeats by *rules*, whatever the factory's own policy.
        rules: What may be done with rows that were met before.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode.
    """

    def __init__(
        self, journal: Journal, factory: CheckoutSessionFactory, rules: ResumeRules
    ) -> None:
        require_same_home(journal.header, factory)
        self._journal = journal
        self._factory = factory.with_options(retry=rules.policy())
        self._runtime = context_of(factory).runtime
        self._rules = rules
        self._workers: Workers[_Task] | None = None
        self._writing: dict[int, Awaitable[None]] = {}
        self._is_stopped = False
        self.tally = Tally()

    async def run(
        self,
        rows: Iterable[Row | Problem],
        *,
        concurrency: int = 32,
        maximum_rps: float | None = None,
    ) -> AsyncGenerator[RowOutcome, None]:
        """Send what is to be sent, and yield each outcome once it is durable.

        Rows are taken one by one; what was completed before is passed over.

        Raises:
            AuthenticationError: The key is wrong.
            PermissionDeniedError: Three rows in a row were forbidden.
            JournalError: The journal cannot be written: nothing more was sent.
            ConfigurationError: A limit cannot be kept.
        """
        check_limits(self._factory, concurrency, maximum_rps)
        self._workers = Workers(
            self._factory,
            self._tasks(rows),
            self._send,
            concurrency=concurrency,
            maximum_rps=maximum_rps,
        )
        if self._is_stopped:
            self._workers.stop()
        try:
            async with aclosing(self._workers.outcomes()) as outcomes:
                async for outcome in outcomes:
                    await self._writing.pop(outcome.index)
                    self.tally.count(outcome)
                    yield outcome
        finally:
            # What nobody waited to hear is durable all the same.
            await asyncio.gather(*self._writing.values(), return_exceptions=True)

    async def run_on(
        self,
        runner: Runner,
        rows: Iterable[Row | Problem],
        *,
        concurrency: int = 32,
        maximum_rps: float | None = None,
    ) -> AsyncGenerator[RowOutcome, None]:
        """Do the same on the workers of *runner*, a chunk of rows at a time.

        A runner does a lost worker's chunk again, so keys must be honoured. The rate is
        split over its workers; each sends *concurrency* rows at once.

        Raises:
            ConfigurationError: It is not known that keys are honoured.
            AuthenticationError: The workers' key is wrong.
            PermissionDeniedError: Three rows in a row were forbidden.
            JournalError: The journal cannot be written: nothing more was sent.
        """
        if not self._rules.keys_honoured:
            message = "a lost worker's rows are sent again: that needs keys_honoured"
            raise ConfigurationError(message)
        check_limits(self._factory, concurrency, maximum_rps)
        async with runner:
            chunks = self._chunks(rows, runner, concurrency, maximum_rps)
            async with aclosing(runner.map(work_on, chunks)) as results:
                async for result in results:
                    await asyncio.gather(
                        *[
                            self._write(row_id, outcome)
                            for row_id, outcome in result.outcomes
                        ]
                    )
                    for _, outcome in result.outcomes:
                        self.tally.count(outcome)
                        yield outcome
                    if result.error is not None:
                        raise result.error

    async def _chunks(
        self,
        rows: Iterable[Row | Problem],
        runner: Runner,
        concurrency: int,
        maximum_rps: float | None,
    ) -> AsyncIterator[Chunk]:
        tasks = self._tasks(rows)
        while not self._is_stopped:
            # Workers come and go: the share is that of this moment.
            rate = maximum_rps and maximum_rps / runner.slots
            batch = [task async for task in _first(tasks, _chunk_rows(rate))]
            if not batch:
                return
            await asyncio.gather(*[self._intend(task) for task in batch])
            yield Chunk(
                base_url=self._journal.header.base_url,
                salt=self._journal.header.salt,
                api_key_fingerprint=self._journal.header.api_key_fingerprint,
                rules=self._rules,
                rows=tuple(
                    ChunkRow(row_id=task.row.row_id, item=self._numbered(task.row))
                    for task in batch
                ),
                concurrency=concurrency,
                maximum_rps=rate,
            )

    def stop(self) -> None:
        """Begin no further row; what is under way goes on to its end."""
        self._is_stopped = True
        if self._workers is not None:
            self._workers.stop()

    async def _tasks(self, rows: Iterable[Row | Problem]) -> AsyncIterator[_Task]:
        met = Seen()
        for chunk in in_chunks(rows):
            good = [row for row in chunk if isinstance(row, Row)]
            self.tally.invalid += _broken(chunk)
            known = await self._journal.lookup([row.row_id for row in good])
            for row in good:
                if self._is_stopped:
                    return
                if met.before(row.row_id):
                    self.tally.invalid += 1  # of two rows under one id one is sent
                    continue
                task = await self._judge(row, known.get(row.row_id))
                if task is not None:
                    yield task

    async def _judge(self, row: Row, known: JournalRow | None) -> _Task | None:
        """Return what is to be done with a row, if anything is; count it if not."""
        mark = fingerprint(row.request, self._journal.header.salt)
        match self._rules.decide(known, mark, self._runtime.now()):
            case Decision.SEND:
                return _Task(row, mark)
            case Decision.SKIP:
                self.tally.skipped += 1
            case Decision.CHANGED:
                self.tally.changed.append(row.row_id)
            case Decision.GIVE_UP:
                await self._journal.complete(interrupted_result(row.row_id))
                self.tally.unknown += 1
        return None

    async def _send(self, factory: CheckoutSessionFactory, task: _Task) -> RowOutcome:
        await self._intend(task)
        outcome = await create_one(factory, self._numbered(task.row))
        # The worker is free for the next row while this one is made durable.
        self._writing[outcome.index] = self._write(task.row.row_id, outcome)
        return outcome

    async def _intend(self, task: _Task) -> None:
        intent = Intent(
            row_id=task.row.row_id,
            position=task.row.position,
            fingerprint=task.fingerprint,
            sent_at=self._runtime.now(),
        )
        await self._journal.intend(intent)

    def _write(self, row_id: str, outcome: RowOutcome) -> Awaitable[None]:
        """Have it written what became of a row; durable when it is awaited."""
        wrong_key = isinstance(outcome, Rejected) and isinstance(
            outcome.error, AuthenticationError
        )
        if wrong_key or isinstance(outcome, NotSent):
            return self._journal.forget(row_id)  # it is pending again
        return self._journal.complete(outcome_result(row_id, outcome))

    def _numbered(self, row: Row) -> Numbered:
        key = derive_key(self._journal.header.job, row.row_id)
        return Numbered(row.position - 1, row.request, key)


def fingerprint(request: CheckoutSessionRequest, salt: bytes) -> bytes:
    """Return 16 bytes that tell whether a row is still the same, and nothing else."""
    return blake2b(encode_form(request), digest_size=16, key=salt).digest()


def _chunk_rows(rate: float | None) -> int:
    """Return how many rows make a chunk: about five seconds' worth."""
    if rate is None:
        return CHUNK_ROWS
    return max(1, min(CHUNK_ROWS, int(rate * _CHUNK_SECONDS)))


async def _first(items: AsyncIterator[_Task], count: int) -> AsyncIterator[_Task]:
    while count and (item := await anext(items, None)) is not None:
        yield item
        count -= 1


def _broken(chunk: Sequence[Row | Problem]) -> int:
    """Count the rows that something is wrong with: each may have several problems."""
    return len({one.position for one in chunk if isinstance(one, Problem)})


def require_same_home(header: JobHeader, factory: CheckoutSessionFactory) -> None:
    """Refuse to go on with a job elsewhere, or under another key.

    Raises:
        JournalError: With what the job was begun with.
    """
    problem = None
    context = context_of(factory)
    if header.live is not context.is_live:
        modes = ("a test", "a live")
        problem = (
            f"was begun with {modes[header.live]} key, and this is "
            f"{modes[context.is_live]} key"
        )
    elif header.base_url != context.base_url:
        problem = f"was begun at {header.base_url}, not at {context.base_url}"
    elif header.api_key_fingerprint != context.api_key_fingerprint(header.salt):
        problem = (
            "was begun with another API key; if that one was wrong, remove the journal "
            "and run the job anew"
        )
    if problem is not None:
        message = f"the job {header.job} {problem}"
        raise JournalError(message)
