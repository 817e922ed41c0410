"""What the journal promises: what it said is durable is there, whatever happens."""

import asyncio
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import attrs
import pytest
from harness.recorded_job import HEADER
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_cost import measure
from programs import started

from convergegate_async.bulk.journal.connection import Writer
from convergegate_async.bulk.journal.database import Database
from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import (
    Intent,
    JournalError,
    JournalRow,
    Resolution,
    RowResult,
    SessionCount,
    SessionFacts,
    State,
    TimeSpan,
)
from convergegate_async.bulk.journal.salvage import damaged_header
from convergegate_async.models.rules import MAX_AMOUNT

MARK = bytes(16)
LINK = "https://checkout.example.com/pay/"
few = settings(max_examples=25, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where there is no journal yet."""
    return tmp_path / "april.journal"


def an_intent(number: int, *, mark: bytes = MARK, sent_at: float = 0.0) -> Intent:
    """Return the intent of a row that is named after its place."""
    return Intent(f"order-{number}", number, mark, sent_at)


def a_success(number: int) -> RowResult:
    """Return the good end of that row."""
    session_id = f"session-{number}"
    return RowResult(f"order-{number}", State.CREATED, session_id, LINK + session_id)


async def fill(journal: Journal, rows: int) -> None:
    """Bring so many rows to a good end."""
    await asyncio.gather(*[journal.intend(an_intent(n + 1)) for n in range(rows)])
    await asyncio.gather(*[journal.complete(a_success(n + 1)) for n in range(rows)])


async def every(journal: Journal, *, by_completion: bool = False) -> list[JournalRow]:
    """Return all rows, read in small pages."""
    found: list[JournalRow] = []
    after = 0
    while page := await journal.rows(by_completion=by_completion, after=after, limit=2):
        found += page
        after = page[-1].position
    return found


def made(path: Path, rows: int) -> None:
    """Make a journal with so many rows, and close it."""

    async def make() -> None:
        with Journal.create(path, HEADER) as journal:
            await fill(journal, rows)

    asyncio.run(make())


def lay(path: Path, content: bytes) -> None:
    """Put a file there that only its owner may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


# -- properties ----------------------------------------------------------------------


class Model:
    """What a journal should know, in a dict."""

    def __init__(self) -> None:
        self.rows: dict[str, JournalRow] = {}
        self.before: dict[str, State] = {}
        self.finished: list[str] = []
        self.resolutions: list[Resolution] = []

    def intend(self, row: Intent) -> None:
        """Do as the journal should; raise JournalError where it should refuse."""
        known = self.rows.get(row.row_id)
        if known is None:
            places = {other.position for other in self.rows.values()}
            self.rows[row.row_id] = JournalRow(
                row_id=row.row_id,
                position=max(places) + 1 if row.position in places else row.position,
                fingerprint=row.fingerprint,
                state=State.SENT,
                attempts=1,
                sent_at=row.sent_at,
            )
            return
        in_doubt = known.state in {State.SENT, State.UNKNOWN}
        if known.state is State.CREATED or (
            in_doubt and known.fingerprint != row.fingerprint
        ):
            raise JournalError
        self.before[row.row_id] = State.UNKNOWN if in_doubt else State.REJECTED
        self.rows[row.row_id] = attrs.evolve(
            known,
            state=State.SENT,
            attempts=known.attempts + 1,
            fingerprint=row.fingerprint,
            sent_at=known.sent_at if in_doubt else row.sent_at,
        )

    def complete(self, outcome: RowResult) -> None:
        """The same, for an outcome."""
        known = self.rows.get(outcome.row_id)
        if known is None or known.state not in {State.SENT, State.UNKNOWN}:
            raise JournalError
        before = self.before.get(outcome.row_id)
        if outcome.state is State.REJECTED and State.UNKNOWN in {known.state, before}:
            outcome = attrs.evolve(outcome, state=State.UNKNOWN)
        self.rows[outcome.row_id] = attrs.evolve(known, **attrs.asdict(outcome))
        self.finish(outcome.row_id)

    def forget(self, row_id: str) -> None:
        """The same, for an intent that is withdrawn."""
        known = self.rows.get(row_id)
        if known is None or known.state is not State.SENT:
            raise JournalError
        if row_id not in self.before:
            del self.rows[row_id]
            return
        self.rows[row_id] = attrs.evolve(
            known, state=self.before[row_id], attempts=known.attempts - 1
        )
        if row_id not in self.finished:
            self.finish(row_id)

    def see(self, step: "Look") -> None:
        """The same, for a session that was looked at."""
        known = self.rows.get(step.row_id)
        if known is None or known.state is not State.CREATED:
            raise JournalError
        self.rows[step.row_id] = attrs.evolve(known, facts=step.facts)

    def resolve(self, step: "Word") -> None:
        """The same, for somebody's word on a row."""
        result = step.result
        known = self.rows.get(result.row_id)
        if known is None or not known.is_in_doubt:
            raise JournalError
        changes = attrs.asdict(result) | {"http_status": None}
        seen = known if step.facts is None else attrs.evolve(known, facts=step.facts)
        self.rows[result.row_id] = attrs.evolve(seen, **changes)
        self.finish(result.row_id)
        resolution = Resolution(result.row_id, result.session_id, step.by, step.now)
        self.resolutions.append(resolution)

    def finish(self, row_id: str) -> None:
        """Put a row last in the order of completion."""
        self.finished = [name for name in self.finished if name != row_id] + [row_id]

    def in_order(self) -> list[JournalRow]:
        """Return the rows by position."""
        return sorted(self.rows.values(), key=lambda row: row.position)

    def to_be_seen(self, span: TimeSpan, *, final: bool) -> list[JournalRow]:
        """Return the rows whose sessions are to be looked at."""
        return [
            row
            for row in self.in_order()
            if row.state is State.CREATED
            and (
                row.facts is None
                or (
                    not span.since <= row.facts.seen_at <= span.until
                    and (final or row.facts.status not in FINAL)
                )
            )
        ]

    def sessions(self) -> list[SessionCount]:
        """Return what the sessions come to, by currency and status."""
        alike: dict[tuple[str | None, str | None], list[SessionFacts]] = {}
        for row in self.rows.values():
            if row.state is State.CREATED:
                seen = row.facts or SessionFacts(math.inf)
                alike.setdefault((seen.currency, seen.status), []).append(seen)
        return [
            SessionCount(
                status,
                currency,
                len(seen),
                sum(one.amount_total or 0 for one in seen),
                sum(one.amount_refunded or 0 for one in seen),
                min(
                    (one.seen_at for one in seen if one.seen_at < math.inf),
                    default=None,
                ),
                sum(
                    one.seen_at < math.inf and one.amount_total is None for one in seen
                ),
            )
            for (currency, status), seen in sorted(alike.items(), key=_nulls_first)
        ]

    def as_completed(self) -> list[JournalRow]:
        """Return what is completed, in order of completion."""
        rows = [self.rows[name] for name in self.finished]
        return [row for row in rows if row.state is not State.SENT]


@attrs.frozen
class Look:
    """A look at the session of a row."""

    row_id: str
    facts: SessionFacts


@attrs.frozen
class Word:
    """Somebody's word on what became of a row."""

    result: RowResult
    facts: SessionFacts | None
    by: str
    now: float


def of(states: set[State], rows: list[JournalRow]) -> list[JournalRow]:
    """Return those of *rows* that are in one of *states*."""
    return [row for row in rows if row.state in states]


def _nulls_first(item: tuple[tuple[str | None, ...], object]) -> list[tuple[bool, str]]:
    return [(word is not None, word or "") for word in item[0]]


names = st.sampled_from("abc")
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=40)
intents = st.builds(
    Intent,
    names,
    st.integers(1, 4),
    st.sampled_from([MARK, bytes(range(16))]),
    st.floats(0, 1e10),
)
ends = st.builds(
    RowResult,
    names,
    st.sampled_from([State.REJECTED, State.UNKNOWN]),
    texts,
    texts,
    st.none() | st.integers(100, 599),
    texts,
    texts,
)
session_ids = st.text("abc_-", min_size=1, max_size=22)
links = st.one_of(texts, session_ids, session_ids.map(LINK.__add__))
successes = st.builds(RowResult, names, st.just(State.CREATED), session_ids, links)
FINAL = ("completed", "expired")
SPAN = TimeSpan(since=5e9, until=8e9)
words = st.none() | st.sampled_from(["open", "pending", *FINAL]) | texts
moments = st.floats(0, 1e10)
amounts = st.none() | st.integers(0, MAX_AMOUNT)
facts = st.builds(
    SessionFacts, moments, words, texts, amounts, amounts, st.none() | moments
)
looks = st.builds(Look, names, facts)
denials = st.builds(RowResult, names, st.just(State.REJECTED), code=texts)
resolved_by = st.text(st.characters(codec="utf-8"), max_size=9)
resolved = st.builds(Word, successes, st.none() | facts, resolved_by, moments)
denied = st.builds(Word, denials, st.none(), resolved_by, moments)
reopening = st.none()
steps = st.one_of(
    *(intents, intents, ends, successes, names, looks, resolved, denied, reopening)
)
histories = st.lists(steps, min_size=10, max_size=40)
Step = Intent | RowResult | Look | Word | str | float | None


