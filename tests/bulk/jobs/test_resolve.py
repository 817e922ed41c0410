"""Rows in doubt that a person settles: what is taken, what is refused, what is kept."""

import getpass
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import attrs
import pytest
from job_rows import rows_of
from orders import an_order
from scripted import ScriptedTransport, scripted_factory

from convergegate_async import ConfigurationError
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalError,
    Problem,
    Resolution,
    Row,
    RowResult,
    State,
    new_header,
    resolve_created,
    resolve_not_created,
    write_off,
)
from convergegate_async.bulk.jobs.resume_rules import KEY_WINDOW
from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.bulk.journal.records import DAMAGED, Intent
from convergegate_async.errors import NotFoundError
from convergegate_async.factory import context_of
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = rows_of(3)


def folder_in(directory: Path) -> JobFolder:
    """Return where the job is kept."""
    return JobFolder("april", directory)


@asynccontextmanager
async def a_doubt(directory: Path) -> AsyncIterator[tuple[Sandbox, Job]]:
    """Give a job of three rows, the last of which was sent and never answered."""
    folder = folder_in(directory)
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        async with await Job.begin(folder, JobPlan(), factory) as job:
            async for _ in job.run(ROWS[:2]):
                pass
        sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=1))
        async with await Job.resume(folder, factory) as job:
            async for _ in job.run(ROWS[2:]):
                pass
        async with await Job.resume(folder, factory) as job:
            yield sandbox, job


def lost_session(sandbox: Sandbox) -> str:
    """Return the session whose answer was lost."""
    return [*sandbox.book.sessions][2]


async def unresolved(job: Job, directory: Path) -> None:
    """Assert that the row is in doubt as before, and nobody's word is noted."""
    assert (await job.counts()).unknown == 1
    job.close()
    with Journal.read(folder_in(directory).journal) as journal:
        assert await journal.resolutions() == []


async def test_a_row_is_given_its_session(tmp_path: Path) -> None:
    """With its link and what the session is now; who said so is written down."""
    async with a_doubt(tmp_path) as (sandbox, job):
        session_id = lost_session(sandbox)

        row = await job.resolve("order-3", session_id=session_id, rows=ROWS)

        counts = await job.counts()
        booked = sandbox.book.sessions[session_id]
    with Journal.read(folder_in(tmp_path).journal) as journal:
        [resolution] = await journal.resolutions()
    assert (counts.created, counts.unknown) == (3, 0)
    assert (row.state, row.session_id, row.url) == (
        *(State.CREATED, session_id),
        booked.url,
    )
    assert row.facts is not None
    assert (row.facts.status, row.facts.amount_total) == ("open", 3)
    now = row.facts.seen_at
    assert resolution == Resolution("order-3", session_id, getpass.getuser(), now)


async def test_a_row_that_was_not_created_is_sent_again(tmp_path: Path) -> None:
    """A run leaves it alone, as it is rejected; one that retries those sends it."""
    async with a_doubt(tmp_path) as (sandbox, job):
        row = await job.resolve("order-3", not_created=True)
        async for _ in job.run(ROWS):
            pass
        sent = sandbox.count("create")
        job.close()
        async with (
            sandbox.factory() as factory,
            await Job.resume(
                folder_in(tmp_path), factory, retries_failed=True
            ) as again,
        ):
            async for _ in again.run(ROWS):
                pass
            counts = await again.counts()

    assert (row.state, row.code, row.message) == (
        State.REJECTED,
        "NotCreated",
        "resolved by hand: it has no session",
    )
    assert (sent, counts.created, counts.rejected) == (3, 3, 0)


async def test_a_session_that_differs_is_refused(tmp_path: Path) -> None:
    """By the names of fields, and without a value; nothing is changed."""
    async with a_doubt(tmp_path) as (sandbox, job):
        async with sandbox.factory() as factory:
            other = an_order(amount=987, customer_email="jane@example.com")
            session_id = (await factory.create(other)).id

        with pytest.raises(JournalError) as refused:
            await job.resolve("order-3", session_id=session_id, rows=ROWS)

        assert str(refused.value) == (
            "the session is not row order-3's: it differs in customer_email, "
            "amount_subtotal"
        )
        await unresolved(job, tmp_path)


async def test_a_session_of_another_row_is_refused(tmp_path: Path) -> None:
    """However alike the rows are, no two have one session."""
    async with a_doubt(tmp_path) as (sandbox, job):
        taken = next(iter(sandbox.book.sessions))

        with pytest.raises(JournalError, match="is that of another row"):
            await job.resolve("order-3", session_id=taken, rows=ROWS)

        await unresolved(job, tmp_path)


@pytest.mark.parametrize("seconds", [-400, KEY_WINDOW + 400])
async def test_a_session_of_another_time_is_refused(
    tmp_path: Path, seconds: float
) -> None:
    """One that agrees in all else, of last month's order, say."""
    async with a_doubt(tmp_path) as (sandbox, job):
        session_id = lost_session(sandbox)
        sandbox.book.sessions[session_id].created_at += int(seconds)

        with pytest.raises(JournalError, match="was not made when row order-3"):
            await job.resolve("order-3", session_id=session_id, rows=ROWS)

        await unresolved(job, tmp_path)


