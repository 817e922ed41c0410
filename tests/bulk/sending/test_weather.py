"""What `create_many` bears, for how long, and how it ends: without a second of time."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import an_order
from scripted import DONE, StillRuntime, scripted_factory
from weather import (
    UNKNOWN_HOST,
    UNREACHABLE,
    UNTRUSTED,
    Weather,
    WeatheredGateway,
    busy,
)

from convergegate_async import (
    CallError,
    ConfigurationError,
    FailureKind,
    NotSentError,
    RateLimitedError,
    RetryPolicy,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks
from convergegate_async.bulk import NotSent, Rejected, RowOutcome, create_many
from convergegate_async.bulk.sending.pace import LAST_PROBE

ROWS = 40
QUARTER = 900.0

CANNOT_CONNECT = [
    Failure(kind=kind, sent=False)
    for kind in (
        FailureKind.UNKNOWN_HOST,
        FailureKind.CERTIFICATE,
        FailureKind.PROXY_REFUSAL,
        FailureKind.ADDRESS,
    )
]


class SlowToAnswer(WeatheredGateway):
    """Fails at once, and takes some turns of the loop to answer."""

    def __init__(self, weather: Weather) -> None:
        self.still = StillRuntime()
        super().__init__(weather, self.still)

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer as the weather allows it."""
        answer = await super().send(request, patience, marks)
        if isinstance(answer, HttpResponse):
            for _ in range(100):
                await asyncio.sleep(0)
        return answer


class Run:
    """One run of `create_many`, to its end, whatever that is.

    Attributes:
        outcomes: What was yielded.
        error: What was raised at the end.
        seconds: How long it took, by the clock that only sleeping moves.
    """

    def __init__(self, weather: Weather, **options: float) -> None:
        self.still = StillRuntime()
        self.gateway = WeatheredGateway(weather, self.still)
        self.outcomes: list[RowOutcome] = []
        self.error: CallError | None = None
        self._options = {"concurrency": 1, **options}

    async def __call__(self, rows: int = ROWS) -> "Run":
        """Make it."""
        began = self.still.time
        policy = RetryPolicy(max_attempts=1)
        async with scripted_factory(self.gateway, self.still, retry=policy) as checkout:
            orders = [an_order(amount=number) for number in range(1, rows + 1)]
            try:
                async for outcome in create_many(checkout, orders, **self._options):  # type: ignore[arg-type]  # numbers
                    self.outcomes.append(outcome)
            except CallError as error:
                self.error = error
        self.seconds = self.still.time - began
        return self


# -- what no time can mend -------------------------------------------------------------


@pytest.mark.parametrize("failure", CANNOT_CONNECT, ids=lambda one: one.kind)
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_gateway_that_cannot_be_called_ends_it(
    concurrency: int, failure: Failure
) -> None:
    """After three such failures in a row no further row is begun, and none waits."""
    run = await Run(lambda *_: failure, concurrency=concurrency)()

    assert isinstance(run.error, NotSentError)
    assert run.error.failure is failure.kind
    assert 3 <= len(run.gateway.keys) < 3 + concurrency
    assert len(run.outcomes) == len(run.gateway.keys)
    assert run.seconds == 0


async def test_two_such_failures_are_none_yet() -> None:
    """A row that is answered between them shows that the gateway can be called."""
    run = await Run(lambda number, _: None if number % 3 == 0 else UNTRUSTED)()

    assert run.error is None
    assert len(run.outcomes) == ROWS


async def test_bad_servers_are_found_out_before_good_ones_answer() -> None:
    """Three failures of eight rows at once end nothing while five may be answered."""
    gateway = SlowToAnswer(lambda number, _: UNTRUSTED if number in (2, 5, 8) else None)
    async with scripted_factory(gateway, gateway.still) as checkout:
        orders = [an_order(amount=number) for number in range(1, ROWS + 1)]
        outcomes = [one async for one in create_many(checkout, orders, concurrency=8)]

    assert [type(one) for one in outcomes[:3]] == [NotSent] * 3
    assert len(outcomes) == ROWS


@pytest.mark.parametrize("failure", [UNKNOWN_HOST, UNTRUSTED, UNREACHABLE])
async def test_once_something_was_answered_it_is_an_outage(failure: Failure) -> None:
    """Rows are probed for as long as is borne, and the last error is raised then."""
    run = await Run(lambda number, _: failure if number > 1 else None)(rows=1_000)

    assert isinstance(run.error, NotSentError)
    assert run.error.failure is failure.kind
    assert run.seconds == pytest.approx(QUARTER)
    assert len(run.gateway.keys) < 1 + 20 + 4 + QUARTER / LAST_PROBE + 2


async def test_refused_connections_are_an_outage_from_the_first_row_on() -> None:
    """They say that something is down, and not that the address is wrong."""
    run = await Run(lambda *_: UNREACHABLE, max_outage=100)(rows=1_000)

    assert isinstance(run.error, NotSentError)
    assert run.seconds == pytest.approx(100)


async def test_an_outage_that_ends_in_time_is_survived() -> None:
    """Two minutes without DNS cost the rows that probed, and no others."""
    run = await Run(lambda _, now: UNKNOWN_HOST if 0 < now < 120 else None)(rows=1)
    assert run.error is None

    def weather(number: int, now: float) -> Failure | None:
        return UNKNOWN_HOST if number > 5 and now < 120 else None

    run = await Run(weather)(rows=200)

    assert run.error is None
    lost = [one for one in run.outcomes if isinstance(one, NotSent)]
    assert 20 <= len(lost) <= 26
    assert 120 <= run.seconds <= 120 + LAST_PROBE


