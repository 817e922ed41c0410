"""Which session is whose: by time as well, and past all that cannot be read."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders import an_order
from programs import run
from scripted import ScriptedTransport, answered, scripted_factory

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks
from convergegate_async.bulk import (
    Journal,
    Reconciliation,
    Row,
    RowResult,
    State,
    Unused,
    new_header,
    reconcile,
    session_ids_in,
)
from convergegate_async.bulk.jobs.header import fingerprint
from convergegate_async.bulk.jobs.reconcile import (
    FAILED_IN_A_ROW,
    LONGEST_LINE,
    MOST_LISTED,
    MOST_UNDECIDED,
)
from convergegate_async.bulk.journal.records import Intent
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

SENT_AT = 1_700_000_000.0
DAY = 24 * 3600.0


def a_row(number: int) -> Row:
    """Return a row that its amount tells apart."""
    return Row(
        position=number,
        line=number,
        row_id=f"order-{number}",
        request=an_order(amount=number),
        raw={},
    )


async def send_and_lose(journal: Journal, *rows: Row, sent_at: float = SENT_AT) -> None:
    """Have it written that *rows* were sent, and that nobody knows what became."""
    for row in rows:
        mark = fingerprint(row.request, journal.header.salt)
        await journal.intend(Intent(row.row_id, row.position, mark, sent_at))
        await journal.complete(RowResult(row.row_id, State.UNKNOWN))


@asynccontextmanager
async def job_at(
    factory: CheckoutSessionFactory, folder: Path
) -> AsyncIterator[Journal]:
    """Begin a job that *factory* goes on with."""
    header = new_header(factory, "april")
    async with factory:
        with Journal.create(folder / "april.journal", header) as journal:
            yield journal


class Archive(ScriptedTransport):
    """Answers a look at each session by what it was told of it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, HttpResponse | Failure] = {}

    def keep(self, session_id: str, row: Row, **fields: object) -> None:
        """Have the session that *row* asked for, made when it was sent."""
        document = {
            "id": session_id,
            "status": "open",
            "amount_subtotal": row.request.amount,
            "customer_email": row.request.customer_email,
            "created_at": int(SENT_AT),
        }
        body = json.dumps(document | fields).encode()
        self.answers[session_id] = HttpResponse(status=200, body=body)

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer by the last part of the path."""
        del patience, marks
        self.sent.append(request)
        await asyncio.sleep(0)
        return self.answers[request.url.rpartition("/")[2]]


# -- when it was made ----------------------------------------------------------------


async def look_for_one(
    folder: Path, made_at: float | None, *, twice: bool = False
) -> Reconciliation:
    """Reconcile a row with its only session, which was made so long after it."""
    archive, row = Archive(), a_row(1)
    moment = None if made_at is None else int(SENT_AT + made_at)
    archive.keep("cs_1", row, created_at=moment)
    factory = scripted_factory(archive)
    async with job_at(factory, folder) as journal:
        await send_and_lose(journal, row)
        if twice:
            await send_and_lose(journal, row, sent_at=SENT_AT + 3600)
        return await reconcile(journal, factory, [row], ["cs_1"])


@pytest.mark.parametrize("made_at", [-300, 0, 1, DAY, DAY + 300])
async def test_a_session_of_the_row_s_time_is_its(
    made_at: float, tmp_path: Path
) -> None:
    """Made from five minutes before it was sent to a day and five minutes after."""
    done = await look_for_one(tmp_path, made_at)

    assert done == Reconciliation(reconciled=1, unknown=0, sessions=1)


@pytest.mark.parametrize("made_at", [-3.2 * 365 * DAY, -301, DAY + 301, 30 * DAY])
async def test_a_session_of_another_time_is_nobody_s(
    made_at: float, tmp_path: Path
) -> None:
    """One of the same customer and amount, of years ago or next month, is told."""
    done = await look_for_one(tmp_path, made_at)

    why = Unused("cs_1", "was not made when its row was sent")
    assert (done.reconciled, done.unknown, done.unused) == (0, 1, (why,))
    assert done.unmatched == 1


async def test_a_session_without_its_time_is_nobody_s(tmp_path: Path) -> None:
    """Without `created_at` it could be of any time."""
    done = await look_for_one(tmp_path, None)

    assert (done.reconciled, done.unknown) == (0, 1)
    assert "does not tell when" in str(done.unused[0])


async def test_the_time_of_a_repeated_row_is_that_of_its_first_sending(
    tmp_path: Path,
) -> None:
    """The gateway's memory of the key is as old as that."""
    late = await look_for_one(tmp_path, DAY + 1800, twice=True)

    assert (late.reconciled, late.unknown) == (0, 1)


