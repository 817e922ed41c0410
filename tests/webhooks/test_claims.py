import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async.webhooks import MemoryClaims


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        """Tell it."""
        return self.time


IDS = st.sampled_from(["evt_1", "evt_2", "evt_3"])
STEPS = st.lists(
    st.tuples(st.just("claim"), IDS, st.integers(1, 10))
    | st.tuples(st.just("release"), IDS, st.just(0))
    | st.tuples(st.just("wait"), st.just(""), st.integers(1, 12)),
    max_size=40,
)


@given(STEPS)
@example([("claim", "evt_1", 5), ("wait", "", 4), ("claim", "evt_1", 5)])
@example([("claim", "evt_1", 5), ("wait", "", 5), ("claim", "evt_1", 5)])
@example([("claim", "evt_1", 5), ("release", "evt_1", 0), ("claim", "evt_1", 5)])
def test_a_claim_is_granted_only_while_nobody_has_it(
    steps: list[tuple[str, str, int]],
) -> None:
    """From one grant to its release or its expiry nobody else is granted the event."""
    clock = Clock()
    claims = MemoryClaims(clock=clock)
    held: dict[str, float] = {}
    story: list[tuple[bool, bool]] = []

    for act, event_id, seconds in steps:
        match act:
            case "wait":
                clock.time += seconds
            case "release":
                claims.release(event_id)
                held.pop(event_id, None)
            case _:
                free = held.get(event_id, clock.time) <= clock.time
                story.append((claims.claim(event_id, seconds), free))
                if free:
                    held[event_id] = clock.time + seconds

    assert [granted for granted, _ in story] == [free for _, free in story]


@given(limit=st.integers(1, 20), count=st.integers(1, 60))
def test_the_newest_claims_are_remembered(limit: int, count: int) -> None:
    """As many events as the limit stay claimed, however many there were before."""
    claims = MemoryClaims(limit=limit, clock=Clock())
    for number in range(count):
        claims.claim(f"evt_{number}", 60)

    again = [
        claims.claim(f"evt_{number}", 60)
        for number in range(max(0, count - limit), count)
    ]

    assert not any(again)


@given(limit=st.integers(1, 20), more=st.integers(1, 40))
def test_the_oldest_claims_are_forgotten(limit: int, more: int) -> None:
    """Of the events beyond the limit not even the newest is still claimed."""
    claims = MemoryClaims(limit=limit, clock=Clock())
    for number in range(limit + more):
        claims.claim(f"evt_{number}", 60)

    again = claims.claim(f"evt_{more - 1}", 60)

    assert again is True


def test_the_first_who_asks_gets_the_event() -> None:
    """An event that is claimed cannot be claimed again, but another one can."""
    claims = MemoryClaims()

    granted = [claims.claim(event_id, 60) for event_id in ("evt_1", "evt_1", "evt_2")]

    assert granted == [True, False, True]


@pytest.mark.parametrize(
    ("seconds", "granted"),
    [(0.0, False), (59.9, False), (60.0, True), (1e9, True)],
    ids=["at-once", "just-before", "just-then", "much-later"],
)
def test_a_claim_runs_out(seconds: float, *, granted: bool) -> None:
    """After *ttl* seconds the event can be claimed again."""
    clock = Clock()
    claims = MemoryClaims(clock=clock)
    claims.claim("evt_1", 60)
    clock.time += seconds

    again = claims.claim("evt_1", 60)

    assert again is granted


def test_asking_in_vain_prolongs_nothing() -> None:
    """A refused claim leaves the moment at which the event is free as it was."""
    clock = Clock()
    claims = MemoryClaims(clock=clock)
    claims.claim("evt_1", 60)
    clock.time += 50
    claims.claim("evt_1", 60)
    clock.time += 10

    again = claims.claim("evt_1", 60)

    assert again is True


def test_a_release_frees_the_event_at_once() -> None:
    """What could not be acted upon can be claimed by the next delivery."""
    claims = MemoryClaims()
    claims.claim("evt_1", 60)

    claims.release("evt_1")

    assert claims.claim("evt_1", 60) is True
    assert claims.claim("evt_1", 60) is False


def test_releasing_what_nobody_claimed_is_harmless() -> None:
    """A release too many neither raises nor grants anything."""
    claims = MemoryClaims()
    claims.claim("evt_1", 60)

    claims.release("evt_2")

    assert claims.claim("evt_1", 60) is False


def test_a_renewed_claim_counts_as_new() -> None:
    """An event that was claimed again after it ran out is not the first to go."""
    clock = Clock()
    claims = MemoryClaims(limit=2, clock=clock)
    claims.claim("evt_1", 10)
    claims.claim("evt_2", 60)
    clock.time += 10
    claims.claim("evt_1", 60)

    claims.claim("evt_3", 60)

    assert claims.claim("evt_1", 60) is False
    assert claims.claim("evt_2", 60) is True


def test_a_hundred_thousand_events_are_remembered() -> None:
    """That is the bound, unless another one is chosen."""
    claims = MemoryClaims(clock=Clock())
    for number in range(100_001):
        claims.claim(f"evt_{number}", 60)

    first_two = [claims.claim(f"evt_{number}", 60) for number in (1, 0)]

    assert first_two == [False, True]


def test_the_clock_goes_by_itself() -> None:
    """Without a clock of one's own a claim runs out in real time."""
    claims = MemoryClaims()
    claims.claim("evt_1", 0.01)
    time.sleep(0.02)

    again = claims.claim("evt_1", 60)

    assert again is True
