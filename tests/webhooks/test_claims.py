"""Claims in memory, step by step; what all stores promise is tested beside this."""

import time

import pytest
from clocks import Clock
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async.webhooks import Claim, MemoryClaims
from convergegate_async.webhooks._claims import several_workers

MINE, BUSY, DONE = Claim


class Model:
    """What the protocol says, in the plainest words: one entry for an event."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[str, bool, float]] = {}

    def act(self, method: str, event_id: str, owner: str, seconds: int) -> object:
        """Do and answer what a store has to."""
        entry = self._entries.get(event_id)
        if entry is not None and entry[2] <= self._clock.time:
            entry = None
        until = self._clock.time + seconds
        holder, done, _ = entry or (owner, False, 0.0)
        if method == "release":
            if entry is not None and holder == owner and not done:
                del self._entries[event_id]
            return None
        if method == "complete":
            if holder == owner:
                self._entries[event_id] = (owner, True, until)
            return holder == owner
        if entry is None:
            self._entries[event_id] = (owner, False, until)
        return DONE if done else MINE if holder == owner else BUSY


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "complete", "release", "wait"]),
        st.sampled_from(["evt_1", "evt_2"]),
        st.sampled_from("abc"),
        st.integers(1, 12),
    ),
    max_size=40,
)


@given(STEPS)
@example([("claim", "evt_1", "a", 5), ("wait", "", "", 4), ("claim", "evt_1", "b", 5)])
@example([("claim", "evt_1", "a", 5), ("wait", "", "", 5), ("claim", "evt_1", "b", 5)])
def test_the_memory_does_what_the_protocol_says(
    steps: list[tuple[str, str, str, int]],
) -> None:
    """Whatever is asked in whatever order, one owner at most holds an event."""
    clock = Clock()
    claims, model = MemoryClaims(clock=clock), Model(clock)
    said: list[object] = []
    right: list[object] = []

    for method, event_id, owner, seconds in steps:
        if method == "wait":
            clock.time += seconds
            continue
        right.append(model.act(method, event_id, owner, seconds))
        match method:
            case "claim":
                said.append(claims.claim(event_id, owner, seconds))
            case "complete":
                said.append(claims.complete(event_id, owner, seconds))
            case _:
                claims.release(event_id, owner)
                said.append(None)

    assert said == right


@given(limit=st.integers(1, 20), count=st.integers(1, 60))
def test_the_newest_done_are_remembered(limit: int, count: int) -> None:
    """As many events as the limit stay done, and those before them are forgotten."""
    claims = MemoryClaims(limit=limit, clock=Clock())
    for number in range(count):
        claims.complete(f"evt_{number}", "a", 60)

    again = [claims.claim(f"evt_{number}", "b", 60) for number in range(count)]

    forgotten = max(0, count - limit)
    assert again == [MINE] * forgotten + [DONE] * (count - forgotten)


@given(limit=st.integers(1, 5), count=st.integers(1, 60))
def test_a_lease_that_runs_is_never_forgotten(limit: int, count: int) -> None:
    """However much is done and claimed meanwhile, it is held."""
    claims = MemoryClaims(limit=limit, clock=Clock())
    for number in range(count):
        claims.claim(f"evt_{number}", "a", 60)
        claims.complete(f"done_{number}", "a", 60)

    again = {claims.claim(f"evt_{number}", "b", 60) for number in range(count)}

    assert again == {BUSY}


def test_what_has_run_out_takes_no_room() -> None:
    """Leases of a million deliveries that nobody gave back do not pile up."""
    clock = Clock()
    claims = MemoryClaims(clock=clock)
    for number in range(1_000):
        claims.claim(f"evt_{number}", "a", 15)
        claims.complete(f"done_{number}", "a", 15)
        clock.time += 1

    entries = len(claims._leases) + len(claims._done)  # noqa: SLF001 -- memory has no other witness

    assert entries <= 40


def test_what_is_done_again_counts_as_new() -> None:
    """An event that was kept once more is not the first to go."""
    claims = MemoryClaims(limit=2, clock=Clock())
    for event_id in ("evt_1", "evt_2", "evt_1", "evt_3"):
        claims.complete(event_id, "a", 60)

    assert claims.claim("evt_1", "b", 60) is DONE
    assert claims.claim("evt_2", "b", 60) is MINE


def test_a_hundred_thousand_events_are_remembered() -> None:
    """That is the bound, unless another one is chosen."""
    claims = MemoryClaims(clock=Clock())
    for number in range(100_001):
        claims.complete(f"evt_{number}", "a", 60)

    first_two = [claims.claim(f"evt_{number}", "b", 60) for number in (1, 0)]

    assert first_two == [DONE, MINE]


def test_the_clock_goes_by_itself() -> None:
    """Without a clock of one's own a lease runs out in real time."""
    claims = MemoryClaims()
    claims.claim("evt_1", "a", 0.01)
    time.sleep(0.02)

    assert claims.claim("evt_1", "b", 60) is MINE


# -- more workers than one -------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "is_child", "reason"),
    [
        pytest.param({}, False, None, id="alone"),
        pytest.param({"WEB_CONCURRENCY": "1"}, False, None, id="one"),
        pytest.param({"WEB_CONCURRENCY": "4"}, False, "WEB_CONCURRENCY is 4", id="4"),
        pytest.param({"WEB_CONCURRENCY": "auto"}, False, None, id="no-number"),
        pytest.param({"WEB_CONCURRENCY": ""}, False, None, id="empty"),
        pytest.param({"WEB_CONCURRENCY": "-2"}, False, None, id="negative"),
        pytest.param(
            {"SERVER_SOFTWARE": "gunicorn/23.0.0"}, False, "gunicorn", id="gunicorn"
        ),
        pytest.param({"SERVER_SOFTWARE": "uvicorn"}, False, None, id="another"),
        pytest.param(
            {"AWS_LAMBDA_FUNCTION_NAME": "hooks"}, False, "AWS Lambda", id="lambda"
        ),
        pytest.param({}, True, "multiprocessing started", id="child"),
        pytest.param({"WEB_CONCURRENCY": "1"}, True, "multiprocessing", id="child-of"),
    ],
)
def test_several_workers_can_be_told(
    environ: dict[str, str], reason: str | None, *, is_child: bool
) -> None:
    """What servers leave behind in their workers is read, and nothing is guessed."""
    found = several_workers(environ, is_child=is_child)

    assert (found is None) is (reason is None)
    assert (reason or "") in (found or "")