@pytest.mark.parametrize(
    ("row_id", "what"),
    [("order-1", r"it is created \("), ("order-9", "it was never sent")],
)
async def test_a_row_that_is_not_in_doubt_is_refused(
    tmp_path: Path, row_id: str, what: str
) -> None:
    """With what it is, whatever is said of it."""
    async with a_doubt(tmp_path) as (sandbox, job):
        session_id = lost_session(sandbox)
        for words in ({"not_created": True}, {"session_id": session_id}):
            with pytest.raises(JournalError, match=f"is not in doubt: {what}"):
                await job.resolve(row_id, rows=ROWS, **words)

        await unresolved(job, tmp_path)


SPOILT = Problem(
    position=3,
    line=3,
    row_id="order-3",
    column="amount",
    reason="must be a number",
    raw={},
)
CHANGED = attrs.evolve(ROWS[2], request=an_order(amount=4))
INPUTS: dict[str, list[Row | Problem]] = {
    "is not in the input any more": [*ROWS[:2]],
    "cannot be read any more .must be a number.": [*ROWS[:2], SPOILT],
    "has changed .* differs from the session in amount_subtotal": [CHANGED],
}


@pytest.mark.parametrize("reason", INPUTS)
async def test_the_input_has_to_be_as_it_was(tmp_path: Path, reason: str) -> None:
    """Without the row as it was sent there is nothing to compare."""
    async with a_doubt(tmp_path) as (sandbox, job):
        session_id = lost_session(sandbox)

        with pytest.raises(JournalError, match=reason):
            await job.resolve("order-3", session_id=session_id, rows=INPUTS[reason])

        await unresolved(job, tmp_path)


async def test_of_rows_under_one_id_that_counts_which_is_sent(tmp_path: Path) -> None:
    """The first that can be, as in a run."""
    async with a_doubt(tmp_path) as (sandbox, job):
        rows: list[Row | Problem] = [SPOILT, *ROWS, CHANGED]

        row = await job.resolve("order-3", session_id=lost_session(sandbox), rows=rows)

    assert row.state is State.CREATED


async def test_a_session_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """The row stays in doubt."""
    async with a_doubt(tmp_path) as (_, job):
        with pytest.raises(NotFoundError):
            await job.resolve("order-3", session_id="cs_none", rows=ROWS)

        await unresolved(job, tmp_path)


@pytest.mark.parametrize(("session_id", "not_created"), [(None, False), ("cs_1", True)])
async def test_one_of_two_words_is_needed(
    tmp_path: Path, session_id: str | None, *, not_created: bool
) -> None:
    """A session, or that there is none."""
    async with a_doubt(tmp_path) as (_, job):
        with pytest.raises(ConfigurationError, match="or as not_created"):
            await job.resolve("order-3", session_id=session_id, not_created=not_created)


async def test_nothing_is_resolved_during_a_run(tmp_path: Path) -> None:
    """What is on its way just now is in no doubt; after the run all is known."""
    async with a_doubt(tmp_path) as (_, job):
        async with aclosing(job.run(rows_of(5))) as outcomes:
            await anext(outcomes)
            with pytest.raises(JournalError, match="before what the job does now"):
                await job.resolve("order-3", not_created=True)

        row = await job.resolve("order-3", not_created=True)

    assert row.state is State.REJECTED


async def test_what_a_killed_process_was_sending_is_in_doubt(tmp_path: Path) -> None:
    """Nobody sends it any more, as nobody else has the journal."""
    async with a_doubt(tmp_path) as (_, job):
        job.close()
        with Journal.open(folder_in(tmp_path).journal) as journal:
            await journal.intend(Intent("order-4", 4, bytes(16), 0.0))

            row = await resolve_not_created(journal, "order-4")

    assert row.state is State.REJECTED


async def test_the_moment_is_that_of_the_factory_s_clock(tmp_path: Path) -> None:
    """As all moments are that a job writes down, whatever is said of the row."""
    factory = scripted_factory(ScriptedTransport())
    header = new_header(factory, "april")
    with Journal.create(tmp_path / "april.journal", header) as journal:
        await journal.intend(Intent("order-1", 1, bytes(16), 0.0))
        job = Job(journal, factory)

        await job.resolve("order-1", not_created=True)

        [resolution] = await journal.resolutions()
    assert resolution.resolved_at == context_of(factory).runtime.now()


async def test_damage_is_resolved_row_by_row(tmp_path: Path) -> None:
    """Either way, and what was not created can be sent again, and damaged again."""
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        folder = folder_in(tmp_path)
        job = await Job.begin(folder, JobPlan(), factory)
        async with job:
            async for _ in job.run(ROWS[:1]):
                pass
            session = await factory.create(ROWS[1].request)  # what the journal lost
            files = JournalFiles(folder.journal)
            left = {path: path.read_bytes() for path in (files.path, files.wal)}
        for path, content in left.items():
            path.touch(mode=0o600)
            path.write_bytes(content)
        write_off(folder, ROWS)

        with Journal.open(folder.journal) as journal:
            assert {row.code for row in (await journal.rows())[1:]} == {DAMAGED}
            found = await resolve_created(journal, factory, ROWS, "order-2", session.id)
            denied = await resolve_not_created(journal, "order-3")
            await journal.intend(
                Intent("order-3", 3, denied.fingerprint, denied.sent_at)
            )
            await journal.complete(RowResult("order-3", State.UNKNOWN))
            again = (await journal.lookup(["order-3"]))["order-3"]

    assert (found.state, denied.state) == (State.CREATED, State.REJECTED)
    assert (again.state, again.sent_until) == (State.UNKNOWN, None)
