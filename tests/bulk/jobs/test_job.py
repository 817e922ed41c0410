"""Durable jobs against the sandbox: what is sent, what never again, and the report."""

import asyncio
import csv
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import ORDER_ROW

from convergegate_async import (
    AuthenticationError,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConfigurationError,
    InvalidFieldError,
    NotSentError,
    RetryPolicy,
    derive_key,
)
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalError,
    OnUnknown,
    ResumeRules,
    Row,
    State,
    TableOptions,
    Tally,
    Unknown,
    every_row,
    new_header,
    read_table,
    reconcile,
    session_ids_in,
)
from convergegate_async.bulk.jobs.header import fingerprint, fingerprint_of
from convergegate_async.bulk.jobs.resume_rules import KEY_WINDOW, Decision
from convergegate_async.bulk.journal.records import Intent, JournalRow, RowResult
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

COLUMNS = (
    "id",
    "amount",
    "currency",
    "customer_email",
    "customer_firstname",
    "customer_lastname",
    "customer_phone",
    "success_url",
)
NOW = 1_700_000_000.0


def write_input(path: Path, rows: int, **changes: str) -> str:
    """Write an input of so many *rows*; *changes* replace columns of the first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number in range(1, rows + 1):
            row = {
                "id": f"order-{number}",
                "amount": str(number),
                "currency": "pln",
                "customer_email": f"john.{number}@example.com",
                "customer_firstname": "John",
                "customer_lastname": "Doe",
                "customer_phone": "+48123456789",
                "success_url": "https://shop.example/thanks",
            }
            writer.writerow(row | (changes if number == 1 else {}))
    return str(path)


async def run(
    sandbox: Sandbox,
    journal: Journal,
    source: str,
    rules: ResumeRules | None = None,
    options: TableOptions | None = None,
) -> Tally:
    """Run the job once, over a factory of its own."""
    plan = JobPlan(
        source=source,
        table=options or TableOptions(),
        rules=rules or ResumeRules(),
        concurrency=8,
    )
    async with sandbox.factory() as checkout:
        job = Job(journal, checkout, plan)
        async for _ in job.run():
            pass
    return job.tally


@pytest.fixture
async def journal(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Journal]:
    """The journal of a new job."""
    header = new_header(sandbox.factory(), "april")
    with Journal.create(tmp_path / "april.journal", header) as journal:
        yield journal


# -- decisions -----------------------------------------------------------------------


def journal_row(state: State, sent_at: float = NOW) -> JournalRow:
    """Return what a journal knows of a row."""
    return JournalRow(
        row_id="order-1",
        position=1,
        fingerprint=bytes(16),
        state=state,
        attempts=1,
        sent_at=sent_at,
    )


REPEAT = ResumeRules(on_unknown=OnUnknown.REPEAT)
HONOURED = ResumeRules(keys_honoured=True)


@pytest.mark.parametrize(
    ("state", "rules", "decision"),
    [
        (State.CREATED, ResumeRules(), Decision.SKIP),
        (State.CREATED, HONOURED, Decision.SKIP),
        (State.REJECTED, HONOURED, Decision.SKIP),
        (State.REJECTED, ResumeRules(retries_failed=True), Decision.SEND),
        (State.UNKNOWN, ResumeRules(), Decision.SKIP),
        (State.UNKNOWN, ResumeRules(retries_failed=True), Decision.SKIP),
        (State.UNKNOWN, REPEAT, Decision.SEND),
        (State.UNKNOWN, HONOURED, Decision.SEND),
        (State.SENT, ResumeRules(), Decision.GIVE_UP),
        (State.SENT, REPEAT, Decision.SEND),
        (State.SENT, HONOURED, Decision.SEND),
    ],
)
def test_what_becomes_of_a_row_that_was_met_before(
    state: State, rules: ResumeRules, decision: Decision
) -> None:
    """I3: only where a repeat is allowed is a row of unknown outcome sent again."""
    assert rules.decide(journal_row(state), bytes(16), NOW + 1) is decision


@given(
    state=st.sampled_from(State),
    honoured=st.booleans(),
    on_unknown=st.sampled_from(OnUnknown),
    retries_failed=st.booleans(),
    age=st.floats(-1e6, 1e6),
)
def test_a_changed_row_is_never_sent(
    *,
    state: State,
    honoured: bool,
    on_unknown: OnUnknown,
    retries_failed: bool,
    age: float,
) -> None:
    """H11: another row under a used id is a mistake, whatever the rules."""
    rules = ResumeRules(
        on_unknown=on_unknown, keys_honoured=honoured, retries_failed=retries_failed
    )

    decision = rules.decide(journal_row(state), b"x" * 16, NOW + age)

    assert decision is Decision.CHANGED


@pytest.mark.parametrize("age", [KEY_WINDOW, KEY_WINDOW * 30, -1.0])
def test_a_key_is_not_trusted_for_ever(age: float) -> None:
    """H21: after a day, or under a clock that went back, a sent row is given up."""
    decision = HONOURED.decide(journal_row(State.SENT), bytes(16), NOW + age)

    assert decision is Decision.GIVE_UP


# -- runs ----------------------------------------------------------------------------


async def test_a_second_run_sends_nothing_again(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """What is completed is passed over, also when the input comes in another order."""
    source = write_input(tmp_path / "orders.csv", 100)
    first = await run(sandbox, journal, source)
    head, *lines = (tmp_path / "orders.csv").read_text().splitlines()
    (tmp_path / "orders.csv").write_text("\n".join([head, *reversed(lines)]))

    second = await run(sandbox, journal, source)

    assert (first.created, second.skipped, second.created) == (100, 100, 0)
    assert len(sandbox.seen) == len(sandbox.book.sessions) == 100
    assert await journal.check() == []


async def test_every_row_keeps_its_key(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """I4: keys derive from job and row id, and are the same on every attempt."""
    sandbox.faults.add(Fault(FaultKind.LOST, times=5))
    source = write_input(tmp_path / "orders.csv", 20)

    await run(sandbox, journal, source, HONOURED)

    keys = {derive_key("april", row.row_id) async for row in every_row(journal)}
    assert {seen.idempotency_key for seen in sandbox.seen} == keys
    assert len(sandbox.book.sessions) == 20
    assert len(sandbox.seen) == 25


async def test_what_is_fingerprinted_is_what_is_sent(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """A fingerprint is that of the bytes that are sent, and of its request's, anew."""
    source = write_input(tmp_path / "orders.csv", 5)

    await run(sandbox, journal, source)

    salt = journal.header.salt
    sent = {fingerprint_of(seen.body, salt) for seen in sandbox.seen}
    rows = [row for row in read_table(source, TableOptions()) if isinstance(row, Row)]
    assert sent == {row.fingerprint async for row in every_row(journal)}
    assert sent == {fingerprint(row.request, salt) for row in rows}


