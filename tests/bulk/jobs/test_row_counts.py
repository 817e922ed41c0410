"""How many rows of a job are where: the numbers add up, however often it was ended."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from harness.recorded_job import HEADER
from hypothesis import given
from hypothesis import strategies as st
from job_rows import rows_of
from orders import ORDER_ROW

from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    JobProgress,
    ResumeRules,
    RowCounts,
    State,
    read_progress,
)
from convergegate_async.bulk.jobs.progress_file import noted_progress
from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

NUMBERS = st.integers(0, 9)
WEATHER = (
    Fault(FaultKind.STATUS, operation="create", status=400, probability=0.1),
    Fault(FaultKind.STATUS, operation="create", status=429, probability=0.1),
    Fault(FaultKind.LOST, operation="create", probability=0.1),
)


@given(st.dictionaries(st.sampled_from(list(State)), NUMBERS), NUMBERS, NUMBERS)
def test_the_four_words_add_up(
    states: dict[State, int], invalid: int, pending: int
) -> None:
    """Every row is in one of them, those that were on their way at a kill, too."""
    total = sum(states.values()) + invalid + pending
    counts = RowCounts.of(states, HEADER, invalid)
    whole = RowCounts(
        rows=total,
        created=counts.created,
        rejected=counts.rejected,
        unknown=counts.unknown,
    )

    assert counts.pending is None
    assert whole.pending == pending
    assert counts.rows is None
    assert whole.unknown == states.get(State.UNKNOWN, 0) + states.get(State.SENT, 0)
    assert str(whole).split(", ")[-1] == f"pending {pending}"


def write_orders(path: Path, rows: int, *, spoilt: int = 0) -> JobPlan:
    """Write orders of which the last are not to be sent, and one stands twice."""
    lines = [",".join(ORDER_ROW)]
    for number in range(rows):
        amount = "nothing" if number >= rows - spoilt else number + 1
        order = ORDER_ROW | {"id": f"order-{number}", "amount": amount}
        lines.append(",".join(map(str, order.values())))
    path.write_text("\n".join([*lines, lines[1], ""]))
    return JobPlan(source=str(path), rules=ResumeRules(on_unknown="repeat"))


async def test_they_add_up_after_any_number_of_resumes(tmp_path: Path) -> None:
    """Stopped, resumed in bad weather, with rows that cannot be sent, then mended."""
    folder = JobFolder("april", tmp_path)
    orders = tmp_path / "orders.csv"
    plan = write_orders(orders, 60, spoilt=7)
    async with Sandbox(faults=WEATHER) as sandbox, sandbox.factory() as factory:
        job = await Job.begin(folder, plan, factory)
        counts = await job.counts()
        for run in range(6):
            async with job:
                outcomes = job.run()
                async for _ in outcomes:
                    if run < 3 and job.tally.answered > 9:
                        job.stop()
                assert job.progress.counts == await job.counts()
                counts = job.progress.counts
            if run == 3:
                assert counts.rejected >= 8
                assert counts.pending == job.tally.not_sent
                write_orders(orders, 60)
            if run == 4:
                sandbox.faults.clear()
            job = await Job.resume(folder, factory, retries_failed=True)
        job.close()

    assert counts == RowCounts(rows=61, created=60, rejected=1)
    assert counts.pending == 0
    assert len({seen.idempotency_key for seen in sandbox.seen}) == 60


async def test_a_run_notes_how_far_it_is_until_it_ends(tmp_path: Path) -> None:
    """For its owner alone, beside the journal, and nothing of it stays."""
    folder = JobFolder("april", tmp_path)
    noted, modes = [], set()
    async with (
        Sandbox() as sandbox,
        sandbox.factory() as factory,
        await Job.begin(folder, JobPlan(), factory) as job,
    ):
        async for _ in job.run(rows_of(3)):
            while not folder.progress.exists():  # noqa: ASYNC110 -- once a second
                await asyncio.sleep(0.01)
            noted.append(read_progress(folder.progress))
            modes.add(stat.S_IMODE(folder.progress.stat().st_mode))

    for one in noted:
        assert one is not None
        assert (one.doing, one.counts.rows) == ("run", None)
        assert one.counts.created <= 3
    assert sys.platform == "win32" or modes == {0o600}
    assert os.listdir(tmp_path) == ["april.journal"]  # noqa: PTH208 -- in a coroutine


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "17",
        '{"at":1}',
        '{"at":1,"doing":"run","done":0,"total":1,"counts":{"rows":1,"x":2}}',
        *(
            f'{{"at":{at},"doing":"run","done":0,"total":1,"counts":{{"rows":{rows}}}}}'
            for at, rows in (
                *((1, 1), ("null", 1), ('"1"', 1), ("1e999", 1), ("Infinity", 1)),
                *((1.5, "1e9"), (1.5, '"1"')),
            )
        ),
        *("[" * 200_000, " " * 5_000 + "{}"),
    ],
    ids=lambda text: f"{text[:80]} of {len(text)}",
)
def test_a_note_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    """It may be another version's, or cut: the journal knows."""
    path = tmp_path / "april.progress"
    path.write_text(text)

    assert read_progress(path) is None
    assert read_progress(tmp_path / "none") is None


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from convergegate_async.bulk import Job, JobFolder, JobPlan
from convergegate_async.bulk.jobs.progress_file import noted_progress
from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox import Sandbox
from job_rows import rows_of

