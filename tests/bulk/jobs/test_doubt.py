"""A row that was ever sent and not answered is in doubt until its session is found."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import ORDER_FIELDS, an_order
from thread_runner import ThreadRunner

from convergegate_async import (
    ApiError,
    AuthenticationError,
    ConflictError,
    DeclinedError,
    InvalidFieldError,
    InvalidRequestError,
    NotSentError,
    PermissionDeniedError,
    RateLimitedError,
)
from convergegate_async.bulk import (
    Created,
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalRow,
    NotSent,
    OnUnknown,
    Rejected,
    ResumeRules,
    RowOutcome,
    State,
    Unknown,
    new_header,
)
from convergegate_async.bulk.jobs.row_results import outcome_result, row_outcome
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

REPEATS = ResumeRules(on_unknown=OnUnknown.REPEAT, keys_honoured=True)


def write_lines(path: Path, rows: int, **changes: object) -> str:
    """Write an input of so many *rows*; *changes* are made to all of them."""
    lines = [
        json.dumps(
            {"id": f"order-{number}", **ORDER_FIELDS, "amount": number, **changes}
        )
        for number in range(1, rows + 1)
    ]
    path.write_text("\n".join(lines))
    return str(path)


class Shop:
    """One job over several runs, each in its own `Job`."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = JobFolder("april", folder)
        self.source = str(folder / "orders.jsonl")
        plan = JobPlan(source=self.source)
        Journal.create(
            self.folder.journal, new_header(sandbox.factory(), "april", plan)
        ).close()

    async def run(
        self, rules: ResumeRules | None = None, *, elsewhere: bool = False
    ) -> tuple[Job, list[RowOutcome], Path | None]:
        """Run the job once; return it, its outcomes, and where dead letters are."""
        plan = JobPlan(source=self.source, rules=rules or ResumeRules(), concurrency=4)
        with Journal.open(self.folder.journal) as journal:
            async with self.sandbox.factory() as checkout:
                job = Job(journal, checkout, plan, self.folder)
                made = job.run_on(ThreadRunner()) if elsewhere else job.run()
                outcomes = [outcome async for outcome in made]
                return job, outcomes, await job.write_dead_letters()

    async def rows(self) -> list[JournalRow]:
        """Return what the journal knows."""
        with Journal.open(self.folder.journal) as journal:
            return await journal.rows()


@pytest.fixture
def shop(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A job of three rows whose answers are lost in its first run."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    write_lines(tmp_path / "orders.jsonl", 3)
    sandbox.faults.add(Fault(FaultKind.LOST, times=3))
    return Shop(sandbox, tmp_path)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["local", "runner"])
@pytest.mark.parametrize("status", [400, 402, 404, 422])
async def test_a_refusal_does_not_end_the_doubt(
    *, shop: Shop, status: int, elsewhere: bool
) -> None:
    """Lost, repeated and refused, a row is unknown, with the refusal beside it."""
    await shop.run()
    shop.sandbox.faults.add(Fault(FaultKind.STATUS, status=status))

    job, outcomes, letters = await shop.run(REPEATS, elsewhere=elsewhere)

    assert [type(outcome) for outcome in outcomes] == [Unknown] * 3
    assert (job.tally.unknown, job.tally.rejected) == (3, 0)
    assert letters is None
    for row in await shop.rows():
        assert (row.state, row.http_status) == (State.UNKNOWN, status)
        assert row.code != "OutcomeUnknownError"
        assert "on purpose" in str(row.message) or str(status) in str(row.message)
    assert [outcome.error.http_status for outcome in outcomes] == [status] * 3  # type: ignore[union-attr]  # all are Unknown
    assert len(shop.sandbox.book.sessions) == 3


async def test_a_row_in_doubt_stays_so_over_any_number_of_runs(shop: Shop) -> None:
    """Refused twice, it is no dead letter; its session ends the doubt."""
    await shop.run()
    for _ in range(2):
        shop.sandbox.faults.add(Fault(FaultKind.STATUS, status=400))
        _, _, letters = await shop.run(
            ResumeRules(keys_honoured=True, retries_failed=True)
        )
        assert letters is None
        shop.sandbox.faults.clear()

    _, outcomes, letters = await shop.run(REPEATS)

    assert [type(outcome) for outcome in outcomes] == [Created] * 3
    assert {row.state for row in await shop.rows()} == {State.CREATED}
    assert (len(shop.sandbox.book.sessions), letters) == (3, None)


async def test_a_row_in_doubt_that_was_spoilt_is_no_dead_letter(shop: Shop) -> None:
    """A row that cannot be read any more is not fed to another job, either."""
    await shop.run()
    write_lines(Path(shop.source), 3, currency="złoty")

    job, _, letters = await shop.run(REPEATS)

    assert job.tally.invalid == 3
    assert letters is None


async def test_a_row_with_a_session_that_was_spoilt_is_no_dead_letter(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Mended and sent by another job, it would open a second session."""
    shop = Shop(sandbox, tmp_path)
    write_lines(tmp_path / "orders.jsonl", 1)
    await shop.run()
    write_lines(tmp_path / "orders.jsonl", 2, currency="złoty")

    _, _, letters = await shop.run()

    assert letters is not None
    assert [json.loads(line)["id"] for line in letters.read_text().splitlines()] == [
        "order-2"
    ]


def known_as(state: State) -> JournalRow:
    """Return a row that the journal knows in that state."""
    return JournalRow(
        row_id="order-1",
        position=1,
        fingerprint=bytes(16),
        state=state,
        attempts=1,
        sent_at=0.0,
    )


ERRORS = st.sampled_from(
    [
        InvalidRequestError,
        DeclinedError,
        ConflictError,
        PermissionDeniedError,
        AuthenticationError,
        RateLimitedError,
        ApiError,
    ]
).map(lambda kind: kind(operation="create", reason="HTTP 400", http_status=400))


@given(
    error=ERRORS | st.just(InvalidFieldError("expires_at", "must be later")),
    state=st.none() | st.sampled_from(State),
)
def test_what_a_refusal_says_of_a_row(
    error: ApiError | InvalidFieldError, state: State | None
) -> None:
    """Only of a row that was never in doubt it says that there is no session."""
    outcome = Rejected(index=0, request=an_order(), idempotency_key="k", error=error)
    known = None if state is None else known_as(state)

    final = row_outcome(known, outcome)
    result = outcome_result("order-1", outcome, known)

    in_doubt = state in (State.SENT, State.UNKNOWN)
    assert isinstance(final, Unknown) is in_doubt
    assert result.state is (State.UNKNOWN if in_doubt else State.REJECTED)
    assert result.code == type(error).__name__
    assert result.http_status == getattr(error, "http_status", None)
    if in_doubt:
        assert final.error.http_status == result.http_status  # type: ignore[union-attr]  # it is Unknown
        assert final.idempotency_key == "k"


def test_what_was_not_sent_now_was_sent_before() -> None:
    """Of a row in doubt even the proof of this run does not say that it has none."""
    error = NotSentError(operation="create", reason="refused", attempts=2)
    outcome = NotSent(index=0, request=an_order(), idempotency_key="k", error=error)

    final = row_outcome(known_as(State.UNKNOWN), outcome)

    assert isinstance(final, Unknown)
    assert "was not sent" in str(final.error)
    assert final.error.attempts == 2
    assert row_outcome(None, outcome) is outcome