def expected(model: Model, step: Step) -> bool:
    """Take a step in the model; tell whether it is refused."""
    try:
        match step:
            case Intent():
                model.intend(step)
            case RowResult():
                model.complete(step)
            case str():
                model.forget(step)
            case Look():
                model.see(step)
            case Word():
                model.resolve(step)
            case _:
                raise AssertionError
    except JournalError:
        return True
    return False


async def refused(journal: Journal, step: Step) -> bool:
    """Take the same step in the journal."""
    try:
        match step:
            case float():
                await journal.intend(an_intent(1, sent_at=step))
            case Intent():
                await journal.intend(step)
            case RowResult():
                await journal.complete(step)
            case str():
                await journal.forget(step)
            case Look():
                await journal.sessions.see(step.row_id, step.facts)
            case Word(result, facts, by, now):
                await journal.resolve(result, facts, by=by, now=now)
            case _:
                raise AssertionError
    except JournalError:
        return True
    return False


@given(history=histories, states=st.sets(st.sampled_from(State)))
@few
def test_a_journal_knows_what_a_dict_would(
    history: list[Step], states: set[State]
) -> None:
    """After any history, closings and all, each question has a dict's answer."""

    async def live(path: Path) -> None:
        model = Model()
        journal = Journal.create(path, HEADER)
        answers: list[asyncio.Task[bool]] = []
        wanted: list[bool] = []
        for step in history:
            if step is None:
                assert await asyncio.gather(*answers) == wanted
                journal.close()
                journal = Journal.open(path)
            else:
                wanted.append(expected(model, step))
                answers.append(asyncio.create_task(refused(journal, step)))
        with journal:
            assert await asyncio.gather(*answers) == wanted
            await compare(journal, model)

    async def compare(journal: Journal, model: Model) -> None:
        rows, completed = model.in_order(), model.as_completed()
        assert await every(journal) == rows
        assert await every(journal, by_completion=True) == completed
        assert await journal.rows(states) == of(states, rows)
        assert await journal.rows(states, by_completion=True) == of(states, completed)
        assert await journal.lookup("abcdefgh") == model.rows
        assert await journal.under_way() == of({State.SENT}, rows)
        assert await journal.counts() == {
            state: sum(row.state is state for row in rows) for state in State
        }
        assert await journal.sessions.counts() == model.sessions()
        assert await journal.resolutions() == model.resolutions
        for final in (True, False):
            wanted = model.to_be_seen(SPAN, final=final)
            assert await journal.sessions.to_be_seen(SPAN, final=final) == wanted
            later = [row for row in wanted if row.position > 2]
            assert (
                await journal.sessions.to_be_seen(SPAN, final=final, after=2) == later
            )

    with TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder, "a.journal")))


