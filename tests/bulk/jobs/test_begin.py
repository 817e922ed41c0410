"""A job by its folder: begun, stopped, gone on with, from Python or by the command."""

import asyncio
import csv
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import attrs
import pytest
from orders import ORDER_FIELDS, ORDER_ROW
from programs import PROGRAM

from convergegate_async import AuthenticationError, ConfigurationError
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    JournalError,
    OnUnknown,
    Problem,
    ResumeRules,
    SourceError,
    TableOptions,
    new_header,
    plan_of,
    read_table,
)
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.sandbox import Fault, FaultKind, Sandbox


def write_orders(path: Path, rows: int, **changes: str) -> str:
    """Write an input; *changes* make its rows bad."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", *ORDER_FIELDS])
        writer.writeheader()
        for number in range(1, rows + 1):
            writer.writerow({"id": f"order-{number}", **ORDER_FIELDS} | changes)
    return str(path)


async def exhaust(job: Job) -> int:
    """Run *job* to its end, and return how many outcomes it had."""
    return len([outcome async for outcome in job.run()])


def bulk(
    folder: Path,
    sandbox: Sandbox,
    *arguments: str,
    program: tuple[str, ...] = PROGRAM,
) -> "subprocess.Popen[str]":
    """Start a command of ``bulk``."""
    return subprocess.Popen(  # noqa: S603 -- our own program
        [*program, "bulk", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "CONVERGEGATE_API_KEY": sandbox.api_key,
            "CONVERGEGATE_BASE_URL": sandbox.base_url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_job_is_begun_and_gone_on_with(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Half of it in the first run, the rest in the second, each row once."""
    folder = JobFolder("april", tmp_path)
    source = write_orders(tmp_path / "orders.csv", 50)
    plan = JobPlan(source=source, concurrency=2)

    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, plan, checkout) as job:
            async for _ in job.run():
                job.stop()
            stopped = job.tally.created
        async with await Job.resume(folder, checkout) as job:
            await exhaust(job)
            total = job.total

    assert 0 < stopped < 50
    assert job.tally.created == 50 - stopped
    assert job.plan == attrs.evolve(plan, table=plan.find().options)
    assert total == len(sandbox.book.sessions) == 50


async def test_a_name_is_used_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """A second job of the name is refused, with how to go on with the first."""
    folder = JobFolder("april", tmp_path)
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 1))
    factory = sandbox.factory()
    (await Job.begin(folder, plan, factory)).close()

    with pytest.raises(ConfigurationError, match="bulk resume april"):
        await Job.begin(folder, plan, factory)


async def test_dead_letters_do_not_overwrite_their_input(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Who runs the dead letters as a job of the same name would lose them."""
    plan = JobPlan(source=write_orders(tmp_path / "april.failed.csv", 1))

    with pytest.raises(ConfigurationError, match="would be written over"):
        await Job.begin(JobFolder("april", tmp_path), plan, sandbox.factory())


async def test_dead_letters_are_whole_after_a_stop(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Rows that an earlier run sent are looked through, also behind the stop."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400, times=600))
    folder = JobFolder("april", tmp_path)
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 600))
    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, plan, checkout) as job:
            await exhaust(job)

        async with await Job.resume(folder, checkout, retries_failed=True) as job:
            async for _ in job.run():
                job.stop()
            written = await job.write_dead_letters()

    assert written is not None
    lines = [
        row["cg_line"]
        for row in csv.DictReader(written.read_text(encoding="utf-8").splitlines())
    ]
    created = len(sandbox.book.sessions)
    assert 0 < created < 600
    assert len(lines) == 600 - created
    assert lines == sorted(lines, key=int)


async def test_a_failed_row_that_is_not_sent_again_stays_a_dead_letter(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Rejected in the first run, refused for the key's sake in the second."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400, times=3))
    folder = JobFolder("april", tmp_path)
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 3), concurrency=1)
    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, plan, checkout) as job:
            await exhaust(job)
        sandbox.faults.add(Fault(FaultKind.STATUS, status=401, times=1))

        async with await Job.resume(folder, checkout, retries_failed=True) as job:
            with pytest.raises(AuthenticationError):
                await exhaust(job)
            written = await job.write_dead_letters()

    assert written is not None
    lines = csv.DictReader(written.read_text(encoding="utf-8").splitlines())
    assert [row["cg_line"] for row in lines] == ["2", "3", "4"]


async def test_a_job_that_was_stopped_first_keeps_its_dead_letters(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A run that took no row looks through the whole input all the same."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400, times=3))
    folder = JobFolder("april", tmp_path)
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 3))
    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, plan, checkout) as job:
            await exhaust(job)

        async with await Job.resume(folder, checkout, retries_failed=True) as job:
            job.stop()
            await exhaust(job)
            written = await job.write_dead_letters()

            assert written is not None
            assert len(written.read_text(encoding="utf-8").splitlines()) == 1 + 3
            assert job.total == 3


async def test_rows_that_are_handed_over_may_be_a_part(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """How many rows the input has is not told by them."""
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 12))
    async with (
        sandbox.factory() as checkout,
        await Job.begin(JobFolder("april", tmp_path), plan, checkout) as job,
    ):
        async for _ in job.run(list(plan.rows())[:5]):
            pass

        assert job.total is None


async def test_an_input_that_cannot_be_read_has_no_total(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Where reading failed is not where the input ends."""
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 2))
    folder = JobFolder("april", tmp_path)
    async with sandbox.factory() as checkout:
        (await Job.begin(folder, plan, checkout)).close()
        (tmp_path / "orders.csv").unlink()
        async with await Job.resume(folder, checkout) as job:
            with pytest.raises(SourceError, match="cannot read"):
                await exhaust(job)

            with pytest.raises(SourceError, match="cannot read"):
                await job.write_dead_letters()

            assert job.total is None


