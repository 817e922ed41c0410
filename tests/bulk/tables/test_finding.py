"""Tables as spreadsheets write them: how they are spelled is found, or refused."""

import csv
import io
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import ORDER_ROW

from convergegate_async.bulk import Problem, Row, SourceError, TableOptions, read_table
from convergegate_async.bulk.tables.csv_file import escape_cell
from convergegate_async.bulk.tables.finding import Finding, find_options
from convergegate_async.bulk.tables.formats import Format
from convergegate_async.bulk.tables.parquet_file import import_parquet

SAMPLES = Path(__file__).parent / "samples"
WARSAW = ZoneInfo("Europe/Warsaw")
MAJOR = TableOptions(amount_unit="major")
HEADER = ",".join([*ORDER_ROW, "expires_at"])

NAMES = st.text("aąbcćdeęłńóśźżĄĆĘŁŃÓŚŹŻ '-", min_size=1, max_size=20).filter(str.strip)
MOMENTS = st.datetimes(
    datetime(2026, 1, 1),  # noqa: DTZ001 -- local
    datetime(2026, 3, 1),  # noqa: DTZ001
).map(lambda moment: moment.replace(second=0, microsecond=0))
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1250", "iso8859-2")


@attrs.frozen
class Order:
    """What a row of a table means."""

    amount: int
    name: str
    expires_at: datetime


ORDERS = st.lists(
    st.builds(Order, amount=st.integers(1, 10**9), name=NAMES, expires_at=MOMENTS),
    min_size=1,
    max_size=8,
)


def written(order: Order, place: int, mark: str, date_format: str) -> dict[str, object]:
    """Return a row as a spreadsheet spells it."""
    amount = f"{order.amount / 100:_.2f}".replace(".", mark).replace("_", " ")
    name = order.name.strip()  # spaces go first: then an apostrophe may look like ours
    return {
        **ORDER_ROW,
        "id": f"A-{place}",
        "amount": amount,
        "customer_lastname": order.name.replace(name, escape_cell(name)),
        "expires_at": order.expires_at.strftime(date_format),
    }


def find(path: Path, options: TableOptions = MAJOR) -> Finding:
    """Return what is found of a file."""
    with path.open("rb") as file:
        return find_options(file, "csv", options)


