"""Rows of files: what is read, what is refused, and in which words."""

import csv
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest
from canaries import PERSONAL
from hypothesis import example, given
from hypothesis import strategies as st
from orders import ORDER_ROW, an_order

from convergegate_async._core.money import exponent_of, spell_major
from convergegate_async.bulk.jobs.job_plan import JobPlan
from convergegate_async.bulk.tables.amounts import Mark
from convergegate_async.bulk.tables.csv_file import escape_cell, unescape_cell
from convergegate_async.bulk.tables.fields import read_major, read_time, read_words
from convergegate_async.bulk.tables.formats import SourceError, guess_format
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.phones import NO_CODE
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.validation import check
from convergegate_async.errors import InvalidFieldError

HEADER = ",".join(ORDER_ROW)
LINE = ",".join(map(str, ORDER_ROW.values()))
ORDER = an_order()
PLAIN = TableOptions()

MINOR = "must be a whole number of minor units, unless the amount unit is major"
NO_ZONE = "needs a time zone: say which with --timezone, such as Europe/Warsaw"
TOO_LONG = "is a number of more than 15 digits, which are not exact: make it a text"


class Inbox:
    """A folder with one input in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes | str, name: str = "orders.csv") -> str:
        """Write the input, and return its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def read(
        self,
        content: bytes | str,
        options: TableOptions = PLAIN,
        name: str = "orders.csv",
    ) -> list[Row | Problem]:
        """Return all that is read of an input."""
        return list(read_table(self.put(content, name), options))

    def csv(
        self, *rows: dict[str, object], options: TableOptions = PLAIN
    ) -> list[Row | Problem]:
        """Return what is read of rows in CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(k for r in rows for k in r)))
        writer.writeheader()
        writer.writerows(rows)
        return self.read(text.getvalue(), options)

    def jsonl(
        self, *rows: object, options: TableOptions = PLAIN
    ) -> list[Row | Problem]:
        """Return what is read of values in JSONL."""
        return self.read("\n".join(map(json.dumps, rows)), options, "orders.jsonl")


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    """One for all, so that properties can use it."""
    return Inbox(tmp_path_factory.mktemp("sources"))


def summary(found: list[Row | Problem]) -> list[str]:
    """Return the problems in words, and the good rows by their id."""
    return [str(item) if isinstance(item, Problem) else item.row_id for item in found]


def only_row(found: list[Row | Problem]) -> Row:
    """Return the row, which has to be good."""
    (row,) = found
    assert isinstance(row, Row), str(row)
    return row


def parquet_file(folder: Path, columns: Mapping[str, object]) -> str:
    """Write two rows that have such *columns*, too; return the file's path."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [ORDER_ROW | {"id": f"A-{n}", "amount": 4999} for n in (1, 2)]
    path = folder / "orders.parquet"
    plain = {name: [row[name] for row in rows] for name in rows[0]}
    parquet.write_table(arrow.table({**plain, **columns}), path)
    return str(path)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


class TestProperties:
    @given(TEXTS)
    @example("=1+1")
    @example("'=1+1")
    @example("'+48")
    @example("'+1+1")
    @example("''@x")
    @example("'")
    def test_escaping_a_cell_loses_nothing(self, text: str) -> None:
        """What is read is what was written, apostrophes of its own included."""
        assert unescape_cell(escape_cell(text)) == text

    @given(TEXTS)
    @example("\r=x")
    @example("+48 601")
    @example("-1+1")
    @example("+48\n")
    def test_no_escaped_cell_is_a_formula(self, text: str) -> None:
        """A written cell never begins as a formula does, or is no more than digits."""
        first, rest = escape_cell(text)[:1], escape_cell(text)[1:]

        is_sum = {*rest} <= {*"0123456789 "} and rest.strip(" ") == rest != ""
        assert first not in {*"=@\t\r"}
        assert first not in {*"+-"} or is_sum

    @pytest.mark.parametrize("text", ["+48601234567", "+48 601 234 567", "-5", "0"])
    def test_digits_with_a_sign_stay_as_they_are(self, text: str) -> None:
        """A phone number is no formula, and is looked at by people."""
        assert escape_cell(text) == text

    def test_what_was_escaped_before_is_still_read(self) -> None:
        """Dead letters of earlier versions have an apostrophe before phone numbers."""
        assert unescape_cell("'+48601234567") == "+48601234567"
        assert unescape_cell(escape_cell("'+48601234567")) == "'+48601234567"

    @given(st.lists(TEXTS, min_size=1, max_size=5))
    def test_every_text_survives_a_cell(self, inbox: Inbox, texts: list[str]) -> None:
        """Commas, quotes and line ends within quotes belong to the cell."""
        rows = [ORDER_ROW | {"note": escape_cell(text)} for text in texts]

        options = TableOptions(columns={"note": ""}, plain=True)

        found = inbox.csv(*rows, options=options)

        assert [item.raw["note"] for item in found] == texts

    @given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.jsonl"]))
    def test_no_content_is_a_crash(
        self, inbox: Inbox, content: bytes, name: str
    ) -> None:
        """Whatever the bytes, there are problems or a SourceError."""
        try:
            found = inbox.read(content, name=name)
        except SourceError:
            return
        assert all(isinstance(item, Problem) for item in found)

    @given(st.binary(max_size=100))
    def test_no_line_is_a_crash(self, inbox: Inbox, content: bytes) -> None:
        """Whatever stands among the rows, those before it are read."""
        text = f"{HEADER}\n{LINE}\n".encode() + content
        found = inbox.read(text, TableOptions(plain=True))

        assert summary(found)[0] == "A-1"

    @given(st.integers(0, 2**53), st.sampled_from(["pln", "JPY", "kwd"]))
    def test_major_units_are_exact(self, amount: int, currency: str) -> None:
        """What people read is the minor units again, as a text or as a number."""
        spelled = spell_major(amount, currency).replace("\u202f", "")

        for value in (spelled, Decimal(spelled)):
            row = {"amount": value, "currency": currency}
            assert read_major("amount", row) == amount

    @given(st.decimals(allow_nan=False), st.sampled_from(["pln", "jpy", "kwd"]))
    @example(Decimal("49.999"), "pln")
    @example(Decimal("1e999999"), "pln")
    @example(Decimal("0.1") ** 40, "pln")
    def test_no_decimal_is_rounded(self, value: Decimal, currency: str) -> None:
        """A decimal is refused, or is exactly that many minor units."""
        try:
            amount = read_major("amount", {"amount": value, "currency": currency})
        except InvalidFieldError:
            return
        assert Decimal(amount).scaleb(-exponent_of(currency)) == value