async def test_a_row_that_expires_too_soon_is_not_sent(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """A row whose body was made before is judged by the clock like any other."""
    source = tmp_path / "orders.jsonl"
    soon = int(time.time()) + 3600
    source.write_text(json.dumps(ORDER_ROW | {"amount": 1, "expires_at": soon}))

    tally = await run(sandbox, journal, str(source))

    assert (tally.rejected, len(sandbox.seen)) == (1, 0)


async def test_a_create_of_one_s_own_is_asked(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """A subclass that refuses an order is not gone past, though its body is made."""

    class Careful(CheckoutSessionFactory):
        async def create(self, request: Any, **options: Any) -> CheckoutSession:  # noqa: ANN401 -- handed through
            if request.amount > 1:
                field, reason = "amount", "is too much for this shop"
                raise InvalidFieldError(field, reason)
            return await super().create(request, **options)

    plan = JobPlan(source=write_input(tmp_path / "orders.csv", 2))
    async with Careful(sandbox.api_key, sandbox.base_url) as checkout:
        job = Job(journal, checkout, plan)
        async for _ in job.run():
            pass

    assert (job.tally.created, job.tally.rejected) == (1, 1)
    assert len(sandbox.seen) == 1


async def test_an_unknown_row_is_listed_and_never_sent_again(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """Under `report` a lost answer is one request, in this run and in the next."""
    sandbox.faults.add(Fault(FaultKind.LOST, times=3))
    source = write_input(tmp_path / "orders.csv", 20)

    first = await run(sandbox, journal, source)
    second = await run(sandbox, journal, source)

    assert (first.created, first.unknown, second.skipped) == (17, 3, 20)
    assert len(sandbox.seen) == 20
    states = Counter([row.state async for row in every_row(journal)])
    assert states == {State.CREATED: 17, State.UNKNOWN: 3}


async def test_an_unknown_row_is_repeated_where_that_is_wanted(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """Under `repeat` the next run sends it again, under its first key."""
    source = write_input(tmp_path / "orders.csv", 5)
    sandbox.faults.add(Fault(FaultKind.LOST, times=5))
    await run(sandbox, journal, source)

    second = await run(sandbox, journal, source, REPEAT)

    assert second.created == 5
    assert len(sandbox.book.sessions) == 5


async def test_a_row_on_its_way_when_the_job_died_is_given_up(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """A row that was intended and never completed may be at the gateway: unknown."""
    source = write_input(tmp_path / "orders.csv", 3)
    (first, *_) = list(read_table(source, TableOptions()))
    mark = fingerprint(first.request, journal.header.salt)  # type: ignore[union-attr]  # a good row
    await journal.intend(
        Intent(row_id="order-1", position=1, fingerprint=mark, sent_at=NOW)
    )

    tally = await run(sandbox, journal, source)

    assert (tally.created, tally.unknown) == (2, 1)
    assert tally.codes == {"Interrupted": 1}
    assert len(sandbox.seen) == 2


async def test_rejected_rows_can_be_retried_and_fed_again(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """They are dead letters with line, code and message; `retry-failed` sends them."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400, times=2))
    source = write_input(tmp_path / "orders.csv", 10)
    plan = JobPlan(source=source, concurrency=8)
    async with sandbox.factory() as checkout:
        first = Job(journal, checkout, plan, JobFolder("april", tmp_path))
        async for _ in first.run():
            pass
        written = await first.write_dead_letters()

    second = await run(sandbox, journal, source, ResumeRules(retries_failed=True))

    assert (first.tally.rejected, second.created) == (2, 2)
    assert written == tmp_path / "april.failed.csv"
    letters = list(csv.DictReader(written.read_text(encoding="utf-8").splitlines()))
    assert [letter["cg_code"] for letter in letters] == ["InvalidRequestError"] * 2
    assert [int(letter["cg_line"]) for letter in letters] == sorted(
        int(letter["id"].removeprefix("order-")) + 1 for letter in letters
    )
    assert len(sandbox.book.sessions) == 10


async def test_dead_letters_of_a_workbook_are_csv(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """Workbooks are only read, and the letters are input again."""
    openpyxl = pytest.importorskip("openpyxl")
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400))
    book = openpyxl.Workbook()
    book.active.append([*ORDER_ROW])
    book.active.append([*(ORDER_ROW | {"id": 17, "amount": 4999}).values()])
    book.save(tmp_path / "orders.xlsx")
    plan = JobPlan(source=str(tmp_path / "orders.xlsx"))
    async with sandbox.factory() as checkout:
        job = Job(journal, checkout, plan, JobFolder("april", tmp_path))
        async for _ in job.run():
            pass
        written = await job.write_dead_letters()

    assert written == tmp_path / "april.failed.csv"
    [row] = read_table(str(written), TableOptions())
    assert row.row_id == "17"
    assert isinstance(row, Row)


async def test_a_changed_row_is_reported_and_left_alone(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """H11: another amount under the same id is `InputChanged`, and not sent."""
    source = write_input(tmp_path / "orders.csv", 5)
    await run(sandbox, journal, source)
    write_input(tmp_path / "orders.csv", 5, amount="999")

    second = await run(sandbox, journal, source)

    assert second.changed == ["order-1"]
    assert not second.is_complete
    assert len(sandbox.seen) == 5


async def test_what_was_not_sent_is_pending_again(
    journal: Journal, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A gateway that is down leaves its rows to the next run."""
    source = write_input(tmp_path / "orders.csv", 5)
    base_url = sandbox.base_url
    await sandbox.__aexit__(None, None, None)
    policy = RetryPolicy(max_attempts=2, base_delay=0.001, repeat_unknown_create=False)
    gone = CheckoutSessionFactory(sandbox.api_key, base_url, retry=policy)
    async with gone as checkout:
        plan = JobPlan(source=source, concurrency=4, max_outage=0.1)
        job = Job(journal, checkout, plan)
        with pytest.raises(NotSentError):
            await _exhaust(job, source)
    await sandbox.__aenter__()

    assert 4 <= job.tally.not_sent <= 5
    assert sum((await journal.counts()).values()) == 0


async def test_a_wrong_key_stops_the_job_and_rejects_few(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """H16: at most *concurrency* + 3 requests are sent, and the error is raised."""
    source = write_input(tmp_path / "orders.csv", 500)
    wrong = CheckoutSessionFactory("sk_test_wrong", sandbox.base_url)
    path = tmp_path / "may.journal"
    with Journal.create(path, new_header(wrong, "may")) as journal:
        async with wrong as checkout:
            job = Job(journal, checkout, JobPlan(concurrency=8))
            with pytest.raises(AuthenticationError):
                await _exhaust(job, source)

    assert len(sandbox.seen) <= 8 + 3


async def _exhaust(job: Job, source: str) -> None:
    async for _ in job.run(read_table(source, TableOptions())):
        pass


async def test_stopping_drains(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """After `stop` nothing more is begun, and what is under way is completed."""
    source = write_input(tmp_path / "orders.csv", 500)
    async with sandbox.factory() as checkout:
        job = Job(journal, checkout, JobPlan(concurrency=8))
        async for _ in job.run(read_table(source, TableOptions())):
            job.stop()

    assert 1 <= job.tally.created < 500
    assert await journal.under_way() == []
    assert (await journal.counts())[State.CREATED] == job.tally.created


@pytest.mark.parametrize("by_completion", [False, True])
async def test_more_rows_than_a_page_are_all_listed_once(
    *, by_completion: bool, sandbox: Sandbox, tmp_path: Path
) -> None:
    """An export of 25,000 rows holds each of them, in the order that was asked for."""
    count = 25_000
    with Journal.create(
        tmp_path / "may.journal", new_header(sandbox.factory(), "may")
    ) as journal:
        for first in range(0, count, 1_000):
            numbers = range(first + 1, first + 1_001)
            await asyncio.gather(*[journal.intend(intent(n)) for n in numbers])
            await asyncio.gather(
                *[journal.complete(done(n)) for n in reversed(numbers)]
            )
        positions = [
            row.position
            async for row in every_row(journal, by_completion=by_completion)
        ]

    assert sorted(positions) == list(range(1, count + 1))
    assert (positions == sorted(positions)) is not by_completion


def intent(number: int) -> Intent:
    """Return the intent of a row."""
    return Intent(
        row_id=f"order-{number}", position=number, fingerprint=bytes(16), sent_at=NOW
    )


def done(number: int) -> RowResult:
    """Return the good end of a row."""
    return RowResult(
        row_id=f"order-{number}", state=State.CREATED, session_id=f"cs_{number}"
    )


# -- whose job it is -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "base_url", "words"),
    [
        ("sk_live_x", None, "test key, and this is a live key"),
        ("sk_test_other", None, "another API key"),
        (None, "http://127.0.0.1:9", "not at http://127.0.0.1:9"),
    ],
)
async def test_a_job_belongs_to_one_gateway_key_and_mode(
    key: str | None,
    base_url: str | None,
    words: str,
    sandbox: Sandbox,
    journal: Journal,
) -> None:
    """A test job is not gone on with by a live key, nor elsewhere."""
    other = CheckoutSessionFactory(key or sandbox.api_key, base_url or sandbox.base_url)

    with pytest.raises(JournalError, match=words):
        Job(journal, other)


async def test_a_job_repeats_by_its_rules_whatever_its_factory_does(
    sandbox: Sandbox, journal: Journal, order: CheckoutSessionRequest
) -> None:
    """I3: under `report` the wire, too, leaves unknown rows alone."""
    sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=1))
    row = Row(position=1, line=1, row_id="A-1", request=order, raw={})

    async with sandbox.factory() as checkout:  # would repeat
        job = Job(journal, checkout)
        outcomes = [outcome async for outcome in job.run([row])]

    assert sandbox.count("create") == 1
    assert [type(outcome) for outcome in outcomes] == [Unknown]


async def test_the_journal_holds_no_personal_data(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """I6: no e-mail, name, phone or key is in any of its files."""
    source = write_input(tmp_path / "orders.csv", 20)
    await run(sandbox, journal, source)

    files = list(tmp_path.glob("april.journal*"))  # noqa: ASYNC240 -- a few small files
    held = b"".join(path.read_bytes() for path in files)
    words = ("john.", "John", "Doe", "123456789", sandbox.api_key)
    assert [word for word in words if word.encode() in held] == []
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


# -- reconciling ---------------------------------------------------------------------


def write_events(path: Path, sandbox: Sandbox) -> Path:
    """Write what the gateway's webhooks said of every session, twice."""
    events = [
        {"id": f"evt_{id_}", "type": "session.created", "data": {"session_id": id_}}
        for id_ in sandbox.book.sessions
    ]
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events * 2))
    return path


@pytest.mark.parametrize("row_metadata", ["row", None])
async def test_unknown_rows_are_reconciled_by_their_webhooks(
    row_metadata: str | None, sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """An event names the session; metadata, or a row that is unique, claims it."""
    sandbox.faults.add(Fault(FaultKind.LOST, times=4))
    source = write_input(tmp_path / "orders.csv", 10)
    options = TableOptions(row_metadata=row_metadata)
    await run(sandbox, journal, source, options=options)
    events = write_events(tmp_path / "events.jsonl", sandbox)

    async with sandbox.factory() as checkout:
        done = await reconcile(
            journal,
            checkout,
            read_table(source, options),
            session_ids_in(events),
            row_metadata,
        )

    assert (done.reconciled, done.unknown, done.unused) == (4, 0, ())
    session_ids = [row.session_id async for row in every_row(journal)]
    assert sorted(session_ids, key=str) == sorted(sandbox.book.sessions)


async def test_rows_that_look_alike_are_left_unknown(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """H22: a session that two rows could have asked for is given to neither."""
    path = tmp_path / "orders.csv"
    source = write_input(path, 1)
    head, line = path.read_text().splitlines()
    path.write_text("\n".join([head, line, line.replace("order-1", "order-2")]))
    sandbox.faults.add(Fault(FaultKind.LOST, times=2))
    await run(sandbox, journal, source)
    events = write_events(tmp_path / "events.jsonl", sandbox)

    async with sandbox.factory() as checkout:
        done = await reconcile(
            journal,
            checkout,
            read_table(source, TableOptions()),
            session_ids_in(events),
        )

    assert (done.reconciled, done.unknown) == (0, 2)


# -- what a careless user may do -----------------------------------------------------


async def test_a_row_id_given_twice_is_sent_once(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """H13: without validation, too, of rows under one id only the first is sent."""
    path = tmp_path / "orders.csv"
    source = write_input(path, 300)
    first = path.read_text().splitlines()[1]
    path.write_text(path.read_text() + f"{first}\n{first}\n")

    tally = await run(sandbox, journal, source)

    assert (tally.created, tally.invalid) == (300, 2)
    assert len(sandbox.seen) == 300


async def test_a_wrong_key_leaves_its_rows_pending(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A row that was refused for the key's sake was not refused for its own."""
    source = write_input(tmp_path / "orders.csv", 50)
    wrong = CheckoutSessionFactory("sk_test_wrong", sandbox.base_url)
    with Journal.create(tmp_path / "may.journal", new_header(wrong, "may")) as journal:
        async with wrong as checkout:
            with pytest.raises(AuthenticationError):
                await _exhaust(Job(journal, checkout), source)
        counts = await journal.counts()

    assert sum(counts.values()) == 0


@pytest.mark.parametrize("row_metadata", ["row", None])
async def test_a_row_that_was_changed_is_given_no_session(
    row_metadata: str | None, sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """What the input says now was not sent, whoever's session would fit it."""
    path = tmp_path / "orders.csv"
    options = TableOptions(row_metadata=row_metadata)
    sandbox.faults.add(Fault(FaultKind.LOST, times=1))
    await run(sandbox, journal, write_input(path, 1), options=options)
    changed = write_input(path, 1, amount="200")
    async with sandbox.factory() as checkout:
        (row,) = read_table(changed, options)
        assert isinstance(row, Row)
        foreign = await checkout.create(row.request)

        with nullcontext() if row_metadata else pytest.raises(ConfigurationError):
            await reconcile(
                journal,
                checkout,
                read_table(changed, options),
                [foreign.id],
                row_metadata,
            )

    assert (await journal.counts())[State.UNKNOWN] == 1


async def test_a_row_that_was_deleted_may_own_any_session(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """Of two like rows one is deleted: the other is not given the only session."""
    path = tmp_path / "orders.csv"
    write_input(path, 1)
    head, line = path.read_text().splitlines()
    twin = line.replace("order-1", "order-2")
    path.write_text(f"{head}\n{line}\n{twin}")
    sandbox.faults.add(Fault(FaultKind.LOST, times=2))
    await run(sandbox, journal, str(path))
    session_id = next(iter(sandbox.book.sessions))
    path.write_text(f"{head}\n{twin}")

    async with sandbox.factory() as checkout:
        with pytest.raises(ConfigurationError, match="as they were sent: 1"):
            await reconcile(
                journal, checkout, read_table(str(path), TableOptions()), [session_id]
            )

    assert (await journal.counts())[State.UNKNOWN] == 2


async def test_reconciling_asks_with_the_job_s_own_key_only(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """Another key is refused, before it could say that nothing was found."""
    source = write_input(tmp_path / "orders.csv", 1)
    other = CheckoutSessionFactory("sk_test_wrong", sandbox.base_url)

    async with other as checkout:
        with pytest.raises(JournalError, match="another API key"):
            await reconcile(
                journal, checkout, read_table(source, TableOptions()), ["cs_1"]
            )


async def test_a_job_that_was_stopped_does_not_begin(
    sandbox: Sandbox, journal: Journal, tmp_path: Path
) -> None:
    """A stop that came before the run is not lost."""
    source = write_input(tmp_path / "orders.csv", 5)
    async with sandbox.factory() as checkout:
        job = Job(journal, checkout, JobPlan(concurrency=8))
        job.stop()
        await _exhaust(job, source)

    assert list(sandbox.seen) == []
