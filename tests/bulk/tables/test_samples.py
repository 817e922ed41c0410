"""What LibreOffice 7.4, Excel and pandas write, in Polish and in English, is read.

``expected.json`` has each file: what has to be found of it (``read_as``), with which
options beside major units, and its rows, good or with the columns that are wrong; or
why it is refused as a whole.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from convergegate_async.bulk.jobs.job_plan import JobPlan
from convergegate_async.bulk.tables.doubts import is_ruined
from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Problem, Row

SUFFIXES = {".csv", ".xlsx", ".parquet"}
FOLDER = Path(__file__).with_name("samples")
EXPECTED: dict[str, Any] = json.loads(
    (FOLDER / "expected.json").read_text(encoding="utf-8")
)


def options_of(name: str) -> TableOptions:
    """Return what a reader of the file says of it; the rest is found."""
    meant = EXPECTED[name]
    return TableOptions(
        amount_unit="major",
        default_country=meant.get("default_country"),
        **meant.get("options", {}),
    )


def found_in(name: str) -> list[dict[str, Any]]:
    """Return what is read of a file, as the table tells it."""
    rows: dict[int, dict[str, Any]] = {}
    for item in read_table(str(FOLDER / name), options_of(name)):
        match item:
            case Problem(line=line, column=column):
                rows.setdefault(line, {"line": line, "wrong": []})["wrong"] += [column]
            case Row(line=line, row_id=row_id, request=request):
                rows[line] = {
                    "line": line,
                    "id": row_id,
                    "amount": request.amount,
                    "phone": request.customer_phone,
                    **(request.metadata or {}),
                }
                if is_ruined(row_id):
                    rows[line]["ruined_id"] = True
                if isinstance(request.expires_at, datetime):
                    moment = request.expires_at.astimezone(UTC)
                    rows[line]["expires_at"] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return [*rows.values()]


def test_every_sample_is_in_the_table() -> None:
    """And each of the table is there."""
    names = {path.name for path in FOLDER.iterdir() if path.suffix in SUFFIXES}

    assert names == EXPECTED.keys()


@pytest.mark.parametrize(
    "name", [name for name in EXPECTED if "rows" in EXPECTED[name]]
)
def test_a_file_is_read_as_it_was_meant(name: str) -> None:
    """Every row of it, and no other."""
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    if "default_country" in EXPECTED[name]:
        pytest.importorskip("phonenumbers")

    assert found_in(name) == EXPECTED[name]["rows"]
    if name.endswith(".csv"):
        found = (
            JobPlan(source=str(FOLDER / name), table=options_of(name)).find().options
        )
        assert attrs.asdict(found).items() >= EXPECTED[name]["read_as"].items()


@pytest.mark.parametrize(
    "name", [name for name in EXPECTED if "refused" in EXPECTED[name]]
)
def test_a_file_that_may_mean_something_else_is_refused(name: str) -> None:
    """As a whole, and in words that say what is to be done."""
    pytest.importorskip("openpyxl")

    with pytest.raises(SourceError) as caught:
        found_in(name)

    assert str(caught.value).startswith(EXPECTED[name]["refused"])
