"""CSV of any dialect: the same rows, on the same lines."""

import csv
import io
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convergegate_async.bulk.tables.csv_file import (
    Dialect,
    escape_cell,
    read_csv,
    read_head,
)
from convergegate_async.bulk.tables.delimiters import find_delimiter
from convergegate_async.bulk.tables.encodings import (
    ENCODINGS,
    find_encoding,
    take_census,
)
from convergegate_async.bulk.tables.formats import UNREAD, SourceError, TableRow
from convergegate_async.bulk.tables.writers import DeadLetter, write_dead_letters

EXCEL = Dialect(delimiter=";", encoding="cp1250", strip=True)
SINGLE = ("cp1250", "cp1252", "iso8859-2")
LINE_END = re.compile("\r\n|\r|\n")


@attrs.frozen(kw_only=True)
class Spelling:
    """How a program writes a table."""

    delimiter: str
    encoding: str
    end: str
    is_said: bool = False
    is_marked: bool = False
    is_quoted: bool = False
    has_last_end: bool = True

    def lines(self, rows: list[list[str]]) -> Iterator[str]:
        """Yield *rows* as lines of text, their ends included."""
        if self.is_said:
            yield f"sep={self.delimiter}{self.end}"
        for row in rows:
            yield self.delimiter.join(map(self._cell, row)) + self.end

    def content(self, rows: list[list[str]]) -> bytes:
        """Return *rows* as a file."""
        text = "".join(self.lines(rows))
        if not self.has_last_end:
            text = text.removesuffix(self.end)
        mark = "\ufeff" if self.is_marked else ""
        return (mark + text).encode(self.encoding)

    def _cell(self, cell: str) -> str:
        cell = escape_cell(cell)
        if self.is_quoted or set(cell) & {self.delimiter, '"', "\r", "\n"}:
            return '"' + cell.replace('"', '""') + '"'
        return cell