FAILURE = RowResult("order-1", State.REJECTED)
DOUBT = RowResult("order-1", State.UNKNOWN)
STORIES: dict[str, tuple[list[Step], tuple[State, int, float] | None]] = {
    "new": ([1.0], (State.SENT, 1, 1.0)),
    "withdrawn": ([1.0, "order-1"], None),
    "sent twice": ([1.0, 2.0], (State.SENT, 2, 1.0)),
    "failed, then sent": ([1.0, FAILURE, 2.0], (State.SENT, 2, 2.0)),
    "failed, then withdrawn": (
        [1.0, FAILURE, 2.0, "order-1"],
        (State.REJECTED, 1, 2.0),
    ),
    "in doubt, then sent": ([1.0, DOUBT, 2.0], (State.SENT, 2, 1.0)),
    "in doubt, then withdrawn": (
        [1.0, DOUBT, 2.0, "order-1"],
        (State.UNKNOWN, 1, 1.0),
    ),
    "under way, then withdrawn": ([1.0, 2.0, "order-1"], (State.UNKNOWN, 1, 1.0)),
    "in doubt, then done": ([1.0, DOUBT, a_success(1)], (State.CREATED, 1, 1.0)),
    "in doubt, then refused": ([1.0, DOUBT, FAILURE], (State.UNKNOWN, 1, 1.0)),
    "in doubt, then sent and refused": (
        [1.0, DOUBT, 2.0, FAILURE],
        (State.UNKNOWN, 2, 1.0),
    ),
    "sent twice, then refused": ([1.0, 2.0, FAILURE], (State.UNKNOWN, 2, 1.0)),
    "in doubt, then sent, refused and done": (
        [1.0, DOUBT, 2.0, FAILURE, 3.0, a_success(1)],
        (State.CREATED, 3, 1.0),
    ),
    "failed, then refused again": (
        [1.0, FAILURE, 2.0, FAILURE],
        (State.REJECTED, 2, 2.0),
    ),
    "failed, in doubt, then refused": (
        [1.0, FAILURE, 2.0, DOUBT, 3.0, FAILURE],
        (State.UNKNOWN, 3, 2.0),
    ),
}


