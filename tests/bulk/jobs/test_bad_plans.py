"""Plans that can never be run: refused before a journal is made, and when read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from job_rows import rows_of
from orders import ORDER_FIELDS

from convergegate_async import ConfigurationError
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    JournalError,
    Limits,
    OnUnknown,
    Problem,
    ResumeRules,
    Row,
    SourceError,
    TableOptions,
    new_header,
    plan_of,
)
from convergegate_async.sandbox import Sandbox

BAD_LIMITS: list[dict[str, Any]] = [
    {"concurrency": 0},
    {"concurrency": "8"},
    {"concurrency": True},
    {"maximum_rps": -1.0},
    {"maximum_rps": "3"},
    {"max_pause": float("nan")},
    {"max_outage": 0},
]


@pytest.mark.parametrize("kind", [JobPlan, Limits])
@pytest.mark.parametrize("limits", BAD_LIMITS, ids=str)
def test_a_limit_that_nobody_can_keep_is_refused(
    kind: Callable[..., object], limits: dict[str, Any]
) -> None:
    """By name, where it is given."""
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        kind(**limits)


@pytest.mark.parametrize(
    "values", [{"rules": None}, {"table": None}, {"source": 3}], ids=str
)
def test_a_plan_is_made_of_its_own_types(values: dict[str, Any]) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        JobPlan(**values)


async def test_a_plan_without_a_file_waits_for_its_rows(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """To run it without any is refused, and it can be run with them after that."""
    folder = JobFolder("april", tmp_path)
    async with (
        sandbox.factory() as checkout,
        await Job.begin(folder, JobPlan(), checkout) as job,
    ):
        with pytest.raises(ConfigurationError, match="hand the rows to"):
            await anext(job.run())

        outcomes = [one async for one in job.run(rows_of(3))]

    assert len(outcomes) == sandbox.count("create") == 3


def test_what_becomes_of_unknown_rows_may_be_said_in_text() -> None:
    """It means the same in the first run and in the next."""
    rules = ResumeRules(on_unknown="repeat")

    assert rules.on_unknown is OnUnknown.REPEAT
    assert rules.repeats


@pytest.mark.parametrize(
    "rules", [{"on_unknown": "nonsense"}, {"keys_honoured": "no"}], ids=str
)
def test_a_rule_that_does_not_exist_is_refused(rules: dict[str, Any]) -> None:
    """A text is no yes, and another word is no rule."""
    with pytest.raises(ConfigurationError, match=next(iter(rules))):
        ResumeRules(**rules)


@pytest.mark.parametrize(
    "options",
    [{"id_column": 5}, {"row_metadata": 5}, {"columns": ["a"]}, {"columns": {"a": 5}}],
    ids=str,
)
def test_names_of_columns_are_texts(options: dict[str, Any]) -> None:
    """Anything else is refused by name."""
    with pytest.raises(SourceError, match=next(iter(options))):
        TableOptions(**options)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "nowhere.csv"},
        {"table": TableOptions(columns={"x": "amount"})},
        {"format": "xls"},
        {"concurrency": 500},
    ],
    ids=["no file", "columns", "format", "pool"],
)
async def test_a_plan_that_cannot_be_run_is_not_stored(
    changes: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its name stays free."""
    source = tmp_path / "orders.csv"
    source.write_text(f"id,{','.join(ORDER_FIELDS)}\n")
    folder = JobFolder("april", tmp_path)

    with pytest.raises(ConfigurationError):
        await Job.begin(
            folder, JobPlan(**{"source": str(source)} | changes), sandbox.factory()
        )

    assert not folder.journal.exists()


def stored(**changes: object) -> str:
    """Return a plan as a journal holds it, changed by hand."""
    return json.dumps(json.loads(JobPlan().to_json()) | changes)


@pytest.mark.parametrize(
    "options",
    [
        "[" * 100_000,
        stored(concurrency=0),
        stored(max_pause="300"),
        stored(format="xls"),
        stored(format=5),
        stored(rules={"on_unknown": "maybe"}),
        stored(table={"id_column": 5}),
        stored(table={"row_metadata": 5}),
        stored(table={"columns": None}),
    ],
    ids=[
        *("no plan", "no seconds", "a text for seconds", "format", "number", "rule"),
        *("column", "metadata", "columns"),
    ],
)
async def test_a_plan_that_was_changed_by_hand_is_refused(
    options: str, sandbox: Sandbox
) -> None:
    """With one clear error, whatever is wrong with it."""
    header = attrs.evolve(new_header(sandbox.factory(), "april"), options=options)

    with pytest.raises(JournalError, match="begun by another version"):
        plan_of(header)


async def test_a_job_begun_before_anything_was_found_is_read_as_it_was(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """What was a problem then may stand mended in another job: it stays one."""
    path = tmp_path / "orders.csv"
    row = {"id": "A-1", **ORDER_FIELDS, "amount": "1 234.50"}
    lines = [",".join(row), ",".join(map(str, row.values()))]
    path.write_text("\n".join(lines))
    old = {"id_column": "id", "columns": {}, "amount_unit": "major"}
    header = attrs.evolve(
        new_header(sandbox.factory(), "april"),
        source=str(path),
        options=stored(table=old | {"row_metadata": None}),
    )

    (then,) = plan_of(header).rows()
    (now,) = JobPlan(source=str(path), table=TableOptions(amount_unit="major")).rows()

    assert isinstance(then, Problem)
    assert isinstance(now, Row)


async def test_no_seconds_are_no_wish(sandbox: Sandbox) -> None:
    """To go on with a pause of 0 is refused, and not taken for none that was said."""
    header = new_header(sandbox.factory(), "april")

    with pytest.raises(ConfigurationError, match="max_pause"):
        plan_of(header, max_pause=0)
