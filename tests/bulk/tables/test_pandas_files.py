"""Parquet as pandas writes it: its index, and what it makes of columns.

The files are made without pandas, as its ``to_parquet`` makes them: floats where one
value is missing, categories, structs of dictionaries, and its own metadata.
"""

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from orders import ORDER_FIELDS

from convergegate_async.bulk.tables.formats import SourceError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Problem, Row

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

MAJOR = TableOptions(amount_unit="major")
PLAIN = TableOptions()
LEVEL = "__index_level_0__"
TEXT = arrow.large_string()


def pandas_file(folder: Path, index: object = None, **columns: Any) -> str:  # noqa: ANN401 -- as pyarrow takes them
    """Write three orders that have *columns*, too; return the file's path.

    Args:
        folder: Where.
        index: What pandas notes of the index: the name of its column, where it has one.
        columns: Arrays of pyarrow, by name; the index's is the last.
    """
    orders = {
        name: arrow.array([str(value)] * 3, TEXT)
        for name, value in ORDER_FIELDS.items()
    }
    orders["amount"] = arrow.array([49.99, 5.0, 0.01])
    orders["id"] = arrow.array([1001, 1002, 1003])
    table = arrow.table(orders | columns)
    span = {"kind": "range", "name": None, "start": 0, "stop": 3, "step": 1}
    noted = {"index_columns": [index or span], "columns": [], "pandas_version": "3.1.1"}
    path = folder / "orders.parquet"
    parquet.write_table(
        table.replace_schema_metadata({"pandas": json.dumps(noted)}), path
    )
    return str(path)


def read(path: str, options: TableOptions = MAJOR) -> list[Row | Problem]:
    """Return all that is read of a file."""
    return list(read_table(path, options))


def requests(path: str, options: TableOptions = MAJOR) -> list[Any]:
    """Return what the rows of a file ask for; all have to be good."""
    found = read(path, options)
    assert [str(item) for item in found if isinstance(item, Problem)] == []
    return [item.request for item in found if isinstance(item, Row)]


def test_floats_are_exact_amounts(tmp_path: Path) -> None:
    """As they are written; pandas has no other kind for such a column."""
    amounts = [request.amount for request in requests(pandas_file(tmp_path))]

    assert amounts == [4999, 500, 1]


def test_an_amount_that_was_computed_is_a_problem_of_its_row(tmp_path: Path) -> None:
    """It has more decimals than its currency; the others are read."""
    path = pandas_file(tmp_path, amount=arrow.array([0.1 + 0.2, 49.99, 49.99 * 1.23]))

    found = [str(item) for item in read(path) if isinstance(item, Problem)]

    reason = "must have at most 2 decimals in PLN"
    assert found == [f"line {n}, column amount: {reason}" for n in (1, 3)]


@pytest.mark.parametrize(
    ("column", "units"),
    [
        pytest.param(arrow.array([4999.0, 5.0, 1.0]), [4999, 5, 1], id="float"),
        pytest.param(
            arrow.array([4999, 5, 1], arrow.int64()), [4999, 5, 1], id="Int64"
        ),
        pytest.param(
            arrow.array([Decimal(4999), Decimal(5), Decimal(1)]),
            [4999, 5, 1],
            id="decimal",
        ),
        pytest.param(arrow.array(["4999", "5", "1"], TEXT), [4999, 5, 1], id="text"),
    ],
)
def test_minor_units_are_whole_numbers(
    tmp_path: Path, column: object, units: list[int]
) -> None:
    """Whatever pandas made of them."""
    found = requests(pandas_file(tmp_path, amount=column), PLAIN)

    assert [request.amount for request in found] == units


def test_decimals_are_exact(tmp_path: Path) -> None:
    """A column of objects may hold them."""
    column = arrow.array([Decimal("49.99"), Decimal("5.00"), Decimal("0.01")])

    found = requests(pandas_file(tmp_path, amount=column))

    assert [request.amount for request in found] == [4999, 500, 1]


def test_what_is_missing_is_empty(tmp_path: Path) -> None:
    """NaN, too, and a float that was made by it is its digits."""
    path = pandas_file(
        tmp_path,
        **{
            "metadata[order]": arrow.array([17.0, float("nan"), None]),
            "locale": arrow.array([None, "pl", None], TEXT),
        },
    )

    found = requests(path)

    assert [request.metadata for request in found] == [{"order": "17"}, None, None]
    assert [request.locale for request in found] == [None, "pl", None]


def test_an_amount_that_is_missing_is_told_as_such(tmp_path: Path) -> None:
    """It is not said to be no number."""
    path = pandas_file(tmp_path, amount=arrow.array([49.99, float("nan"), 1.0]))

    [problem] = [item for item in read(path) if isinstance(item, Problem)]

    assert str(problem) == "line 2, column amount: must be given"


