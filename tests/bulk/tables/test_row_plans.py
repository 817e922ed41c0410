"""The straight way of a row: taken if all is well, and the same as the long one."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from orders import ORDER_ROW, an_order

from convergegate_async.bulk.tables.fields import CellKind, readers, text_reader
from convergegate_async.bulk.tables.formats import SourceError, TableRow
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import RowReader
from convergegate_async.bulk.tables.row_plans import RowPlan, StraightWay, straight_way
from convergegate_async.bulk.tables.rows import Problem, Row

KINDS: list[CellKind] = ["text", "json", "typed"]

T = TypeVar("T")

TEXTS = ["", " ", "0", "4999", "49.99", "1 234,50", "9" * 17, "pln", "JPY", "xx", "ą"]
TEXTS += ["john@example.com", "John", "+48123456789", "601 601 601", "\x01", "x" * 3000]
TEXTS += ["https://shop.example/a", "ftp://x", "blik", "blik p24|card", "127.0.0.1"]
TEXTS += ["1924988400", "2031-01-01T00:00Z", "01.02.2031 10:00", '{"a": "b"}', "A-1\n"]
OTHERS: list[object] = [None, 0, 7, 4999, True, 10**20, 49.99, 4999.0, 1e16, math.nan]
OTHERS += [Decimal(4999), [], ["blik"], {}, {"a": "b"}, {"a": None}]
OTHERS += [datetime(2031, 1, 1, tzinfo=UTC), datetime(2031, 1, 1), date(2031, 1, 1)]  # noqa: DTZ001 -- one of no zone

FITTING: dict[str, list[object]] = {
    "amount": ["4999", "49.99", 4999, 4999.0],
    "customer_phone": ["+48123456789", "601 601 601", "+48 601 601 601"],
    "cancel_url": ["", "https://shop.example/a"],
    "customer_ip": ["", "127.0.0.1"],
    "payment_method": ["", "blik", "blik p24|card", ["blik"]],
    "expires_at": ["1924988400", "2031-01-01T00:00Z", "01.02.2031 10:00"],
    "locale": [None, "", "pl"],
    "extra": ["", '{"a": "b"}', {"a": "b"}],
    "metadata[a]": ["", "x", 7, 7.0],
    "metadata[b]": ["", "y", None],
    "total": ["4999"],
    "note": ["", "127.0.0.1"],
    "cg_state": ["", "created"],
}
FIXED = [*ORDER_ROW, "metadata", ""]

MAPPINGS = [
    {},
    {"total": "amount", "amount": ""},
    {"customer_firstname": "customer_lastname", "customer_lastname": "locale"},
    {
        "customer_firstname": "customer_lastname",
        "customer_lastname": "customer_firstname",
    },
    {"note": "metadata[a]", "id": "metadata[b]"},
    {"": "", "note": "customer_ip", "customer_ip": ""},
]


def usually(first: T, *others: T) -> st.SearchStrategy[T]:
    """Return the *first*, or rather seldom one of the *others*."""
    return st.integers(0, 9).flatmap(
        lambda die: st.just(first) if die else st.sampled_from(others)
    )


OPTIONS = st.builds(
    TableOptions,
    id_column=usually("id", "note", "customer_email"),
    columns=usually(*MAPPINGS),
    amount_unit=st.sampled_from([None, "minor", "major"]),
    row_metadata=usually(None, "a", "order"),
    constants=usually({}, {"locale": "pl"}, {"currency": "", "extra": ""}),
    ignore_extra=st.sampled_from([True, True, True, False]),
    decimal=st.sampled_from([None, ".", ","]),
    timezone=st.sampled_from([None, "Europe/Warsaw"]),
    zone_currency=st.sampled_from([None, "PLN", "NONE"]),
    default_country=st.sampled_from([None, "PL"]),
    plain=st.booleans(),
)


@st.composite
def table_rows(draw: st.DrawFn, kind: CellKind) -> TableRow:
    """Make a row of which most is well."""
    cells: dict[str, object] = {**ORDER_ROW}
    if kind != "text":
        cells["amount"] = 4999
    for column in draw(st.lists(st.sampled_from([*FITTING]), max_size=6)):
        cells[column] = draw(st.sampled_from(FITTING[column]))
    odd = draw(usually(None, *FITTING, *FIXED))
    if odd is not None:
        cells[odd] = draw(st.sampled_from(TEXTS + OTHERS))
    if kind == "text":
        cells = {name: str(cell or "") for name, cell in cells.items()}
    unread = draw(usually({}, dict.fromkeys([*cells][-1:], "is odd")))
    cells.pop(draw(usually("", *cells)), None)
    return TableRow(line=2, cells=cells, unread=unread)


def summary(found: Sequence[Row | Problem]) -> list[object]:
    """Return all that is in *found*, with the order of the metadata."""
    orders = [[*(row.request.metadata or {})] for row in found if isinstance(row, Row)]
    return [*found, orders]


def straight(kind: CellKind, plan: RowPlan) -> StraightWay | None:
    """Return the straight way by *plan* in a table of programs."""
    by_field = readers(kind, in_major=False, spellings=None)
    return straight_way(plan, TableOptions(), by_field, text_reader(kind))


class TestProperties:
    @given(st.data(), st.sampled_from(KINDS))
    def test_a_row_is_the_same_by_either_way(
        self, data: st.DataObject, kind: CellKind
    ) -> None:
        """With the same problems, in the same words and order."""
        try:
            reader = RowReader(data.draw(OPTIONS), kind)
        except SourceError:  # the options contradict each other
            reject()
        row = data.draw(table_rows(kind))

        found = reader.read(2, row)

        assert summary(found) == summary(reader.read_carefully(2, row))


OWN_NAMES = [(name, name) for name in ORDER_ROW if name != "id"]


class TestTaken:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_row_in_which_all_is_well(self, kind: CellKind) -> None:
        """Of every kind of cells, with optional ones that are empty."""
        optional = [("note", "locale"), ("extra", "extra")]
        amount = "4999" if kind == "text" else 4999
        cells = ORDER_ROW | {"amount": amount, "note": "", "extra": "", "m": "x"}
        plan = RowPlan([*cells], OWN_NAMES + optional, metadata=[("m", "a")])

        way = straight(kind, plan)

        assert way is not None
        assert way.read(cells) == ("A-1", an_order(metadata={"a": "x"}))

    @pytest.mark.parametrize(
        "plan",
        [
            pytest.param(RowPlan(["key"], OWN_NAMES), id="no id"),
            pytest.param(RowPlan(["id"], OWN_NAMES[1:]), id="a field is missing"),
            pytest.param(RowPlan(["id"], OWN_NAMES, has_twins=True), id="twins"),
            pytest.param(RowPlan(["id"], OWN_NAMES, is_unnamed=True), id="no name"),
            pytest.param(RowPlan(["id"], OWN_NAMES, wrongs={"x": "y"}), id="wrong"),
            pytest.param(
                RowPlan(["id"], OWN_NAMES, metadata=[("m", None)]), id="an object"
            ),
            pytest.param(
                RowPlan(["id"], OWN_NAMES, metadata=[("m", "a"), ("n", "a")]),
                id="a key twice",
            ),
        ],
    )
    def test_no_row_of_odd_columns(self, plan: RowPlan) -> None:
        """What may be wrong with all rows, or be given twice, is read carefully."""
        assert straight("json", RowPlan(["id"], OWN_NAMES)) is not None
        assert straight("json", plan) is None


def test_columns_may_change_from_row_to_row() -> None:
    """Each row is read by its own, also where more of them take turns than are kept."""
    reader = RowReader(TableOptions(ignore_extra=True), "text")
    wide = [{f"x{n}": "" for n in range(width)} for width in (1, 300, 400, *range(40))]

    tables = [TableRow(line=2, cells={**more, **ORDER_ROW}) for more in wide * 2]

    found = [reader.read(2, table) for table in tables]

    rows = [row for one in found for row in one if isinstance(row, Row)]
    assert [row.request for row in rows] == [an_order()] * len(wide) * 2