class TestCsv:
    def test_a_row_is_a_request(self, inbox: Inbox) -> None:
        """The row has its place, its id, its request, and itself as read."""
        row = only_row(inbox.read(f"{HEADER}\n{LINE}\n"))

        assert row == Row(
            position=1, line=2, row_id="A-1", request=ORDER, raw=ORDER_ROW
        )

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(f"\ufeff{HEADER}\n{LINE}\n", id="byte order mark"),
            pytest.param(f"{HEADER}\r\n{LINE}\r\n", id="CRLF"),
            pytest.param(f"{HEADER}\r{LINE}\r", id="CR"),
            pytest.param(f"{HEADER}\n{LINE}", id="no end of line"),
            pytest.param(f"{HEADER}\n\n\n{LINE}\n\n", id="blank lines"),
            pytest.param(f"{HEADER},cg_code\n{LINE},DeclinedError\n", id="own column"),
            pytest.param(f"{HEADER},locale\n{LINE},\n", id="empty cell"),
        ],
    )
    def test_files_differ_and_mean_the_same(self, inbox: Inbox, content: str) -> None:
        """Marks, line ends, blank lines and unset cells change no request."""
        assert only_row(inbox.read(content)).request == ORDER

    def test_a_problem_tells_the_line_where_its_row_begins(self, inbox: Inbox) -> None:
        """Line ends within quotes count as lines, and not as rows."""
        first = LINE.replace("John", '"Jo\nhn"')
        found = inbox.read(f"{HEADER}\n{first}\n{LINE.replace('pln', 'zł')}\n")

        assert summary(found) == [
            (
                "line 2, column customer_firstname: must not hold control characters "
                "or lone surrogates"
            ),
            "line 4, column currency: must be a three-letter ISO 4217 code",
        ]
        assert [item.position for item in found] == [1, 2]

    def test_every_problem_of_a_row_is_reported(self, inbox: Inbox) -> None:
        """A row is corrected once, and not once for each problem."""
        bad = {
            **ORDER_ROW,
            "id": "A" * 129,
            "amount": "49.99",
            "currency": "",
            "customer_phone": "123",
            "expires_at": "2026-12-24T18:00",
            "metadata[note]": "x" * 501,
        }

        assert summary(inbox.csv(bad)) == [
            (
                "line 2, column id: must be 1 to 128 printable characters, with "
                "no space at either end"
            ),
            f"line 2, column amount: {MINOR}",
            f"line 2, column expires_at: {NO_ZONE}",
            "line 2, column currency: must be given",
            (
                "line 2, column customer_phone: must be a phone number in E.164 "
                "(+48123456789)"
            ),
            "line 2, column metadata[note]: values must hold at most 500 characters",
        ]

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            pytest.param(
                "A-0,4999,pln",
                "line 2: must have 8 cells, as the header, and has 3",
                id="half a row",
            ),
            pytest.param(
                f"{LINE},more",
                "line 2: must have 8 cells, as the header, and has 9",
                id="too many cells",
            ),
            pytest.param(
                LINE.replace("Doe", "D\0e"),
                "line 2: is not UTF-8 text, or holds a NUL",
                id="NUL",
            ),
            pytest.param(
                LINE.encode().replace(b"Doe", "Żółć".encode() * 5 + b"\xb3"),
                "line 2: is not UTF-8 text, or holds a NUL",
                id="a slip in UTF-8",
            ),
            pytest.param(
                LINE.replace("Doe", '"D"oe'),
                "line 2: is not a row of CSV (',' expected after '\"')",
                id="text after quotes",
            ),
            pytest.param(
                LINE.replace("Doe", "D" * 2**21),
                "line 2: is not a row of CSV (holds a line of more than 1,048,576 "
                "characters)",
                id="line without end",
            ),
            pytest.param(
                LINE.replace("Doe", "D" * 200_000),
                "line 2: is not a row of CSV (field larger than field limit (131072))",
                id="cell without end",
            ),
        ],
    )
    def test_reading_goes_on_after_what_is_no_row(
        self, inbox: Inbox, bad: str | bytes, reason: str
    ) -> None:
        """One broken row is one problem, and the next row is read."""
        bad = bad if isinstance(bad, bytes) else bad.encode()
        found = inbox.read(f"{HEADER}\n".encode() + bad + f"\n{LINE}\n".encode())

        assert summary(found) == [reason, "A-1"]

    @pytest.mark.parametrize(
        "size", [pytest.param(3, id="to the end"), pytest.param(200_000, id="too long")]
    )
    def test_nobody_guesses_where_an_open_quote_ends(
        self, inbox: Inbox, size: int
    ) -> None:
        """What stands behind it may be rows, or what a customer wrote."""
        found = inbox.read(f'{HEADER}\n{LINE}\n"A-2,{"x" * size}\n{LINE}\n')

        assert summary(found)[0] == "A-1"
        assert len(found) == 2
        assert summary(found)[1].endswith("a quote open: nothing after it was read")

    def test_formulas_are_text(self, inbox: Inbox) -> None:
        """A formula in the input is a text like any other."""
        row = only_row(inbox.csv(ORDER_ROW | {"customer_lastname": "=HYPERLINK(1)"}))

        assert row.request.customer_lastname == "=HYPERLINK(1)"

    @pytest.mark.parametrize("cell", ["[1]", "{", '{"a": 1, "a": 2}', "order=1"])
    def test_metadata_in_one_cell_is_an_object(self, inbox: Inbox, cell: str) -> None:
        """A cell for all metadata holds a JSON object, and nothing like it."""
        found = inbox.csv(ORDER_ROW | {"metadata": cell})

        assert summary(found) == [
            "line 2, column metadata: must be a JSON object whose values are text"
        ]

    def test_further_pairs_in_one_cell_are_an_object(self, inbox: Inbox) -> None:
        """What the API may know one day is a JSON object there, too."""
        good, bad = inbox.csv(
            ORDER_ROW | {"extra": '{"campaign": "spring"}'},
            ORDER_ROW | {"id": "A-2", "extra": "campaign"},
        )

        assert isinstance(good, Row)
        assert good.request.extra == {"campaign": "spring"}
        assert summary([bad]) == [
            "line 3, column extra: must be a JSON object whose values are text"
        ]

    def test_columns_are_mapped(self, inbox: Inbox) -> None:
        """Columns have the user's names, may be left out, and may be metadata."""
        options = TableOptions(
            id_column="Order",
            columns={"Total": "amount", "Note": "metadata[note]", "Colour": ""},
            amount_unit="major",
            row_metadata="order",
        )
        cells = {k: v for k, v in ORDER_ROW.items() if k not in {"id", "amount"}}
        extra = {"Order": "A-1", "Total": "49.99", "Note": "thanks", "Colour": "red"}

        row = only_row(inbox.csv({**cells, **extra}, options=options))

        metadata = {"note": "thanks", "order": "A-1"}
        assert row.request == attrs.evolve(ORDER, metadata=metadata)

    def test_problems_name_the_users_columns(self, inbox: Inbox) -> None:
        """A problem is in the column that the user sees."""
        cells = {k: v for k, v in ORDER_ROW.items() if k != "amount"} | {
            "Total": "4 999"
        }

        found = inbox.csv(cells, options=TableOptions(columns={"Total": "amount"}))

        assert summary(found) == [f"line 2, column Total: {MINOR}"]

    @pytest.mark.parametrize(
        ("header", "options", "reason"),
        [
            pytest.param("", PLAIN, "the input has no header", id="empty"),
            pytest.param(
                LINE,
                PLAIN,
                "no column id (say which with --id-column",
                id="no header",
            ),
            pytest.param(
                "Nr,Kwota,E-mail",
                PLAIN,
                "no column id among Nr, Kwota, E-mail (say which with --id-column",
                id="no id",
            ),
            pytest.param(
                f"{HEADER},custmer_ip",
                PLAIN,
                "unknown columns: custmer_ip (--map",
                id="typo",
            ),
            pytest.param(
                ",".join([HEADER, *(f"x{n}" for n in range(30))]),
                PLAIN,
                "x18, x19 and 10 more (--map",
                id="many",
            ),
            pytest.param(
                HEADER.replace("amount,", ""),
                PLAIN,
                "no column for amount",
                id="missing",
            ),
            pytest.param(f"{HEADER},id", PLAIN, "the header repeats id", id="repeated"),
            pytest.param(
                HEADER,
                TableOptions(columns={"Total": "amount"}),
                "the mapping names columns that are not there: Total",
                id="mapped and absent",
            ),
            pytest.param(
                f"{HEADER},Total",
                TableOptions(columns={"Total": "amount"}),
                "two columns are for amount",
                id="two for one",
            ),
            pytest.param(
                f"{HEADER},metadata[row]",
                TableOptions(row_metadata="row"),
                "two columns are for metadata[row]",
                id="row id in the way",
            ),
            pytest.param(
                f"{HEADER}\0", PLAIN, "the header is not UTF-8", id="not text"
            ),
        ],
    )
    def test_a_header_that_does_not_fit_is_refused(
        self, inbox: Inbox, header: str, options: TableOptions, reason: str
    ) -> None:
        """Columns that nobody understands are not dropped in silence."""
        with pytest.raises(SourceError) as caught:
            inbox.read(f"{header}\n{LINE}\n" if header else "", options)

        assert reason in str(caught.value)
        assert "john@example.com" not in str(caught.value)


