"""Rows whose positions are not theirs alone: each keeps its own session and place."""

import csv
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_rows import rows_of
from thread_runner import ThreadRunner

from convergegate_async.bulk import (
    Created,
    Job,
    JobFolder,
    JobPlan,
    Problem,
    ResumeRules,
    Row,
    RowOutcome,
    check,
    every_row,
)
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

PLAN = JobPlan(format="csv", rules=ResumeRules(keys_honoured=True))


def two_files() -> list[Row]:
    """Return the rows of two files, one behind the other: positions begin anew."""
    return [attrs.evolve(row, position=row.position % 20 + 1) for row in rows_of(40)]


def problem(position: int) -> Problem:
    """Return what is wrong with a row of its own."""
    raw = {"id": "x"}
    return Problem(
        position=position, line=1, row_id=None, column="id", reason="no", raw=raw
    )


async def outcomes_of(job: Job, rows: Sequence[Row], way: str) -> list[RowOutcome]:
    """Run *job* in one of its ways."""
    run = job.run(rows) if way == "run" else job.run_on(ThreadRunner(), rows)
    return [outcome async for outcome in run]


@pytest.mark.parametrize("way", ["run", "run_on"])
async def test_two_files_make_one_job(
    way: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions count in each file: no row is given the session of another."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.02, times=40))
    folder, rows = JobFolder("april", tmp_path), two_files()

    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, PLAN, checkout) as job:
            outcomes = await outcomes_of(job, rows, way)
        with Journal.read(folder.journal) as journal:
            known = [row async for row in every_row(journal)]

    amounts = {row.row_id: row.request.amount for row in rows}
    booked = {key: made.request.amount for key, made in sandbox.book.sessions.items()}
    assert {row.row_id: booked[row.session_id or ""] for row in known} == amounts
    assert [row.row_id for row in known] == list(amounts)
    assert {one.index: one.request for one in outcomes} == {
        index: row.request for index, row in enumerate(rows)
    }


@settings(max_examples=15)  # each is a job
@given(positions=st.lists(st.sampled_from([-(2**80), -1, 0, 1, 2, 2**63 - 1, 2**80])))
async def test_a_position_may_be_any_number(
    positions: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every row is sent, once, and told by its place among those that were given."""
    rows = [
        attrs.evolve(row, position=position)
        for row, position in zip(rows_of(len(positions)), positions, strict=True)
    ]
    folder = JobFolder("april", tmp_path_factory.mktemp("job"))

    async with (
        Sandbox() as sandbox,
        sandbox.factory() as checkout,
        await Job.begin(folder, PLAN, checkout) as job,
    ):
        outcomes = [outcome async for outcome in job.run(rows)]

    assert sorted(outcome.index for outcome in outcomes) == list(range(len(rows)))
    for outcome in outcomes:
        assert isinstance(outcome, Created)
        assert outcome.session.amount_subtotal == outcome.index + 1
        assert outcome.row_id == rows[outcome.index].row_id


async def test_dead_letters_keep_the_order_in_which_rows_were_given(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Those of the second file come behind those of the first, bad ones, too."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400, times=600))
    rows: list[Row | Problem] = [*two_files(), problem(1), problem(1)]
    folder = JobFolder("april", tmp_path)

    async with (
        sandbox.factory() as checkout,
        await Job.begin(folder, PLAN, checkout) as job,
    ):
        async for _ in job.run(rows):
            pass
        path = await job.write_dead_letters()

    assert path is not None
    assert job.tally.invalid == 2
    letters = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert [row["id"] for row in letters] == [
        *[f"order-{number}" for number in range(1, 41)],
        "x",
        "x",
    ]


def test_a_check_counts_rows_and_not_positions() -> None:
    """The only rows of two files are two; the problems of one row are one row."""
    rows = two_files()
    twice = problem(3)

    assert check([rows[0], rows[20]]).total == 2
    assert check([twice, attrs.evolve(twice, column="amount"), problem(3)]).total == 2
