"""How a job's speed follows the gateway: pure values, driven by a made-up clock."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import an_order

from convergegate_async import (
    AttemptInfo,
    CheckoutSession,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    PhaseTimings,
)
from convergegate_async.bulk import Limits, RowOutcome
from convergegate_async.bulk.sending.outcomes import Numbered, outcome_of
from convergegate_async.bulk.sending.pace import (
    FIRST_LIMIT,
    FIRST_PROBE,
    LAST_PROBE,
    MOST_UNKNOWN,
    SHRINKS_EVERY,
    STUCK_IN_A_ROW,
    CircuitBreaker,
    ConcurrencyLimit,
    Pace,
)

ITEM = Numbered(0, an_order(), None)
CREATED = outcome_of(ITEM, CheckoutSession(id="s1"))
UNSENT = outcome_of(
    ITEM,
    NotSentError(operation="create", reason="x", attempts=1, elapsed=0.0),
)
UNKNOWN = outcome_of(
    ITEM,
    OutcomeUnknownError(
        operation="create", reason="x", attempts=1, elapsed=0.0, phase="sent"
    ),
)
PATIENT = Limits(concurrency=64)
EVENTS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=200)


def throttled(retry_after: float | None = None) -> AttemptInfo:
    """Return what a 429 shows."""
    return AttemptInfo(
        operation="create",
        method="POST",
        path="/v1/checkout/sessions",
        server_address="gateway.example",
        server_port=443,
        elapsed=0.1,
        ended_at=0.1,
        attempt=1,
        outcome=Outcome.REJECTED,
        http_status=429,
        retry_after=retry_after,
        failure=None,
        timings=PhaseTimings(),
    )


@given(ceiling=st.integers(1, 1_000), events=EVENTS)
def test_a_limit_stays_between_one_and_its_ceiling(
    ceiling: int, events: list[tuple[bool, float]]
) -> None:
    """Whatever happens, at least one row is under way and never more than allowed."""
    limit, now = ConcurrencyLimit(ceiling), 0.0

    for succeeded, seconds in events:
        now += seconds
        if succeeded:
            limit.grow()
        else:
            limit.shrink(now)
        assert 1 <= limit.size <= ceiling


def test_a_limit_starts_small_and_doubles_until_it_is_pushed_back() -> None:
    """Each success adds one more at first, and one more for a whole round later."""
    limit = ConcurrencyLimit(1_000)
    for _ in range(FIRST_LIMIT):
        limit.grow()
    assert limit.size == 2 * FIRST_LIMIT

    limit.shrink(0.0)
    before = limit.size
    for _ in range(before + 1):
        limit.grow()

    assert limit.size == before + 1


@pytest.mark.parametrize("refusals", [1, 10])
def test_what_strays_took_is_given_back_soon(refusals: int) -> None:
    """Refused once or ten times at its start, it is at 64 after some 800 successes."""
    limit, successes = ConcurrencyLimit(64), 0
    for number in range(refusals):
        limit.shrink(number * SHRINKS_EVERY)

    while limit.size < 64:
        limit.grow()
        successes += 1

    assert successes < 800  # one more for a round only would take some 2,000


def test_a_limit_is_felt_for_as_long_as_it_is_there() -> None:
    """Where more than 64 at once are refused, fewer than one in 100 is."""
    limit, now, refused, successes = ConcurrencyLimit(1_000), 0.0, 0, 0
    for _ in range(2_000):  # rounds of a fifth of a second
        now += 2 * SHRINKS_EVERY
        fit = min(limit.size, 64)
        refused += limit.size - fit
        successes += fit
        if limit.size > fit:
            limit.shrink(now)
        for _ in range(fit):
            limit.grow()

    assert successes > 0.9 * 64 * 2_000
    assert refused < successes / 100


def test_one_jam_counts_once() -> None:
    """Many refusals within a round trip shrink the limit by one step."""
    limit = ConcurrencyLimit(100)
    for _ in range(100):
        limit.grow()

    for _ in range(50):
        limit.shrink(1.0)
    once = limit.size
    limit.shrink(1.0 + SHRINKS_EVERY)

    assert (once, limit.size) == (90, 81)


def test_a_hint_holds_every_row() -> None:
    """One ``Retry-After`` is waited out by all, and a shorter one does not end it."""
    pace = Pace(Limits(concurrency=10))

    pace.note_attempt(throttled(retry_after=5.0), 100.0)
    pace.note_attempt(throttled(retry_after=1.0), 100.0)

    assert pace.wait(101.0) == 4.0
    assert pace.wait(105.0) == 0.0


@given(
    rate=st.floats(0.1, 10_000),
    gaps=st.lists(st.floats(0, 0.01), min_size=2, max_size=300),
)
def test_starts_never_come_faster_than_the_rate(rate: float, gaps: list[float]) -> None:
    """Between two starts there is at least the interval, however they are asked for."""
    pace, now = Pace(Limits(maximum_rps=rate)), 50.0
    starts: list[float] = []

    for gap in gaps:
        now += gap
        starts.append(now + pace.reserve(now))

    assert all(later - start >= 1 / rate - 1e-9 for start, later in pairwise(starts))


def drive(
    breaker: CircuitBreaker, outcomes: list[RowOutcome], now: float = 0.0
) -> None:
    """Let *breaker* learn of *outcomes*."""
    for outcome in outcomes:
        breaker.note(outcome, now)


def test_a_gateway_that_cannot_be_reached_opens_the_breaker() -> None:
    """Twenty rows in a row that could not be sent are enough."""
    breaker = CircuitBreaker()

    drive(breaker, [UNSENT] * (STUCK_IN_A_ROW - 1))
    before = breaker.is_open
    drive(breaker, [UNSENT])

    assert (before, breaker.is_open) == (False, True)
    assert breaker.wait(0.0) == FIRST_PROBE


def test_half_of_the_rows_unknown_opens_the_breaker() -> None:
    """To go on would only make more rows that somebody has to look after."""
    breaker = CircuitBreaker()

    drive(breaker, [CREATED, UNKNOWN] * MOST_UNKNOWN)

    assert breaker.is_open


def test_an_open_breaker_lets_one_row_probe_ever_more_rarely() -> None:
    """Probes are 5 to 60 seconds apart, one row at a time."""
    pace, now, waits = Pace(PATIENT), 0.0, []
    for _ in range(STUCK_IN_A_ROW):
        pace.note(UNSENT, now)

    for _ in range(6):
        waits.append(pace.wait(now))
        now += pace.wait(now)
        pace.breaker.let_through()
        pace.note(UNSENT, now)

    assert pace.workers == 1
    assert waits == [5, 10, 20, 40, LAST_PROBE, LAST_PROBE]


def test_of_many_workers_that_wait_one_probes() -> None:
    """Rows that were taken before the breaker opened do not all probe at once."""
    pace = Pace(PATIENT)
    for _ in range(STUCK_IN_A_ROW):
        pace.note(UNSENT, 0.0)

    first = pace.wait(FIRST_PROBE)
    pace.breaker.let_through()
    second = pace.wait(FIRST_PROBE)

    assert (first, second) == (0.0, LAST_PROBE)


def test_stragglers_prove_nothing() -> None:
    """Rows that were under way when it opened neither close it nor delay it."""
    breaker = CircuitBreaker()
    drive(breaker, [UNSENT] * STUCK_IN_A_ROW)

    drive(breaker, [UNSENT] * 30 + [CREATED])

    assert (breaker.is_open, breaker.wait(0.0)) == (True, FIRST_PROBE)


def test_an_answer_closes_the_breaker() -> None:
    """The first row that gets through ends the waiting for all."""
    breaker = CircuitBreaker()
    drive(breaker, [UNSENT] * STUCK_IN_A_ROW)
    breaker.let_through()

    drive(breaker, [CREATED])

    assert (breaker.is_open, breaker.wait(0.0)) == (False, 0.0)