class TestJsonl:
    def test_an_object_is_a_request(self, inbox: Inbox) -> None:
        """Numbers are numbers, lists are lists, and metadata is an object."""
        extra = {
            "id": 7,
            "amount": 4999,
            "payment_method": ["blik"],
            "expires_at": 2_000_000_000,
            "locale": None,
            "metadata": {"note": "", "none": None},
            "metadata[order]": "A",
        }

        row = only_row(inbox.jsonl(ORDER_ROW | extra))

        assert row.row_id == "7"
        assert row.request == attrs.evolve(
            ORDER,
            payment_method=("blik",),
            expires_at=datetime.fromtimestamp(2_000_000_000, UTC),
            metadata={"note": "", "order": "A"},
        )

    def test_metadata_is_in_the_order_of_its_columns(self, inbox: Inbox) -> None:
        """That of the body, and so of the fingerprint that a journal has of the row."""
        row = ORDER_ROW | {"amount": 4999, "metadata[b]": "1"}
        row |= {"metadata": {"c": "2"}, "metadata[a]": "3"}

        read = only_row(inbox.jsonl(row))

        assert read.request.metadata is not None
        assert list(read.request.metadata) == ["b", "c", "a"]

    def test_each_row_is_read_by_its_own_columns(self, inbox: Inbox) -> None:
        """JSON has no header: the next row may have others, or one that is not set."""
        options = TableOptions(columns={"Total": "amount"}, amount_unit="major")
        plain = ORDER_ROW | {"amount": 49.99}
        mapped = {"Total": 49.99, **ORDER_ROW, "amount": None}

        found = inbox.jsonl(plain, mapped, plain, options=options)

        assert [only_row([row]).request for row in found] == [ORDER] * 3

    def test_a_fraction_is_read_as_it_is_spelled(self, inbox: Inbox) -> None:
        """No float comes near money."""
        line = json.dumps(ORDER_ROW | {"amount": "@"}).replace(
            '"@"', "90071992547409.91"
        )

        found = inbox.read(line, TableOptions(amount_unit="major"), "a.jsonl")

        assert only_row(found).request.amount == 9_007_199_254_740_991

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            pytest.param("[1]", "is not a JSON object", id="list"),
            pytest.param('{"id": 1, "id": 2}', "has a duplicate key", id="twice"),
            pytest.param('{"id": NaN}', "is not strict JSON in UTF-8", id="NaN"),
            pytest.param('{"id": 1} {}', "is not strict JSON in UTF-8", id="trailing"),
            pytest.param('{"id": "\\ud800"}', "is not strict JSON in UTF-8", id="lone"),
            pytest.param(b'{"id": "\xff"}', "is not strict JSON in UTF-8", id="bytes"),
            pytest.param('{"id": ', "is not strict JSON in UTF-8", id="half"),
            pytest.param(
                '{"note": %s}' % ("[" * 100 + "]" * 100),
                "is nested more than 100 deep",
                id="deep",
            ),
            pytest.param("[" * 100_000, "is nested more than 100 deep", id="deeper"),
            pytest.param(
                '{"id": 1e99999999999999999999}',
                "is not strict JSON in UTF-8",
                id="beyond",
            ),
            pytest.param(
                " " * 2**21,
                "holds a line of more than 1,048,576 characters",
                id="long",
            ),
        ],
    )
    def test_reading_goes_on_after_what_is_no_object(
        self, inbox: Inbox, line: str | bytes, reason: str
    ) -> None:
        """One broken line is one problem, and blank lines are none."""
        line = line if isinstance(line, bytes) else line.encode()
        good = json.dumps(ORDER_ROW | {"amount": 4999}).encode()
        found = inbox.read(b"\xef\xbb\xbf\n" + line + b"\n \r\n" + good, name="a.jsonl")

        assert summary(found) == [f"line 2: {reason}", "A-1"]

    @pytest.mark.parametrize(
        ("changes", "column", "reason"),
        [
            pytest.param(
                {"amount": "4999"},
                "amount",
                MINOR,
                id="text",
            ),
            pytest.param(
                {"amount": 49.99},
                "amount",
                MINOR,
                id="fraction",
            ),
            pytest.param(
                {"custmer_ip": "x"},
                "custmer_ip",
                "is not a field of a request",
                id="typo",
            ),
            pytest.param(
                {"x" * 1_000: "x"},
                f"{'x' * 60}…",
                "is not a field of a request",
                id="long name",
            ),
            pytest.param(
                {"\x1b[2J": "x"},
                r"'\x1b[2J'",
                "is not a field of a request",
                id="terminal",
            ),
            pytest.param(
                {"id": True},
                "id",
                "must be 1 to 128 printable characters, with no space at either end",
                id="bool id",
            ),
            pytest.param(
                {"metadata": {"a": "b"}, "metadata[a]": "c"},
                "metadata[a]",
                "gives metadata[a] a second time",
                id="twice",
            ),
            pytest.param(
                {"metadata": [1]},
                "metadata",
                "must be a JSON object whose values are text",
                id="list",
            ),
            pytest.param(
                {"metadata": {str(n): "" for n in range(51)}},
                "metadata",
                "must hold at most 50 keys",
                id="many",
            ),
        ],
    )
    def test_a_value_that_does_not_fit_is_a_problem(
        self, inbox: Inbox, changes: dict[str, object], column: str, reason: str
    ) -> None:
        """Kinds of values are not guessed."""
        found = inbox.jsonl(ORDER_ROW | {"amount": 4999} | changes)

        assert summary(found) == [f"line 1, column {column}: {reason}"]


