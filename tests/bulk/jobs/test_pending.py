"""Rows that are pending again are taken up again, or left so; never forgotten."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_rows import rows_of
from scripted import LOST, StillRuntime, scripted_factory
from weather import (
    UNKNOWN_HOST,
    UNREACHABLE,
    UNTRUSTED,
    Weather,
    WeatheredGateway,
    busy,
)

from convergegate_async import CallError, NotSentError, RateLimitedError
from convergegate_async._core.idempotency import derive_key
from convergegate_async.bulk import (
    Created,
    Job,
    JobFolder,
    JobPlan,
    Journal,
    ResumeRules,
    RowOutcome,
    State,
    new_header,
    plan_of,
)

ROWS = 30
HONOURED = ResumeRules(keys_honoured=True)


class Run:
    """One run of a job, to its end, whatever that is; the next one goes on with it."""

    def __init__(
        self, folder: Path, weather: Weather, before: "Run | None" = None
    ) -> None:
        self.still: StillRuntime = StillRuntime() if before is None else before.still
        self.gateway = WeatheredGateway(weather, self.still)
        if before is not None:
            self.gateway.sessions = before.gateway.sessions
        self.folder = JobFolder("april", folder)
        self.outcomes: list[RowOutcome] = []
        self.error: CallError | None = None
        self.letters: Path | None = None

    async def __call__(
        self,
        count: int = ROWS,
        *,
        concurrency: int = 1,
        rules: ResumeRules | None = None,
        max_outage: float = 900,
    ) -> "Run":
        """Make it."""
        factory = scripted_factory(self.gateway, self.still)
        plan = JobPlan(
            format="jsonl",
            concurrency=concurrency,
            rules=rules or ResumeRules(),
            max_outage=max_outage,
        )
        if not self.folder.journal.exists():
            header = new_header(factory, "april", plan)
            Journal.create(self.folder.journal, header).close()
        rows = rows_of(count)
        async with factory:
            with Journal.open(self.folder.journal) as journal:
                job = Job(journal, factory, plan, self.folder)
                try:
                    async for outcome in job.run(rows):
                        self.outcomes.append(outcome)
                except CallError as error:
                    self.error = error
                self.tally = job.tally
                self.letters = await job.write_dead_letters()
                self.counts = await journal.counts()
        return self


async def test_a_429_whose_pause_does_not_fit_is_sent_when_it_is_over(
    tmp_path: Path,
) -> None:
    """The row is not rejected: it is sent again in the same run."""
    run = await Run(tmp_path, lambda number, _: busy(31) if number == 3 else None)()

    assert (run.error, run.letters) == (None, None)
    assert run.counts[State.CREATED] == run.tally.created == ROWS
    refused, at = run.gateway.keys[2]
    [later] = [when for key, when in run.gateway.keys[3:] if key == refused]
    assert later >= at + 31


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("spread", [1, 25], ids=["first", "spread"])
async def test_rows_that_are_always_refused_hold_up_nobody(
    concurrency: int, spread: int, tmp_path: Path
) -> None:
    """A gateway that limits some customers gets all others' rows in the same run."""
    stuck = {derive_key("april", f"order-{1 + n * spread}") for n in range(12)}

    run = Run(tmp_path, lambda *_: busy() if run.gateway.keys[-1][0] in stuck else None)
    await run(300, concurrency=concurrency)

    assert isinstance(run.error, RateLimitedError)
    assert run.counts[State.CREATED] == sum(run.counts.values()) == 288
    assert run.tally.not_sent == 12
    rest = await Run(tmp_path, lambda *_: None, run)(300)
    assert rest.counts[State.CREATED] == 300


@pytest.mark.parametrize("bad", [UNKNOWN_HOST, UNREACHABLE, UNTRUSTED, busy()])
async def test_what_could_not_be_sent_is_sent_in_the_same_run(
    bad: object, tmp_path: Path
) -> None:
    """An outage of two minutes in the middle leaves no row for the next run."""

    def weather(number: int, now: float) -> object:
        return bad if number > ROWS // 2 and now < 120 else None

    run = await Run(tmp_path, weather)(concurrency=4)  # type: ignore[arg-type]  # what befalls

    assert (run.error, run.letters) == (None, None)
    assert [type(outcome) for outcome in run.outcomes] == [Created] * ROWS
    assert run.counts[State.CREATED] == ROWS
    assert (run.tally.not_sent, run.tally.is_complete) == (0, True)


async def test_one_bad_certificate_of_three_loses_no_row(tmp_path: Path) -> None:
    """A balancer with one bad backend costs repeats, and no rows."""
    run = await Run(tmp_path, lambda number, _: UNTRUSTED if number % 3 == 0 else None)(
        300, concurrency=8
    )

    assert run.counts[State.CREATED] == 300
    assert len(run.gateway.keys) < 1.6 * 300


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_gateway_that_cannot_be_called_ends_the_job(
    concurrency: int, tmp_path: Path
) -> None:
    """Its rows are pending, each is told once, and the next run sends them all."""
    run = await Run(tmp_path, lambda *_: UNKNOWN_HOST)(concurrency=concurrency)

    assert isinstance(run.error, NotSentError)
    assert len(run.gateway.keys) < 3 + concurrency
    assert sum(run.counts.values()) == 0
    assert run.tally.not_sent == len({outcome.index for outcome in run.outcomes})
    assert (len(run.outcomes), run.tally.answered) == (run.tally.not_sent, 0)

    rest = await Run(tmp_path, lambda *_: None, run)()

    assert rest.counts[State.CREATED] == ROWS