# -- what the gateway asks for ---------------------------------------------------------


@pytest.mark.parametrize("retry_after", [301, 86_400, 277_403])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_too_long_a_pause_ends_it_at_once(
    retry_after: int, concurrency: int
) -> None:
    """`Retry-After: 277403` holds nothing for three days: it is raised, and told."""
    run = await Run(
        lambda number, _: busy(retry_after) if number == 1 else None,
        concurrency=concurrency,
    )()

    assert isinstance(run.error, RateLimitedError)
    assert run.error.retry_after == retry_after
    assert run.seconds == 0
    assert len(run.outcomes) == len(run.gateway.keys) <= concurrency


async def test_a_pause_that_a_call_could_wait_out_ends_it_as_well() -> None:
    """What fits the deadline of a call may be more than the job bears."""
    run = Run(lambda number, _: busy(20) if number == 1 else None, max_pause=10)
    async with scripted_factory(run.gateway, run.still) as checkout:
        made = create_many(checkout, [an_order()] * 5, concurrency=1, max_pause=10)
        with pytest.raises(RateLimitedError, match="asked for 20 s") as caught:
            run.outcomes = [outcome async for outcome in made]

    assert caught.value.retry_after == 20
    assert len(run.gateway.keys) == 2


async def test_a_pause_beside_a_refusal_of_one_row_holds_nobody() -> None:
    """A 400 with a `Retry-After` of a day is about that row alone."""
    run = await Run(lambda number, _: busy(86_400, 400) if number == 3 else None)()

    assert (run.error, run.seconds) == (None, 0)
    assert [type(outcome) for outcome in run.outcomes].count(Rejected) == 1
    assert len(run.outcomes) == ROWS


async def test_a_pause_within_bounds_is_obeyed() -> None:
    """300 seconds are borne by default, and nothing is sent in them."""
    run = await Run(lambda number, _: busy(300) if number == 1 else None)()

    assert run.error is None
    assert run.seconds == 300
    assert len(run.gateway.keys) == ROWS


async def test_pauses_without_end_end_it() -> None:
    """One pause after the other, and nothing in between, is one long pause."""
    run = await Run(lambda *_: busy(31))(rows=100)

    assert isinstance(run.error, RateLimitedError)
    assert 300 - 31 <= run.seconds <= 300


async def test_pauses_between_which_something_gets_through_are_borne() -> None:
    """A gateway that rations is a gateway that works."""
    run = await Run(lambda number, _: busy(60) if number % 2 else None)(rows=60)

    assert run.error is None
    assert len(run.outcomes) == 60


async def test_a_pause_is_no_part_of_an_outage() -> None:
    """What the gateway asked for is not held against it."""

    def weather(number: int, _: float) -> object:
        return UNREACHABLE if number == 1 else busy(200) if number == 2 else None

    run = await Run(weather, max_outage=100)()  # type: ignore[arg-type]  # what befalls

    assert run.error is None
    assert len(run.outcomes) == ROWS


async def test_refusals_without_a_hint_are_not_hammered_at() -> None:
    """429 after 429 opens the breaker, and is borne no longer than an outage."""
    run = await Run(lambda *_: busy())(rows=10_000)

    assert isinstance(run.error, RateLimitedError)
    assert run.seconds == pytest.approx(QUARTER)
    assert len(run.gateway.keys) < 20 + 4 + QUARTER / LAST_PROBE + 2


@given(
    weather=st.lists(
        st.sampled_from(
            [DONE, busy(), busy(1), busy(40), busy(400), busy(40, 503), UNTRUSTED]
        ),
        max_size=60,
    ),
    concurrency=st.integers(1, 8),
)
async def test_whatever_the_weather_it_ends(
    weather: list[object], concurrency: int
) -> None:
    """Each row is yielded once at most; all are, or an error says why not."""
    run = await Run(
        lambda number, _: weather[number % len(weather)] if weather else None,  # type: ignore[arg-type,return-value]  # what befalls
        concurrency=concurrency,
    )(rows=80)

    indexes = [outcome.index for outcome in run.outcomes]
    assert len(set(indexes)) == len(indexes)
    assert len(indexes) == 80 or run.error is not None


@pytest.mark.parametrize("name", ["max_pause", "max_outage"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True])
async def test_a_bound_that_is_none_is_refused(name: str, value: float) -> None:
    """Before anything is sent."""
    run = Run(lambda *_: None)
    async with scripted_factory(run.gateway) as checkout:
        with pytest.raises(ConfigurationError, match=name):
            async for _ in create_many(checkout, [an_order()], **{name: value}):  # type: ignore[arg-type]  # wrong on purpose
                pass
    assert run.gateway.keys == []


# -- what is said ----------------------------------------------------------------------


async def test_the_log_says_why_nothing_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An outage, its end, and a long pause are warnings, each said once."""
    caplog.set_level(logging.WARNING)

    def weather(number: int, now: float) -> object:
        if number == 1:
            return busy(45)
        return UNREACHABLE if number > 3 and now < 100 else None

    await Run(weather)(rows=60)  # type: ignore[arg-type]  # what befalls

    asked, stuck, freed = [record.getMessage() for record in caplog.records]
    assert asked == "the gateway asked for 45 s: all rows wait"
    assert "the gateway could not be reached" in stuck
    assert "the next row is sent in 5 s" in stuck
    assert freed == "the gateway can be reached again: all rows go on"