@pytest.mark.parametrize("story", STORIES)
async def test_a_story_ends_as_it_should(path: Path, story: str) -> None:
    """A number is the second of an intent, a name the withdrawal of the last one."""
    steps, end = STORIES[story]
    with Journal.create(path, HEADER) as journal:
        for step in steps:
            assert not await refused(journal, step)
        found = await journal.lookup(["order-1"])

    row = found.get("order-1")
    assert (row and (row.state, row.attempts, row.sent_at)) == end


async def test_any_number_of_rows_is_looked_up_together(path: Path) -> None:
    """What is asked for may be more than one statement takes."""
    with Journal.create(path, HEADER) as journal:
        await fill(journal, 1_200)
        row_ids = [an_intent(number).row_id for number in range(1, 2_000)]
        found = await journal.lookup(row_ids)
        nothing = await journal.lookup([])

    assert (len(found), nothing) == (1_200, {})


OTHER_BODY = an_intent(1, mark=b"another body 16b")
REFUSED: dict[str, list[Step]] = {
    "intent of a row that is done": [1.0, a_success(1), 2.0],
    "intent of another body while under way": [1.0, OTHER_BODY],
    "intent of another body while in doubt": [1.0, DOUBT, OTHER_BODY],
    "outcome of a row that is pending": [FAILURE],
    "outcome of a row that is done": [1.0, a_success(1), FAILURE],
    "outcome of a row that has failed": [1.0, FAILURE, a_success(1)],
    "withdrawal of a row that is pending": ["order-1"],
    "withdrawal of a row that is completed": [1.0, FAILURE, "order-1"],
}


@pytest.mark.parametrize("step", REFUSED)
async def test_what_cannot_be_is_refused(path: Path, step: str) -> None:
    """The last step is refused and changes nothing; the journal goes on."""
    *steps, last = REFUSED[step]
    with Journal.create(path, HEADER) as journal:
        for earlier in steps:
            assert not await refused(journal, earlier)
        before = await journal.rows()

        assert await refused(journal, last)

        assert await journal.rows() == before
        await journal.intend(an_intent(2))


async def test_a_taken_place_displaces_the_newcomer(path: Path) -> None:
    """An input that was sorted anew loses no row: the newcomer goes to the end."""
    with Journal.create(path, HEADER) as journal:
        await fill(journal, 3)
        await journal.intend(Intent("new", 2, MARK, 0.0))
        rows = await journal.rows()

    assert [row.row_id for row in rows] == ["order-1", "order-2", "order-3", "new"]


@pytest.mark.parametrize("known", [1, 150, 300])
async def test_any_number_of_rows_is_intended_together(path: Path, known: int) -> None:
    """More than one statement takes; one of them that is done is refused alone."""
    rows = range(1, 301)
    with Journal.create(path, HEADER) as journal:
        await journal.intend(an_intent(known))
        await journal.complete(a_success(known))
        given = [journal.intend(an_intent(number)) for number in rows]
        ends = await asyncio.gather(*given, return_exceptions=True)
        found = await journal.rows([State.SENT])

    refused = [number for number, end in zip(rows, ends, strict=True) if end]
    assert refused == [known]
    assert [row.position for row in found] == [one for one in rows if one != known]


