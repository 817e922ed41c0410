"""XLSX: typed cells, no formulas, and bounds that are told before a file is there."""

import gc
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orders import ORDER_ROW

from convergegate_async import ConfigurationError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Row
from convergegate_async.bulk.tables.writers import write_results
from convergegate_async.bulk.tables.xlsx_file import read_xlsx
from convergegate_async.bulk.tables.xlsx_writer import write_xlsx

openpyxl = pytest.importorskip("openpyxl")
unescape = pytest.importorskip("openpyxl.utils.escape").unescape

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("\0\1\r\n_x05F"))
EXACT = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.integers(-20, 20),
)
ZONES = st.integers(-720, 720).map(lambda n: timezone(timedelta(minutes=n)))
MOMENTS = st.datetimes(datetime(1902, 1, 1), timezones=ZONES).filter(  # noqa: DTZ001 -- as it has to be
    lambda moment: moment.year < 9999
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that every test may replace."""
    return str(tmp_path_factory.mktemp("exports") / "results.xlsx")


def cells_of(path: str, value: object) -> list[Any]:
    """Write *value* twice in a row, and return the cells as openpyxl reads them."""
    write_results(path, [{"a": value, "b": value}])
    sheet = openpyxl.load_workbook(path).active
    return [sheet["A2"], sheet["B2"]]


@given(TEXTS)
@example("=1+1")
@example("#N/A")
@example("49.99")
@example("_x0041_")
@example("a\r\nb")
@example("\ufffe")
def test_a_text_is_a_text(path: str, text: str) -> None:
    """Neither a formula, nor an error, nor a number, whatever it looks like."""
    for cell in cells_of(path, text):
        assert unescape(cell.value or "") == text
        assert cell.data_type == ("s" if text else "n")


@given(TEXTS)
@example("_x005F_")
def test_what_we_read_is_what_was_written(path: str, text: str) -> None:
    """But for spaces at the ends of cells."""
    write_results(path, [{"a": "x", "b": text}])

    with Path(path).open("rb") as file:
        [row] = read_xlsx(file, lambda _: None)
    assert (row.cells["b"] or "") in {text.strip(), text.strip().removeprefix("'")}


@given(EXACT)
@example(Decimal("49.90"))
@example(Decimal(1500))
@example(Decimal("1E+3"))
def test_a_decimal_is_a_number_that_shows_its_decimals(
    path: str, number: Decimal
) -> None:
    """A spreadsheet adds it up."""
    _, _, exponent = number.as_tuple()
    for cell in cells_of(path, number):
        assert cell.data_type == "n"
        assert Decimal(repr(cell.value)) == number
        decimals = cell.number_format.partition(".")[2]
        assert decimals == "0" * -int(exponent)


@pytest.mark.parametrize("whole", [0, -1, 10**15 - 1, 1 - 10**15])
def test_a_whole_number_is_one(path: str, whole: int) -> None:
    """It is shown with all of its digits."""
    for cell in cells_of(path, whole):
        assert (cell.value, cell.number_format) == (whole, "0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**15, "1000000000000000"),
        (Decimal("90071992547409.91"), "90071992547409.91"),
        (0.1 + 0.2, "0.30000000000000004"),
        (float("nan"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (Decimal("1E-40"), "1E-40"),
        (Decimal("1E+400"), "1E+400"),
        (datetime(1850, 1, 1, tzinfo=UTC), "1850-01-01T00:00:00+00:00"),
        (date(1850, 1, 1), "1850-01-01"),
        (time(18, 30), "18:30:00"),
        (["blik", "card"], "blik|card"),
        ({"a": Decimal("1.0")}, '{"a": "1.0"}'),
        ("a\ud800\udcb3", "a\\ud800\\udcb3"),
    ],
    ids=str,
)
def test_what_a_spreadsheet_cannot_hold_is_a_text(
    path: str, value: object, text: str
) -> None:
    """Its numbers have 15 digits, its days begin in 1900, and it has no surrogates."""
    for cell in cells_of(path, value):
        assert (cell.value, cell.data_type) == (text, "s")


@given(MOMENTS)
def test_a_time_is_a_date_in_utc(path: str, moment: datetime) -> None:
    """To the millisecond; the cell has no zone."""
    for cell in cells_of(path, moment):
        assert cell.is_date
        found = cell.value.replace(tzinfo=UTC)
        assert abs(found - moment) <= timedelta(milliseconds=1)


def test_a_date_has_no_time(path: str) -> None:
    """And a time without a zone stays as it is."""
    local = datetime(2026, 12, 31, 23, 59)  # noqa: DTZ001 -- as it has to be
    assert cells_of(path, date(2026, 12, 31))[0].number_format == "yyyy-mm-dd"
    assert cells_of(path, local)[0].value == local


def test_flags_are_flags_and_nothing_is_empty(path: str) -> None:
    """A cell of nothing is not even there."""
    for flag in (True, False):
        assert [cell.value for cell in cells_of(path, flag)] == [flag, flag]
    assert [cell.value for cell in cells_of(path, None)] == [None, None]


def test_an_export_is_input_again(path: str) -> None:
    """Amounts, ends of links and phone numbers are read as they were."""
    end = datetime(2096, 12, 31, 22, 59, tzinfo=UTC)
    row = ORDER_ROW | {"amount": Decimal("49.90"), "expires_at": end}
    write_results(path, [row])

    [found] = read_table(path, TableOptions(amount_unit="major", timezone="UTC"))

    assert isinstance(found, Row), str(found)
    assert (found.request.amount, found.request.expires_at) == (4990, end)
    assert found.request.customer_phone == ORDER_ROW["customer_phone"]


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        ("ą" * 32_767, True),
        ("ą" * 32_768, False),
        ("😀" * 16_384, False),  # each is two
        ("\r" * 4_682, False),  # each is spelled in seven
        ("=" * 32_767, True),
    ],
    ids=["most", "more", "pairs", "spelled", "formula"],
)
def test_a_cell_has_a_bound(tmp_path: Path, value: str, *, is_taken: bool) -> None:
    """No text is cut: the file is refused, and none is there."""
    path = tmp_path / "a.xlsx"
    records: list[dict[str, str]] = [{"a": "x"}] * 2_000 + [{"a": value}]

    if is_taken:
        assert write_results(str(path), records) == 2_001
        return
    with pytest.raises(ConfigurationError, match=r"32,767 .* use CSV or Parquet"):
        write_results(str(path), records)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("records", "most"),
    [
        (lambda: repeat({"a": 1}, 1_048_576), "1,048,576 rows, the header included"),
        (lambda: [{str(n): n for n in range(16_385)}], "16,384 columns"),
    ],
    ids=["rows", "columns"],
)
def test_a_sheet_has_bounds(tmp_path: Path, records: Any, most: str) -> None:  # noqa: ANN401 -- any records
    """What does not fit is refused before a cell is written."""
    path = tmp_path / "a.xlsx"

    with pytest.raises(ConfigurationError, match=f"{most}: use CSV or Parquet"):
        write_results(str(path), records())

    assert not list(tmp_path.iterdir())


def test_no_draft_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of what was written nor of what was refused."""
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(drafts))

    write_results(str(tmp_path / "a.xlsx"), [{"a": 1}])
    with pytest.raises(ConfigurationError):
        write_results(str(tmp_path / "b.xlsx"), [{"a": "x" * 40_000}])

    assert not list(drafts.iterdir())