def test_categories_are_their_values(tmp_path: Path) -> None:
    """A column that repeats few words is kept so."""
    column = arrow.array(["pln", "eur", "pln"], TEXT).dictionary_encode()

    found = requests(pandas_file(tmp_path, currency=column))

    assert [request.currency for request in found] == ["pln", "eur", "pln"]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(arrow.map_(TEXT, TEXT), id="map"),
        pytest.param(arrow.struct([("a", TEXT), ("b", TEXT)]), id="struct"),
    ],
)
def test_dictionaries_are_metadata(tmp_path: Path, kind: object) -> None:
    """A struct gives each of them all keys, and nulls where one had none."""
    is_map = arrow.types.is_map(kind)
    values = [{"a": "1"}, {"b": "2"}, None]
    column = arrow.array(
        [value and [*value.items()] for value in values] if is_map else values, kind
    )

    found = requests(pandas_file(tmp_path, metadata=column))

    assert [request.metadata for request in found] == values


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a peak so")
def test_a_text_that_all_rows_have_is_in_memory_once(tmp_path: Path) -> None:
    """3 kB of a file were 2 GB of texts: it takes a process of its own to see."""
    note = arrow.DictionaryArray.from_arrays(
        arrow.array([0] * 1_000, arrow.int32()), arrow.array(["a" * 2_000_000])
    )
    columns = {name: arrow.array([str(x)] * 1_000) for name, x in ORDER_FIELDS.items()}
    ids = arrow.array([*map(str, range(1_000))])
    path = tmp_path / "orders.parquet"
    table = arrow.table(columns | {"id": ids, "metadata[note]": note})
    parquet.write_table(table, path, compression="zstd")
    program = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from convergegate_async.bulk import TableOptions, read_table\n"
        "print(sum(1 for _ in read_table(sys.argv[1], TableOptions())))\n"
        # What getrusage tells is that of this process, too, which may be larger.
        "print(re.search('VmHWM:(.*) kB', Path('/proc/self/status').read_text())[1])"
    )

    output = subprocess.check_output(  # noqa: S603 -- our own words
        [sys.executable, "-c", program, str(path)]
    )

    rows, peak = map(int, output.split())
    assert rows == 1_000
    assert peak < 400 * 2**10


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_with_a_zone_are_read(tmp_path: Path, unit: str) -> None:
    """In every resolution that pandas has."""
    moment = datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC)
    column = arrow.array([moment] * 3, arrow.timestamp(unit, "Europe/Warsaw"))

    found = requests(pandas_file(tmp_path, expires_at=column))

    assert {request.expires_at for request in found} == {moment}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        pytest.param(
            arrow.array([2 * 10**18] * 3, arrow.timestamp("ns")),
            "needs a time zone: say which with --timezone, such as Europe/Warsaw",
            id="naive",
        ),
        pytest.param(
            arrow.array([date(2033, 5, 18)] * 3),
            "must have a time of day, such as 24.12.2026 18:00: a date has two ends",
            id="date",
        ),
    ],
)
def test_times_that_may_be_others_are_problems(
    tmp_path: Path, column: object, reason: str
) -> None:
    """The machine's zone is not that of the file."""
    found = read(pandas_file(tmp_path, expires_at=column))

    assert [str(item) for item in found] == [
        f"line {n}, column expires_at: {reason}" for n in (1, 2, 3)
    ]


def test_in_a_plain_table_numbers_are_no_texts(tmp_path: Path) -> None:
    """A job begun before they were goes on so: floats are no amounts."""
    found = read(pandas_file(tmp_path), TableOptions(amount_unit="major", plain=True))

    assert {item.column for item in found if isinstance(item, Problem)} == {"amount"}
    assert len(found) == 3


def test_times_without_a_zone_are_in_the_one_that_is_told(tmp_path: Path) -> None:
    """To the microsecond."""
    column = arrow.array([2 * 10**18] * 3, arrow.timestamp("ns"))
    options = TableOptions(amount_unit="major", timezone="Europe/Warsaw")

    found = requests(pandas_file(tmp_path, expires_at=column), options)

    moment = datetime(2033, 5, 18, 1, 33, 20, tzinfo=UTC)
    assert {request.expires_at for request in found} == {moment}


def test_an_index_without_a_name_is_told_as_such(tmp_path: Path) -> None:
    """A table that was filtered or sorted keeps its own."""
    path = pandas_file(tmp_path, LEVEL, **{LEVEL: arrow.array([7, 4, 9])})

    with pytest.raises(SourceError) as caught:
        read(path)

    assert str(caught.value) == (
        f"unknown columns: {LEVEL} (--map COLUMN=FIELD reads one, --map COLUMN= or "
        "--ignore-extra leaves it out; the index that pandas wrote is left out by "
        f"`--map {LEVEL}=`)"
    )


def test_an_index_can_be_left_out(tmp_path: Path) -> None:
    """Like any column."""
    path = pandas_file(tmp_path, LEVEL, **{LEVEL: arrow.array([7, 4, 9])})

    options = TableOptions(amount_unit="major", columns={LEVEL: ""})

    assert len(requests(path, options)) == 3


def test_an_index_that_has_a_name_is_a_column(tmp_path: Path) -> None:
    """``set_index("id")`` leaves the ids in one."""
    path = pandas_file(tmp_path, "id", id=arrow.array(["A", "B", "C"], TEXT))

    assert [item.row_id for item in read(path)] == ["A", "B", "C"]