@pytest.mark.parametrize(
    ("known", "begun"), [(1, 0), (125, 0), (126, 125), (300, 250), (301, 300)]
)
def test_new_rows_are_intended_by_statements(
    path: Path, known: int, begun: int
) -> None:
    """Of 125 rows each, all or none: a row that is known leaves out its statement's."""
    Database.create(path, HEADER)
    with closing(Database.open(path)) as database:
        with database.transaction():
            database.intend(an_intent(known))
        with database.transaction():
            found = database.intend_new([an_intent(n) for n in range(1, 301)])
        under_way = {row.position for row in database.under_way()}

    assert found == begun
    assert under_way == {*range(1, begun + 1), known}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a sound journal."""
    path = tmp_path_factory.mktemp("image") / "a.journal"
    made(path, 200)
    return path.read_bytes()


async def interrogate(path: Path) -> None:
    """Ask for everything; only JournalError may come of it."""
    try:
        with Journal.open(path) as journal:
            for ask in (journal.check, journal.rows, journal.counts, journal.under_way):
                await ask()
    except JournalError:
        pass


@given(data=st.data())
@few
def test_a_truncated_journal_is_refused(image: bytes, data: st.DataObject) -> None:
    """However much is missing at the end, the journal does not open."""
    end = data.draw(st.integers(0, len(image) - 1))
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.journal")
        lay(path, image[:end])

        with pytest.raises(JournalError, match=r"damaged|not a journal"):
            Journal.open(path)


@given(data=st.data())
@few
def test_damage_is_a_journal_error_or_nothing(
    image: bytes, data: st.DataObject
) -> None:
    """Whatever bytes have changed, nothing but a JournalError is raised."""
    start = data.draw(st.integers(0, len(image) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=64))
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.journal")
        lay(path, image[:start] + noise + image[start + len(noise) :])

        asyncio.run(interrogate(path))


# -- durability ----------------------------------------------------------------------

WORKER = """
    import asyncio, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    async def work(journal, numbers):
        for number in numbers:
            row_id, session_id = f"order-{number}", f"session-{number}"
            await journal.intend(Intent(row_id, number, bytes(16), 0.0))
            print("sent", row_id, flush=True)
            await journal.complete(RowResult(row_id, State.CREATED, session_id))
            print("done", row_id, flush=True)

    async def main():
        with Journal.open(Path(sys.argv[1])) as journal:
            rows = (await journal.counts()).values()
            numbers = iter(range(sum(rows) + 1, sys.maxsize))
            async with asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(work(journal, numbers))

    asyncio.run(main())
