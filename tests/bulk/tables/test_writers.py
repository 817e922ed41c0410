"""Results and dead letters: whole files, which are input again."""

import csv
import io
import json
import math
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orders import ORDER_ROW

from convergegate_async import ConfigurationError
from convergegate_async.bulk.tables.csv_file import unescape_cell
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Row
from convergegate_async.bulk.tables.writers import (
    DeadLetter,
    write_dead_letters,
    write_results,
)
from convergegate_async.bulk.tables.xlsx_file import read_xlsx

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NAMES = st.sampled_from(["note", "=note", "'@note", "two words", "ą,"])
NEEDS = {"csv": "csv", "jsonl": "json", "parquet": "pyarrow", "xlsx": "openpyxl"}
JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_characters=[*map(chr, range(0xDC00, 0xE000))]))
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
)
OPTIONS = TableOptions(columns={"colour": ""}, plain=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that every test may replace, without a suffix."""
    return str(tmp_path_factory.mktemp("exports") / "file")


@pytest.fixture(params=NEEDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each format that can be written here."""
    pytest.importorskip(NEEDS[request.param])
    return str(request.param)


def letters(*rows: dict[str, object]) -> list[DeadLetter]:
    """Return the dead letters of *rows*."""
    return [
        DeadLetter(line=line, code="DeclinedError", message="not today", raw=row)
        for line, row in enumerate(rows, 2)
    ]


def read_back(path: str, kind: str) -> list[Row]:
    """Return the rows of a file of dead letters, all of which have to be good."""
    found = list(read_table(path, OPTIONS, format=kind))
    assert all(isinstance(row, Row) for row in found), list(map(str, found))
    return [row for row in found if isinstance(row, Row)]


def own_columns(row: Row) -> dict[str, object]:
    """Return a row as it was before it became a dead letter."""
    return {k: v for k, v in row.raw.items() if not k.startswith("cg_")}


class TestDeadLetters:
    @given(st.lists(TEXTS.map(str.strip), min_size=1, max_size=4))
    def test_a_dead_letter_is_the_row_again_however_it_is_found(
        self, path: str, texts: list[str]
    ) -> None:
        """But for spaces around cells, which nobody has written on purpose."""
        rows = [ORDER_ROW | {"colour": text} for text in texts]
        options = attrs.evolve(OPTIONS, plain=False)

        write_dead_letters(path, letters(*rows), format="csv")

        found = read_table(path, options, format="csv")
        assert [item.raw["colour"] for item in found] == texts

    @given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
    @example([("=1+1", "'=1+1"), ("+48", "''-"), ("\r", "\t'"), ('"', "\n,")])
    def test_a_dead_letter_is_the_row_again(
        self, path: str, texts: list[tuple[str, str]]
    ) -> None:
        """In CSV every text comes back as it was, formulas included."""
        rows = [ORDER_ROW | {"customer_lastname": a, "colour": b} for a, b in texts]

        write_dead_letters(path, letters(*rows), format="csv")

        found = read_table(path, OPTIONS, format="csv")
        raws = [{k: item.raw[k] for k in rows[0]} for item in found]
        assert raws == rows

    @given(TEXTS)
    def test_a_second_death_changes_nothing(self, path: str, text: str) -> None:
        """A dead letter may be one again, however often."""
        (letter,) = letters(ORDER_ROW | {"colour": text})
        write_dead_letters(path, [letter], format="csv")
        first = Path(path).read_bytes()

        (again,) = read_table(path, OPTIONS, format="csv")
        write_dead_letters(path, [attrs.evolve(letter, raw=again.raw)], format="csv")

        assert Path(path).read_bytes() == first

    def test_it_is_input_in_every_format(self, path: str, kind: str) -> None:
        """The request of a dead letter is that of its row."""
        row = ORDER_ROW | {"metadata[note]": "=1"}
        if kind != "csv":
            row |= {"amount": 4999}

        count = write_dead_letters(path, letters(row, row), format=kind)

        first, second = read_back(path, kind)
        assert count == 2
        assert own_columns(first) == own_columns(second) == row
        assert first.request.amount == 4999
        assert first.request.metadata == {"note": "=1"}

    def test_it_tells_line_code_and_message(self, path: str) -> None:
        """What went wrong stands behind the columns of the row."""
        write_dead_letters(path, letters(ORDER_ROW), format="csv")

        header, line = csv.reader(io.StringIO(Path(path).read_text()))
        assert header == [*ORDER_ROW, "cg_line", "cg_code", "cg_message"]
        assert line[-3:] == ["2", "DeclinedError", "not today"]

    def test_values_of_json_fit_into_cells(self, path: str) -> None:
        """Lists, objects and numbers of JSONL are read from CSV as what they were."""
        row = ORDER_ROW | {
            "amount": 4999,
            "payment_method": ["blik", "card"],
            "metadata": {"a": "=1", "b": "ą"},
            "locale": None,
        }

        write_dead_letters(path, letters(ORDER_ROW, row), format="csv")

        first, second = read_back(path, "csv")
        assert first.request.metadata is None
        assert second.request.metadata == {"a": "=1", "b": "ą"}
        assert second.request.payment_method == ("blik", "card")

    def test_a_fraction_stays_exact(self, path: str) -> None:
        """A decimal of JSONL does not pass through a float."""
        amount = Decimal("90071992547409.91")
        write_dead_letters(
            path, letters(ORDER_ROW | {"amount": amount}), format="jsonl"
        )

        (row,) = read_table(path, TableOptions(amount_unit="major"), format="jsonl")

        assert isinstance(row, Row)
        assert row.request.amount == 9_007_199_254_740_991

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    @pytest.mark.parametrize("line", [b"half,a", b'{"id": ', b"\xb3,\0", b'"open,\n'])
    def test_what_was_no_row_is_none_again(
        self, path: str, kind: str, line: bytes
    ) -> None:
        """A broken row keeps its text, and is not taken for a whole one."""
        good = {
            "csv": f"{','.join(ORDER_ROW)}\n{','.join(map(str, ORDER_ROW.values()))}\n",
            "jsonl": json.dumps(ORDER_ROW | {"amount": 4999}) + "\n",
        }
        Path(path).write_bytes(good[kind].encode() + line)
        raws = [dict(found.raw) for found in read_table(path, OPTIONS, format=kind)]

        write_dead_letters(path, letters(*raws), format=kind)

        first, *others = read_table(path, OPTIONS, format=kind)
        assert isinstance(first, Row)
        assert others
        assert not any(isinstance(other, Row) for other in others)
        text = line.replace(b'"', b'""' if kind == "csv" else b'\\"')
        assert text.strip(b"\n\0") in Path(path).read_bytes()


class TestResults:
    @given(st.lists(st.dictionaries(NAMES, TEXTS, min_size=1), min_size=1, max_size=5))
    def test_no_cell_is_a_formula(
        self, path: str, records: list[dict[str, str]]
    ) -> None:
        """A spreadsheet opens the file without running a part of it."""
        count = write_results(path, records, format="csv")

        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) == count + 1 == len(records) + 1
        cells = [cell for row in rows for cell in row]
        signed = [cell[1:] for cell in cells if cell.startswith(("+", "-"))]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))]
        assert all({*rest} <= {*"0123456789 "} for rest in signed)

    def test_columns_are_all_that_occur(self, path: str, kind: str) -> None:
        """A record may have what no other has, also after a thousand without."""
        records: list[dict[str, object]] = [{"id": str(n)} for n in range(1_500)]
        records.append({"http_status": 200, "id": "last"})

        count = write_results(path, records, format=kind)

        assert count == 1_501
        if kind == "csv":
            first, second, *_, last = Path(path).read_text().splitlines()
            assert (first, second, last) == ("id,http_status", "0,", "last,200")
        elif kind == "jsonl":
            lines = Path(path).read_text().splitlines()
            assert list(map(json.loads, lines)) == records
        elif kind == "xlsx":
            with Path(path).open("rb") as file:
                rows = [row.cells for row in read_xlsx(file, lambda _: None)]
            assert rows[0] == {"id": "0", "http_status": None}
            assert rows[-1] == {"id": "last", "http_status": 200}
        else:
            table = pytest.importorskip("pyarrow.parquet").read_table(path)
            assert table.to_pylist()[-1] == {"id": "last", "http_status": 200}
            assert table.num_rows == 1_501

    def test_columns_of_ours_come_last(self, path: str) -> None:
        """Also where the first row is none and has no other."""
        records = [{"cg_row": "?", "cg_line": 2}, {"id": "1", "note": "", "cg_line": 3}]

        write_results(path, records, format="csv")

        assert Path(path).read_text().splitlines()[0] == "id,note,cg_row,cg_line"

    def test_kinds_survive_parquet(self, path: str) -> None:
        """Numbers, decimals, times and what is unset keep their types."""
        parquet = pytest.importorskip("pyarrow.parquet")
        record = {
            "n": 1,
            "d": Decimal("49.99"),
            "t": datetime(2026, 1, 1, tzinfo=UTC),
            "u": None,
            "w": ["blik"],
            "m": {"a": "b"},
        }

        write_results(path, [record], format="parquet")

        assert parquet.read_table(path).to_pylist() == [record]

    def test_kinds_are_not_mixed_in_parquet(self, path: str) -> None:
        """A column of numbers and texts has no type, and JSONL needs none."""
        pytest.importorskip("pyarrow")

        with pytest.raises(ConfigurationError, match="several kinds"):
            write_results(path, [{"a": 1}, {"a": "b"}], format="parquet")

    def test_numbers_that_are_none_are_written_in_words(
        self, path: str, kind: str
    ) -> None:
        """Parquet holds NaN and infinities, also in lists, which JSON does not."""
        record = {"a": math.inf, "b": [-math.inf, math.nan], "c": {"d": math.nan}}

        assert write_results(path, [record], format=kind) == 1

        if kind == "jsonl":
            assert json.loads(Path(path).read_bytes()) == {
                "a": "Infinity",
                "b": ["-Infinity", "NaN"],
                "c": {"d": "NaN"},
            }

    def test_a_nul_of_json_can_be_read_again(self, path: str, kind: str) -> None:
        """Also in the name of a column; where no cell holds one it is spelled."""
        row = ORDER_ROW | {"amount": 4999, "a\0": "b\0"}
        write_results(path, [row], format=kind)

        [again] = read_table(path, TableOptions(ignore_extra=True), format=kind)

        assert isinstance(again, Row), str(again)
        spelled = {"a\\u0000": "b\\u0000"} if kind == "csv" else {"a\0": "b\0"}
        assert spelled.items() <= again.raw.items()

    def test_what_is_read_is_not_too_deep_to_be_written(
        self, path: str, kind: str
    ) -> None:
        """A row of JSONL that is nested as deep as may be goes into every format."""
        note = json.loads("[" * 99 + '"[["' + "]" * 99)
        Path(path).write_text(json.dumps(ORDER_ROW | {"amount": 4999, "note": note}))
        [row] = read_table(path, TableOptions(ignore_extra=True), format="jsonl")
        assert row.raw["note"] == note

        assert write_results(path, [row.raw], format=kind) == 1

    def test_lone_surrogates_break_no_file(self, path: str, kind: str) -> None:
        """JSON may hold them, and no encoding does: they are spelled in each format."""
        write_results(path, [{"\ud801": "a\ud800"}], format=kind)

        content = Path(path).read_bytes()
        if kind == "xlsx":
            with zipfile.ZipFile(path) as archive:
                content = archive.read("xl/worksheets/sheet1.xml")
        assert b"a\\ud800" in content
        assert kind == "parquet" or b"\\ud801" in content

    @given(st.dictionaries(st.text(), JSON, min_size=1))
    @example({"d": Decimal("90071992547409.91"), "t": datetime(2026, 1, 1, tzinfo=UTC)})
    def test_jsonl_holds_all_that_json_can(
        self, path: str, record: dict[str, object]
    ) -> None:
        """Decimals are exact as texts, times ISO 8601."""
        write_results(path, [record], format="jsonl")

        found = json.loads(Path(path).read_bytes())
        for name, value in record.items():
            match value:
                case Decimal():
                    assert Decimal(found[name]) == value
                case datetime():
                    assert datetime.fromisoformat(found[name]) == value
                case _:
                    assert found[name] == value

    def test_numbers_are_no_formulas(self, path: str) -> None:
        """A number keeps its sign, and a flag is a word."""
        write_results(path, [{"a": -1, "b": True, "c": None}], format="csv")

        assert Path(path).read_text().splitlines()[1] == "-1,true,"

    def test_the_suffix_tells_the_format(self, tmp_path: Path) -> None:
        """The file's name is enough."""
        path = tmp_path / "results.jsonl"
        write_results(str(path), [{"name": "Zoë"}])

        assert path.read_text(encoding="utf-8") == '{"name": "Zoë"}\n'

    def test_an_unknown_format_is_refused(self, tmp_path: Path) -> None:
        """Nothing is written for a suffix that says nothing."""
        with pytest.raises(ConfigurationError, match="cannot tell the format"):
            write_results(str(tmp_path / "results.xls"), [])

        assert not list(tmp_path.iterdir())

    def test_a_dash_is_stdout(self, kind: str) -> None:
        """Results go through a pipe in every format, and stdout stays open."""
        program = (
            "import sys\n"
            "from convergegate_async.bulk.tables.writers import write_results\n"
            "write_results('-', [{'id': 'A'}], format=sys.argv[1])\n"
            "print('end')"
        )
        command = [sys.executable, "-c", program, kind]

        output = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 -- our own words

        start = {"csv": b"id\r\nA\r\n", "jsonl": b'{"id": "A"}\n', "parquet": b"PAR1"}
        assert output.startswith(start.get(kind, b"PK"))
        assert output.endswith(b"end\n")


