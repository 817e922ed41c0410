"""A job whose rows are sent elsewhere, a chunk at a time."""

from pathlib import Path

import pytest
from job_rows import rows_of
from thread_runner import ThreadRunner

from convergegate_async.bulk import (
    Created,
    Job,
    JobPlan,
    Journal,
    ResumeRules,
    new_header,
)
from convergegate_async.sandbox import Sandbox

ROWS = 1_500  # more than a chunk holds


async def test_outcomes_keep_the_index_of_the_input(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 1,400 is row 1,400 again, and not the 400th of the second chunk."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    plan = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=16)
    rows = rows_of(ROWS)

    async with sandbox.factory() as checkout:
        header = new_header(checkout, "april", plan)
        with Journal.create(tmp_path / "april.journal", header) as journal:
            job = Job(journal, checkout, plan)
            outcomes = [outcome async for outcome in job.run_on(ThreadRunner(), rows)]

    assert sorted(outcome.index for outcome in outcomes) == list(range(ROWS))
    for outcome in outcomes:
        assert isinstance(outcome, Created)
        assert outcome.session.amount_subtotal == outcome.index + 1
        assert outcome.row_id == rows[outcome.index].row_id
