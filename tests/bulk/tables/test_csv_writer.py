"""CSV in every dialect: what is written is read again, and nothing is a formula."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orders import ORDER_ROW

from convergegate_async import ConfigurationError
from convergegate_async.bulk.tables.csv_file import Dialect, read_csv
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Row
from convergegate_async.bulk.tables.writers import write_results

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False)
ZONES = st.integers(-720, 720).map(lambda n: timezone(timedelta(minutes=n)))
MOMENTS = st.datetimes(timezones=ZONES)
DELIMITERS = st.sampled_from([",", ";", "\t", "|", "'", "-"])
MARKS = st.sampled_from([".", ","])
POLISH = {"bom": True, "delimiter": "semicolon", "decimal": ","}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that every test may replace."""
    return str(tmp_path_factory.mktemp("exports") / "results.csv")


def read_cells(path: str, delimiter: str) -> tuple[list[str], list[list[object]]]:
    """Return the columns and the cells of a file, as they are read for a job."""
    columns: list[str] = []
    with Path(path).open("rb") as file:
        rows = list(read_csv(file, columns.extend, Dialect(delimiter=delimiter)))
    assert not [row.fault for row in rows if row.fault]
    return columns, [[*row.cells.values()] for row in rows]


@given(
    records=st.lists(st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=4),
    names=st.lists(TEXTS.filter(bool), min_size=3, max_size=3, unique=True),
    bom=st.booleans(),
    delimiter=DELIMITERS,
    decimal=MARKS,
)
@example(
    records=[["=1+1", "+48", "-1+1|x"], ["\r", "\t'", "'+48"], [";", ",", '"']],
    names=["=a", "'=a", "+b"],
    bom=True,
    delimiter=";",
    decimal=",",
)
def test_texts_and_names_survive_every_dialect(  # noqa: PLR0913 -- each is a habit
    path: str,
    records: list[list[str]],
    names: list[str],
    *,
    bom: bool,
    delimiter: str,
    decimal: str,
) -> None:
    """Also those that look like formulas, and those that hold the delimiter."""
    names[0] = f"id {names[0]}"  # a first line may be a mark or say the delimiter
    rows = [dict(zip(names, record, strict=True)) for record in records]

    write_results(path, rows, bom=bom, delimiter=delimiter, decimal=decimal)

    assert Path(path).read_bytes().startswith(b"\xef\xbb\xbf") == bom
    assert read_cells(path, delimiter) == (names, records)


@given(number=NUMBERS, whole=st.integers(), delimiter=DELIMITERS, mark=MARKS)
@example(Decimal("-49.90"), -5, ";", ",")
@example(Decimal("1E+3"), 10**20, ",", ",")
@example(Decimal("1E-7"), 0, ",", ".")
@example(Decimal("1E+999999999999999999"), 0, ",", ".")
def test_numbers_are_exact(
    path: str, number: Decimal, whole: int, delimiter: str, mark: str
) -> None:
    """A decimal has the mark of the dialect, and no other sign than its own."""
    record = {"d": number, "n": whole}

    write_results(path, [record], delimiter=delimiter, decimal=mark)

    _, [[cell, integer]] = read_cells(path, delimiter)
    assert Decimal(str(cell).replace(mark, ".")) == number
    assert integer == str(whole)


@given(st.floats())
def test_a_float_is_as_exact_as_it_was(path: str, number: float) -> None:
    """It is spelled as a decimal is; what is no number is a text, and no formula."""
    write_results(path, [{"a": "", "x": number}], decimal=",", delimiter=";")

    _, [[_, cell]] = read_cells(path, ";")
    read = float(str(cell).replace(",", "."))
    assert read == number or (read != read and number != number)  # noqa: PLR0124 -- NaN
    assert "'-" not in Path(path).read_text() or number == float("-inf")


@given(MOMENTS)
def test_a_time_is_the_same_moment(path: str, moment: datetime) -> None:
    """It is ISO 8601, whatever its zone."""
    write_results(path, [{"t": moment}])

    _, [[cell]] = read_cells(path, ",")
    assert datetime.fromisoformat(str(cell)) == moment


@pytest.mark.parametrize("dialect", [{}, POLISH])
def test_an_export_is_input_again(path: str, dialect: dict[str, str]) -> None:
    """Amounts, ends of links and phone numbers are read as they were."""
    end = datetime(2096, 12, 31, 22, 59, tzinfo=UTC)
    row = ORDER_ROW | {"amount": Decimal("49.90"), "expires_at": end}

    write_results(path, [row], **dialect)  # type: ignore[arg-type]  # our own

    for said in (TableOptions(amount_unit="major"), options_of(dialect)):
        [found] = read_table(path, said)
        assert isinstance(found, Row), str(found)
        assert found.request.amount == 4990
        assert found.request.expires_at == end
        assert found.request.customer_phone == ORDER_ROW["customer_phone"]


def options_of(dialect: dict[str, str]) -> TableOptions:
    """Return the options that read what was written in *dialect*."""
    return TableOptions(
        amount_unit="major",
        delimiter=dialect.get("delimiter", ","),
        decimal="," if dialect else ".",
    )


def test_a_polish_spreadsheet_gets_what_it_expects(path: str) -> None:
    """A byte order mark, semicolons and decimal commas."""
    record = {"id": "=1", "amount": Decimal("49.90"), "n": -1500, "phone": "+48 601"}

    write_results(path, [record], bom=True, delimiter=";", decimal=",")

    text = Path(path).read_bytes().decode()
    assert text == "\ufeffid;amount;n;phone\r\n'=1;49,90;-1500;+48 601\r\n"


def test_a_decimal_comma_between_commas_is_quoted(path: str) -> None:
    """It divides no cell."""
    write_results(path, [{"a": Decimal("1.5"), "b": "x"}], decimal=",")

    assert [*csv.reader(io.StringIO(Path(path).read_text()))][1] == ["1,5", "x"]


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        ({"delimiter": "ab"}, "the delimiter must be"),
        ({"delimiter": '"'}, "the delimiter must be"),
        ({"decimal": "'"}, "decimal must be a point or a comma"),
    ],
)
def test_a_dialect_that_nobody_reads_is_refused(
    tmp_path: Path, dialect: dict[str, str], message: str
) -> None:
    """Nothing is written."""
    with pytest.raises(ConfigurationError, match=message):
        write_results(str(tmp_path / "a.csv"), [], **dialect)  # type: ignore[arg-type]  # our own

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "xlsx"])
@pytest.mark.parametrize("dialect", [{"bom": True}, {"delimiter": ";"}, POLISH])
def test_other_formats_have_no_dialect(
    tmp_path: Path, suffix: str, dialect: dict[str, str]
) -> None:
    """Who asks for one is told, and nothing is written."""
    with pytest.raises(ConfigurationError, match="only CSV has"):
        write_results(str(tmp_path / f"a.{suffix}"), [], **dialect)  # type: ignore[arg-type]  # our own

    assert not list(tmp_path.iterdir())
