"""Workbooks as cells: what is read, and what is refused before it takes much."""

import struct
import tracemalloc
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, time
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbook_parts import (
    DATE,
    MOMENT,
    TIME,
    ZEROS,
    number,
    row,
    text,
    write_workbook,
)

from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.sheet_rows import Cells, Unread
from convergegate_async.bulk.tables.workbooks import opened_workbook

pytest.importorskip("openpyxl")

MEBIBYTE = 2**20
ERROR = Unread("holds an error of the spreadsheet, such as #N/A")
NO_RESULT = Unread(
    "holds a formula without its result: open the file in a spreadsheet and save it"
)


def cells_of(path: str) -> list[tuple[int, Cells]]:
    """Return the rows of the first sheet in a file."""
    with Path(path).open("rb") as file, opened_workbook(file) as workbook:
        return [*workbook.rows(workbook.sheets[0])]


def refusal(path: str) -> str:
    """Return why a file is refused."""
    with pytest.raises(SourceError) as caught:
        cells_of(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        pytest.param(number(5), 5, id="whole"),
        pytest.param(number("48601234567.0"), 48601234567, id="whole float"),
        pytest.param(number("49.99"), 49.99, id="fraction"),
        pytest.param(number("1.0E5"), 100000, id="exponent"),
        pytest.param(number("12345678901234567"), 12345678901234567.0, id="long"),
        pytest.param(number("123", ZEROS), 123, id="zeros that are shown"),
        pytest.param(text("007"), "007", id="zeros that are typed"),
        pytest.param('<c t="b"><v>1</v></c>', True, id="truth"),
        pytest.param('<c t="e"><v>#N/A</v></c>', ERROR, id="error"),
        pytest.param(
            '<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', ERROR, id="computed error"
        ),
        pytest.param("<c><f>A1+1</f></c>", NO_RESULT, id="formula without result"),
        pytest.param("<c><f>A1+1</f><v>3</v></c>", 3, id="formula"),
        pytest.param('<c t="str"><f>A1</f><v>x</v></c>', "x", id="formula of a text"),
        pytest.param(number("nan"), Unread("holds no number"), id="no number"),
        pytest.param(number("1e999"), Unread("holds no number"), id="infinite"),
        pytest.param(number(46387, DATE), date(2026, 12, 31), id="day"),
        pytest.param(
            number(46387.99930555556, MOMENT),
            datetime(2026, 12, 31, 23, 59),  # noqa: DTZ001 -- spreadsheets know no zone
            id="time",
        ),
        pytest.param(
            number(46387, MOMENT),
            datetime(2026, 12, 31),  # noqa: DTZ001
            id="midnight",
        ),
        pytest.param(number(0.5, TIME), time(12), id="time of day"),
        pytest.param(
            number(9999999999, DATE),
            Unread("holds a date that is in no calendar"),
            id="no date",
        ),
        pytest.param(number(46387, 99), 46387, id="unknown style"),
        pytest.param(
            '<c t="d"><v>2026-12-31T23:59:00</v></c>',
            datetime(2026, 12, 31, 23, 59),  # noqa: DTZ001
            id="ISO time",
        ),
        pytest.param(
            '<c t="d"><v>2026-12-31</v></c>', date(2026, 12, 31), id="ISO day"
        ),
        pytest.param('<c t="s"><v>1</v></c>', "ąć", id="shared text"),
        pytest.param('<c t="s"><v>2</v></c>', "Łódź", id="shared text in pieces"),
        pytest.param(text("a_x000D__x005F_x"), "a\r_x", id="escaped"),
        pytest.param(text("_xD83D__xDE00_"), "😀", id="escaped pair"),
        pytest.param(text("_xD83D_"), "\N{REPLACEMENT CHARACTER}", id="half a pair"),
    ],
)
def test_a_cell_is_what_it_holds(tmp_path: Path, cell: str, value: object) -> None:
    """Its kind and its format say what that is, and not how it looks."""
    shared = (
        "<si><t>x</t></si><si><t>ąć</t></si>"
        "<si><r><t>Łó</t></r><rPh><t>aside</t></rPh><r><t>dź</t></r></si>"
    )
    path = write_workbook(tmp_path / "a.xlsx", {"S": row(cell)}, shared=shared)

    [(line, cells)] = cells_of(path)

    assert (line, cells) == (1, {1: value})
    assert type(cells[1]) is type(value)


