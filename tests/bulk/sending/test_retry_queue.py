"""Whose turn it is among rows that came back: no gateway, and no clock."""

from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.bulk.sending.retry_queue import FIRST_GAP, RetryQueue

TIMES = st.integers(0, 4)


@given(st.lists(st.tuples(st.integers(), TIMES)))
def test_all_that_waits_is_there(puts: list[tuple[int, int]]) -> None:
    """Whatever was put comes out once, in the order in which it would be due."""
    again: RetryQueue[int] = RetryQueue()
    for item, times in puts:
        again.put(item, times)
    listed = list(again)

    assert len(again) == len(puts)
    taken = [again.take_next() for _ in puts]
    assert taken == listed
    assert sorted(listed) == sorted(item for item, _ in puts)
    assert again.take_next() is None


@given(TIMES)
def test_ever_more_others_have_their_turn_before(times: int) -> None:
    """Twice as many for each time that it came back."""
    again: RetryQueue[str] = RetryQueue()
    again.put("row", times)

    turns = next(n for n in range(1, 1_000) if again.take_due() is not None)

    assert turns == FIRST_GAP * 2**times


@given(st.integers(1, 40))
def test_what_is_always_refused_costs_others_little(stuck: int) -> None:
    """Of a thousand turns a row that comes back each time has seven."""
    again: RetryQueue[tuple[int, int]] = RetryQueue()
    taken = 0
    for number in range(stuck):
        again.put((number, 1), 0)
    for _ in range(1_000):
        back = again.take_due()
        if back is not None:
            taken += 1
            again.put((back[0], back[1] + 1), back[1])

    assert taken <= 7 * stuck
