"""Every planned iteration is counted once, and memory does not grow with the run."""

import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.load.recorder import (
    MOST_INTERVALS,
    MOST_STEPS,
    OTHERS,
    Iteration,
    Recorder,
    Result,
)

SECOND = 1_000_000_000


def iteration(due: int, waits: int, takes: int, result: Result) -> Iteration:
    """Return one that was so late, and took so long."""
    return Iteration(
        due=due,
        sent=None if result is Result.DROPPED else due + waits,
        ended=due + waits + takes,
        result=result,
        error=None if result is Result.OK else f"error {result}",
    )


ITERATIONS = st.lists(
    st.builds(
        iteration,
        st.integers(0, 40_000 * SECOND),
        st.integers(0, SECOND),
        st.integers(1_000, 10 * SECOND),
        st.sampled_from(Result),
    ),
    max_size=60,
)


def recorded(iterations: list[Iteration]) -> Recorder:
    """Return a recorder of them."""
    recorder = Recorder()
    for one in iterations:
        recorder.record(one)
    return recorder


def facts(recorder: Recorder) -> object:
    """Return what can be told of it."""
    return (
        recorder.total.counts,
        {name: one.count for name, one in recorder.total.errors.items()},
        recorder.ended,
        *[
            times.encoded()
            for times in (
                recorder.total.response,
                recorder.total.service,
                recorder.total.snapshot().response,
                recorder.lag,
            )
        ],
        [
            (part.start, part.seconds, part.counts, part.response.encoded())
            for part in recorder.intervals()
        ],
    )


@given(ITERATIONS)
def test_every_iteration_is_counted_once(iterations: list[Iteration]) -> None:
    """In total and by part of the run, whichever order they end in."""
    recorder = recorded(iterations)

    parts = list(recorder.intervals())
    for counts in (
        recorder.total.counts,
        sum((part.counts for part in parts), Counter()),
    ):
        assert counts == Counter(one.result for one in iterations)
    sent = sum(one.sent is not None for one in iterations)
    assert len(recorder.total.response) == len(recorder.total.service) == sent
    assert sum(len(part.response) for part in parts) == sent
    assert len(recorder.lag) == len(recorder.total.snapshot().response) == sent


@given(ITERATIONS, st.integers(1, 4))
def test_workers_together_are_as_one(iterations: list[Iteration], workers: int) -> None:
    """However the iterations were shared out, and however long each worker's parts."""
    merged = Recorder()
    for worker in range(workers):
        share = pickle.dumps(recorded(iterations[worker::workers]))
        merged.add(pickle.loads(share))  # noqa: S301 -- our own

    assert facts(merged) == facts(recorded(iterations))


def test_workers_that_ran_long_are_as_one() -> None:
    """Parts of 64 seconds take in parts of one, and the other way round."""
    long = [iteration(n * SECOND, 0, 1_000, Result.OK) for n in range(36_000)]
    short = [iteration(n * SECOND, 0, 2_000, Result.OK) for n in range(20)]

    for first, second in ((long, short), (short, long)):
        merged = recorded(first)
        merged.add(recorded(second))

        assert facts(merged) == facts(recorded(long + short))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=80))
def test_parts_of_a_run_lie_side_by_side(seconds: list[int]) -> None:
    """Each is as long as the others, holds what was due in it, and they are few."""
    recorder = recorded([iteration(n * SECOND, 0, 1_000, Result.OK) for n in seconds])

    parts = list(recorder.intervals())
    assert len({part.seconds for part in parts}) == 1
    assert len(parts) <= MOST_INTERVALS
    for part in parts:
        due = [one for one in seconds if part.start <= one < part.start + part.seconds]
        assert part.counts[Result.OK] == len(due)


def test_steps_and_phases_are_measured_by_name() -> None:
    """In the order in which they were met; another worker's are taken in."""
    first, second = Recorder(), Recorder()
    for recorder in (first, second):
        recorder.step("create").record(2_000_000, 1_000_000)
        recorder.step("create").count(Result.OK, None)
        recorder.phase("connect").record(5_000)
    second.step("pay").count(Result.UNKNOWN, "OutcomeUnknownError", "lost")

    first.add(second)

    assert list(first.steps) == ["create", "pay"]
    assert first.step("create").counts == {Result.OK: 2}
    assert len(first.step("create").response) == len(first.phase("connect")) == 2
    assert first.step("pay").errors["OutcomeUnknownError"].example == "lost"


def test_an_error_keeps_its_first_example() -> None:
    """However often it comes, in whichever worker."""
    first, second = Recorder(), Recorder()
    for recorder, said in ((first, "one"), (first, "two"), (second, "three")):
        recorder.total.count(Result.REJECTED, "RateLimitError 429", said)

    first.add(second)

    [failure] = first.total.errors.values()
    assert (failure.count, failure.example) == (3, "one")
    assert second.total.errors["RateLimitError 429"].count == 1


@given(st.integers(0, SECOND), st.integers(1_000, SECOND))
def test_response_counts_from_when_it_was_due(late: int, takes: int) -> None:
    """And service from when it was sent; the difference is the lag."""
    recorder = recorded([iteration(5 * SECOND, late, takes, Result.OK)])

    total = recorder.total
    [part] = recorder.intervals()
    for times, expected, tolerance in (
        (total.response, late + takes, 2e-3),
        (total.service, takes, 2e-3),
        (total.snapshot().response, late + takes, 2e-2),
        (part.response, late + takes, 2e-2),
        (recorder.lag, late, 2e-2),
    ):
        assert times.longest * SECOND == pytest.approx(
            expected, rel=tolerance, abs=1_001
        )


def test_steps_of_endless_names_are_kept_together() -> None:
    """Each of them takes memory, and so there are a hundred, and all others."""
    recorder = Recorder()

    for number in range(500):
        recorder.step(f"order-{number}").count(Result.OK, None)

    assert len(recorder.steps) == MOST_STEPS + 1
    assert recorder.steps[OTHERS].counts[Result.OK] == 500 - MOST_STEPS


@pytest.mark.parametrize("result", [Result.CUT, Result.UNKNOWN])
def test_what_was_under_way_counts_as_long_as_it_was(result: Result) -> None:
    """A run that is stopped while the target hangs does not look fast."""
    recorder = recorded([iteration(0, 0, 4 * SECOND, result)])

    assert recorder.total.response.longest == pytest.approx(4, rel=2e-3)