def test_days_are_counted_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    """Old workbooks of a Macintosh do."""
    rows = row(number(44925, DATE))
    path = write_workbook(
        tmp_path / "a.xlsx", {"S": rows}, properties='date1904="true"'
    )

    assert cells_of(path) == [(1, {1: date(2026, 12, 31)})]


def test_places_are_told_or_follow(tmp_path: Path) -> None:
    """Rows and cells that are left out have no place in the file, and count."""
    rows = (
        f'<row r="3"><c r="B3"><v>1</v></c>{number(2)}<c r="XFD3"><v>3</v></c></row>'
        '<row r="5"/><row><c s="1"/></row>'
        '<row><c r="A7"><v>4</v></c></row>'
    )
    path = write_workbook(tmp_path / "a.xlsx", {"S": rows})

    assert cells_of(path) == [(3, {2: 1, 3: 2, 16384: 3}), (7, {1: 4})]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('<row r="2"/><row r="2"/>', "has a row that is out of place after row 2"),
        ('<row r="1048577"/>', "has more than 1,048,576 rows"),
        (
            '<row><c r="B1"/><c r="A1"/></row>',
            "has a cell that is out of place in row 1",
        ),
        ('<row><c r="A2"/></row>', "has a cell that is out of place in row 1"),
        ('<row><c r="AAAA1"/></row>', "has a cell that is out of place in row 1"),
        ('<row><c r="XFE1"/></row>', "has more than 16,384 columns in row 1"),
        ("<a>" * 100, "has elements within elements, 100 deep"),
    ],
)
def test_a_sheet_that_no_spreadsheet_holds_is_refused(
    tmp_path: Path, rows: str, reason: str
) -> None:
    """It is told where it goes wrong."""
    assert refusal(write_workbook(tmp_path / "a.xlsx", {"S": rows})) == (
        f"the workbook {reason}"
    )