@st.composite
def spellings(draw: st.DrawFn) -> Spelling:
    """Make one of each program."""
    encoding = draw(st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", *SINGLE]))
    return Spelling(
        delimiter=draw(st.sampled_from([",", ";", "\t"])),
        encoding=encoding,
        end=draw(st.sampled_from(["\n", "\r\n", "\r"])),
        is_said=draw(st.booleans()),
        is_marked=encoding not in SINGLE and draw(st.booleans()),
        is_quoted=draw(st.booleans()),
        has_last_end=draw(st.booleans()),
    )


CELLS = st.text(
    st.sampled_from("abc019.,;:-+=@|'\"\t\r\n \u00a0ąćęłńóśźżĄĆĘŁŃÓŚŹŻäöüßéèčš€"),
    max_size=12,
).map(str.strip)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Make a header, and rows that have an id."""
    width = draw(st.integers(1, 4))
    rest = st.lists(CELLS, min_size=width, max_size=width)
    rows = draw(st.lists(rest, max_size=5))
    header = ["id", *(f"c{n}" for n in range(width))]
    return [header, *([f"A-{n}", *row] for n, row in enumerate(rows))]


def read(
    content: bytes, dialect: Dialect = EXCEL, columns: list[str] | None = None
) -> list[TableRow]:
    """Return the rows of *content*, and add its columns to *columns*."""
    found = [] if columns is None else columns
    return list(read_csv(io.BytesIO(content), found.extend, dialect))


def read_encoded(file: BinaryIO, encoding: str) -> list[TableRow]:
    """Return the rows of *file*."""
    return list(read_csv(file, _accept, Dialect(encoding=encoding)))


def cells(rows: list[TableRow]) -> list[list[object]]:
    """Return what is in *rows*, all of which have to be good."""
    assert [row.fault for row in rows if row.fault] == []
    return [[*row.cells.values()] for row in rows]


def fit(rows: list[list[str]], encoding: str) -> list[list[str]]:
    """Return *rows* without the characters that *encoding* lacks."""
    return [
        [cell.encode(encoding, "ignore").decode(encoding).strip() for cell in row]
        for row in rows
    ]


def is_utf8(content: bytes) -> bool:
    """Tell whether *content* is UTF-8, and not only ASCII."""
    with suppress(UnicodeDecodeError):
        return not content.decode().isascii()
    return False


class TestProperties:
    @given(tables(), spellings())
    def test_rows_of_every_dialect_are_the_same_rows(
        self, table: list[list[str]], spelling: Spelling
    ) -> None:
        """Cells are what was written, and each row is on its line."""
        header, *rows = fit(table, spelling.encoding)
        dialect = Dialect(
            delimiter=spelling.delimiter, encoding=spelling.encoding, strip=True
        )
        columns: list[str] = []

        found = read(spelling.content([header, *rows]), dialect, columns)

        assert columns == header
        assert cells(found) == rows
        lines = [*spelling.lines([header, *rows])][spelling.is_said + 1 :]
        place = 1 + spelling.is_said + 1
        for row, line in zip(found, lines, strict=True):
            assert row.line == place
            place += len(LINE_END.findall(line))

    @given(tables(), spellings())
    def test_what_is_found_reads_the_same_rows(
        self, table: list[list[str]], spelling: Spelling
    ) -> None:
        """Or it is refused: nothing is read as what it is not, but by rare chance.

        "Óš" of Windows-1250 is a letter of UTF-8, and what is UTF-8 is read so.
        """
        rows = fit(table, spelling.encoding)
        file = io.BytesIO(spelling.content(rows))
        assume(spelling.encoding not in SINGLE or not is_utf8(file.getvalue()))
        columns: list[str] = []
        try:
            encoding = find_encoding(take_census(file), is_polish=False)
            delimiter = find_delimiter(read_head(file, encoding))
            dialect = Dialect(delimiter=delimiter, encoding=encoding, strip=True)
            found = read(file.getvalue(), dialect, columns)
        except SourceError:
            return

        assert [columns, *cells(found)] == rows

    @given(st.binary(max_size=200), st.sampled_from([*ENCODINGS]), st.booleans())
    def test_no_content_is_a_crash(
        self, content: bytes, encoding: str, strip: bool
    ) -> None:
        """Whatever the bytes, there are rows, or a SourceError."""
        dialect = Dialect(delimiter=";", encoding=encoding, strip=strip)

        with suppress(SourceError):
            read(b"id;x\n" + content, dialect)
            read("id;x\n".encode(encoding) + content, dialect)


class TestSpaceAndNothing:
    def test_space_around_cells_is_left_out(self) -> None:
        """Of every kind, no-break ones too, in the header and within quotes."""
        content = ' id ;\u00a0name\u00a0; note\n A-1 ;\tJ D\t; " 1;2 "\n'

        columns: list[str] = []
        found = read(content.encode("cp1250"), EXCEL, columns)

        assert columns == ["id", "name", "note"]
        assert cells(found) == [["A-1", "J D", "1;2"]]

    def test_space_is_kept_where_nobody_has_asked(self) -> None:
        """A job that began so reads on so."""
        found = read(b"id,name\n A-1 , J\n", Dialect())

        assert cells(found) == [[" A-1 ", " J"]]

    def test_rows_of_empty_cells_are_left_out(self) -> None:
        """They may have any width, and stand before the header; their lines count."""
        content = b'\n;;\nid;name\n;;;;\n \n;\nA-1;x\n"";" "\n\nA-2;\n;;\n'

        found = read(content)

        assert [(row.line, row.cells["id"]) for row in found] == [
            (7, "A-1"),
            (10, "A-2"),
        ]

    def test_rows_of_empty_cells_are_rows_where_nobody_has_asked(self) -> None:
        """A job that began so counts them on."""
        found = read(b"id,name\n,\nA-1,x\n", Dialect())

        assert [row.cells["id"] for row in found] == ["", "A-1"]

    def test_a_formula_behind_space_is_a_text(self) -> None:
        """The apostrophe that guards it is not of the text."""
        assert cells(read(b"id;x\nA-1; '=1 \n")) == [["A-1", "=1"]]


class TestLines:
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8", "cp1250"])
    def test_lines_count_in_every_encoding(self, encoding: str) -> None:
        """Also those within quotes, and one that says the delimiter."""
        text = 'sep=;\r\nid;note\r\nA-1;"Łódź\nż"\r\n\r\nA-2;ż\r\n'

        found = read(text.encode(encoding), Dialect(delimiter=";", encoding=encoding))

        assert [row.line for row in found] == [3, 6]
        assert cells(found) == [["A-1", "Łódź\nż"], ["A-2", "ż"]]

    def test_no_other_sign_ends_a_line(self) -> None:
        """Unicode's own line ends are of the cell."""
        found = read(
            "id;x\nA-1;a\u2028b\x0bc\nA-2;x\n".encode(), Dialect(delimiter=";")
        )

        assert [row.line for row in found] == [2, 3]

    @pytest.mark.parametrize("content", ["", "\ufeff", "sep=;", "sep=;\n", "\n\n"])
    def test_there_is_no_header_in_nothing(self, content: str) -> None:
        """A mark and what a first line says are none."""
        with pytest.raises(SourceError, match="the input has no header"):
            read(content.encode(), Dialect())

    @pytest.mark.parametrize("look", [read_head, read_encoded])
    def test_utf_16_says_its_order(
        self, look: Callable[[BinaryIO, str], object]
    ) -> None:
        """Where it does not, whoever knows it is asked."""
        file = io.BytesIO("id;x\n".encode("utf-16-be"))

        with pytest.raises(SourceError, match="mark: say utf-16-le or utf-16-be"):
            look(file, "utf-16")

    def test_the_file_is_left_where_a_look_at_its_head_began(self) -> None:
        """Whole lines are seen, and none is read."""
        content = "id;x\n" + "A-1;ąąą\n" * 50_000
        file = io.BytesIO(content.encode("utf-16"))

        head = read_head(file, "utf-16")

        assert content.startswith(head)
        assert head.endswith("ą\n")
        assert file.tell() == 0
        assert read_head(io.BytesIO(b"a;b"), "utf-8") == "a;b"
        assert len(read_head(io.BytesIO(b"a" * 2**20), "utf-8")) == 2**18


class TestNoText:
    @pytest.mark.parametrize(
        ("content", "encoding", "fault"),
        [
            pytest.param(
                b"A-1;\x81\n",
                "cp1250",
                "Windows-1250 text, or holds a NUL",
                id="no sign",
            ),
            pytest.param(
                b"A-1;x\0\n", "iso8859-2", "ISO 8859-2 text, or holds a NUL", id="NUL"
            ),
            pytest.param(
                "A-1;".encode("utf-16-le") + b"\x00\xd8",
                "utf-16-le",
                "UTF-16 LE text, or holds a NUL",
                id="half a pair",
            ),
            pytest.param(
                "A-1;x".encode("utf-16-be")[:-1],
                "utf-16-be",
                "UTF-16 BE text, or holds a NUL",
                id="half a character",
            ),
        ],
    )
    def test_what_is_no_text_is_a_fault_of_its_row(
        self, tmp_path: Path, content: bytes, encoding: str, fault: str
    ) -> None:
        """The rows before it are read, and its dead letter can be written."""
        good = "id;x\nA-0;y\n".encode(encoding)

        first, second = read(good + content, Dialect(delimiter=";", encoding=encoding))

        assert first.cells == {"id": "A-0", "x": "y"}
        assert second.fault == f"is not {fault}"
        letter = DeadLetter(line=3, code="Invalid", message=fault, raw=second.cells)
        write_dead_letters(str(tmp_path / "dead"), [letter], format="csv")


class TestHostile:
    @pytest.mark.parametrize(
        ("head", "filler", "reason"),
        [
            pytest.param(
                "", "x", "the header is not a row of CSV (holds a line", id="header"
            ),
            pytest.param(
                "", "x;", "the header is not a row of CSV (holds a line", id="columns"
            ),
            pytest.param("id;x\nA-1;", "x", "holds a line of more than", id="cell"),
            pytest.param(
                'id;x\nA-1;"', "x\n", "field larger than field limit", id="quoted cell"
            ),
            pytest.param(
                'id;x\nA-1;"', 'x\n";"', "is longer than 1,048,576", id="quoted cells"
            ),
            pytest.param("id;x\nA-1;", '"', "holds a line of more than", id="quotes"),
            pytest.param("id;x\n", "\n" + ";" * 999, "", id="empty rows"),
            pytest.param("id;x\n", "\0", "holds a line of more than", id="NUL"),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_memory_is_bounded(
        self, tmp_path: Path, head: str, filler: str, reason: str, encoding: str
    ) -> None:
        """10 MB of one thing cost no more than some lines, and are told in words."""
        path = tmp_path / "table"
        path.write_bytes((head + filler * (10 * 2**20 // len(filler))).encode(encoding))
        dialect = Dialect(delimiter=";", encoding=encoding, strip=True)
        faults: list[str | None] = []
        tracemalloc.start()

        with path.open("rb") as file:
            try:
                faults += [row.fault for row in read_csv(file, _accept, dialect)]
            except SourceError as error:
                faults.append(str(error))

        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 32 * 2**20
        first = next(filter(None, faults), "")
        assert reason in first
        assert bool(first) == bool(reason)

    def test_a_larger_limit_of_cells_moves_no_other(self) -> None:
        """That of the whole process is not ours alone."""
        limit = csv.field_size_limit(2**31 - 1)
        try:
            first, second = read(b'id;x\nA-1;y\nA-2;"' + b"x\n" * 2**20)
        finally:
            csv.field_size_limit(limit)

        assert first.fault is None
        assert second.fault == (
            "is not a row of CSV (is longer than 1,048,576 characters) and leaves a "
            "quote open: nothing after it was read"
        )

    def test_no_name_of_a_column_outlives_its_table(self) -> None:
        """Interned ones would, on Python 3.12: a first row of data may be a header."""
        columns: list[str] = []
        read(b"ann@example.com;another\r\n", columns=columns)

        assert sys.intern("ann@example.com") is not columns[0]

    def test_a_million_columns_are_refused(self) -> None:
        """A spreadsheet has 16,384 of them."""
        with pytest.raises(SourceError) as caught:
            read(b";" * 999_999 + b"x\n")

        assert str(caught.value) == "the header has 1,000,000 columns, more than 16,384"

    def test_a_million_cells_are_one_fault(self) -> None:
        """The rows around are read."""
        content = b"id;x\nA-1;y\n" + b";" * 999_999 + b"x\nA-2;y\n"

        first, second, third = read(content)

        assert (first.line, third.line) == (2, 4)
        assert second.fault == "must have 2 cells, as the header, and has 1000000"


def test_a_dead_letter_is_the_row_in_our_own_dialect(tmp_path: Path) -> None:
    """Whatever the input's, a file of dead letters is found to be UTF-8 with commas."""
    content = 'id;name;note\nA-1; Łąka, "x";"a;b\nc"\nA-2;Łąka\n'.encode("cp1250")
    path = tmp_path / "dead.csv"
    rows = read(content)
    letters = [
        DeadLetter(line=row.line, code="DeclinedError", message="", raw=row.cells)
        for row in rows
    ]

    write_dead_letters(str(path), letters, format="csv")

    with path.open("rb") as file:
        encoding = find_encoding(take_census(file), is_polish=True)
        delimiter = find_delimiter(read_head(file, encoding))
        dialect = Dialect(delimiter=delimiter, encoding=encoding, strip=True)
        first, second = read_csv(file, _accept, dialect)
    assert (delimiter, encoding) == (",", "utf-8")
    assert first.cells.items() >= rows[0].cells.items()
    assert second.cells[UNREAD] == "A-2;Łąka"


def _accept(_: Sequence[str]) -> None:
    """Take any columns."""
