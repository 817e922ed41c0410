"""What an export tells: every row of the input once, and what became of it."""

import csv
import io
import json
import os
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from harness.recorded_job import HEADER
from hypothesis import given
from hypothesis import strategies as st
from job_rows import rows_of
from orders import ORDER_ROW

from convergegate_async import ConfigurationError, major_units
from convergegate_async.bulk import (
    DamagedJournalError,
    Export,
    Intent,
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalError,
    JournalInUseError,
    Problem,
    Row,
    RowResult,
    SessionFacts,
    SourceError,
    State,
    TableOptions,
    export,
    read_table,
)
from convergegate_async.bulk.jobs.header import fingerprint
from convergegate_async.bulk.journal.database import Database
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

OPTIONS = TableOptions(ignore_extra=True)
CURRENCIES = ("pln", "jpy", "bhd")
WORDS = {
    None: "pending",
    State.SENT: "unknown",
    State.CREATED: "created",
    State.REJECTED: "rejected",
    State.UNKNOWN: "unknown",
}
NOTES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
AMOUNTS = st.integers(0, 10**6)


@attrs.frozen(kw_only=True)
class Order:
    """A row of the input, and what the journal knows of it.

    Attributes:
        number: Makes its id: two orders may have the same.
        state: `None` if it was never sent.
        seen: What its session was to be paid, and what was paid back.
        is_spoilt: It cannot be sent as it is.
    """

    number: int
    amount: int = 4999
    currency: str = "pln"
    note: str = ""
    state: State | None = None
    seen: tuple[int, int] | None = None
    is_spoilt: bool = False

    @property
    def row_id(self) -> str:
        """Its id."""
        return f"A-{self.number}"

    def cells(self) -> dict[str, object]:
        """Return it as a row of a table."""
        changes = {"id": self.row_id, "amount": self.amount, "currency": self.currency}
        spoilt = {"customer_email": "", "success_url": ""} if self.is_spoilt else {}
        return ORDER_ROW | changes | spoilt | {"note": self.note}