def test_it_is_appended_to_what_stdout_holds(tmp_path: Path) -> None:
    """A shell's ``>>`` loses nothing."""
    path = tmp_path / "a"
    path.write_bytes(b"before")
    program = (
        "from convergegate_async.bulk.tables.writers import write_results\n"
        "write_results('-', [{'id': 'A'}], format='xlsx')"
    )

    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)  # noqa: S603 -- our own words

    assert path.read_bytes().startswith(b"beforePK")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_without_openpyxl_it_is_refused(tmp_path: Path) -> None:
    """The refusal says what to install."""
    program = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from convergegate_async.bulk import *\n"
        "try: write_results(sys.argv[1], [])\n"
        "except SourceError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.xlsx")]

    output = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 -- our own words

    assert output.decode().strip() == "XLSX needs openpyxl: pip install openpyxl"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
def test_a_full_disk_is_told_once() -> None:
    """By the error alone: the archive that was given up says nothing more later."""
    later: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, later.append
    try:
        with (
            open("/dev/full", "wb", buffering=0) as file,  # noqa: PTH123 -- unbuffered
            pytest.raises(OSError, match="No space"),
        ):
            write_xlsx(file, [{"a": "b"}])
        gc.collect()
    finally:
        sys.unraisablehook = before

    assert later == []
