"""How a job's speed follows the gateway: pure values, driven by a made-up clock."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionRequest,
    NotSentError,
    OutcomeUnknownError,
)
from convergegate_async._core.verdicts import Finding, Ground, Verdict
from convergegate_async.bulk import RowOutcome
from convergegate_async.bulk.sending.outcomes import outcome_of
from convergegate_async.bulk.sending.pace import (
    FIRST_PROBE,
    FIRST_WINDOW,
    LAST_PROBE,
    MOST_UNKNOWN,
    SHRINKS_EVERY,
    UNSENT_IN_A_ROW,
    Gate,
    Pace,
    Window,
)

REQUEST = CheckoutSessionRequest(
    amount=4999,
    currency="pln",
    customer_email="john@example.com",
    customer_firstname="John",
    customer_lastname="Doe",
    customer_phone="+48123456789",
    success_url="https://shop.example/thanks",
)
CREATED = outcome_of(0, REQUEST, None, CheckoutSession(id="s1"))
UNSENT = outcome_of(
    0,
    REQUEST,
    None,
    NotSentError(operation="create", reason="x", attempts=1, elapsed=0.0),
)
UNKNOWN = outcome_of(
    0,
    REQUEST,
    None,
    OutcomeUnknownError(
        operation="create", reason="x", attempts=1, elapsed=0.0, phase="sent"
    ),
)
EVENTS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=200)


def throttled(retry_after: float | None = None) -> Finding:
    """Return what a 429 shows."""
    return Finding(
        verdict=Verdict.REJECTED,
        ground=Ground.THROTTLED,
        reason="HTTP 429",
        http_status=429,
        retry_after=retry_after,
    )


@given(ceiling=st.integers(1, 1_000), events=EVENTS)
def test_a_window_stays_between_one_and_its_ceiling(
    ceiling: int, events: list[tuple[bool, float]]
) -> None:
    """Whatever happens, at least one row is under way and never more than allowed."""
    window, now = Window(ceiling), 0.0

    for succeeded, seconds in events:
        now += seconds
        if succeeded:
            window.grow()
        else:
            window.shrink(now)
        assert 1 <= window.size <= ceiling


def test_a_window_starts_small_and_doubles_until_it_is_pushed_back() -> None:
    """Each success adds one more at first, and one more for a whole window later."""
    window = Window(1_000)
    for _ in range(FIRST_WINDOW):
        window.grow()
    assert window.size == 2 * FIRST_WINDOW

    window.shrink(0.0)
    before = window.size
    for _ in range(before + 1):
        window.grow()

    assert window.size == before + 1


def test_one_jam_counts_once() -> None:
    """Many refusals within a round trip shrink the window by one step."""
    window = Window(100)
    for _ in range(100):
        window.grow()

    for _ in range(50):
        window.shrink(1.0)
    once = window.size
    window.shrink(1.0 + SHRINKS_EVERY)

    assert (once, window.size) == (90, 81)


def test_a_hint_holds_every_row() -> None:
    """One ``Retry-After`` is waited out by all, and a shorter one does not end it."""
    pace = Pace(10)

    pace.hear(throttled(retry_after=5.0), 100.0)
    pace.hear(throttled(retry_after=1.0), 100.0)

    assert pace.wait(101.0) == 4.0
    assert pace.wait(105.0) == 0.0


@given(
    rate=st.floats(0.1, 10_000),
    gaps=st.lists(st.floats(0, 0.01), min_size=2, max_size=300),
)
def test_starts_never_come_faster_than_the_rate(rate: float, gaps: list[float]) -> None:
    """Between two starts there is at least the interval, however they are asked for."""
    pace, now = Pace(100, rate), 50.0
    starts: list[float] = []

    for gap in gaps:
        now += gap
        starts.append(now + pace.reserve(now))

    assert all(later - start >= 1 / rate - 1e-9 for start, later in pairwise(starts))


def drive(gate: Gate, outcomes: list[RowOutcome], now: float = 0.0) -> None:
    """Let *gate* learn of *outcomes*."""
    for outcome in outcomes:
        gate.note(outcome, now)


def test_a_gateway_that_cannot_be_reached_closes_the_gate() -> None:
    """Twenty rows in a row that could not be sent are enough."""
    gate = Gate()

    drive(gate, [UNSENT] * (UNSENT_IN_A_ROW - 1))
    before = gate.is_closed
    drive(gate, [UNSENT])

    assert (before, gate.is_closed) == (False, True)
    assert gate.wait(0.0) == FIRST_PROBE


def test_half_of_the_rows_unknown_closes_the_gate() -> None:
    """To go on would only make more rows that somebody has to look after."""
    gate = Gate()

    drive(gate, [CREATED, UNKNOWN] * MOST_UNKNOWN)

    assert gate.is_closed


def test_a_closed_gate_lets_one_row_look_ever_more_rarely() -> None:
    """Probes are 5 to 60 seconds apart, one row at a time."""
    pace, now, waits = Pace(64), 0.0, []
    for _ in range(UNSENT_IN_A_ROW):
        pace.note(UNSENT, now)

    for _ in range(6):
        waits.append(pace.wait(now))
        now += pace.wait(now)
        pace.gate.pass_through()
        pace.note(UNSENT, now)

    assert pace.workers == 1
    assert waits == [5, 10, 20, 40, LAST_PROBE, LAST_PROBE]


def test_of_many_hands_that_wait_one_goes_to_look() -> None:
    """Rows that were taken before the gate closed do not all probe at once."""
    pace = Pace(64)
    for _ in range(UNSENT_IN_A_ROW):
        pace.note(UNSENT, 0.0)

    first = pace.wait(FIRST_PROBE)
    pace.gate.pass_through()
    second = pace.wait(FIRST_PROBE)

    assert (first, second) == (0.0, LAST_PROBE)


def test_stragglers_prove_nothing() -> None:
    """Rows that were under way when the gate closed neither open it nor delay it."""
    gate = Gate()
    drive(gate, [UNSENT] * UNSENT_IN_A_ROW)

    drive(gate, [UNSENT] * 30 + [CREATED])

    assert (gate.is_closed, gate.wait(0.0)) == (True, FIRST_PROBE)


def test_an_answer_opens_the_gate() -> None:
    """The first row that gets through ends the waiting for all."""
    gate = Gate()
    drive(gate, [UNSENT] * UNSENT_IN_A_ROW)
    gate.pass_through()

    drive(gate, [CREATED])

    assert (gate.is_closed, gate.wait(0.0)) == (False, 0.0)