class TestParquet:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        """A file of two rows."""
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        expires = datetime.fromtimestamp(2_000_000_000, UTC)
        good = ORDER_ROW | {"amount": Decimal("49.99"), "expires_at": expires}
        bad = good | {"id": "A-2", "currency": "zł"}
        path = tmp_path / "orders.parquet"
        parquet.write_table(arrow.Table.from_pylist([good, bad]), path)
        return str(path)

    def test_a_row_is_a_request(self, path: str) -> None:
        """Decimals and times keep their types, and the line is the position."""
        row, *problems = read_table(path, TableOptions(amount_unit="major"))

        assert isinstance(row, Row)
        assert row.request.amount == 4999
        assert row.request.expires_at == datetime.fromtimestamp(2_000_000_000, UTC)
        assert summary(problems) == [
            "line 2, column amount: needs a currency of ISO 4217 in the same row",
            "line 2, column currency: must be a three-letter ISO 4217 code",
        ]

    def test_a_map_is_metadata_and_a_time_may_have_nanoseconds(
        self, tmp_path: Path
    ) -> None:
        """Parquet's own kinds of mapping and time are read as what they are."""
        arrow = pytest.importorskip("pyarrow")
        texts = arrow.map_(arrow.string(), arrow.string())
        moment = 2_000_000_000_123_456_789
        columns = {
            "metadata": arrow.array([[("order", "17")], None], texts),
            "expires_at": arrow.array([moment, None], arrow.timestamp("ns", "UTC")),
        }

        found = read_table(parquet_file(tmp_path, columns), PLAIN)

        first, second = (row.request for row in found if isinstance(row, Row))
        assert first.metadata == {"order": "17"}
        assert first.expires_at is not None
        assert int(first.expires_at.timestamp()) == 2_000_000_000
        assert (second.metadata, second.expires_at) == (None, None)

    @pytest.mark.parametrize("ignored", [False, True])
    def test_a_value_that_cannot_be_read_is_a_problem_of_its_row(
        self, tmp_path: Path, *, ignored: bool
    ) -> None:
        """The others are read, and in a column that is left out nobody misses it."""
        arrow = pytest.importorskip("pyarrow")
        texts = arrow.map_(arrow.string(), arrow.string())
        broken = arrow.array([b"zl\xff", b"x"], arrow.binary()).view(arrow.string())
        columns = {
            "metadata": arrow.array([[("a", "1"), ("a", "2")], []], texts),
            "expires_at": arrow.array([2**38, None], arrow.timestamp("s", "UTC")),
            "locale": arrow.array(["pl", "pl"]),
            "customer_lastname": broken,
        }
        names = ["metadata", "expires_at"]
        options = TableOptions(columns=dict.fromkeys(names, "") if ignored else {})

        found = list(read_table(parquet_file(tmp_path, columns), options))

        wrong = ["customer_lastname", *([] if ignored else names)]
        assert sorted(summary(found)) == [
            "A-2",
            *(
                f"line 1, column {name}: holds a value that cannot be read"
                for name in sorted(wrong)
            ),
        ]

    def test_an_id_that_cannot_be_read_is_told_as_such(self, tmp_path: Path) -> None:
        """The reason is that of the file, and not that the id is missing."""
        arrow = pytest.importorskip("pyarrow")
        broken = arrow.array([b"zl\xff", b"x"], arrow.binary()).view(arrow.string())

        found = read_table(parquet_file(tmp_path, {"id": broken}), PLAIN)

        assert summary(list(found)) == [
            "line 1, column id: holds a value that cannot be read",
            "x",
        ]

    def test_numbers_that_were_texts_are_their_digits(self, tmp_path: Path) -> None:
        """Programs make floats of whole columns: ids, phone numbers, minor units."""
        columns = {
            "id": [1001.0, 1002.0],
            "amount": [4999.0, 49.99],
            "customer_phone": [48601234567.0, 601234567.0],
            "metadata[order]": [17.0, 1e20],
        }

        found = list(read_table(parquet_file(tmp_path, columns), PLAIN))

        phone = NO_CODE
        assert summary(found) == [
            f"line 1, column customer_phone: {phone}",
            f"line 2, column amount: {MINOR}",
            f"line 2, column metadata[order]: {TOO_LONG}",
            f"line 2, column customer_phone: {phone}",
        ]
        assert [item.row_id for item in found] == ["1001", *["1002"] * 3]

    def test_columns_are_checked(self, path: str) -> None:
        """Its columns are a header."""
        with pytest.raises(SourceError, match="the input has no column order"):
            list(read_table(path, TableOptions(id_column="order")))

    def test_another_file_is_refused(self, inbox: Inbox) -> None:
        """The suffix alone makes no Parquet."""
        pytest.importorskip("pyarrow")

        with pytest.raises(SourceError, match="cannot be read as Parquet"):
            inbox.read(HEADER, name="a.parquet")

    def test_without_pyarrow_it_is_refused(self, inbox: Inbox) -> None:
        """Where pyarrow is not installed, the refusal says what to install."""
        program = (
            "import sys; sys.modules['pyarrow'] = None\n"
            "from convergegate_async.bulk import *\n"
            "try: next(read_table(sys.argv[1], TableOptions()))\n"
            "except SourceError as error: print(error)"
        )
        command = [sys.executable, "-c", program, inbox.put("", "a.parquet")]

        output = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 -- our own words

        assert output.decode().strip() == "Parquet needs pyarrow: pip install pyarrow"


