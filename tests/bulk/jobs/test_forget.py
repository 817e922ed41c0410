"""What a job knows of people has an end; what became of its rows has none."""

import asyncio
import random
import shutil
from itertools import dropwhile
from pathlib import Path
from textwrap import dedent

import attrs
import harness.disk
import pytest
from harness.disk import Files, record, restore, states
from job_rows import rows_of

from convergegate_async import ConfigurationError
from convergegate_async.bulk import (
    Forgotten,
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalInUseError,
    JournalRow,
    files_to_forget,
    forget,
)
from convergegate_async.sandbox import Sandbox

PERSONAL = ("april.failed.csv", "april.input", "april.progress", "april.progress.new")
OTHERS = (
    "april.failed.mended.csv",
    "april.failed.xlsx",
    "april.input.csv",
    "may.input",
)


async def a_job(sandbox: Sandbox, folder: JobFolder, rows: int) -> list[JournalRow]:
    """Run a job; return what is known of its rows."""
    async with (
        sandbox.factory() as factory,
        await Job.begin(folder, JobPlan(), factory) as job,
    ):
        async for _ in job.run(rows_of(rows)):
            pass
    return await rows_in(folder)


async def rows_in(folder: JobFolder) -> list[JournalRow]:
    """Return what is known of the rows of a sound journal."""
    with Journal.open(folder.journal) as journal:
        assert await journal.check() == []
        return await journal.rows()


def holds(directory: Path, text: bytes) -> bool:
    """Tell whether a file of *directory* holds *text* anywhere."""
    return any(text in path.read_bytes() for path in directory.iterdir())


async def test_links_are_gone_and_all_else_is_kept(tmp_path: Path) -> None:
    """From the bytes of all files; states, ids and what was seen are as they were."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        before = await a_job(sandbox, folder, 50)
        [link, *_] = (session.url for session in sandbox.book.sessions.values())
        head = link.rpartition("/")[0].encode()
        assert holds(tmp_path, head)

        done = forget(folder)

        after = await rows_in(folder)
        assert done == Forgotten(50, ())
        assert after == [attrs.evolve(row, url=None) for row in before]
        assert not holds(tmp_path, head)
        async with (
            sandbox.factory() as factory,
            await Job.resume(folder, factory) as job,
        ):
            seen = [one.error async for one in job.refresh()]
            async for _ in job.run(rows_of(51)):
                pass
    assert seen == [None] * 50
    assert [row.url is None for row in await rows_in(folder)] == [True] * 50 + [False]


async def test_files_of_the_job_are_removed_and_no_others(tmp_path: Path) -> None:
    """What may be the user's, or another job's, is let alone; a second time is fine."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        await a_job(sandbox, folder, 1)
    for name in (*PERSONAL, *OTHERS):
        (tmp_path / name).write_text('{"doing": "run"}')
    assert {path.name for path in files_to_forget(folder)} == {*PERSONAL}

    done = forget(folder)

    assert {path.name for path in done.files} == {*PERSONAL}
    assert files_to_forget(folder) == ()
    assert all((tmp_path / name).exists() for name in OTHERS)
    assert forget(folder) == Forgotten(0, ())


async def test_notes_of_somebody_else_s_are_left_alone(tmp_path: Path) -> None:
    """As by a run, though they have the name of the job's."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        await a_job(sandbox, folder, 1)
    foreign = [tmp_path / name for name in PERSONAL if "progress" in name]
    for path in foreign:
        path.write_text("my thesis")

    done = forget(folder)

    assert done.files == ()
    assert [path.read_text() for path in foreign] == ["my thesis"] * 2


async def test_a_job_that_is_worked_on_is_refused(tmp_path: Path) -> None:
    """Nothing of it is deleted."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        before = await a_job(sandbox, folder, 1)
    (tmp_path / "april.input").touch()
    with Journal.open(folder.journal), pytest.raises(JournalInUseError):
        forget(folder)

    assert (tmp_path / "april.input").exists()
    assert await rows_in(folder) == before


async def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    """And the journal is closed, so that all can be done again."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        await a_job(sandbox, folder, 1)
    folder.input.mkdir()

    with pytest.raises(ConfigurationError, match=r"cannot remove .*april\.input"):
        forget(folder)

    folder.input.rmdir()
    assert forget(folder) == Forgotten(0, ())


# -- kills and power cuts ------------------------------------------------------------

BENCHMARKS = Path(harness.disk.__file__).parents[1]
ROWS = 400
RECORDED = f"""
    import asyncio, random, sys
    from pathlib import Path
    from convergegate_async.bulk import *

    sys.path.append(sys.argv[2])
    from harness.recorded_job import header

    folder = JobFolder("april", Path(sys.argv[1]))
    numbers = list(range(1, {ROWS} + 1))

    def result(number):
        head = f"https://SECRET{{number % 150}}.example.com/{{'x' * (number % 40)}}/"
        row_id, session_id = f"order-{{number}}", f"session-{{number}}"
        return RowResult(row_id, State.CREATED, session_id, head + session_id)

    async def main():
        with Journal.create(folder.journal, header(bytes(16))) as journal:
            await asyncio.gather(
                *[journal.intend(Intent(f"order-{{n}}", n, bytes(16), 0.0))
                  for n in numbers]
            )
            random.Random(17).shuffle(numbers)
            for first in range(0, {ROWS}, 50):
                await asyncio.gather(
                    *[journal.complete(result(n)) for n in numbers[first:first + 50]]
                )

    asyncio.run(main())
    folder.input.write_text("SECRET")
    folder.dead_letters("csv").write_text("SECRET")
    (folder.directory / "begun").touch()
    forget(folder)
"""


def judge(files: Files, directory: Path) -> None:
    """Assert that what is left is sound, and that a second time ends it."""
    restore({name: data for name, data in files.items() if name != "begun"}, directory)
    folder = JobFolder("april", directory)
    with Journal.open(folder.journal) as journal:
        assert asyncio.run(journal.check()) == []

    forget(folder)

    rows = asyncio.run(rows_in(folder))
    assert {row.session_id for row in rows} == {
        f"session-{number + 1}" for number in range(ROWS)
    }
    assert not holds(directory, b"SECRET")


@pytest.mark.timeout(100)
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace records the calls")
def test_a_kill_or_a_power_cut_leaves_what_a_second_time_ends(tmp_path: Path) -> None:
    """From whichever call on the journal is sound, and no byte of a link stays."""
    directory, left = tmp_path / "job", tmp_path / "left"
    directory.mkdir()
    left.mkdir()
    program = tmp_path / "program.py"
    program.write_text(dedent(RECORDED))
    calls = record(directory, program, directory, BENCHMARKS)
    assert not holds(directory, b"SECRET")

    dice = random.Random(17)  # noqa: S311 -- the same cases each time
    begun = dropwhile(lambda disk: "begun" not in disk.after_kill(), states(calls))
    judged = 0
    for number, disk in enumerate(begun):
        if number % 5 == 0:
            judge(disk.after_kill(), left)
            judge(disk.after_power_cut(dice), left)
            judged += 1
    assert judged > 10