"""


def start(
    program: str, *arguments: object
) -> "AbstractContextManager[subprocess.Popen[str]]":
    """Run *program* in another process."""
    code = (dedent(program), *map(str, arguments))
    return started(sys.executable, "-c", *code, stdout=subprocess.PIPE)


async def test_what_was_durable_survives_kill_9(path: Path) -> None:
    """Each row that a killed process said was sent or done is so afterwards."""
    Journal.create(path, HEADER).close()
    reported: list[list[str]] = []
    for lines in (50, 400):
        with start(WORKER, path) as worker:
            assert worker.stdout is not None
            reported += [worker.stdout.readline().split() for _ in range(lines)]
            worker.send_signal(signal.SIGKILL)
            # The last line may be half a line.
            reported += [line.split() for line in worker.stdout if line.endswith("\n")]

    with Journal.open(path) as journal:
        rows = {row.row_id: row for row in await journal.rows(limit=1_000_000)}
        assert await journal.check() == []

    assert {row_id for _, row_id in reported} <= rows.keys()
    done = {row_id for state, row_id in reported if state == "done"}
    assert {rows[row_id].state for row_id in done} == {State.CREATED}


async def test_an_outcome_on_its_way_is_not_lost(path: Path) -> None:
    """An outcome that nobody awaits is written, even if its await is cancelled."""
    with Journal.create(path, HEADER) as journal:
        await journal.intend(an_intent(1))
        await journal.intend(an_intent(2))
        journal.complete(a_success(1))  # type: ignore[unused-awaitable]  # on purpose
        asyncio.ensure_future(journal.complete(a_success(2))).cancel()

    with Journal.open(path) as journal:
        assert (await journal.counts())[State.CREATED] == 2


def test_a_journal_outlives_its_event_loop(path: Path) -> None:
    """What one loop left behind, the next one finds, in the same journal."""

    async def leave() -> None:
        await journal.intend(an_intent(1))
        journal.complete(a_success(1))  # type: ignore[unused-awaitable]  # on purpose

    with Journal.create(path, HEADER) as journal:
        asyncio.run(leave())
        found = asyncio.run(journal.lookup(["order-1"]))

    assert found["order-1"].state is State.CREATED


STARVED = """
    import asyncio, resource, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    async def main():
        journal = Journal.open(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for number in range(1, 10_000):
            try:
                await journal.intend(Intent(f"order-{number}", number, bytes(16), 0.0))
            except JournalError as error:
                print(number - 1, error)
                break
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        failure = RowResult("order-1", State.REJECTED)
        for ask in (journal.counts(), journal.complete(failure)):
            try:
                await ask
            except JournalError as error:
                print("still", error)
        journal.close()

    asyncio.run(main())
"""


async def test_a_failing_disk_ends_everything(path: Path) -> None:
    """Once a write has failed nothing more is said to be durable; what was, is."""
    Journal.create(path, HEADER).close()
    with start(STARVED, path) as worker:
        assert worker.stdout is not None
        (number, reason), *later = (line.split(" ", 1) for line in worker.stdout)

    with Journal.open(path) as journal:
        assert await journal.counts() == dict.fromkeys(State, 0) | {
            State.SENT: int(number)
        }
        assert await journal.check() == []

    assert "I/O error" in reason
    assert later == [["still", reason]] * 2


async def test_a_full_disk_is_named(path: Path) -> None:
    """SQLite's word for a full disk becomes ours, for all who wait."""
    Journal.create(path, HEADER).close()
    connection = Writer.open(JournalFiles(path))
    [(pages,)] = connection.execute("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {pages}").close()
    with Journal(Database(connection)) as journal:
        errors = await asyncio.gather(
            *[journal.intend(an_intent(n)) for n in range(1, 1_000)],
            return_exceptions=True,
        )

    failures = [error for error in errors if error is not None]
    assert failures
    assert errors[-len(failures) :] == failures  # after the first all of them
    assert {str(error) for error in failures} == {
        f"journal {path}: the disk is full; make room, then resume"
    }


# -- refusals ------------------------------------------------------------------------


def refuse(path: Path, reason: str) -> None:
    """Assert that there is no opening *path*, for a reason."""
    with pytest.raises(JournalError, match=reason):
        Journal.open(path)


def test_a_journal_is_never_replaced(path: Path) -> None:
    """To create a journal where there is something changes nothing."""
    made(path, 1)
    before = path.read_bytes()

    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path, HEADER)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_journal_needs_a_folder(path: Path) -> None:
    """A folder that is missing is a reason, and not a traceback."""
    with pytest.raises(JournalError, match="cannot be made there"):
        Journal.create(path / "missing", HEADER)


def test_a_missing_journal_is_refused(path: Path) -> None:
    """To open does not create."""
    refuse(path, "cannot be read")

    assert list(path.parent.iterdir()) == []


def test_a_symbolic_link_is_refused(path: Path) -> None:
    """A link could lead anywhere."""
    made(path, 1)
    link = path.with_name("link")
    link.symlink_to(path)

    refuse(link, "symbolic link")


def test_a_folder_is_refused(path: Path) -> None:
    """A folder is not a journal."""
    refuse(path.parent, "not a file")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_journal_open_to_others_is_refused(path: Path, mode: int) -> None:
    """What others can read or write is not trusted."""
    made(path, 1)
    path.chmod(mode)

    refuse(path, "open to others")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_journal_is_refused(path: Path) -> None:
    """What another user owns is not trusted."""
    made(path, 1)
    os.chown(path, 65_534, 65_534)

    refuse(path, "another user")


@pytest.mark.parametrize("content", [b"", b"id,amount\n1,4999\n", b"\0" * 8192])
def test_a_foreign_file_is_refused(path: Path, content: bytes) -> None:
    """What was never a database is no journal, and is left as it is."""
    lay(path, content)

    refuse(path, "not a journal")

    assert path.read_bytes() == content


