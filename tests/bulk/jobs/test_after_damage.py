"""After damage to a journal no row is sent again, and none is forgotten."""

from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from orders import ORDER_ROW, table_of

from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalError,
    OnUnknown,
    RefundState,
    ResumeRules,
    RowCounts,
    SourceError,
    WantedRefund,
    every_row,
    write_off,
)
from convergegate_async.bulk.jobs.header import new_header
from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.bulk.journal.records import DAMAGED
from convergegate_async.errors import AuthenticationError
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = 12
PLAN = JobPlan(rules=ResumeRules(keys_honoured=True, on_unknown=OnUnknown.REPEAT))


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Where a job of some rows will be, and its input."""
    write_input(tmp_path, ROWS)
    return JobFolder("april", tmp_path)


def write_input(directory: Path, rows: int) -> None:
    """Lay down so many rows that differ by their ids alone."""
    orders = (ORDER_ROW | {"id": f"order-{number}"} for number in range(rows))
    (directory / "orders.csv").write_text(table_of(orders))


def plan(folder: JobFolder) -> JobPlan:
    """Return the plan of that job; its rules let everything be repeated."""
    return attrs.evolve(PLAN, source=str(folder.directory / "orders.csv"))


async def damage(
    folder: JobFolder, sandbox: Sandbox, lost: str = "-mark", total: int | None = ROWS
) -> None:
    """Send five rows, and then lose a file while the journal is in use."""
    async with (
        sandbox.factory() as factory,
        await Job.begin(folder, plan(folder), factory, total=total) as job,
    ):
        rows = list(plan(folder).rows())[:5]
        async for _ in job.run(rows):
            pass
        left = left_without(folder, lost)
    put_back(left)


def left_without(folder: JobFolder, lost: str) -> dict[Path, bytes]:
    """Return the files of a journal that is in use, but for one."""
    files = JournalFiles(folder.journal)
    return {
        path: path.read_bytes()
        for path in (files.path, files.wal, files.mark)
        if not path.name.endswith(lost)
    }


def put_back(left: dict[Path, bytes]) -> None:
    """Lay down what was left of a journal."""
    for path, content in left.items():
        path.touch(mode=0o600)
        path.write_bytes(content)


async def test_no_row_is_sent_again(folder: JobFolder) -> None:
    """Rows that are not done are in doubt, and stay so whatever rules a run has."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox)
        sent = len(sandbox.seen)
        with pytest.raises(JournalError, match="without a mark"):
            await Job.resume(folder, sandbox.factory())

        counts = write_off(folder)

        async with (
            sandbox.factory() as factory,
            await Job.resume(folder, factory, retries_failed=True) as job,
        ):
            assert [outcome async for outcome in job.run()] == []
            assert await job.counts() == counts
        assert len(sandbox.seen) == sent
    assert counts == RowCounts(rows=ROWS, created=5, unknown=ROWS - 5)


async def test_a_row_in_doubt_says_why_and_since_when(folder: JobFolder) -> None:
    """Its window is from the begin of the job to the discovery of the damage."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox)
    write_off(folder, now=2e9)

    with Journal.read(folder.journal) as journal:
        begun_at = journal.header.begun_at
        rows = [row async for row in every_row(journal, by_completion=True)]
        assert await journal.check() == []

    doubtful = [row for row in rows if row.code == DAMAGED]
    assert len(rows) == ROWS
    assert len(doubtful) == ROWS - 5
    assert {(row.sent_at, row.sent_until) for row in doubtful} == {(begun_at, 2e9)}


async def test_nothing_is_paid_back_any_more(folder: JobFolder) -> None:
    """Neither what is pending nor another batch: what was lost may have been made."""
    async with Sandbox() as sandbox:
        wrong_key = Fault(FaultKind.STATUS, operation="refund", status=401)
        async with (
            sandbox.factory() as factory,
            await Job.begin(folder, plan(folder), factory) as job,
        ):
            async for _ in job.run():
                pass
            for session in sandbox.book.sessions.values():
                sandbox.book.pay(session, "123456")
            async for _ in job.refresh():
                pass
            wanted = [WantedRefund("order-1", 100)]
            expect = {"PLN": Decimal(1)}
            sandbox.faults.add(wrong_key)
            with pytest.raises(AuthenticationError):
                [one async for one in job.refund("march", wanted, expect_sum=expect)]
            sandbox.faults.clear()
            left = left_without(folder, "-mark")
        put_back(left)
        write_off(folder)

        async with (
            sandbox.factory() as factory,
            await Job.resume(folder, factory) as job,
        ):
            for batch in ("march", "april"):
                with pytest.raises(JournalError, match="paid back any more"):
                    await job.plan_refunds(batch, wanted)
                with pytest.raises(JournalError, match="paid back any more"):
                    await anext(job.refund(batch, wanted, expect_sum=expect))
            [count] = await job.refunds()
        with Journal.open(folder.journal) as journal:
            with pytest.raises(JournalError, match="paid back any more"):
                await journal.refunds.intend(1, 0, 1.0)
            assert await journal.check() == []

        assert (count.batch, count.state) == ("march", RefundState.PENDING)
        assert not sandbox.book.refunds


async def test_a_sound_journal_is_not_written_off(folder: JobFolder) -> None:
    """Rows that can be known are not put in doubt."""
    async with (
        Sandbox() as sandbox,
        sandbox.factory() as factory,
        await Job.begin(folder, plan(folder), factory) as job,
    ):
        async for _ in job.run():
            pass
    before = folder.journal.read_bytes()

    with pytest.raises(JournalError, match="is sound"):
        write_off(folder)

    assert folder.journal.read_bytes() == before


async def test_without_its_input_nothing_is_written(folder: JobFolder) -> None:
    """What the journal lost cannot be told then: it stays refused."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox)
        (folder.directory / "orders.csv").rename(folder.directory / "moved.csv")

        with pytest.raises(SourceError):
            write_off(folder)

        with pytest.raises(JournalError, match="is damaged"):
            Journal.read(folder.journal)