async def test_a_session_of_another_time_does_not_put_in_doubt(tmp_path: Path) -> None:
    """Of two like sessions, one of last year, the other is the row's."""
    archive, row = Archive(), a_row(1)
    archive.keep("cs_old", row, created_at=int(SENT_AT - 365 * DAY))
    archive.keep("cs_new", row)
    factory = scripted_factory(archive)
    async with job_at(factory, tmp_path) as journal:
        await send_and_lose(journal, row)
        done = await reconcile(journal, factory, [row], ["cs_old", "cs_new"])
        (known,) = await journal.rows()

    assert (done.reconciled, known.session_id) == (1, "cs_new")


async def test_a_row_that_was_written_off_may_be_of_the_whole_job(
    tmp_path: Path,
) -> None:
    """Its time is from the job's beginning to a day after the damage was found."""
    archive, rows = Archive(), [a_row(1), a_row(2), a_row(3)]
    found_at = SENT_AT + 10 * DAY
    archive.keep("cs_1", rows[0])
    archive.keep("cs_2", rows[1], created_at=int(found_at + DAY))
    archive.keep("cs_3", rows[2], created_at=int(found_at + 2 * DAY))
    factory = scripted_factory(archive)
    header = attrs.evolve(new_header(factory, "april"), begun_at=SENT_AT)
    with Journal.create(tmp_path / "april.journal", header) as journal:
        await send_and_lose(journal, *rows)
        await journal._order(lambda: journal._database.put_in_doubt((), found_at))  # noqa: SLF001 -- as for a damaged one
        async with factory:
            done = await reconcile(journal, factory, rows, ["cs_1", "cs_2", "cs_3"])

    assert (done.reconciled, done.unknown) == (2, 1)
    assert [unused.what for unused in done.unused] == ["cs_3"]


async def test_a_row_that_gets_no_session_tells_how_many_fit_it(
    tmp_path: Path,
) -> None:
    """None, several, or one that another row could have asked for, too."""
    archive, rows = Archive(), [a_row(1), a_row(2), a_row(3)]
    rows.append(attrs.evolve(rows[2], row_id="twin"))
    archive.keep("cs_1", rows[1])
    archive.keep("cs_2", rows[1])
    archive.keep("cs_3", rows[2])
    factory = scripted_factory(archive)
    async with job_at(factory, tmp_path) as journal:
        await send_and_lose(journal, *rows)
        done = await reconcile(journal, factory, rows, ["cs_1", "cs_2", "cs_3"])

    assert [str(row) for row in done.undecided] == [
        "order-1: no session fits it",
        "order-2: 2 sessions fit it",
        "order-3: 1 session fits it and other rows",
        "twin: 1 session fits it and other rows",
    ]
    assert (done.unmatched, done.ambiguous, done.sessions) == (1, 3, 3)


async def test_the_first_rows_without_a_session_are_named(tmp_path: Path) -> None:
    """Of a whole job in doubt twenty are, and all are counted."""
    rows = [a_row(number) for number in range(1, 31)]
    factory = scripted_factory(Archive())
    async with job_at(factory, tmp_path) as journal:
        await send_and_lose(journal, *rows)
        done = await reconcile(journal, factory, rows, [], "row")

    assert [row.row_id for row in done.undecided] == [
        row.row_id for row in rows[:MOST_UNDECIDED]
    ]
    assert (done.unmatched, done.ambiguous, done.by_row_id) == (30, 0, True)