class TestColumnsWithoutAName:
    def test_the_index_that_pandas_writes_is_told_by_its_place(
        self, inbox: Inbox
    ) -> None:
        """An empty name in a message would be no name at all."""
        with pytest.raises(SourceError, match=r"^column 1 has no name: "):
            inbox.read(f",{HEADER}\n0,{LINE}\n1,{LINE}\n")

    @pytest.mark.parametrize("commas", [",", ",,,"])
    def test_an_empty_one_may_stay(self, inbox: Inbox, commas: str) -> None:
        """A comma too many, as spreadsheets leave it, says nothing."""
        found = inbox.read(f"{HEADER}{commas}\n{LINE}{commas}\n")

        assert summary(found) == ["A-1"]

    def test_a_value_in_one_is_a_problem_of_its_row(self, inbox: Inbox) -> None:
        """A slip in one row does not end a job; which columns there are is told."""
        found = inbox.read(f"{HEADER},,\n{LINE},,\n{LINE},x,\n{LINE},,\n")

        way = "give it one, or leave it out (`--map =`)"
        assert summary(found) == [
            "A-1",
            f"line 3: columns 9, 10 have no name: {way}",
            "A-1",
        ]

    def test_it_can_be_left_out_or_read(self, inbox: Inbox) -> None:
        """Its name in a mapping is the empty one."""
        text = f",{HEADER}\npl,{LINE}\n"

        (left_out,) = inbox.read(text, TableOptions(columns={"": ""}))
        (read,) = inbox.read(text, TableOptions(columns={"": "locale"}))

        assert isinstance(left_out, Row)
        assert left_out.request.locale is None
        assert isinstance(read, Row)
        assert read.request.locale == "pl"

    def test_a_key_without_a_name_is_a_problem(self, inbox: Inbox) -> None:
        """JSON has no header: it is told for its row, also for the first."""
        found = inbox.jsonl(ORDER_ROW | {"amount": 4999, "": "x"})

        assert summary(found) == [
            "line 1: a column has no name: give it one, or leave it out (`--map =`)"
        ]


