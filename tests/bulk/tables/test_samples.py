"""What LibreOffice 7.4 writes, in Polish and in English, is read as it was meant.

``expected.json`` has each file: how it has to be read (``read_as``), with which options
beside major units and times in Europe/Warsaw, and its rows, good or with the columns
that are wrong; or why it is refused as a whole.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Problem, Row

FOLDER = Path(__file__).with_name("samples")
EXPECTED: dict[str, Any] = json.loads(
    (FOLDER / "expected.json").read_text(encoding="utf-8")
)
READ = [
    name
    for name, meant in EXPECTED.items()
    # Other delimiters and encodings are to be found first.
    if meant.get("read_as", {}).get("delimiter", ",") == ","
]


def options_of(name: str) -> TableOptions:
    """Return how a file has to be read."""
    meant = EXPECTED[name]
    spellings = meant.get("read_as", {})
    return TableOptions(
        amount_unit="major",
        timezone="Europe/Warsaw",
        default_country=meant.get("default_country"),
        decimal=spellings.get("decimal"),
        date_format=spellings.get("date_format"),
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
                assert isinstance(request.expires_at, datetime)
                rows[line] = {
                    "line": line,
                    "id": row_id,
                    "amount": request.amount,
                    "phone": request.customer_phone,
                    "expires_at": f"{request.expires_at:%Y-%m-%dT%H:%M:%SZ}",
                    **(request.metadata or {}),
                }
    return [*rows.values()]


def test_every_sample_is_in_the_table() -> None:
    """And each of the table is there."""
    names = {path.name for path in FOLDER.iterdir() if path.suffix != ".json"}

    assert names == EXPECTED.keys()


@pytest.mark.parametrize("name", [name for name in READ if "rows" in EXPECTED[name]])
def test_a_file_is_read_as_it_was_meant(name: str) -> None:
    """Every row of it, and no other."""
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    if "default_country" in EXPECTED[name]:
        pytest.importorskip("phonenumbers")

    assert found_in(name) == EXPECTED[name]["rows"]


@pytest.mark.parametrize("name", [name for name in READ if "refused" in EXPECTED[name]])
def test_a_file_that_may_mean_something_else_is_refused(name: str) -> None:
    """As a whole, and in words that say what is to be done."""
    pytest.importorskip("openpyxl")

    with pytest.raises(SourceError) as caught:
        found_in(name)

    assert str(caught.value).startswith(EXPECTED[name]["refused"])