@pytest.mark.parametrize("row_metadata", [None, "row"])
async def test_a_row_that_damage_took_could_own_any_session(
    tmp_path: Path, row_metadata: str | None
) -> None:
    """A twin that the journal no longer knows keeps its claim when they are dealt."""
    archive, rows = Archive(), [a_row(1), attrs.evolve(a_row(1), row_id="twin")]
    archive.keep("cs_1", rows[0], metadata={"row": "order-1"})
    factory = scripted_factory(archive)
    header = attrs.evolve(new_header(factory, "april"), begun_at=SENT_AT)
    with Journal.create(tmp_path / "april.journal", header) as journal:
        await send_and_lose(journal, rows[0])
        await journal._order(lambda: journal._database.put_in_doubt((), SENT_AT))  # noqa: SLF001 -- as for a damaged one
    async with factory:
        with Journal.open(tmp_path / "april.journal") as journal:
            looking = reconcile(journal, factory, rows, ["cs_1"], row_metadata)
            if row_metadata is None:
                with pytest.raises(ConfigurationError, match="any session"):
                    await looking
            else:
                assert (await looking).reconciled == 1


# -- past what cannot be read --------------------------------------------------------


def test_a_line_that_is_no_event_is_told_in_its_place(tmp_path: Path) -> None:
    """The lines before and after it are read; it is named, and not shown."""
    lines = [
        '{"id": "evt_1", "data": {"session_id": "cs_1"}}',
        "",
        "not json",
        "[" * 100_000,
        '{"id": "evt_2", "type": "new.word", "data": {}}',
        '{"id": "evt_3", "data": {"session_id": "cs_2"}}',
        "17",
        '{"id": "evt_4", "data": {"session_id": "cs_3", "session_id": "cs_4"}}',
        '{"id": NaN, "data": {"session_id": "cs_5"}}',
        f'{{"data": {{"session_id": "cs_6", "note": "{"x" * LONGEST_LINE}"}}}}',
        '{"foo": 1}',
        '{"id": "evt_5", "data": {"session_id": "cs_7"}}',
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8-sig")

    assert list(session_ids_in(path)) == [
        "cs_1",
        Unused("line 3", "not a webhook's body"),
        Unused("line 4", "not a webhook's body"),
        "cs_2",
        Unused("line 7", "not a webhook's body"),
        Unused("line 8", "not a webhook's body"),
        Unused("line 9", "not a webhook's body"),
        Unused("line 10", "not a webhook's body"),
        Unused("line 11", "not a webhook's body"),
        "cs_7",
    ]


SPOILT: dict[str, Callable[[str], HttpResponse | Failure]] = {
    "server error": lambda _: answered(500),
    "forbidden": lambda _: answered(403),
    "another session": lambda _: HttpResponse(status=200, body=b'{"id": "cs_other"}'),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=list(SPOILT))
async def test_a_session_that_cannot_be_read_is_passed_over(
    spoilt: Callable[[str], HttpResponse | Failure], tmp_path: Path
) -> None:
    """The others are found and kept, and it is told by its id."""
    archive, rows = Archive(), [a_row(number) for number in range(1, 31)]
    for row in rows:
        archive.keep(f"cs_{row.position}", row)
    archive.answers["cs_7"] = spoilt("cs_7")
    factory = scripted_factory(archive)
    async with job_at(factory, tmp_path) as journal:
        await send_and_lose(journal, *rows)
        done = await reconcile(
            journal, factory, rows, [f"cs_{row.position}" for row in rows]
        )
        left = [row.row_id for row in await journal.rows([State.UNKNOWN])]

    assert (done.reconciled, done.unknown, left) == (29, 1, ["order-7"])
    assert [unused.what for unused in done.unused] == ["cs_7"]


async def test_an_id_that_cannot_be_one_is_passed_over(tmp_path: Path) -> None:
    """It is told and not shown, as it may be anything."""
    archive, row = Archive(), a_row(1)
    archive.keep("cs_1", row)
    factory = scripted_factory(archive)
    async with job_at(factory, tmp_path) as journal:
        await send_and_lose(journal, row)
        done = await reconcile(journal, factory, [row], ["../secret", "cs_1"])

    assert (done.reconciled, done.unknown) == (1, 0)
    assert [str(unused) for unused in done.unused] == [
        "a session: its id cannot be one"
    ]


@pytest.mark.parametrize("status", [401, 500])
async def test_a_gateway_that_only_fails_is_not_asked_for_ever(
    status: int, tmp_path: Path
) -> None:
    """After a refused key, or twenty failures in a row, what was found is kept."""
    archive, rows, others = Archive(), [a_row(1), a_row(2)], range(200)
    for row in rows:
        archive.keep(f"cs_{row.position}", row)
    for number in others:
        archive.answers[f"no_{number}"] = answered(status)
    factory = scripted_factory(archive)
    named = ["cs_1", "cs_2", *[f"no_{number}" for number in others]]
    async with job_at(factory, tmp_path) as journal:
        await send_and_lose(journal, *rows)
        done = await reconcile(journal, factory, rows, named)

    assert done.reconciled == 2
    assert len(done.unused) == MOST_LISTED
    assert len(done.unused) + done.more == 200
    assert len({request.url for request in archive.sent}) <= 2 + FAILED_IN_A_ROW + 8


@settings(max_examples=20)  # each is a job with a journal
@given(answers=st.lists(st.sampled_from([200, 404, 500]), min_size=1, max_size=40))
async def test_every_session_is_either_used_or_told(
    answers: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever fails among them, all that can be read find their rows."""
    archive = Archive()
    rows = [a_row(number) for number in range(1, len(answers) + 1)]
    for row, status in zip(rows, answers, strict=True):
        archive.keep(f"cs_{row.position}", row)
        if status != 200:
            archive.answers[f"cs_{row.position}"] = answered(status)
    factory = scripted_factory(archive)
    folder = tmp_path_factory.mktemp("job")
    async with job_at(factory, folder) as journal:
        await send_and_lose(journal, *rows)
        done = await reconcile(
            journal, factory, rows, [f"cs_{row.position}" for row in rows]
        )

    listed = len(done.unused) + done.more
    if listed < FAILED_IN_A_ROW:
        assert done.reconciled == answers.count(200)
    assert done.reconciled + listed >= len(answers) - answers.count(404)


async def test_a_factory_that_is_not_open_is_told_plainly(tmp_path: Path) -> None:
    """It is one error, and not a group of as many as there are readers."""
    factory, row = scripted_factory(Archive()), a_row(1)
    with Journal.create(
        tmp_path / "april.journal", new_header(factory, "april")
    ) as journal:
        await send_and_lose(journal, row)
        with pytest.raises(ConfigurationError):
            await reconcile(journal, factory, [row], ["cs_1"])


# -- a large job ---------------------------------------------------------------------


async def test_sessions_that_rows_have_are_not_looked_at(tmp_path: Path) -> None:
    """Of ten thousand events of rows that are done none costs a request."""
    archive, row = Archive(), a_row(1)
    archive.keep("cs_1", row)
    factory = scripted_factory(archive)
    async with job_at(factory, tmp_path) as journal:
        intents = [Intent(f"r{n}", n, bytes(16), SENT_AT) for n in range(2, 10_002)]
        await asyncio.gather(*[journal.intend(intent) for intent in intents])
        results = [
            RowResult(one.row_id, State.CREATED, session_id=f"done_{one.position}")
            for one in intents
        ]
        await asyncio.gather(*[journal.complete(result) for result in results])
        await send_and_lose(journal, row)
        named = [*[f"done_{n}" for n in range(2, 10_002)], "cs_1"]
        done = await reconcile(journal, factory, [row], named)

    assert (done.reconciled, done.unknown) == (1, 0)
    assert len(archive.sent) == 1


async def test_each_session_is_compared_with_few_rows(tmp_path: Path) -> None:
    """Two thousand rows in doubt and their sessions are all brought together."""
    archive, rows = Archive(), [a_row(number) for number in range(1, 2_001)]
    for row in rows:
        archive.keep(f"cs_{row.position}", row)
    factory = scripted_factory(archive)
    async with job_at(factory, tmp_path) as journal:
        intents = [
            Intent(
                row.row_id,
                row.position,
                fingerprint(row.request, journal.header.salt),
                SENT_AT,
            )
            for row in rows
        ]
        await asyncio.gather(*[journal.intend(intent) for intent in intents])
        done = await reconcile(journal, factory, rows, list(archive.answers))
        paired = {row.row_id: row.session_id for row in await journal.rows()}

    assert done == Reconciliation(reconciled=2_000, unknown=0, sessions=2_000)
    assert all(paired[row.row_id] == f"cs_{row.position}" for row in rows)


# -- as a command --------------------------------------------------------------------


@pytest.fixture
def lost_job(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A folder with an input whose first three answers will be lost."""
    sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=3))
    rows = [a_row(number) for number in range(1, 6)]
    lines = [
        json.dumps(
            {"id": row.row_id}
            | attrs.asdict(row.request, filter=lambda _, value: bool(value))
        )
        for row in rows
    ]
    (tmp_path / "orders.jsonl").write_text("\n".join(lines))
    return tmp_path