class TestSpellings:
    @given(
        st.integers(1, 10**9),
        st.sampled_from([" ", "\u00a0", "\u202f", "'"]),
        st.sampled_from(",."),
    )
    def test_amounts_are_read_as_people_write_them(
        self, inbox: Inbox, amount: int, group: str, mark: Mark
    ) -> None:
        """By the decimal mark that is given, or where there is only one reading."""
        written = f"{amount / 100:_.2f}".replace(".", mark).replace("_", group)
        row = ORDER_ROW | {"amount": written}

        for decimal in (mark, None):
            options = TableOptions(amount_unit="major", decimal=decimal)
            request = only_row(inbox.csv(row, options=options)).request
            assert request.amount == amount

    @pytest.mark.parametrize(
        ("amount", "decimal", "reason"),
        [
            ("1,234", None, "which may be the decimal mark"),
            ("1.234", None, "which may be the decimal mark"),
            ("1,234", ",", "must have at most 2 decimals in PLN"),
            ("49.99", ",", "must have a comma as its decimal mark"),
            ("49,99", ".", "must have a point as its decimal mark"),
            ("49,99 zł", None, "must be a decimal number"),
        ],
    )
    def test_an_amount_of_two_readings_is_a_problem(
        self, inbox: Inbox, amount: str, decimal: Mark | None, reason: str
    ) -> None:
        """Neither is taken, and no value is repeated."""
        options = TableOptions(amount_unit="major", decimal=decimal)

        (problem,) = inbox.csv(ORDER_ROW | {"amount": amount}, options=options)

        assert isinstance(problem, Problem)
        assert problem.column == "amount"
        assert reason in problem.reason

    @pytest.mark.parametrize(
        "written", ["31.12.2026 23:59", "2026-12-31 23:59:00", "2026-12-31T22:59Z"]
    )
    def test_times_are_in_the_zone_that_is_named(
        self, inbox: Inbox, written: str
    ) -> None:
        """Unless they name one themselves; in JSON, too."""
        options = TableOptions(timezone="Europe/Warsaw")
        row = ORDER_ROW | {"expires_at": written}
        moment = datetime(2026, 12, 31, 22, 59, tzinfo=UTC)

        in_csv = only_row(inbox.csv(row, options=options)).request
        in_json = only_row(inbox.jsonl(row | {"amount": 1}, options=options)).request

        assert in_csv.expires_at == in_json.expires_at == moment

    def test_a_date_without_marks_is_not_taken_for_seconds(self, inbox: Inbox) -> None:
        """They would be those of the year 8390."""
        (problem,) = inbox.csv(ORDER_ROW | {"expires_at": "209612312359"})

        assert "more digits than the seconds since 1970" in str(problem)

    @pytest.mark.parametrize("phone", ["601 234 567", "48601234567", "0048 601234567"])
    def test_phones_of_one_country_need_no_code(self, inbox: Inbox, phone: str) -> None:
        """If that is asked for: by default they are refused."""
        row = ORDER_ROW | {"customer_phone": phone}
        options = TableOptions(default_country="pl")

        request = only_row(inbox.csv(row, options=options)).request
        (problem,) = inbox.csv(row)

        assert request.customer_phone == "+48601234567"
        assert isinstance(problem, Problem)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"decimal": ";"},
            {"timezone": "Europe/Krakow"},
            {"timezone": 1},
            {"date_format": "%d.%m."},
            {"default_country": "Poland"},
            {"plain": "yes"},
            {"ignore_extra": 1},
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, object]) -> None:
        """Before any file is read."""
        (name,) = wrong
        with pytest.raises(SourceError, match=f"{name}|no time zone is called"):
            TableOptions(**wrong)  # type: ignore[arg-type]  # that is the point

    def test_a_plain_table_is_read_as_programs_write(self, inbox: Inbox) -> None:
        """Nothing of it is taken for what people write."""
        options = TableOptions(amount_unit="major", plain=True)
        row = ORDER_ROW | {"amount": "1 234.50", "expires_at": "31.12.2026 23:59"}

        assert summary(inbox.csv(row, options=options)) == [
            'line 2, column amount: must not part thousands: write "1234.50"',
            (
                "line 2, column expires_at: must be epoch seconds, or ISO 8601 with a "
                "time zone"
            ),
        ]


class TestConstants:
    def test_they_are_columns_that_the_file_lacks(self, inbox: Inbox) -> None:
        """Whatever the format, and for metadata, too."""
        row = {name: text for name, text in ORDER_ROW.items() if name != "currency"}
        options = TableOptions(constants={"currency": "eur", "metadata[shop]": "7"})

        for found in (
            inbox.csv(row, options=options),
            inbox.jsonl(row | {"amount": 4999}, options=options),
        ):
            request = only_row(found).request
            assert (request.currency, request.metadata) == ("eur", {"shop": "7"})

    def test_they_may_be_in_any_mapping(self) -> None:
        """A job stores them as JSON."""
        options = TableOptions(constants=MappingProxyType({"locale": "pl"}))

        assert json.loads(JobPlan(table=options).to_json())["table"]["constants"] == {
            "locale": "pl"
        }

    def test_one_that_cannot_be_is_a_problem_of_each_row(self, inbox: Inbox) -> None:
        """It is named as what it is: there is no such column to be mended."""
        options = TableOptions(constants={"locale": "?"})

        (problem,) = inbox.csv(ORDER_ROW, options=options)

        assert str(problem) == (
            "line 2, column constant locale: must be an IETF language tag (pl, en-GB)"
        )

    def test_one_beside_a_column_is_refused(self, inbox: Inbox) -> None:
        """Which one is meant? A row of JSON that gives it, too, is a problem."""
        options = TableOptions(constants={"currency": "eur"})

        with pytest.raises(SourceError, match="two columns are for currency"):
            inbox.csv(ORDER_ROW, options=options)
        (problem,) = inbox.jsonl(ORDER_ROW | {"amount": 4999}, options=options)
        assert "gives currency a second time" in str(problem)

    def test_one_that_is_also_mapped_is_refused(self) -> None:
        """Before any file is read."""
        with pytest.raises(SourceError, match="two columns are for locale"):
            TableOptions(columns={"x": "locale"}, constants={"locale": "pl"})