class TestWholeOrNotAtAll:
    def test_an_interrupted_export_changes_nothing(
        self, tmp_path: Path, kind: str
    ) -> None:
        """The old file stays, and no half of a new one lies beside it."""
        path = tmp_path / "results"
        path.write_text("old")

        def records() -> Iterator[dict[str, int]]:
            yield from ({"id": n} for n in range(5_000))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_results(str(path), records(), format=kind)

        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_it_is_readable_by_its_owner_only(self, tmp_path: Path) -> None:
        """It holds rows, and replaces a file that others could read."""
        path = tmp_path / "results.csv"
        path.write_text("old")
        path.chmod(0o644)

        write_results(str(path), [{"id": "A"}])

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == "id\nA\n"

    @pytest.mark.parametrize("path", ["/dev/null", "."])
    def test_what_is_no_file_is_not_replaced(self, path: str) -> None:
        """A device or a folder does not become a file."""
        with pytest.raises(ConfigurationError, match="is not a regular file"):
            write_results(path, [], format="csv")

    def test_nowhere_is_an_error(self, tmp_path: Path) -> None:
        """The folder has to exist."""
        with pytest.raises(FileNotFoundError):
            write_results(str(tmp_path / "no" / "a.csv"), [])


def test_a_letter_shows_no_row() -> None:
    """What a letter prints has nothing of its row."""
    (letter,) = letters(ORDER_ROW)

    assert "john@example.com" not in repr(letter)


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"Nr": st.text("AŻółw;,\t 0\udc81\udc83", min_size=1, max_size=9)}
        ),
        min_size=1,
        max_size=9,
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1250", "iso8859-2"]),
)
def test_dead_letters_are_read_by_the_options_of_their_input(
    rows: list[dict[str, str]], delimiter: str, encoding: str
) -> None:
    """Delimiter and encoding, also where bytes were no signs of that."""
    if encoding != "cp1250":  # which lacks those two
        rows = [
            {"Nr": row["Nr"].replace("\udc81", "").replace("\udc83", "")}
            for row in rows
        ]
    letters = [
        DeadLetter(line, "Invalid", "is not … text", row)
        for line, row in enumerate(rows, 2)
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder, "failed.csv")
        write_dead_letters(
            str(path), letters, format="csv", delimiter=delimiter, encoding=encoding
        )
        text = path.read_bytes().decode(
            encoding.replace("utf-8", "utf-8-sig"),
            "surrogateescape" if encoding == "cp1250" else "strict",
        )
        is_marked = path.read_bytes().startswith(b"\xef\xbb\xbf")

    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    found = [unescape_cell(row["Nr"]) for row in table]
    assert found == [row["Nr"] for row in rows]
    assert is_marked is (encoding == "utf-8" and delimiter != ",")
