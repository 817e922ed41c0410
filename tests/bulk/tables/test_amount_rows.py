"""Ids and amounts of a table that is about rows of another one."""

import csv
import io
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.bulk import (
    AmountRow,
    SourceError,
    TableOptions,
    read_amounts,
)

openpyxl = pytest.importorskip("openpyxl")

MAJOR = TableOptions(amount_unit="major")
ids = st.text("ABCż-/0123456789", min_size=1, max_size=9)
grosze = st.integers(1, 10**9)


def spelled(amount: int, mark: str, group: str) -> str:
    """Return minor units as a person writes them in major ones."""
    whole, fraction = divmod(amount, 100)
    return f"{whole:,}".replace(",", group) + f"{mark}{fraction:02}"


@given(
    rows=st.lists(st.tuples(ids, grosze), min_size=1, max_size=9),
    mark=st.sampled_from([",", "."]),
    group=st.sampled_from(["", " ", "\u00a0"]),
    delimiter=st.sampled_from(";\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1250", "utf-16"]),
)
def test_amounts_are_read_as_a_spreadsheet_wrote_them(
    rows: list[tuple[str, int]],
    mark: Literal[",", "."],
    group: str,
    delimiter: str,
    encoding: str,
) -> None:
    """Whatever the notation, each is exact, with the id beside it."""
    text = io.StringIO()
    table = csv.writer(text, delimiter=delimiter)
    table.writerow(["ID", "who", "Zwrot"])
    for row_id, amount in rows:
        table.writerow([row_id, "Jan", spelled(amount, mark, group)])
    with TemporaryDirectory() as folder:
        path = Path(folder, "back.csv")
        path.write_bytes(text.getvalue().encode(encoding))
        options = TableOptions(
            amount_unit="major", decimal=mark, encoding=encoding.removesuffix("-sig")
        )
        found = list(read_amounts(str(path), options, "zwrot"))

    assert [(one.row_id, one.amount) for one in found] == [
        (row_id, Decimal(amount) / 100) for row_id, amount in rows
    ]
    assert [one.line for one in found] == list(range(2, len(rows) + 2))


def read(folder: Path, *lines: str, unit: str = "minor") -> list[AmountRow]:
    """Read a table of these lines."""
    path = folder / "back.csv"
    path.write_text("\n".join(("id,amount", *lines, "")))
    options = TableOptions(amount_unit=unit)  # type: ignore[arg-type]  # either word
    return list(read_amounts(str(path), options, "amount"))


@pytest.mark.parametrize(
    "text", ["", "x", "1.5", "1,5", "-1", "+1", "1e3", "NaN", "1 000", "٣", "0x10"]
)
def test_minor_units_are_digits(tmp_path: Path, text: str) -> None:
    """Anything else is a fault of its row, without the text of the cell."""
    [row] = read(tmp_path, f'A-1,"{text}"')

    assert row == AmountRow(2, "A-1", fault="column amount must be whole minor units")


@pytest.mark.parametrize("text", ["", "x", "1e3", "NaN", "1,234", "inf", "1.2.3,4,5"])
def test_major_units_are_one_number(tmp_path: Path, text: str) -> None:
    """What has two readings has none."""
    [row] = read(tmp_path, f'A-1,"{text}"', unit="major")

    assert (row.row_id, row.amount) == ("A-1", None)
    assert row.fault is not None
    assert "column amount" in row.fault


def test_a_row_without_an_id_is_a_fault(tmp_path: Path) -> None:
    """And so is one that has too many cells; the others are read."""
    rows = read(tmp_path, ",5", "A-1,5,6", "A-2,7")

    assert [(row.line, row.amount, row.fault is None) for row in rows] == [
        *((2, None, False), (3, None, False), (4, 7, True))
    ]


def test_numbers_of_a_workbook_are_exact(tmp_path: Path) -> None:
    """Floats as they are written, whole ids as their digits, in either unit."""
    book = openpyxl.Workbook()
    sheet = book.active
    for cells in (["id", "amount"], [100234, 49.99], ["A-1", 5], ["A-2", True]):
        sheet.append(cells)
    path = tmp_path / "back.xlsx"
    book.save(path)

    major = list(read_amounts(str(path), MAJOR, "amount"))
    minor = list(read_amounts(str(path), TableOptions(), "amount"))

    assert [(row.row_id, row.amount) for row in major] == [
        ("100234", Decimal("49.99")),
        ("A-1", Decimal(5)),
        ("A-2", None),
    ]
    assert [(row.row_id, row.amount) for row in minor] == [
        ("100234", None),
        ("A-1", 5),
        ("A-2", None),
    ]


@pytest.mark.parametrize(("column", "lacks"), [("amount", "amount"), (None, "id")])
def test_a_table_without_the_column_is_refused(
    tmp_path: Path, column: str | None, lacks: str
) -> None:
    """With the column that is missing."""
    path = tmp_path / "back.csv"
    path.write_text("id,who\nA-1,Jan\n" if column else "nr,amount\nA-1,1\n")

    with pytest.raises(
        SourceError, match=rf"no column {lacks} among .*\(say which with --"
    ):
        list(read_amounts(str(path), TableOptions(), column))


def test_without_a_column_of_amounts_only_ids_are_read(tmp_path: Path) -> None:
    """All that is left of each is paid back."""
    path = tmp_path / "back.csv"
    path.write_text("id,who\nA-1,Jan\nA-2,Ewa\n")

    rows = list(read_amounts(str(path), TableOptions()))

    assert rows == [AmountRow(2, "A-1"), AmountRow(3, "A-2")]


@pytest.mark.parametrize("header", ["id,amount,amount", "id,id,amount"])
def test_a_column_that_stands_twice_is_refused(tmp_path: Path, header: str) -> None:
    """Which of them is meant nobody knows; others may stand twice."""
    path = tmp_path / "back.csv"
    path.write_text(f"{header}\nA-1,1,2\n")

    with pytest.raises(SourceError, match="repeats"):
        list(read_amounts(str(path), TableOptions(), "amount"))


def test_a_number_beyond_all_amounts_takes_no_time(tmp_path: Path) -> None:
    """It is no amount, and its digits are never written out."""
    path = tmp_path / "back.jsonl"
    path.write_text('{"id":"A-1","amount":1e300000000}\n')

    [row] = read_amounts(str(path), TableOptions(), "amount")

    assert row.amount is None