class TestNamesOfColumns:
    @given(st.lists(st.booleans(), min_size=12, max_size=12))
    def test_they_are_found_in_any_case(
        self, inbox: Inbox, capitals: list[bool]
    ) -> None:
        """Those of fields, of mappings and of the id: a spreadsheet makes capitals."""
        row = {**ORDER_ROW, "Suma": ORDER_ROW["amount"], "sklep": "7"}
        del row["amount"]
        options = TableOptions(
            columns={"suma": "amount", "SKLEP": "metadata[shop]"}, id_column="Id"
        )
        pairs = zip(row.items(), capitals, strict=False)
        odd = {name.upper() if capital else name: x for (name, x), capital in pairs}

        request = only_row(inbox.csv(odd, options=options)).request

        assert request.amount == int(str(ORDER_ROW["amount"]))
        assert request.metadata == {"shop": "7"}

    def test_two_that_differ_in_case_alone_are_not_mixed_up(self, inbox: Inbox) -> None:
        """Each is what it is spelled as; the other one has to be mapped."""
        row = ORDER_ROW | {"LOCALE": "en", "locale": "pl"}

        with pytest.raises(SourceError, match="unknown columns: LOCALE"):
            inbox.csv(row)
        options = TableOptions(columns={"LOCALE": ""})
        assert only_row(inbox.csv(row, options=options)).request.locale == "pl"

    def test_two_of_which_neither_is_exact_are_refused(self, inbox: Inbox) -> None:
        """Even where extra ones are left out: one of them would be, in silence."""
        row = ORDER_ROW | {"Expires_At": "", "EXPIRES_AT": "2096-12-31T23:59Z"}

        with pytest.raises(SourceError, match="case of their letters: Expires_At, EXP"):
            inbox.csv(row, options=TableOptions(ignore_extra=True))

    def test_metadata_is_found_in_any_case_and_keeps_that_of_its_key(
        self, inbox: Inbox
    ) -> None:
        """A key is the shop's own."""
        row = ORDER_ROW | {"METADATA[Note]": "x"}

        request = only_row(inbox.csv(row)).request

        assert request.metadata == {"Note": "x"}

    def test_in_a_plain_table_they_are_what_they_are(self, inbox: Inbox) -> None:
        """A job that was begun before cases were folded maps what it mapped then."""
        row = ORDER_ROW | {"locale": "pl"}
        options = TableOptions(columns={"LOCALE": ""}, plain=True)

        assert only_row(inbox.csv(row, options=options)).request.locale == "pl"

    def test_extra_ones_can_be_left_out_all_at_once(self, inbox: Inbox) -> None:
        """With a name or without, in a header or in a row of JSON."""
        options = TableOptions(ignore_extra=True)

        row = ORDER_ROW | {"amount": 4999, "x": "1", "": "2"}
        assert only_row(inbox.csv(row, options=options)).request == ORDER
        assert only_row(inbox.jsonl(row, options=options)).request == ORDER


class TestIds:
    @pytest.mark.parametrize(
        "row_id",
        [
            pytest.param("", id="empty"),
            pytest.param("x" * 129, id="long"),
            pytest.param("x" * 10_000, id="very long"),
            pytest.param("A\t1", id="tab"),
            pytest.param("A\0001", id="NUL"),
            pytest.param(" A", id="space"),
            pytest.param("A\u200b", id="invisible"),
            pytest.param("A\u00a0", id="no-break space"),
            pytest.param(None, id="null"),
            pytest.param(1.5, id="fraction"),
        ],
    )
    def test_an_id_that_nobody_can_name_is_refused(
        self, inbox: Inbox, row_id: object
    ) -> None:
        """An id is what people can read, type and tell apart."""
        (problem,) = inbox.jsonl(ORDER_ROW | {"amount": 4999, "id": row_id})

        assert isinstance(problem, Problem)
        assert (problem.column, problem.row_id) == ("id", None)

    def test_an_id_has_one_spelling(self, inbox: Inbox) -> None:
        """An id that another system decomposed derives the same key."""
        assert only_row(inbox.csv(ORDER_ROW | {"id": "e\u0301"})).row_id == "\u00e9"

    def test_ids_given_twice_are_found(self, inbox: Inbox) -> None:
        """Look-alikes are one id, also where a row has other problems."""
        ids = ["e\u0301", "A", "\u00e9", "A"]
        rows = [ORDER_ROW | {"id": row_id} for row_id in ids]
        rows[1] = rows[1] | {"amount": "", "currency": ""}

        validation = check(iter(inbox.csv(*rows)))

        assert validation.total == 4
        assert list(map(str, validation.problems)) == [
            "line 3, column amount: must be given",
            "line 3, column currency: must be given",
            "line 4: has the id of an earlier row",
            "line 5: has the id of an earlier row",
        ]


class TestValidation:
    @given(st.lists(st.sampled_from("abcdef"), max_size=12), st.integers(0, 12))
    def test_what_is_not_kept_is_counted(
        self, inbox: Inbox, ids: list[str], most: int
    ) -> None:
        """Kept and counted problems are all problems, and the first are kept."""
        rows = [ORDER_ROW | {"id": row_id} for row_id in ids] or [ORDER_ROW]
        found = inbox.csv(*rows)

        whole = check(iter(found))
        some = check(iter(found), most=most)

        assert len(whole.problems) == len(rows) - len({row["id"] for row in rows})
        assert some.problems == whole.problems[:most]
        assert len(some.problems) + some.more == len(whole.problems)

    @pytest.mark.parametrize(
        ("ahead", "fits"), [(-1, False), (8_999, False), (9_000, True), (None, True)]
    )
    def test_a_session_that_expires_too_soon_is_found(
        self, inbox: Inbox, ahead: int | None, *, fits: bool
    ) -> None:
        """What `create` would refuse is told before the first row is sent."""
        moment = "" if ahead is None else 2_000_000_000 + ahead
        options = TableOptions(columns={"until": "expires_at"})
        found = inbox.csv(ORDER_ROW | {"until": moment}, options=options)

        validation = check(iter(found), now=2_000_000_000)

        assert [*map(str, validation.problems)] == (
            [] if fits else ["line 2: expires_at must be at least 2.5 hours ahead"]
        )

    def test_a_currency_that_nobody_has_is_found(self, inbox: Inbox) -> None:
        """It is told and can be sent: codes come and go, and so do typing errors."""
        found = inbox.csv(ORDER_ROW | {"currency": "plm"}, ORDER_ROW | {"id": "A-2"})

        validation = check(iter(found))

        assert validation.unknown_currencies == ("PLM",)
        assert validation.problems == ()

    def test_memory_stays_flat(self, tmp_path: Path) -> None:
        """Rows are read one by one, and an id costs some bytes."""
        path = tmp_path / "orders.csv"
        tail = LINE.removeprefix("A-1")
        with path.open("w") as file:
            file.write(f"{HEADER}\n")
            file.writelines(f"A-{n}{tail}\n" for n in range(5_000))
        tracemalloc.start()

        validation = check(read_table(str(path), PLAIN))

        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert validation.total == 5_000
        assert peak < 2 * 2**20


