"""XLSX as rows: which sheet, which header, and what becomes of a row."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from orders import ORDER_ROW
from workbook_parts import MOMENT, number, row, text, write_workbook

from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Problem, Row

openpyxl = pytest.importorskip("openpyxl")

HEADER = row(*map(text, ORDER_ROW))
MAJOR = TableOptions(amount_unit="major")


def order(**cells: str) -> str:
    """Return a row that has the order's cells, all of them texts, but for *cells*."""
    plain = {name: text(str(value)) for name, value in ORDER_ROW.items()}
    return row(*(plain | cells).values())


def read(path: str, options: TableOptions = TableOptions()) -> list[Row | Problem]:  # noqa: B008 -- frozen
    """Return all that is read of a file."""
    return list(read_table(path, options))


def summary(found: list[Row | Problem]) -> list[str]:
    """Return the problems in words, and the good rows by their place and id."""
    return [
        str(item) if isinstance(item, Problem) else f"{item.line}: {item.row_id}"
        for item in found
    ]


def test_a_row_is_a_request(tmp_path: Path) -> None:
    """As a spreadsheet writes it: numbers, where texts were meant, are their digits."""
    book = openpyxl.Workbook()
    book.active.append([*ORDER_ROW, "metadata[order]", "metadata[note]"])
    order_cells = ORDER_ROW | {
        "id": 17,
        "amount": 49.99,
        "customer_phone": " +48123456789",
    }
    book.active.append([*order_cells.values(), 100200300, "\u00a0ąć 2 "])
    book.save(tmp_path / "orders.xlsx")

    [found] = read(str(tmp_path / "orders.xlsx"), MAJOR)

    assert isinstance(found, Row)
    assert (found.row_id, found.line, found.request.amount) == ("17", 2, 4999)
    assert found.request.metadata == {"order": "100200300", "note": "ąć 2"}
    assert found.raw["amount"] == 49.99


@pytest.mark.parametrize("amount", [number(4999), number("4999.0"), text(" 4999 ")])
def test_minor_units_may_be_texts(tmp_path: Path, amount: str) -> None:
    """A cell that is formatted as text holds one, whatever it looks like."""
    rows = HEADER + order(amount=amount)

    [found] = read(write_workbook(tmp_path / "a.xlsx", {"S": rows}))

    assert isinstance(found, Row)
    assert found.request.amount == 4999


def test_empty_rows_are_passed_over(tmp_path: Path) -> None:
    """Also those with formats or spaces in their cells; lines are the sheet's."""
    empty = row(*['<c s="1"/>'] * 3) + row(text(" "), text("\u00a0"))
    rows = empty + HEADER + empty + order() + empty * 100 + order(id=text("A-2"))

    found = read(write_workbook(tmp_path / "a.xlsx", {"S": rows}))

    assert summary(found) == ["6: A-1", "207: A-2"]


def test_a_cell_that_cannot_be_read_is_a_problem_of_its_row(tmp_path: Path) -> None:
    """The others are read; what a column holds that is left out, nobody asks."""
    error = '<c t="e"><v>#N/A</v></c>'
    rows = (
        row(*map(text, [*ORDER_ROW, "metadata[note]", "cg_line"]))
        + order(amount=error, note=error, line=error)
        + order(id="<c><f>A1</f></c>")
        + order(customer_phone=number("4.8601E+16"))
        + order(id=text("A-5"), amount=number("49.99"))
        + order(note="<c><f>A1</f><v></v></c>")  # as openpyxl writes it
        + order(id=text("A-7"), note='<c t="str"><f>A1</f><v></v></c>')  # empty
    )

    found = read(write_workbook(tmp_path / "a.xlsx", {"S": rows}))

    error = "holds an error of the spreadsheet, such as #N/A"
    formula = "holds a formula without its result: open the file in a spreadsheet"
    formula += " and save it"
    long = "is a number of more than 15 digits, which are not exact: make it a text"
    fraction = "must be a whole number of minor units, unless the amount unit is major"
    assert summary(found) == [
        f"line 2, column amount: {error}",
        f"line 2, column metadata[note]: {error}",
        f"line 3, column id: {formula}",
        f"line 4, column customer_phone: {long}",
        f"line 5, column amount: {fraction}",
        f"line 6, column metadata[note]: {formula}",
        "7: A-7",
    ]