@given(
    orders=ORDERS,
    delimiter=st.sampled_from(",;\t"),
    encoding=st.sampled_from(ENCODINGS),
    mark=st.sampled_from(",."),
    date_format=st.sampled_from(["%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    is_said=st.booleans(),
)
def test_a_table_is_read_in_whatever_way_it_was_written(  # noqa: PLR0913, PLR0917 -- each is a habit
    tmp_path_factory: pytest.TempPathFactory,
    orders: list[Order],
    delimiter: str,
    encoding: str,
    mark: str,
    date_format: str,
    line_end: str,
    *,
    is_said: bool,
) -> None:
    """Nothing but the unit was told, and every amount, name and moment is the same."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    text = io.StringIO()
    rows = [written(one, n, mark, date_format) for n, one in enumerate(orders)]
    writer = csv.DictWriter(
        text, [*rows[0]], delimiter=delimiter, lineterminator=line_end
    )
    writer.writeheader()
    writer.writerows(rows)
    said = f"sep={delimiter}{line_end}" if is_said else ""
    path.write_bytes(f"{said}{text.getvalue()}".encode(encoding))

    found = [*read_table(str(path), MAJOR)]

    assert [
        Order(
            amount=row.request.amount,
            name=row.request.customer_lastname,
            expires_at=row.request.expires_at.astimezone(WARSAW).replace(tzinfo=None),
        )
        for row in found
        if isinstance(row, Row) and isinstance(row.request.expires_at, datetime)
    ] == [attrs.evolve(order, name=order.name.strip()) for order in orders]


def test_what_the_accountants_spreadsheet_wrote_is_read() -> None:
    """A file of a Polish shop, with a map of its columns and the country of phones."""
    options = TableOptions(
        id_column="nr zamówienia",
        columns={
            "kwota": "amount",
            "waluta": "currency",
            "imię": "customer_firstname",
            "nazwisko": "customer_lastname",
            "e-mail": "customer_email",
            "telefon": "customer_phone",
            "ważne do": "expires_at",
        },
        constants={"success_url": "https://shop.example/ok"},
        ignore_extra=True,
        amount_unit="major",
        default_country="PL",
    )
    path = SAMPLES / "excel_cp1250.csv"

    rows = [*read_table(str(path), options)]

    assert str(find(path, options)) == (
        "read as: ; · Windows-1250 · 49,99 · 31.12.2026 23:59, Europe/Warsaw"
    )
    requests = [row.request for row in rows if isinstance(row, Row)]
    assert len(requests) == len(rows) == 12
    assert sum(request.amount for request in requests) == 598_745
    assert {request.customer_phone for request in requests} == {"+48601234567"}
    assert {request.expires_at for request in requests} == {
        datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
    }
    assert requests[1].customer_firstname == "Małgorzata"
    assert requests[1].customer_lastname == "Gżegżółka"
    assert [row.line for row in rows][:6] == [2, 4, 5, 6, 8, 10]


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ("A-1,49.99,pln", MAJOR, ", · UTF-8 · 49.99 · Europe/Warsaw"),
        ("A-1,4999,pln", TableOptions(), ", · UTF-8 · Europe/Warsaw"),
        (
            "A-1,4999,eur",
            TableOptions(),
            ", · UTF-8 · times need a zone (--timezone), as not all is paid in PLN",
        ),
        (
            "A-1,4999,eur,\nA-2,4999,pln",  # paid in złoty, and not all of it
            TableOptions(),
            ", · UTF-8 · times need a zone (--timezone), as not all is paid in PLN",
        ),
        (
            "A-1,4999,eur",
            TableOptions(timezone="Europe/Paris", date_format="%d/%m/%Y %H:%M"),
            ", · UTF-8 · 31/12/2026 23:59, Europe/Paris",
        ),
        (
            "A-1,4999,eur",
            TableOptions(encoding="cp1252", delimiter="comma", timezone="UTC"),
            ", · Windows-1252 · UTC",
        ),
    ],
)
def test_what_was_found_or_given_is_told_in_a_line(
    tmp_path: Path, row: str, options: TableOptions, words: str
) -> None:
    """Only what matters to the table: no mark of minor units, no zone without times."""
    path = tmp_path / "orders.csv"
    path.write_text(f"id,amount,currency,expires_at\n{row},\n")

    assert str(find(path, options)) == f"read as: {words}"


@pytest.mark.parametrize(
    ("content", "readings"),
    [
        (
            b"id,currency,name\nA-1,eur,Ku\xb9\n",
            ["ą in Windows-1250", "š in ISO 8859-2", "--encoding"],
        ),
        (b"a;b,c;d,e\n1;2,3;4,5\n", ["semicolon", "comma", "--delimiter"]),
    ],
)
def test_what_has_two_readings_is_refused_with_both(
    tmp_path: Path, content: bytes, readings: list[str]
) -> None:
    """Nobody guesses with the names of customers, or with money."""
    path = tmp_path / "orders.csv"
    path.write_bytes(content)

    with pytest.raises(SourceError) as caught:
        find(path)

    assert all(words in str(caught.value) for words in readings)


def test_a_workbook_by_another_name_is_seen(tmp_path: Path) -> None:
    """Its bytes are no text in any encoding: the refusal says what it is."""
    path = tmp_path / "orders.csv"
    path.write_bytes((SAMPLES / "polish.xlsx").read_bytes())

    with pytest.raises(SourceError, match=r"workbook, .* --format xlsx"):
        find(path)


def test_a_zone_that_was_found_is_that_of_rows_in_zloty(tmp_path: Path) -> None:
    """Rows in euro may come after a thousand that are not: theirs is asked for."""
    path = tmp_path / "orders.csv"
    row = {**ORDER_ROW, "expires_at": "31.12.2096 23:59"}
    lines = [",".join(map(str, row.values()))] * 1_000
    lines.append(lines[0].replace("pln", "eur"))
    path.write_text("\n".join((",".join(row), *lines)))

    *in_zloty, in_euro = read_table(str(path), TableOptions())
    *_, given = read_table(str(path), TableOptions(timezone="Europe/Warsaw"))

    assert all(isinstance(one, Row) for one in in_zloty)
    assert isinstance(in_euro, Problem)
    assert in_euro.reason.startswith("needs a time zone")
    assert isinstance(given, Row)


def test_of_long_rows_only_what_tells_is_kept(tmp_path: Path) -> None:
    """A thousand of them may be a gigabyte."""
    path = tmp_path / "orders.csv"
    note = " ".join(["x" * 1_000] * 100)
    with path.open("w") as file:
        file.write("id,amount,currency,note\n")
        file.writelines(f'A-{n},"49,99",pln,{note}\n' for n in range(200))
    tracemalloc.start()

    found = find(path, TableOptions(amount_unit="major", ignore_extra=True))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.options.decimal == ","
    assert peak < 8 * 2**20


def test_what_is_found_stays_found(tmp_path: Path) -> None:
    """A resumed job reads as it began, even if the head has another look by then."""
    path = tmp_path / "orders.csv"
    path.write_bytes("id;amount;currency\nŻ-1;49,99;pln\n".encode("cp1250"))
    found = find(path).options

    path.write_bytes(b"id,amount,currency\nA-1,49.99,eur\n")

    assert find(path, found).options == found


@pytest.mark.parametrize(
    ("amounts", "is_doubtful"),
    [(["49.99", "12,50"], True), (["50", "100"], True), (["4999", "12000"], False)],
)
def test_amounts_of_the_other_unit_are_a_doubt(
    tmp_path: Path, amounts: list[str], *, is_doubtful: bool
) -> None:
    """It names the column; where the unit was given there is none."""
    path = tmp_path / "orders.csv"
    lines = (f'A-{n};"{amount}";pln\n' for n, amount in enumerate(amounts))
    path.write_text(f"id;amount;currency\n{''.join(lines)}")

    doubts = find(path, TableOptions()).doubts

    assert bool(doubts) is is_doubtful
    assert all("column amount looks like major units" in one for one in doubts)
    assert find(path).doubts == ()


@pytest.mark.parametrize("zone", ["Europe/Paris", None])
def test_the_zone_of_json_is_told_where_it_was_given(
    tmp_path: Path, zone: str | None
) -> None:
    """Its rows have no header: one of the first has a time."""
    path = tmp_path / "orders.jsonl"
    rows = [{"amount": 1}, {"amount": 1, "expires_at": "31.12.2096 12:00"}]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    with path.open("rb") as file:
        found = find_options(file, "jsonl", TableOptions(timezone=zone))

    assert found.read_as == (() if zone is None else (zone,))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_numbers_of_programs_may_be_of_the_other_unit_too(
    tmp_path: Path, kind: Format
) -> None:
    """50 is as likely 50 złoty there; but their times may be UTC, and are not moved."""
    rows = [{"id": f"A-{n}", "amount": 50, "currency": "pln"} for n in range(3)]
    path = tmp_path / "orders"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        arrow, parquet = import_parquet()
        parquet.write_table(arrow.Table.from_pylist(rows), path)

    with path.open("rb") as file:
        found = find_options(file, kind, TableOptions())

    assert len(found.doubts) == 1
    assert found.options == TableOptions(amount_unit="minor")


def test_a_plain_table_is_not_looked_at(tmp_path: Path) -> None:
    """It is read as it is said to be, and costs nothing more."""
    path = tmp_path / "orders.csv"
    path.write_bytes("id;amount;currency\nŻ-1;49,99;pln\n".encode("cp1250"))
    options = TableOptions(plain=True)

    assert find(path, options) == Finding(options=options)


@pytest.mark.parametrize("cell", ["ZŁ", "PNL", "złoty", "razem", ""])
def test_a_slip_in_one_currency_spoils_its_own_row(tmp_path: Path, cell: str) -> None:
    """What is no currency does not take the zone from all that are in złoty."""
    path = tmp_path / "orders.csv"
    row = {**ORDER_ROW, "expires_at": "31.12.2096 23:59"}
    lines = [",".join(map(str, row.values()))] * 3
    lines[1] = lines[1].replace("pln", cell)
    path.write_text("\n".join((",".join(row), *lines)), encoding="utf-8")

    rows = [*read_table(str(path), TableOptions())]

    assert [row.position for row in rows if isinstance(row, Row)] == [1, 3]
    assert {row.position for row in rows if isinstance(row, Problem)} == {2}