ORDERS = st.builds(
    Order,
    number=st.integers(1, 9),
    amount=st.integers(1, 10**6),
    currency=st.sampled_from(CURRENCIES),
    note=NOTES,
    state=st.none() | st.sampled_from(State),
    seen=st.none() | st.tuples(AMOUNTS, AMOUNTS),
    is_spoilt=st.booleans(),
)
TABLES = st.lists(ORDERS, min_size=1, max_size=12)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Where a job is kept."""
    return JobFolder("april", tmp_path)


def write_input(
    path: Path, orders: Sequence[Order], table: TableOptions = OPTIONS
) -> None:
    """Write *orders* in the format that the suffix says."""
    cells = [order.cells() for order in orders]
    if path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in cells))
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, [*cells[0]], delimiter=table.delimiter or ",")
    writer.writeheader()
    writer.writerows(cells)
    encoded = text.getvalue().encode(table.encoding or "utf-8", "replace")
    path.write_bytes(encoded)


def begin(
    folder: JobFolder,
    source: str,
    table: TableOptions = OPTIONS,
    **header: Any,  # noqa: ANN401 -- handed through
) -> JobPlan:
    """Make a journal that knows no row; return the plan in it."""
    plan = JobPlan(source=source, table=table).kept_in(folder)
    made = attrs.evolve(
        HEADER,
        job=folder.job,
        source=plan.source,
        options=plan.to_json(),
        **header,
    )
    Database.create(folder.journal, made)
    return plan


def note_orders(folder: JobFolder, plan: JobPlan, orders: Sequence[Order]) -> None:
    """Write into the journal what it knows of *orders*, of each id once."""
    marks: dict[str | None, bytes] = {}
    for row in plan.rows():
        if isinstance(row, Row):
            marks.setdefault(row.row_id, fingerprint(row.request, HEADER.salt))
    known = {order.row_id: order for order in reversed(orders)}
    with closing(Database.open(folder.journal)) as database, database.transaction():
        for position, order in enumerate(orders, 1):
            if order.state is not None and known[order.row_id] is order:
                mark = marks.get(order.row_id, bytes(16))
                database.intend(Intent(order.row_id, position, mark, 1.0))
                note_end(database, order)


def note_end(database: Database, order: Order) -> None:
    """Write what became of an order that was sent."""
    if order.state in (None, State.SENT):
        return
    is_created = order.state is State.CREATED
    session_id = f"cs_{order.number}" if is_created else None
    database.complete(RowResult(order.row_id, order.state, session_id))
    if is_created and order.seen is not None:
        total, refunded = order.seen
        facts = SessionFacts(9.5, "open", order.currency, total, refunded, 4e9)
        database.sessions.see(order.row_id, facts)


def a_job(folder: JobFolder, *orders: Order, suffix: str = "csv") -> Path:
    """Make a job of *orders*; return where its input is."""
    source = folder.directory / f"orders.{suffix}"
    write_input(source, orders)
    note_orders(folder, begin(folder, str(source)), orders)
    return source


def exported(folder: JobFolder, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- handed through
    """Return the lines of an export."""
    path = folder.directory / "results.jsonl"
    export(folder, str(path), **options)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def first_of_each(rows: Iterator[Row | Problem]) -> list[Row | Problem]:
    """Return each row once, whatever the number of its problems."""
    return [*{row.position: row for row in reversed([*rows])}.values()][::-1]


def own(row: Row | Problem) -> dict[str, object]:
    """Return the cells of a row without ours."""
    return {name: cell for name, cell in row.raw.items() if not name.startswith("cg_")}


DIALECTS = st.builds(
    TableOptions,
    ignore_extra=st.just(value=True),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1250", "iso8859-2"]),
)


@given(TABLES, DIALECTS, st.sampled_from(["csv", "jsonl"]))
def test_every_row_of_the_input_is_there_once(
    orders: list[Order], table: TableOptions, suffix: str
) -> None:
    """As it was read, in order, in the dialect of the input, with its state."""
    with tempfile.TemporaryDirectory() as directory:
        folder = JobFolder("april", Path(directory))
        source = folder.directory / f"orders.{suffix}"
        write_input(source, orders, table)
        plan = begin(folder, str(source), table)
        note_orders(folder, plan, orders)
        given = first_of_each(plan.rows())
        path = folder.directory / f"results.{suffix}"

        written = export(folder, str(path))

        table = attrs.evolve(plan.table, encoding="utf-8")
        read = first_of_each(read_table(str(path), table))

    assert written == Export(rows=len(orders))
    assert [own(row) for row in read] == [own(row) for row in given]
    states = {order.row_id: order.state for order in reversed(orders)}
    met: set[str] = set()
    for order, row in zip(orders, read, strict=True):
        state, row_id = states[order.row_id], order.row_id
        if row_id in met or (order.is_spoilt and state is None):
            assert (row.raw["cg_state"], row.raw["cg_code"]) == ("rejected", "Invalid")
        else:
            assert row.raw["cg_state"] == WORDS[state]
            met.add(row_id)
        assert row.raw["cg_row_id"] == row_id


@given(TABLES)
def test_sums_are_those_of_the_journal(orders: list[Order]) -> None:
    """By currency, exactly, of all sessions that were seen."""
    with tempfile.TemporaryDirectory() as directory:
        folder = JobFolder("april", Path(directory))
        a_job(folder, *orders)
        with closing(Database.read(folder.journal)) as database:
            counts = database.sessions.counts()

        lines = exported(folder)

    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    refunded: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        if line["cg_seen_at"] is not None:
            total[line["cg_currency"]] += Decimal(line["cg_amount"])
            refunded[line["cg_currency"]] += Decimal(line["cg_amount_refunded"])
    seen = [(one.currency, one) for one in counts if one.currency is not None]
    assert total == {
        code.upper(): major_units(one.amount_total, code) for code, one in seen
    }
    assert refunded == {
        code.upper(): major_units(one.amount_refunded, code) for code, one in seen
    }


def test_a_session_that_was_seen_tells_all_of_it(folder: JobFolder) -> None:
    """Amounts are decimals of major units, times to the second, in UTC."""
    order = Order(number=1, state=State.CREATED, seen=(4000, 150))
    a_job(folder, order)

    [line] = exported(folder)

    assert {name: line[name] for name in line if name.startswith("cg_")} == {
        "cg_line": 2,
        "cg_row_id": "A-1",
        "cg_state": "created",
        "cg_session_id": "cs_1",
        "cg_url": None,
        "cg_status": "open",
        "cg_currency": "PLN",
        "cg_amount": "40.00",
        "cg_amount_refunded": "1.50",
        "cg_expires_at": datetime.fromtimestamp(4e9, UTC).isoformat(),
        "cg_seen_at": "1970-01-01T00:00:09+00:00",
        "cg_attempts": 1,
        "cg_http_status": None,
        "cg_code": None,
        "cg_message": None,
        "cg_idempotency_key": line["cg_idempotency_key"],
    }


@pytest.mark.parametrize("order", [Order(number=1), Order(number=1, state=State.SENT)])
def test_what_was_never_seen_comes_to_what_it_asks_for(
    folder: JobFolder, order: Order
) -> None:
    """Nothing is told of what was paid back."""
    a_job(folder, order)

    [line] = exported(folder)

    assert (line["cg_amount"], line["cg_currency"]) == ("49.99", "PLN")
    assert line["cg_amount_refunded"] is None


def test_a_row_that_was_under_way_at_a_kill_is_unknown(folder: JobFolder) -> None:
    """It is told as the next run would."""
    a_job(folder, Order(number=1, state=State.SENT))

    [line] = exported(folder)

    assert (line["cg_state"], line["cg_code"]) == ("unknown", "Interrupted")


def test_another_row_under_the_id_of_a_session_has_not_its_amount(
    folder: JobFolder,
) -> None:
    """What was sent is not what the input says now."""
    order = Order(number=1, state=State.CREATED)
    source = a_job(folder, order)
    write_input(source, [attrs.evolve(order, amount=1)])

    [line] = exported(folder)

    assert (line["cg_state"], line["cg_amount"]) == ("created", None)
    assert "another row" in line["cg_message"]


def test_amounts_in_units_that_nobody_knows_are_left_out(folder: JobFolder) -> None:
    """And their currencies are named; also one that has no minor unit."""
    a_job(
        folder,
        Order(number=1, currency="xyz", state=State.CREATED, seen=(1, 1)),
        Order(number=2, currency="xau"),
    )
    path = str(folder.directory / "results.csv")

    written = export(folder, path)

    assert written == Export(rows=2, unknown_currencies=("XAU", "XYZ"))
    for line in exported(folder):
        assert (line["cg_amount"], line["cg_amount_refunded"]) == (None, None)


def test_rows_that_left_the_input_come_last(folder: JobFolder) -> None:
    """With what the journal knows of them, and counted."""
    orders = [Order(number=n, state=State.CREATED) for n in range(1, 9)]
    source = a_job(folder, *orders)
    write_input(source, [orders[6], orders[2]])

    lines = exported(folder)
    written = export(folder, str(folder.directory / "results.csv"))

    ids = [line["cg_row_id"] for line in lines]
    assert ids == ["A-7", "A-3", "A-1", "A-2", "A-4", "A-5", "A-6", "A-8"]
    assert "amount" not in lines[2]
    assert lines[2]["cg_session_id"] == "cs_1"
    assert written == Export(rows=8, gone=6)


def test_an_input_that_is_gone_leaves_the_journal(folder: JobFolder) -> None:
    """What was sent is told, and why the rest is not."""
    source = a_job(folder, Order(number=1, state=State.CREATED), Order(number=2))
    source.unlink()

    written = export(folder, str(folder.directory / "results.csv"))
    [line] = exported(folder)

    assert (written.rows, written.gone) == (1, 0)
    assert written.unread is not None
    assert "No such file" in written.unread
    assert line["cg_state"] == "created"


def test_the_input_is_left_alone_if_nobody_wants_it(folder: JobFolder) -> None:
    """The same lines, without a word about it."""
    source = a_job(folder, Order(number=1, state=State.CREATED), Order(number=2))
    source.unlink()
    path = str(folder.directory / "results.csv")

    assert export(folder, path, with_input=False) == Export(rows=1)


def test_rows_in_the_order_in_which_they_came_to_an_end(folder: JobFolder) -> None:
    """Without those that did not, and without the columns of the input."""
    orders = [Order(number=n) for n in range(1, 5)]
    source = folder.directory / "orders.csv"
    write_input(source, orders)
    begin(folder, str(source))
    sent = [attrs.evolve(order, state=State.CREATED) for order in orders[:3]]
    with closing(Database.open(folder.journal)) as database, database.transaction():
        for position, order in enumerate(sent, 1):
            database.intend(Intent(order.row_id, position, bytes(16), 1.0))
        for order in (sent[2], sent[0]):
            note_end(database, order)

    lines = exported(folder, by_completion=True)

    assert [line["cg_row_id"] for line in lines] == ["A-3", "A-1"]
    assert all(name.startswith("cg_") for line in lines for name in line)


def test_rows_that_damage_may_have_taken_are_unknown(folder: JobFolder) -> None:
    """No later run sends a row that the journal does not know."""
    source = folder.directory / "orders.csv"
    write_input(source, [Order(number=1)])
    begin(folder, str(source), damaged_at=2.0)

    [line] = exported(folder)

    assert (line["cg_state"], line["cg_code"]) == ("unknown", "Damaged")


def test_columns_of_an_earlier_export_are_replaced(folder: JobFolder) -> None:
    """What an input tells of another job is not told of this one."""
    source = folder.directory / "orders.jsonl"
    cells = Order(number=1).cells() | {"cg_state": "created", "cg_row": "kept"}
    source.write_text(json.dumps(cells))
    begin(folder, str(source))

    [line] = exported(folder)

    assert (line["cg_state"], line["cg_row"]) == ("pending", "kept")


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_of_json_stay_numbers(numbers: list[float]) -> None:
    """The same ones; what no float is exactly is a text."""
    with tempfile.TemporaryDirectory() as directory:
        folder = JobFolder("april", Path(directory))
        source = folder.directory / "orders.jsonl"
        cells = {f"x{n}": number for n, number in enumerate(numbers)}
        exact = "0.12345678901234567890"
        text = json.dumps(Order(number=1).cells() | cells)
        source.write_text(f'{text[:-1]}, "exact": {exact}}}')
        begin(folder, str(source))

        [line] = exported(folder)

    assert {name: line[name] for name in cells} == cells
    assert line["exact"] == exact


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes by name")
def test_a_pipe_in_the_place_of_the_input_holds_up_nobody(tmp_path: Path) -> None:
    """It is told as an input that cannot be read, and nobody has to write there."""
    folder = JobFolder("april", tmp_path)
    source = tmp_path / "orders.jsonl"
    source.write_text(json.dumps(Order(number=1).cells()))
    begin(folder, str(source))
    source.unlink()
    os.mkfifo(source)

    written = export(folder, str(tmp_path / "out.csv"))

    assert written.unread is not None
    assert "is a pipe" in written.unread


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        pytest.param({}, "id;amount", id="as in the input"),
        pytest.param({"delimiter": "tab"}, "id\tamount", id="said"),
        pytest.param({"bom": True}, "\ufeffid;amount", id="for Excel"),
    ],
)
def test_semicolons_go_with_decimal_commas(
    folder: JobFolder, changes: dict[str, Any], head: str
) -> None:
    """As wherever spreadsheets part cells by them."""
    source = folder.directory / "orders.csv"
    write_input(source, [Order(number=1)], attrs.evolve(OPTIONS, delimiter=";"))
    begin(folder, str(source))
    path = folder.directory / "results.csv"

    export(folder, str(path), **changes)

    text = path.read_text()
    assert text.startswith(head)
    assert ("49,99" in text) is ("delimiter" not in changes)


def test_kinds_that_parquet_cannot_mix_are_refused(folder: JobFolder) -> None:
    """With what to do, and the old file stays; JSONL holds them."""
    pytest.importorskip("pyarrow")
    source = folder.directory / "orders.jsonl"
    rows = [Order(number=n).cells() for n in (1, 2)]
    rows[1]["note"] = 7
    source.write_text("\n".join(map(json.dumps, rows)))
    begin(folder, str(source))
    path = folder.directory / "results.parquet"
    path.write_bytes(b"old")

    with pytest.raises(ConfigurationError, match="use JSONL"):
        export(folder, str(path))

    assert path.read_bytes() == b"old"
    assert [line["note"] for line in exported(folder)] == ["", 7]


def test_an_input_that_breaks_off_leaves_the_old_file(folder: JobFolder) -> None:
    """The half of it would look like all of it."""
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    source = folder.directory / "orders.parquet"
    table = arrow.Table.from_pylist([Order(number=n).cells() for n in range(2_000)])
    parquet.write_table(table, source, row_group_size=1_000, compression="none")
    begin(folder, str(source))
    whole = source.read_bytes()
    second = parquet.ParquetFile(source).metadata.row_group(1).column(0)
    at = second.dictionary_page_offset
    source.write_bytes(whole[:at] + bytes(40) + whole[at + 40 :])
    path = folder.directory / "results.csv"
    path.write_bytes(b"old")

    with pytest.raises(SourceError):
        export(folder, str(path))

    assert path.read_bytes() == b"old"


async def test_a_job_that_a_process_works_on_is_not_exported(
    folder: JobFolder,
) -> None:
    """The old file stays."""
    a_job(folder, Order(number=1))
    path = folder.directory / "results.csv"
    path.write_bytes(b"old")

    with Journal.open(folder.journal), pytest.raises(JournalInUseError, match="wait"):
        export(folder, str(path))

    assert path.read_bytes() == b"old"


async def test_a_job_that_is_open_exports_itself(folder: JobFolder) -> None:
    """The same as from its folder; a failure leaves its journal as it was."""
    path = folder.directory / "results.csv"
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        async with await Job.begin(folder, JobPlan(), factory) as job:
            running = job.run(rows_of(3))
            await anext(running)
            with pytest.raises(JournalError, match="before what the job does now"):
                await job.export(str(path))
            async for _ in running:
                pass
            with pytest.raises(OSError, match="No such file"):
                await job.export(str(folder.directory / "none" / "results.csv"))
            done = await job.export(str(path))
            assert (await job.counts()).created == 3
        own = path.read_bytes()

    assert done == export(folder, str(path))
    assert done.rows == 3
    assert path.read_bytes() == own


def test_a_journal_that_is_damaged_inside_is_told(folder: JobFolder) -> None:
    """And the old file stays, however far the new one was."""
    a_job(folder, *(Order(number=n, state=State.CREATED) for n in range(200)))
    whole = folder.journal.read_bytes()
    half = len(whole) // 2
    folder.journal.write_bytes(whole[:half] + b"\xff" * half)
    path = folder.directory / "results.csv"
    path.write_bytes(b"old")

    with pytest.raises(DamagedJournalError):
        export(folder, str(path))

    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("by_completion", [False, True])
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("state = 'lost'", "are in no known state: 1"),
        ("url = 7", "have a link that is lost: 1"),
        ("url = x'00'", "have a link that is lost: 1"),
        ("amount_total = -1", "have an amount that is none: 1"),
        ("expires_at = 1e300", "have a time that is none: 1"),
        ("seen_at = 1e300", "have a time that is none: 1"),
        ("currency = CAST(x'ff' AS TEXT)", "table rows has a text that is no UTF-8"),
        *(
            (edit, "table rows has values of another type: 1")
            for edit in (
                *("amount_total = 'x'", "amount_refunded = x'00'", "expires_at = 'x'"),
                *("seen_at = 'x'", "currency = x'ff'", "status = x'ff'"),
                *("code = x'00'", "message = x'00'", "http_status = 'x'"),
                *("session_id = x'00'", "sent_at = 'x'"),
                *("sent_until = 'x'", "attempts = 'x'", "row_id = x'00'"),
            )
        ),
    ],
)
def test_rows_of_an_edited_journal_are_not_exported(
    folder: JobFolder, edit: str, words: str, *, by_completion: bool
) -> None:
    """What no process writes is told as damage, and no part of a table is left."""
    a_job(folder, *(Order(number=n, state=State.CREATED, seen=(9, 0)) for n in (1, 2)))
    with closing(sqlite3.connect(folder.journal)) as connection, connection:
        connection.execute(f"UPDATE rows SET {edit} WHERE position = 2")  # noqa: S608 -- our own
    path = folder.directory / "results.csv"

    with pytest.raises(DamagedJournalError, match=words):
        export(folder, str(path), by_completion=by_completion)

    assert not path.exists()


def test_neither_input_nor_journal_is_written_over(folder: JobFolder) -> None:
    """Whatever the suffix; both stay as they were."""
    source = a_job(folder, Order(number=1))
    before = source.read_bytes()

    for path in (source, folder.journal):
        with pytest.raises(ConfigurationError, match="belongs to the job"):
            export(folder, str(path), format="csv")

    assert source.read_bytes() == before
    assert len(exported(folder)) == 1


def test_a_job_that_is_not_there_is_refused(folder: JobFolder) -> None:
    """And no file is made."""
    path = folder.directory / "results.csv"

    with pytest.raises(JournalError):
        export(folder, str(path))

    assert not path.exists()


async def test_rows_from_python_are_told_by_the_journal(folder: JobFolder) -> None:
    """There is no input that could be read once more."""
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        async with await Job.begin(folder, JobPlan(), factory) as job:
            async for _ in job.run(rows_of(3)):
                pass

        written = export(folder, str(folder.directory / "results.csv"))

    assert (written.rows, written.gone) == (3, 0)
    assert written.unread is not None
    assert "from Python" in written.unread


async def test_states_and_sums_are_those_of_the_job_and_of_the_gateway(
    folder: JobFolder,
) -> None:
    """Whatever happened on the way, and however little of it was looked at since."""
    orders = [
        Order(number=n, amount=1000 + n, currency=CURRENCIES[n % 3])
        for n in range(1, 61)
    ]
    orders += [Order(number=61, is_spoilt=True), attrs.evolve(orders[0], amount=7)]
    source = folder.directory / "orders.csv"
    write_input(source, orders)
    plan = JobPlan(source=str(source), table=OPTIONS)
    async with Sandbox() as sandbox, sandbox.factory() as factory:
        sandbox.faults.add(
            Fault(FaultKind.STATUS, operation="create", status=400, times=5)
        )
        sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=5))
        async with await Job.begin(folder, plan, factory) as job:
            async for _ in job.run():
                pass
            counts = await job.counts()
            for session in [*sandbox.book.sessions.values()][::2]:
                sandbox.book.pay(session, "123456")
            looks = job.refresh(maximum_rps=1_000)
            seen = 0
            async for _ in looks:
                seen += 1
                if seen == 20:
                    job.stop()

        lines = exported(folder)

    words = Counter(line["cg_state"] for line in lines)
    assert (len(lines), words["rejected"]) == (62, counts.rejected)
    assert words == {
        word: count
        for word in ("created", "rejected", "unknown", "pending")
        if (count := getattr(counts, word))
    }
    booked: defaultdict[str, Decimal] = defaultdict(Decimal)
    for session in sandbox.book.sessions.values():
        request = session.request
        code = request.currency
        booked[code.upper()] += major_units(request.amount, code)
    shown: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        # The gateway has opened those of unknown rows, too.
        if line["cg_state"] in {"created", "unknown"}:
            shown[line["cg_currency"]] += Decimal(line["cg_amount"])
    assert shown == booked