def test_a_typed_time_is_in_the_zone_that_is_told(tmp_path: Path) -> None:
    """Without one it is a problem: the machine's own is not that of the file."""
    rows = row(*map(text, [*ORDER_ROW, "expires_at"])) + order(
        currency=text("eur"), expires_at=number(46387.99930555556, MOMENT)
    )

    path = write_workbook(tmp_path / "a.xlsx", {"S": rows})
    [found] = read(path, TableOptions(timezone="Europe/Warsaw"))
    [problem] = read(path)

    assert isinstance(found, Row)
    assert found.request.expires_at == datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
    assert found.raw["expires_at"] == datetime(2026, 12, 31, 23, 59)  # noqa: DTZ001
    assert "needs a time zone" in str(problem)


def test_a_row_that_is_wider_than_the_header_is_a_problem(tmp_path: Path) -> None:
    """What its last cells are for, nobody knows; it is kept for the dead letters."""
    rows = HEADER + order(more=text("x")) + order(more='<c s="1"/>')

    problem, good = read(write_workbook(tmp_path / "a.xlsx", {"S": rows}))

    assert summary([problem, good]) == [
        "line 2: must have 8 cells, as the header, and has 9",
        "3: A-1",
    ]
    assert str(problem.raw["cg_row"]).endswith("\tx")


def test_a_column_without_a_name_is_refused_if_it_holds_something(
    tmp_path: Path,
) -> None:
    """As in CSV: merged cells in a header leave such columns."""
    header = row(*map(text, ORDER_ROW), text(""), text("metadata[note]"))
    rows = header + order(more=text(""), note=text("x"))
    path = write_workbook(tmp_path / "a.xlsx", {"S": rows})
    filled = write_workbook(tmp_path / "b.xlsx", {"S": header + order(more=text("x"))})

    assert summary(read(path)) == ["2: A-1"]
    with pytest.raises(SourceError, match="column 9 has no name"):
        read(filled)


def test_the_sheet_that_is_not_hidden_is_read(tmp_path: Path) -> None:
    """Empty ones do not count."""
    old = HEADER + order(id=text("A-2"))
    sheets = {"old": old, "empty": row(text(" ")), "new": HEADER + order()}

    found = read(write_workbook(tmp_path / "a.xlsx", sheets, hidden=["old"]))

    assert summary(found) == ["2: A-1"]


def test_several_sheets_with_data_are_refused(tmp_path: Path) -> None:
    """Half of a month would be passed over in silence."""
    sheets = {"Kwiecień": HEADER + order(), "Maj": HEADER}

    with pytest.raises(SourceError) as caught:
        read(write_workbook(tmp_path / "a.xlsx", sheets))

    assert str(caught.value) == (
        "several sheets hold data: Kwiecień, Maj; "
        "hide all but one, or save that one in a file of its own"
    )


@pytest.mark.parametrize("sheets", [{"S": ""}, {"S": row(text(" "))}])
def test_a_workbook_without_a_row_has_no_header(
    tmp_path: Path, sheets: dict[str, str]
) -> None:
    """As an empty file has none."""
    with pytest.raises(SourceError, match="the input has no header"):
        read(write_workbook(tmp_path / "a.xlsx", sheets))


def test_columns_are_checked(tmp_path: Path) -> None:
    """By the same words as those of other formats."""
    rows = row(*map(text, [*ORDER_ROW, "Kwota"]))

    with pytest.raises(SourceError, match="unknown columns: Kwota"):
        read(write_workbook(tmp_path / "a.xlsx", {"S": rows}))


def test_what_escaped_a_formula_in_csv_is_taken_away(tmp_path: Path) -> None:
    """Our own CSV may have been saved as a workbook."""
    rows = HEADER + order(customer_phone=text("'+48123456789"))

    assert summary(read(write_workbook(tmp_path / "a.xlsx", {"S": rows}))) == ["2: A-1"]


def test_without_openpyxl_it_is_refused(tmp_path: Path) -> None:
    """The refusal says what to install."""
    program = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from convergegate_async.bulk import *\n"
        "try: next(read_table(sys.argv[1], TableOptions()))\n"
        "except SourceError as error: print(error)"
    )
    path = write_workbook(tmp_path / "a.xlsx", {"S": HEADER})
    command = [sys.executable, "-c", program, path]

    output = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 -- our own words

    assert output.decode().strip() == "XLSX needs openpyxl: pip install openpyxl"
