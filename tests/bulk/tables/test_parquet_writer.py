"""Parquet: one type for each column, exact, or a refusal."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import ORDER_ROW

from convergegate_async import ConfigurationError
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.writers import (
    DeadLetter,
    write_dead_letters,
    write_results,
)

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ZONES = st.integers(-720, 720).map(lambda n: timezone(timedelta(minutes=n)))
RECORDS = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "amount": st.none()
        | st.decimals(-(10**9), 10**9, places=2)
        | st.integers(-(10**9), 10**9).map(Decimal)
        | st.decimals(-(10**9), 10**9, places=9),
        "time": st.none()
        | st.datetimes(datetime(1902, 1, 1), datetime(9000, 1, 1), timezones=ZONES),  # noqa: DTZ001 -- as it has to be
        "flag": st.none() | st.booleans(),
    }
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that every test may replace."""
    return str(tmp_path_factory.mktemp("exports") / "results.parquet")


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_every_value_survives(path: str, records: list[dict[str, object]]) -> None:
    """Decimals of any scale are exact, and times of any zone the same moments."""
    write_results(path, records)

    assert parquet.read_table(path).to_pylist() == records


def test_amounts_of_several_currencies_have_a_common_scale(path: str) -> None:
    """Złoty and yen are in one column, also in rows far apart."""
    amounts = [Decimal("49.99")] + [Decimal(1500)] * 2_000 + [Decimal("0.125")]

    write_results(path, [{"amount": amount} for amount in amounts])

    column = parquet.read_table(path)["amount"]
    assert column.type == arrow.decimal128(7, 3)
    assert column.to_pylist() == amounts


def test_times_are_in_utc(path: str) -> None:
    """They may come from several zones."""
    zones = [timezone(timedelta(hours=n)) for n in (1, -5)]
    times = [datetime(2026, 1, 1, tzinfo=zone) for zone in zones]

    write_results(path, [{"t": time, "n": {"t": [time]}} for time in times])

    table = parquet.read_table(path)
    assert table["t"].type == arrow.timestamp("us", "UTC")
    assert table["t"].to_pylist() == times


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "b"], "several kinds"),
        ([True, 1], "several kinds"),
        ([2**70], "too large"),
        ([Decimal("NaN")], "several kinds"),
        ([Decimal(10) ** 37, Decimal("0.01")], "decimals of more than 38 digits"),
        (
            [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)],  # noqa: DTZ001 -- as it has to be
            "times with a zone and without one",
        ),
    ],
)
def test_values_without_a_common_type_are_refused(
    tmp_path: Path, values: list[object], message: str
) -> None:
    """Nothing is written, and the column is named; JSONL needs no types."""
    records = [{"b": 1, "a": value} for value in values]

    with pytest.raises(
        ConfigurationError, match=f"column 'a' holds .*{message}.*: use JSONL"
    ):
        write_results(str(tmp_path / "a.parquet"), records)

    assert not list(tmp_path.iterdir())


def test_whole_numbers_reach_as_far_as_those_of_parquet(path: str) -> None:
    """Up to 2**64 if none is negative, also where the first thousand rows are small."""
    values = [1] * 2_000 + [2**64 - 1, None]

    write_results(path, [{"serial": value} for value in values])

    assert parquet.read_table(path)["serial"].to_pylist() == values


@pytest.mark.parametrize(
    "column",
    [
        arrow.array([2**64 - 1, None], arrow.uint64()),
        arrow.array([[2**64 - 1], []], arrow.list_(arrow.uint64())),
        arrow.array([Decimal(10) ** 60, None], arrow.decimal256(70, 2)),
        arrow.array([[], None], arrow.map_(arrow.string(), arrow.string())),
        arrow.array([2**60 + 1, 1], arrow.int64()),
    ],
    ids=["whole", "in lists", "decimals", "no pairs", "plain"],
)
def test_whatever_parquet_held_can_be_a_dead_letter(path: str, column: Any) -> None:  # noqa: ANN401 -- arrow has no types
    """In texts where it has no type that would be written: a run is never refused."""
    rows = [{**ORDER_ROW, "amount": 4999, "id": number} for number in ("1", "2")]
    table = arrow.Table.from_pylist(rows)
    parquet.write_table(table.append_column("extra", column), path)
    found = read_table(path, TableOptions(ignore_extra=True), format="parquet")
    letters = [
        DeadLetter(line=row.line, code="DeclinedError", message="no", raw=row.raw)
        for row in found
    ]

    assert write_dead_letters(path, letters, format="parquet") == 2

    again = parquet.read_table(path)
    assert again["amount"].to_pylist() == [4999, 4999]
    assert again["extra"].null_count == column.null_count