@pytest.mark.parametrize("bad", [UNREACHABLE, busy(), busy(400), busy(31)])
async def test_an_outage_without_end_ends_the_job(bad: object, tmp_path: Path) -> None:
    """What was not done is pending, and neither rejected nor a dead letter."""
    run = await Run(tmp_path, lambda *_: bad)(concurrency=4)  # type: ignore[arg-type]  # what befalls

    assert isinstance(run.error, NotSentError | RateLimitedError)
    assert sum(run.counts.values()) == 0
    assert (run.tally.rejected, run.letters) == (0, None)
    assert run.tally.not_sent == len(run.outcomes) > 0

    rest = await Run(tmp_path, lambda *_: None, run)()

    assert rest.counts[State.CREATED] == ROWS


async def test_a_row_in_doubt_that_was_not_sent_is_repeated(tmp_path: Path) -> None:
    """It may be repeated, so it is taken up again as well; its doubt ends with it."""
    lost = await Run(tmp_path, lambda *_: LOST)(3)
    assert lost.counts[State.UNKNOWN] == 3

    again = await Run(
        tmp_path, lambda number, _: UNREACHABLE if number < 30 else None, lost
    )(3, rules=HONOURED)

    assert again.counts[State.CREATED] == 3


async def test_a_row_in_doubt_stays_so_if_the_job_ends_before(tmp_path: Path) -> None:
    """That it was not sent now does not say that it was not sent before."""
    lost = await Run(tmp_path, lambda *_: LOST)(3)

    again = await Run(tmp_path, lambda *_: UNREACHABLE, lost)(3, rules=HONOURED)

    assert isinstance(again.error, NotSentError)
    assert again.counts[State.UNKNOWN] == 3
    assert (again.tally.unknown, again.tally.not_sent) == (len(again.outcomes), 0)


async def test_a_rejected_row_that_was_sent_at_last_is_no_dead_letter(
    tmp_path: Path,
) -> None:
    """Not sent twice and created then: fed to another job it would be made again."""
    refused = await Run(tmp_path, lambda *_: busy(status=400))(3)
    assert refused.letters is not None

    again = await Run(
        tmp_path, lambda number, _: UNREACHABLE if number < 30 else None, refused
    )(3, rules=ResumeRules(retries_failed=True))

    assert again.counts[State.CREATED] == 3
    assert again.letters is None


async def test_a_rejected_row_that_could_not_be_sent_is_a_dead_letter_still(
    tmp_path: Path,
) -> None:
    """It is what it was before."""
    refused = await Run(tmp_path, lambda *_: busy(status=400))(3)

    again = await Run(tmp_path, lambda *_: UNREACHABLE, refused)(
        3, rules=ResumeRules(retries_failed=True)
    )

    assert again.counts[State.REJECTED] == 3
    assert again.letters is not None
    assert len(again.letters.read_text().splitlines()) == 3


WEATHERS = st.lists(
    st.sampled_from([None, None, None, busy(), busy(40), UNREACHABLE, UNTRUSTED, LOST]),
    min_size=1,
    max_size=40,
)


@settings(max_examples=25)  # each is a job with a journal
@given(weather=WEATHERS, concurrency=st.integers(1, 8))
async def test_no_row_is_lost_or_told_twice(
    weather: list[object],
    concurrency: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """After any weather each row is done, unknown or pending; and is told as that."""
    run = await Run(
        tmp_path_factory.mktemp("job"),
        lambda number, _: weather[number % len(weather)],  # type: ignore[arg-type,return-value]  # what befalls
    )(concurrency=concurrency)

    indexes = [outcome.index for outcome in run.outcomes]
    assert len(set(indexes)) == len(indexes)
    done, unknown = run.counts[State.CREATED], run.counts[State.UNKNOWN]
    assert (run.counts[State.SENT], run.counts[State.REJECTED]) == (0, 0)
    assert (run.tally.created, run.tally.unknown) == (done, unknown)
    assert done + unknown + run.tally.not_sent == len(indexes)
    assert len(indexes) == ROWS or run.error is not None
    keys = {derive_key("april", f"order-{n}") for n in range(1, ROWS + 1)}
    assert {key for key, _ in run.gateway.keys} <= keys
    assert len(run.gateway.sessions) == done


def test_a_plan_of_an_older_version_has_its_bounds() -> None:
    """It was stored without them."""
    factory = scripted_factory(WeatheredGateway(lambda *_: None, StillRuntime()))
    header = new_header(factory, "april", JobPlan())
    stored = header.options.replace(', "max_pause": 300.0, "max_outage": 900.0', "")
    assert stored != header.options
    plan = plan_of(attrs.evolve(header, options=stored), max_outage=60)

    assert (plan.max_pause, plan.max_outage) == (300, 60)