def test_a_foreign_database_is_refused(path: Path) -> None:
    """Another program's database is no journal, nor is it written off."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows (row_id)")

    refuse(path, "not a journal")
    with pytest.raises(JournalError, match="not a journal"):
        damaged_header(path)


@pytest.mark.parametrize("opening", [Journal.open, Journal.read, damaged_header])
@pytest.mark.parametrize(
    ("version", "reason"),
    [(99, "newer version"), (0, "no version 0"), (-1, "no version -1")],
)
def test_another_schema_is_refused(
    path: Path, opening: Callable[[Path], object], version: int, reason: str
) -> None:
    """A journal of a newer version, or of none that there was, is not guessed at."""
    made(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")

    with pytest.raises(JournalError, match=reason):
        opening(path)


def test_a_journal_without_a_job_is_refused(path: Path) -> None:
    """A file that does not say what its job is cannot be compared to one."""
    made(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM job")

    refuse(path, "cannot be used")


def test_a_journal_is_opened_once(path: Path) -> None:
    """A second opener is refused until the first has closed; twice does no harm."""
    with Journal.create(path, HEADER) as journal:
        refuse(path, "another process works on this job")
        journal.close()
        Journal.open(path).close()


HOLDER = """
    import signal, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import Journal

    journal = Journal.open(Path(sys.argv[1]))
    print("open", flush=True)
    signal.pause()
"""


def test_a_journal_is_opened_by_one_process(path: Path) -> None:
    """Another process keeps us out, and its death lets us in."""
    Journal.create(path, HEADER).close()
    with start(HOLDER, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"

        refuse(path, "another process works on this job")
        refuse(path, "another process works on this job")

        holder.kill()
        holder.wait()
        Journal.open(path).close()


def test_a_refused_opener_does_not_break_the_lock(path: Path) -> None:
    """That we were refused in this process does not let another process in."""
    with Journal.create(path, HEADER):
        refuse(path, "another process works on this job")
        with start(HOLDER.replace("journal =", "_ ="), path) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == ""


async def test_a_closed_journal_does_nothing(path: Path) -> None:
    """What is asked of a closed journal is refused at once."""
    async with Journal.create(path, HEADER) as journal:
        pass

    with pytest.raises(JournalError, match="is closed"):
        await journal.intend(an_intent(1))
    with pytest.raises(JournalError, match="is closed"):
        await journal.complete(a_success(1))


@pytest.mark.parametrize(
    ("state", "session_id"), [(State.SENT, "session-1"), (State.CREATED, None)]
)
def test_a_result_says_what_happened(state: State, session_id: str | None) -> None:
    """No row ends as under way, nor as done without a session."""
    with pytest.raises(ValueError, match="a row"):
        RowResult("order-1", state, session_id)


# -- contents ------------------------------------------------------------------------


async def test_the_job_is_remembered(path: Path) -> None:
    """The header comes back as it was, with the total once that is set."""
    with Journal.create(path, HEADER) as journal:
        await journal.set_total(17)
        assert journal.header.total == 17

    with Journal.open(path) as journal:
        assert journal.header == attrs.evolve(HEADER, total=17)


async def test_links_of_many_kinds_come_back(path: Path) -> None:
    """A link is kept word for word, whatever it begins with."""
    ends = [
        attrs.evolve(a_success(n), url=f"https://{n % 150}.example.com/session-{n}")
        for n in range(1, 251)
    ]
    with Journal.create(path, HEADER) as journal:
        await asyncio.gather(*[journal.intend(an_intent(n)) for n in range(1, 251)])
        await asyncio.gather(*[journal.complete(end) for end in ends])
        rows = await journal.rows()

    assert [row.url for row in rows] == [end.url for end in ends]


async def test_half_a_character_does_no_harm(path: Path) -> None:
    """The gateway's words may hold what no file can."""
    with Journal.create(path, HEADER) as journal:
        await journal.intend(an_intent(1))
        await journal.complete(
            RowResult("order-1", State.REJECTED, message="no \ud83d")
        )
        [row] = await journal.rows()

    assert row.message == "no ?"