async def test_the_command_goes_on_past_a_bad_line_and_tells(
    lost_job: Path, sandbox: Sandbox
) -> None:
    """It reconciles all that it can, names the line, and exits with what is left."""
    await run(sandbox, "bulk", "run", "orders.jsonl", "--job", "april", cwd=lost_job)
    events = [
        json.dumps({"data": {"session_id": one}}) for one in sandbox.book.sessions
    ]
    (lost_job / "events.jsonl").write_text("\n".join(["oops", *events]))

    words = ("reconcile", "april", "--events", "events.jsonl")
    done = await run(sandbox, "bulk", *words, cwd=lost_job)

    assert (done.code, "Traceback" in done.err) == (0, False)
    assert "line 1: not a webhook's body" in done.err
    assert "3 rows reconciled, 0 still unknown" in done.err


async def test_the_command_tells_of_no_kind_that_there_is_none_of(
    lost_job: Path, sandbox: Sandbox
) -> None:
    """Where no session fits, nothing is said of rows that look alike."""
    await run(sandbox, "bulk", "run", "orders.jsonl", "--job", "april", cwd=lost_job)
    (lost_job / "events.jsonl").touch()

    words = ("reconcile", "april", "--events", "events.jsonl")
    done = await run(sandbox, "bulk", *words, cwd=lost_job)

    assert "\nOf 0 sessions that no row had, none fits 3 rows.\n" in done.err