async def test_a_job_runs_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its counts and dead letters are of one run; another one resumes."""
    plan = JobPlan(source=write_orders(tmp_path / "orders.csv", 2))
    async with sandbox.factory() as checkout:
        folder = JobFolder("april", tmp_path)
        async with await Job.begin(folder, plan, checkout) as job:
            await exhaust(job)

            with pytest.raises(ConfigurationError, match=r"go on .* by Job\.resume"):
                await exhaust(job)


async def test_invalid_rows_are_dead_letters_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A row with two problems is one letter that names a column; none is sent."""
    folder = JobFolder("april", tmp_path)
    source = write_orders(
        tmp_path / "orders.csv", 3, amount="no", customer_email="nobody"
    )

    async with sandbox.factory() as checkout:
        begun = await Job.begin(folder, JobPlan(source=source), checkout)
        async with begun as job:
            assert await exhaust(job) == 0
            written = await job.write_dead_letters()

    assert written is not None
    lines = written.read_text(encoding="utf-8").splitlines()
    letters = [*csv.DictReader(lines)]
    assert [row["cg_code"] for row in letters] == ["Invalid"] * 3
    assert letters[0]["cg_message"].startswith("column amount: must be a whole number")
    assert job.tally.invalid == 3


async def test_a_row_under_the_id_of_another_is_no_dead_letter(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Sent by another job, it would open a second session for one order."""
    folder = JobFolder("april", tmp_path)
    source = write_orders(tmp_path / "orders.csv", 2, id="order-1")
    checkout = sandbox.factory()
    async with (
        checkout,
        await Job.begin(folder, JobPlan(source=source), checkout) as job,
    ):
        await exhaust(job)
        written = await job.write_dead_letters()

    assert written is None
    assert (job.tally.created, job.tally.invalid) == (1, 1)


async def test_dead_letters_of_rows_from_elsewhere_need_a_format(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Without a source no suffix tells how to write them."""
    rows = JobPlan(source=write_orders(tmp_path / "orders.csv", 2)).rows()
    async with sandbox.factory() as checkout:
        folder = JobFolder("april", tmp_path)
        async with await Job.begin(folder, JobPlan(), checkout) as job:
            assert len([outcome async for outcome in job.run(rows)]) == 2
            with pytest.raises(ConfigurationError, match="the plan has no source"):
                await job.write_dead_letters()


async def test_a_consumer_that_leaves_ends_all_workers(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Also one that waits to say that all is done."""
    before = asyncio.all_tasks()
    source = write_orders(tmp_path / "orders.csv", 2)
    async with sandbox.factory() as checkout:
        folder = JobFolder("april", tmp_path)
        plan = JobPlan(source=source, concurrency=1)
        async with await Job.begin(folder, plan, checkout) as job:
            async with aclosing(job.run()) as outcomes:
                await anext(outcomes)
                while len(sandbox.book.sessions) < 2:  # noqa: ASYNC110 -- no event
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.1)
            left = {
                task
                for task in asyncio.all_tasks() - before
                if "_run_worker" in repr(task)
            }

    assert left == set()


async def test_a_run_reads_each_row_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """Before, its head is found, and a file that cannot be read at all is refused."""
    opened: list[str] = []
    source = write_orders(tmp_path / "orders.csv", 20)
    recording = True

    def record(event: str, arguments: tuple[object, ...]) -> None:
        if recording and event == "open" and str(arguments[0]) == source:
            opened.append(event)

    sys.addaudithook(record)
    folder = JobFolder("april", tmp_path)
    async with sandbox.factory() as checkout:
        begun = await Job.begin(folder, JobPlan(source=source), checkout)
        async with begun as job:
            await exhaust(job)
            await job.write_dead_letters()
            total = job.total
    recording = False

    assert opened == ["open", "open", "open"]
    assert job.tally.created == total == 20


async def test_a_file_that_was_changed_is_read_as_it_is(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nothing of it is kept from when the job was begun: no row is half old."""
    folder = JobFolder("april", tmp_path)
    source = write_orders(tmp_path / "orders.csv", 300, amount="4999")
    async with sandbox.factory() as checkout:
        begun = await Job.begin(folder, JobPlan(source=source), checkout)
        write_orders(tmp_path / "orders.csv", 300, amount="7")
        async with begun as job:
            await exhaust(job)

    amounts = [one.request.amount for one in sandbox.book.sessions.values()]
    assert amounts == [7] * 300
    assert job.total == 300


_RECORDED = """
import sys

def record(event, arguments):
    if event == "open" and str(arguments[0]).endswith("orders.csv"):
        print("opened", file=sys.stderr)

sys.addaudithook(record)
from convergegate_async.cli import main
main()
"""


async def test_the_command_reads_each_row_twice(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Once to check it before anything is sent, and once to send it; its head twice."""
    write_orders(tmp_path / "orders.csv", 20)
    program = (sys.executable, "-c", _RECORDED)

    output = await _communicate(
        bulk(tmp_path, sandbox, "run", "orders.csv", "--job", "april", program=program)
    )

    assert output.count("opened") == 4
    assert "created 20" in output


async def test_the_command_goes_on_with_a_job_of_python_s(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The plan is in the journal, and nobody has to repeat it."""
    source = write_orders(tmp_path / "orders.csv", 30)
    plan = JobPlan(source=source, table=TableOptions(row_metadata="row"), concurrency=2)
    async with sandbox.factory() as checkout:
        begun = await Job.begin(JobFolder("april", tmp_path), plan, checkout)
        async with begun as job:
            async for _ in job.run():
                job.stop()

    output = await _communicate(bulk(tmp_path, sandbox, "resume", "april"))

    assert f"created {30 - job.tally.created}" in output
    assert {s.request.metadata["row"] for s in sandbox.book.sessions.values()} == {  # type: ignore[index]  # it is there
        f"order-{number}" for number in range(1, 31)
    }


async def test_python_goes_on_with_a_job_of_the_command_s(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Rejected by the first run, sent by the second, under the options of the first."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=422, times=5))
    write_orders(tmp_path / "orders.csv", 5)
    await _communicate(
        bulk(
            tmp_path, sandbox, "run", "orders.csv", "--job", "april", "--concurrency=3"
        )
    )

    async with sandbox.factory() as checkout:
        folder = JobFolder("april", tmp_path)
        async with await Job.resume(folder, checkout, retries_failed=True) as job:
            await exhaust(job)

    assert (job.tally.created, job.plan.concurrency) == (5, 3)


async def _communicate(process: "subprocess.Popen[str]") -> str:
    """Wait for *process* without holding up the sandbox; return its stderr."""
    _, stderr = await asyncio.to_thread(process.communicate)
    return stderr


@pytest.mark.parametrize(
    "plan",
    [
        JobPlan(),
        JobPlan(source="orders.csv", format="csv", concurrency=7, maximum_rps=0.5),
        JobPlan(
            table=TableOptions(columns={"Total": "amount"}, amount_unit="major"),
            rules=ResumeRules(on_unknown=OnUnknown.REPEAT, keys_honoured=True),
        ),
    ],
    ids=["nothing", "limits", "table-and-rules"],
)
async def test_a_plan_is_found_again_in_its_journal(
    plan: JobPlan, sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is stored is what was said."""
    source = write_orders(tmp_path / "orders.csv", 1)
    plan = attrs.evolve(plan, source=source).kept_in(JobFolder("april", tmp_path))
    header = new_header(sandbox.factory(), "april", plan)
    Journal.create(tmp_path / "april.journal", header).close()

    with Journal.open(tmp_path / "april.journal") as journal:
        assert plan_of(journal.header) == plan


@pytest.mark.parametrize("options", ["{}", "[]", '{"rules": {}}', "no"])
async def test_a_journal_without_a_plan_is_refused(
    options: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A journal of another version says so, and nothing is sent."""
    header = attrs.evolve(new_header(sandbox.factory(), "april"), options=options)
    Journal.create(tmp_path / "april.journal", header).close()

    with pytest.raises(JournalError, match="begun by another version"):
        await Job.resume(JobFolder("april", tmp_path), sandbox.factory())


async def test_dead_letters_are_in_the_dialect_of_the_input(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The same options read both: names are what they were, and nothing is guessed."""
    order = ORDER_ROW | {"customer_lastname": "Żółw", "amount": "nothing"}
    text = f"{';'.join(order)}\n{';'.join(map(str, order.values()))}\n"
    source = tmp_path / "orders.csv"
    source.write_text(text, encoding="cp1250")
    table = TableOptions(encoding="cp1250", delimiter=";")
    plan = JobPlan(source=str(source), table=table)
    folder = JobFolder("april", tmp_path)
    async with (
        sandbox.factory() as factory,
        await Job.begin(folder, plan, factory) as job,
    ):
        await exhaust(job)
        path = await job.write_dead_letters()

    assert path is not None
    [letter] = read_table(str(path), table)
    assert isinstance(letter, Problem)
    assert letter.raw["customer_lastname"] == "Żółw"