DAMAGES = {
    "are in no known state: 1": "UPDATE rows SET state = 'lost' WHERE position = 1",
    "were never attempted: 1": "UPDATE rows SET attempts = 0 WHERE position = 1",
    "have a broken fingerprint: 9": "UPDATE rows SET fingerprint = x'00'",
    "are created without a session id: 1": (
        "UPDATE rows SET session_id = NULL WHERE position = 1"
    ),
    "were completed at no time: 9": "UPDATE rows SET completed = NULL",
    "have a link that is lost: 9": "DELETE FROM heads",
    "share their session id: 2": (
        "UPDATE rows SET session_id = 'session-1' WHERE position = 2"
    ),
}


@pytest.mark.parametrize(("words", "sql"), DAMAGES.items(), ids=DAMAGES)
async def test_a_broken_rule_is_reported(path: Path, words: str, sql: str) -> None:
    """What cannot be is found, counted and named; all the rest is sound."""
    with Journal.create(path, HEADER) as journal:
        await fill(journal, 9)
        assert await journal.check() == []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)

    with Journal.read(path) as journal:
        assert await journal.check() == [f"rows that {words}"]
    if "share" in words:  # a gateway can do that, and the job has to go on
        Journal.open(path).close()
    else:
        refuse(path, f"rows that {words}")


async def test_a_damaged_file_is_reported(path: Path, image: bytes) -> None:
    """What SQLite finds wrong is reported, and the rules are not tried."""
    lay(path, image.replace(b"order-100", b"order-555"))  # in both trees

    with Journal.read(path) as journal:
        wrong = await journal.check()
    refuse(path, "is damaged")

    assert wrong
    assert not any(line.startswith("rows that") for line in wrong)


async def test_an_unreadable_page_is_reported(path: Path, image: bytes) -> None:
    """Where SQLite cannot read on, that is the error."""
    page = image.index(b"order-100") // 4096 * 4096
    lay(path, image[:page] + bytes(4096) + image[page + 4096 :])

    with Journal.read(path) as journal, pytest.raises(JournalError, match="damaged"):
        await journal.check()
    refuse(path, "the file is damaged")


async def test_only_documented_fields_are_on_the_disk(path: Path) -> None:
    """Take away what is documented, and no text is left in the file and its WAL."""
    failure = RowResult("order-9", State.REJECTED, code="ServerError", message="odd")
    with Journal.create(path, HEADER) as journal:
        await fill(journal, 8)
        await journal.intend(an_intent(9))
        await journal.complete(failure)
        rows = await journal.rows()
        file = path.read_bytes()  # noqa: ASYNC240 -- nothing else runs
        wal = path.with_name(f"{path.name}-wal").read_bytes()
        frames = [wal[start : start + 4120] for start in range(32, len(wal), 4120)]
        # A frame is a page behind 24 bytes, some of which are random.
        content = b"".join([file, *(frame[24:] for frame in frames)])
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema"
        )
        known = {value for line in schema for value in line}
    for row in rows:
        known.update(attrs.astuple(row))
    known.update(attrs.astuple(HEADER), State, [LINK])

    for value in sorted(map(as_bytes, known), key=len, reverse=True):
        content = content.replace(value, b"\0") if value else content

    assert set(re.findall(rb"[ -~]{5,}", content)) == {b"SQLite format 3"}


def as_bytes(value: object) -> bytes:
    """Return *value* as SQLite stores it, if that is text or bytes."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""


def test_no_one_else_can_read_it(path: Path) -> None:
    """Every file of an open journal has mode 0600, and a closed one is one file."""
    mask = os.umask(0)
    try:
        with Journal.create(path, HEADER):
            modes = {file.name: file.stat().st_mode for file in path.parent.iterdir()}
    finally:
        os.umask(mask)

    names = [path.name, f"{path.name}-wal", f"{path.name}-mark"]
    assert modes == dict.fromkeys(names, 0o100600)
    assert list(path.parent.iterdir()) == [path]


def test_links_and_salts_stay_out_of_reprs() -> None:
    """A repr may be pasted into a ticket."""
    shown = f"{HEADER} {a_success(1)}"

    assert "salt" not in shown
    assert LINK not in shown


async def test_a_row_is_small(path: Path) -> None:
    """At 22 characters of session id and 60 of link, a row takes 160 bytes at most."""
    taken = await measure(path, rows=5_000, tasks=256)

    assert taken.size / 5_000 <= 160