def many(piece: bytes, count: int) -> Iterable[bytes]:
    """Return so many pieces, a thousand at a time."""
    return repeat(piece * 1_000, count // 1_000)


def names() -> Iterable[bytes]:
    """Return a million elements, each of another name."""
    for start in range(0, 1_000_000, 1_000):
        yield b"".join(b"<n%d/>" % n for n in range(start, start + 1_000))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param(
            chain([b"<row>"], many(b"<c><v>1</v></c>", 1_000_000), [b"</row>"]),
            "has more than 16,384 columns in row 1",
            id="a million columns",
        ),
        pytest.param(
            chain(
                [b'<row><c t="inlineStr"><is><t>'],
                many(b"x", 10_000_000),
                [b"</t></is></c></row>"],
            ),
            "holds a cell of more than 32,767 characters",
            id="a cell of 10 MB",
        ),
        pytest.param(
            [b"<row>" + b'<c t="s"><v>0</v></c>' * 16_384 + b"</row>"],
            "has more than 1,048,576 characters in row 1",
            id="a row of 500 MB in 300 KB",
        ),
        pytest.param(
            chain([b'<row x="'], many(b"x", 50_000_000), [b'"/>']),
            "holds a tag of more than 1,048,576 bytes",
            id="a tag of 50 MB",
        ),
        pytest.param(
            names(), "has more than 10,000 names for its elements", id="names"
        ),
        pytest.param(
            many(b" " * 1_000, 1_100_000),
            "unpacks to 1,1",
            id="a bomb",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_would_take_much_is_refused(
    tmp_path: Path, rows: Iterable[bytes], reason: str
) -> None:
    """It takes a few megabytes to find out, whatever is packed in it."""
    shared = f"<si><t>{'x' * 32_767}</t></si>"
    path = write_workbook(tmp_path / "a.xlsx", {"S": rows}, shared=shared)
    cells_of(write_workbook(tmp_path / "b.xlsx", {"S": ""}))  # imports take their own
    tracemalloc.start()

    try:
        message = refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert message.startswith(f"the workbook {reason}")
    assert peak < 8 * MEBIBYTE


def test_more_sheets_than_anybody_makes_are_refused(tmp_path: Path) -> None:
    """Each is looked into for data, and may be large."""
    sheets = {f"S{number}": "" for number in range(1_001)}

    with pytest.raises(SourceError, match="more than 1,000 sheets"):
        cells_of(write_workbook(tmp_path / "a.xlsx", sheets))


def test_entities_are_refused(tmp_path: Path) -> None:
    """Neither those that multiply nor those that name another file are looked at."""
    prolog = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    rows = row(text("&e;"))

    message = refusal(write_workbook(tmp_path / "a.xlsx", {"S": rows}, prolog=prolog))

    assert message == "the workbook defines entities, which no spreadsheet does"


def test_what_does_not_unpack_bit_by_bit_is_refused(tmp_path: Path) -> None:
    """64 kB of bzip2 may be a gigabyte at once."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"S": ""})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a", "", zipfile.ZIP_BZIP2)

    assert refusal(str(path)) == (
        "the workbook is packed in a way that spreadsheets do not use"
    )


def test_a_directory_that_lies_hides_nothing(tmp_path: Path) -> None:
    """No more is unpacked than the zip's directory says, and then it is unsound."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"S": many(b"<row><c><v>1</v></c></row>", 100_000)})
    packed = bytearray(path.read_bytes())
    entry = packed.rfind(b"xl/worksheets/sheet1.xml") - 46
    packed[entry + 24 : entry + 28] = struct.pack("<I", 1_000)
    path.write_bytes(packed)

    assert refusal(str(path)) == "the input cannot be read as XLSX"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(text("a\0b"), id="NUL"),
        pytest.param("<row>", id="open element"),
        pytest.param(row('<c t="s"><v>0</v></c>'), id="text that is not there"),
        pytest.param(row('<c t="s"><v>-1</v></c>'), id="text before the first"),
        pytest.param(row(number("12,5")), id="number"),
    ],
)
def test_what_is_no_sound_workbook_is_refused(tmp_path: Path, rows: str) -> None:
    """A spreadsheet would ask whether to repair it, and we do not guess."""
    path = write_workbook(tmp_path / "a.xlsx", {"S": rows})

    assert refusal(path) == "the input cannot be read as XLSX"


@pytest.mark.parametrize("content", [b"id;amount\n1;2\n", b"PK\5\6" + bytes(18)])
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    """The suffix alone makes none, nor does a zip."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)

    assert refusal(str(path)) == "the input cannot be read as XLSX"


def test_what_is_under_a_password_is_told_as_such(tmp_path: Path) -> None:
    """So is an old workbook, which begins in the same way."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512))

    assert refusal(str(path)) == (
        "the workbook is an old .xls, or has a password: save it as .xlsx without one"
    )


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_is_a_crash(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes of a workbook are others, it is read or refused."""
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"S": row(text("a"), number(46387.5, MOMENT))})
    packed = bytearray(path.read_bytes())
    places = st.integers(0, len(packed) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=5)):
        packed[place] = data.draw(st.integers(0, 255))
    path.write_bytes(packed)

    with suppress(SourceError):
        cells_of(str(path))


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_xml_is_a_crash(tmp_path: Path, data: st.DataObject) -> None:
    """Elements of any kind in any order are read or refused."""
    piece = st.sampled_from(
        [
            *("<row>", "</row>", "<c>", "</c>", "<v>", "</v>", "<f>", "</f>", "<is>"),
            *("</is>", "<t>", "</t>", '<c t="s">', '<c t="d">', '<c s="-1">', "1", "x"),
            *('<row r="9">', '<c r="B2">', '<c r="">', '<c s="x">', "<rPh>", "</rPh>"),
        ]
    )
    rows = "".join(data.draw(st.lists(piece, max_size=12)))

    with suppress(SourceError):
        cells_of(write_workbook(tmp_path / "a.xlsx", {"S": rows}))