async def main():
    folder = JobFolder("april", Path(sys.argv[1]))
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        async with await Job.begin(folder, JobPlan(), factory) as job:
            async for _ in job.run(rows_of(3)):
                while not folder.progress.exists():
                    await asyncio.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_what_a_kill_leaves_is_replaced(tmp_path: Path) -> None:
    """It says when it was noted, and the next run notes its own."""
    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    left = read_progress(JobFolder("april", tmp_path).progress)
    (tmp_path / "april.progress.new").touch(mode=0o644)
    now = JobProgress(2.0, "run", 0, None, RowCounts(rows=None))

    async def note() -> JobProgress | None:
        path = tmp_path / "april.progress"
        async with noted_progress(path, lambda: now):
            await asyncio.sleep(0)
            return read_progress(path)

    assert done.returncode == -signal.SIGKILL
    assert left is not None
    assert asyncio.run(note()) == now
    assert [path.suffix for path in tmp_path.glob("april.prog*")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_note_is_a_plain_file(tmp_path: Path) -> None:
    """Nobody waits for the other end of a pipe, or follows a link."""
    sound = '{"at":1.5,"doing":"run","done":0,"total":1,"counts":{"rows":1}}'
    (tmp_path / "sound").write_text(sound)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "sound")
    (tmp_path / "folder").mkdir()

    assert read_progress(tmp_path / "sound") is not None
    for name in ("pipe", "link", "folder"):
        assert read_progress(tmp_path / name) is None


async def test_a_file_of_that_name_that_is_no_note_is_left_alone(
    tmp_path: Path,
) -> None:
    """It is somebody's: a job is watched less, and nothing is lost."""
    path = tmp_path / "april.progress"
    path.write_text("id,amount")
    now = JobProgress(2.0, "run", 0, None, RowCounts(rows=None))

    async with noted_progress(path, lambda: now):
        await asyncio.sleep(0)

    assert path.read_text() == "id,amount"


@pytest.mark.parametrize("kind", ["progress", "journal", "failed.csv"])
async def test_a_job_is_not_begun_from_a_file_of_its_own(
    tmp_path: Path, kind: str
) -> None:
    """What a run writes over, or deletes at its end."""
    source = tmp_path / f"april.{kind}"
    source.write_text("id,amount")
    plan = JobPlan(source=str(source), format="csv")
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        with pytest.raises(ConfigurationError):
            await Job.begin(JobFolder("april", tmp_path), plan, factory)

    assert source.read_text() == "id,amount"