class TestTheFile:
    @pytest.mark.parametrize(
        ("path", "guess"),
        [
            ("-", "csv"),
            ("a.CSV", "csv"),
            ("a.jsonl", "jsonl"),
            ("a.ndjson", "jsonl"),
            ("b/a.parquet", "parquet"),
        ],
    )
    def test_the_suffix_tells_the_format(self, path: str, guess: str) -> None:
        """A user names the format only where the name of the file does not."""
        assert guess_format(path) == guess

    @pytest.mark.parametrize(
        ("path", "kind", "reason"),
        [
            ("orders.ods", None, "cannot tell the format of orders.ods: name it"),
            ("orders.csv", "ods", "must be one of csv, jsonl, parquet, xlsx"),
            ("nowhere/orders.csv", None, "No such file or directory"),
            (".", "csv", "Is a directory"),
            ("\0.csv", None, "cannot read"),
        ],
    )
    def test_what_is_no_input_is_refused(
        self, path: str, kind: str | None, reason: str
    ) -> None:
        """The refusal says what is wrong with the file as a whole."""
        with pytest.raises(SourceError) as caught:
            list(read_table(path, PLAIN, format=kind))

        assert reason in str(caught.value)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes by name")
    def test_a_pipe_that_has_a_name_is_refused(self, tmp_path: Path) -> None:
        """At once, and not when somebody writes: rows are read more than once."""
        path = tmp_path / "orders.csv"
        os.mkfifo(path)

        with pytest.raises(SourceError, match=r"is a pipe, .* hand it over as -"):
            list(read_table(str(path), PLAIN))

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_dash_is_stdin(self, tmp_path: Path, kind: str) -> None:
        """Rows come through a pipe, also of Parquet, which is read from its end."""
        program = (
            "import sys\n"
            "from convergegate_async.bulk import *\n"
            "try: print(*[r.row_id for r in read_table('-', TableOptions(), "
            "format=sys.argv[1])])\n"
            "except SourceError as error: print(error)\n"
            "print(sys.stdin.closed)"
        )
        content = f"{HEADER}\n{LINE}\n".encode()
        if kind == "parquet":
            content = Path(parquet_file(tmp_path, {})).read_bytes()

        run = subprocess.run(  # noqa: S603 -- our own words
            [sys.executable, "-c", program, kind],
            input=content,
            capture_output=True,
            check=True,
        )

        answer, closed = run.stdout.decode().splitlines()
        assert answer == ("A-1" if kind == "csv" else "A-1 A-2")
        assert closed == "False"


class TestReading:
    def test_it_is_plain_data(self) -> None:
        """A job remembers how its input is read."""
        options = TableOptions(columns={"Total": "amount"}, row_metadata="order")

        plain = json.loads(json.dumps(attrs.asdict(options)))

        assert TableOptions(**plain) == options

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"columns": {"a": "amout"}}, "no request field is called amout"),
            ({"columns": {"a": "metadata[]"}}, "no request field is called metadata[]"),
            ({"row_metadata": "a]"}, "no request field is called metadata[a]]"),
            ({"columns": {"a": "amount", "b": "amount"}}, "two columns are for amount"),
            ({"amount_unit": "cents"}, "amount_unit must be minor or major"),
        ],
        ids=["typo", "no key", "bracket", "two for one", "unit"],
    )
    def test_what_cannot_be_meant_is_refused(
        self, options: dict[str, object], reason: str
    ) -> None:
        """A mistake in the mapping shows before a file is opened."""
        with pytest.raises(SourceError) as caught:
            TableOptions(**options)  # type: ignore[arg-type]  # that is the point

        assert str(caught.value).partition(": ")[0] == reason


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [
        ("49.99", "pln", 4999),
        ("49.9", "PLN", 4990),
        ("49", "pln", 4900),
        (50, "pln", 5000),
        ("49.9900", "pln", 4999),
        ("4999", "jpy", 4999),
        ("1.234", "kwd", 1234),
    ],
)
def test_major_units_follow_the_currency(
    value: object, currency: str, amount: int
) -> None:
    """The currency says how many decimals there are."""
    row = {"amount": value, "currency": currency}

    assert read_major("amount", row) == amount


@pytest.mark.parametrize(
    "value",
    [
        "49,99",
        "1 000",
        "49.",
        ".5",
        "+1",
        "1e2",
        "",
        "49.999",
        "1.000",
        "٤٩",
        49.99,
        True,
    ],
)
def test_other_spellings_of_money_are_refused(value: object) -> None:
    """Commas, signs, exponents, foreign digits and floats are not guessed."""
    with pytest.raises(InvalidFieldError):
        read_major("amount", {"amount": value, "currency": "pln"})


@pytest.mark.parametrize(
    "cell", ["blik card", "blik|card", " blik | card ", "blik||card"]
)
def test_words_stand_apart_by_spaces_or_bars(cell: str) -> None:
    """A cell may hold several payment methods."""
    assert read_words("payment_method", {"payment_method": cell}) == ("blik", "card")


@pytest.mark.parametrize(
    "cell",
    ["1766595600", 1766595600, "2025-12-24T18:00+01:00", "2025-12-24T17:00:00Z"],
    ids=["cell", "number", "offset", "Z"],
)
def test_times_are_epoch_seconds_or_iso(cell: object) -> None:
    """All of them are the same moment."""
    moment = read_time("expires_at", {"expires_at": cell})

    assert moment == datetime(2025, 12, 24, 17, tzinfo=UTC)


@pytest.mark.parametrize("cell", ["tomorrow", "2025-12-24", "999999999999", -1])
def test_other_times_are_refused(cell: object) -> None:
    """A time without a zone is not a moment."""
    with pytest.raises(InvalidFieldError):
        read_time("expires_at", {"expires_at": cell})


def test_nothing_tells_personal_data(inbox: Inbox) -> None:
    """Rows and problems say where the data is, and not what it is."""
    email, first, last, phone, note = PERSONAL
    cells = ORDER_ROW | {
        "customer_email": email,
        "customer_firstname": first,
        "customer_lastname": last,
        "customer_phone": phone,
        "metadata[note]": note,
    }
    broken = cells | {"amount": email, "currency": last, "success_url": phone}

    found = inbox.csv(cells, broken)

    shown = [*map(str, found), *map(repr, found), repr(check(iter(found)))]
    assert not [word for word in PERSONAL for text in shown if word in text]