@pytest.mark.parametrize("rows", [0, ROWS - 1, ROWS + 1])
@pytest.mark.parametrize("lost", ["-mark", "-wal"])
async def test_an_input_of_another_size_is_refused(
    folder: JobFolder, rows: int, lost: str
) -> None:
    """A row that is not there would not be put in doubt: the journal stays refused."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox, lost)
    write_input(folder.directory, rows)

    with pytest.raises(JournalError, match="put it back as it was"):
        write_off(folder)

    with pytest.raises(JournalError, match="is damaged"):
        Journal.read(folder.journal)


async def test_a_row_that_the_journal_does_not_know_is_not_sent(
    folder: JobFolder,
) -> None:
    """It was not in the input that was written off: nobody knows if it was sent."""
    async with Sandbox() as sandbox:
        async with sandbox.factory() as factory:
            header = new_header(factory, folder.job, plan(folder))
            header = attrs.evolve(header, damaged_at=2e9)
            Journal.create(folder.journal, header).close()
            async with await Job.resume(folder, factory) as job:
                with pytest.raises(JournalError, match="may have been sent"):
                    [outcome async for outcome in job.run()]
        assert not sandbox.seen


async def test_a_spoilt_row_is_no_dead_letter(folder: JobFolder) -> None:
    """The journal may have lost its session: as another job it would get a second."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox, "-wal")
        orders = folder.directory / "orders.csv"
        orders.write_text(orders.read_text().replace("pln", "gold", 1))
        write_off(folder)

        async with (
            sandbox.factory() as factory,
            await Job.resume(folder, factory) as job,
        ):
            assert [outcome async for outcome in job.run()] == []
            assert await job.write_dead_letters() is None


async def test_rows_that_were_handed_over_are_handed_over_again(
    folder: JobFolder,
) -> None:
    """A plan without a file has no input to be found by itself."""
    rows = list(plan(folder).rows())
    async with Sandbox() as sandbox:
        await damage(folder, sandbox)
        (folder.directory / "orders.csv").unlink()

        counts = write_off(folder, rows)

    assert counts.unknown == ROWS - 5


async def test_what_was_missing_can_be_put_in_doubt_later(folder: JobFolder) -> None:
    """It has the window of the first time, as have those that were in doubt already."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox, "-wal", total=None)
        write_input(folder.directory, 3)
        write_off(folder, now=2e9)
        write_input(folder.directory, ROWS)

        counts = write_off(folder, now=3e9)

        with Journal.read(folder.journal) as journal:
            rows = [row async for row in every_row(journal)]
            assert await journal.check() == []
    assert counts.unknown == ROWS
    assert {row.sent_until for row in rows} == {2e9}


async def test_a_journal_with_two_names_is_not_written_off(folder: JobFolder) -> None:
    """Its -wal may be beside the other name: what it lacks may be there."""
    async with Sandbox() as sandbox:
        await damage(folder, sandbox)
    other = JobFolder("may", folder.directory)
    other.journal.hardlink_to(folder.journal)

    for each in (folder, other):
        with pytest.raises(JournalError, match="second name"):
            write_off(each)
