"""A run that the generator could not keep up with is told apart from a slow target."""

import pytest

from convergegate_async.load.effort import Effort
from convergegate_async.load.health import MAX_LAG, health_of
from convergegate_async.load.recorder import Iteration, Recorder, Result

MILLISECOND = 1_000_000


def recorded(late: list[int], dropped: int = 0) -> Recorder:
    """Return sends that were so many milliseconds late, and some that were dropped."""
    recorder = Recorder()
    for one in late:
        sent = one * MILLISECOND
        recorder.record(Iteration(due=0, sent=sent, ended=sent, result=Result.OK))
    for _ in range(dropped):
        recorder.record(Iteration(due=0, sent=None, ended=0, result=Result.DROPPED))
    return recorder


@pytest.mark.parametrize(
    ("recorder", "problems"),
    [
        (recorded([1] * 100), 0),
        (recorded([1] * 99 + [900]), 0),
        (recorded([1] * 97 + [900] * 3), 1),
        (recorded([1] * 100, dropped=1), 1),
        (recorded([900] * 100, dropped=1), 2),
        (recorded([]), 0),
    ],
)
def test_lag_and_drops_make_a_run_invalid(recorder: Recorder, problems: int) -> None:
    """One send of a hundred may be late; none may be dropped."""
    assert len(health_of(recorder, Effort()).problems) == problems


def test_the_sentence_says_how_late() -> None:
    """And what to do."""
    [problem] = health_of(recorded([250] * 10), Effort()).problems

    assert " 251 ms late" in problem or " 250 ms late" in problem
    assert f"({MAX_LAG * 1_000:.0f} are allowed)" in problem
    assert "lower the rate" in problem


def test_processes_side_by_side_are_as_the_busiest_of_them() -> None:
    """Collections add up, processor time does not: each has its own core."""
    one = Effort(cpu=0.2, collections=3, longest_pause=0.004)
    other = Effort(cpu=0.9, collections=1, longest_pause=0.001)

    assert one.beside(other) == Effort(cpu=0.9, collections=4, longest_pause=0.004)
