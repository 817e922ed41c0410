"""An input that lies elsewhere: the same rows are gone on with, others never."""

from collections.abc import Callable
from pathlib import Path

import pytest
from orders import ORDER_ROW, table_of

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobHeader,
    JobPlan,
    Journal,
    JournalError,
    RowCounts,
    SourceError,
)
from convergegate_async.sandbox import Sandbox

ROWS = 10
SENT = 6

Lines = list[dict[str, object]]


def orders(rows: int = ROWS) -> Lines:
    """Return rows that differ in their amount."""
    return [
        {**ORDER_ROW, "id": f"A-{number}", "amount": number}
        for number in range(1, rows + 1)
    ]


def write(path: Path, rows: Lines, delimiter: str = ";") -> str:
    """Write them as CSV; return the path."""
    path.write_text(table_of(rows, delimiter))
    return str(path)


async def begin(
    sandbox: Sandbox,
    folder: JobFolder,
    source: str,
    *,
    total: int | None = ROWS,
    format: str | None = None,  # noqa: A002 -- as the field is called
) -> None:
    """Begin a job, and leave it with some of its rows sent."""
    async with sandbox.factory() as factory:
        plan = JobPlan(source=source, format=format, concurrency=1)
        async with await Job.begin(folder, plan, factory, total=total) as job:
            async for _ in job.run([*job.plan.rows()][:SENT]):
                pass


def header_of(folder: JobFolder) -> JobHeader:
    """Return what the journal says of the job."""
    with Journal.read(folder.journal) as journal:
        return journal.header


async def test_a_moved_file_is_gone_on_with(tmp_path: Path) -> None:
    """And found there by the next run; in what order its rows are does not matter."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        await begin(sandbox, folder, write(tmp_path / "orders.csv", orders()))
        found = JobPlan.from_header(header_of(folder)).table
        assert found.delimiter == ";"
        moved = tmp_path / "archive.bak"
        (tmp_path / "orders.csv").unlink()
        write(moved, orders()[::-1])

        async with sandbox.factory() as factory:
            async with await Job.resume(folder, factory, source=str(moved)) as job:
                async for _ in job.run():
                    pass
            async with await Job.resume(folder, factory) as job:
                assert [outcome async for outcome in job.run()] == []
                counts = await job.counts()
                plan = job.plan

        assert counts == RowCounts(rows=ROWS, created=ROWS)
        assert sandbox.count("create") == ROWS
    assert (plan.source, plan.format) == (str(moved), "csv")
    assert plan.table == found


def changed(rows: Lines) -> Lines:
    """Change a row that was sent."""
    return [rows[0] | {"amount": 11}, *rows[1:]]


def spoilt(rows: Lines) -> Lines:
    """Make that row one that cannot be sent."""
    return [rows[0] | {"amount": "much"}, *rows[1:]]


DIFFERENT: dict[str, Callable[[Lines], Lines]] = {
    "1 missing": lambda rows: rows[1:],
    "2 missing": lambda rows: rows[:-2],
    "1 changed": changed,
    " 1 changed": spoilt,
    "2 added": lambda _: orders(ROWS + 2),
    "1 missing, 1 added": lambda rows: [*rows[1:], rows[1] | {"id": "B"}],
    "6 missing, 6 added": lambda rows: [row | {"id": f"{row['id']}x"} for row in rows],
    "4 missing, 1 changed": lambda rows: changed(rows)[:SENT],
}


@pytest.mark.parametrize("difference", DIFFERENT)
async def test_other_rows_are_refused(tmp_path: Path, difference: str) -> None:
    """With how many there are of which kind; nothing is sent, nothing changed."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        await begin(sandbox, folder, write(tmp_path / "orders.csv", orders()))
        before = header_of(folder)
        source = write(tmp_path / "others.csv", DIFFERENT[difference](orders()))

        with pytest.raises(JournalError) as refused:
            await Job.resume(folder, sandbox.factory(), source=source)

        assert sandbox.count("create") == SENT
    assert str(refused.value) == (
        f"{source} does not hold the rows of the job as they were: {difference.strip()}"
    )
    assert header_of(folder) == before


async def test_without_a_total_all_rows_that_were_sent_have_to_be_there(
    tmp_path: Path,
) -> None:
    """Those that were not cannot be told from further ones."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        source = write(tmp_path / "orders.csv", orders())
        await begin(sandbox, folder, source, total=None)
        for name, rows in (("short.csv", orders(SENT - 1)), ("long.csv", orders(20))):
            moved = write(tmp_path / name, rows)
            if name == "short.csv":
                with pytest.raises(JournalError, match=r"were: 1 missing$"):
                    await Job.resume(folder, sandbox.factory(), source=moved)
            else:
                (await Job.resume(folder, sandbox.factory(), source=moved)).close()


async def test_a_row_under_a_used_id_is_no_change(tmp_path: Path) -> None:
    """Nor is one that cannot be sent: it was there when the job was begun, too."""
    folder = JobFolder("april", tmp_path)
    rows = orders()
    twice = [rows[0] | {"amount": "much"}, *rows, rows[0] | {"amount": 11}]
    async with Sandbox() as sandbox:
        source = write(tmp_path / "orders.csv", twice)
        await begin(sandbox, folder, source, total=ROWS + 2)
        (tmp_path / "orders.csv").rename(tmp_path / "moved.csv")
        moved = str(tmp_path / "moved.csv")

        (await Job.resume(folder, sandbox.factory(), source=moved)).close()

    assert header_of(folder).source == moved


async def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    """By its suffix, unless the job was begun with a format of its own."""
    folder, own = JobFolder("april", tmp_path), JobFolder("may", tmp_path)
    async with Sandbox() as sandbox:
        source = write(tmp_path / "orders.csv", orders())
        await begin(sandbox, folder, source)
        await begin(sandbox, own, source, format="csv")
        other = write(tmp_path / "orders.jsonl", orders())

        with pytest.raises(
            ConfigurationError, match=r"is read as csv, which .* is not"
        ):
            await Job.resume(folder, sandbox.factory(), source=other)
        (await Job.resume(own, sandbox.factory(), source=other)).close()


async def test_a_file_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """One that is not there, dead letters, and any for a job that had none."""
    folder, handed = JobFolder("april", tmp_path), JobFolder("may", tmp_path)
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        await begin(sandbox, folder, write(tmp_path / "orders.csv", orders()))
        (await Job.begin(handed, JobPlan(), factory)).close()
        missing, letters = tmp_path / "no.csv", tmp_path / "april.failed.csv"

        with pytest.raises(SourceError, match="cannot read"):
            await Job.resume(folder, factory, source=str(missing))
        with pytest.raises(ConfigurationError, match="would be written over"):
            await Job.resume(folder, factory, source=str(letters))
        with pytest.raises(ConfigurationError, match="the plan has no source"):
            await Job.resume(handed, factory, source=str(tmp_path / "orders.csv"))


async def test_another_key_changes_nothing(tmp_path: Path) -> None:
    """Whose job it is, is looked at first."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        await begin(sandbox, folder, write(tmp_path / "orders.csv", orders()))
        before = header_of(folder)
        moved = write(tmp_path / "moved.csv", orders())
        factory = CheckoutSessionFactory(f"{sandbox.api_key}x", sandbox.base_url)

        with pytest.raises(JournalError, match="another API key"):
            await Job.resume(folder, factory, source=moved)

    assert header_of(folder) == before