async def test_the_command_tells_why_rows_are_still_unknown(
    lost_job: Path, sandbox: Sandbox
) -> None:
    """By their ids and in all, and what would have told them apart."""
    path = lost_job / "orders.jsonl"
    first, second, third, *_ = map(json.loads, path.read_text().splitlines())
    rows = [first, second, second | {"id": third["id"]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    await run(sandbox, "bulk", "run", "orders.jsonl", "--job", "april", cwd=lost_job)
    events = [
        json.dumps({"data": {"session_id": session.id}})
        for session in sandbox.book.sessions.values()
        if session.request.amount != first["amount"]
    ]
    (lost_job / "events.jsonl").write_text("\n".join(events))

    words = ("reconcile", "april", "--events", "events.jsonl")
    done = await run(sandbox, "bulk", *words, cwd=lost_job)

    assert done.code == 5
    assert done.err.splitlines() == [
        f"{first['id']}: no session fits it",
        f"{second['id']}: 2 sessions fit it and other rows",
        f"{third['id']}: 2 sessions fit it and other rows",
        "Of 2 sessions that no row had, none fits 1 row; 2 rows cannot be told apart.",
        (
            "Rows that look alike are told apart in jobs that `bulk run` was given "
            "--row-metadata NAME for."
        ),
        "0 rows reconciled, 3 still unknown.",
    ]
