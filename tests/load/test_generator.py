"""Sent when due, whatever became of the others; counted once, however it ends."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from still_loop import run_still

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async.load.generator import Clock, Generator, Schedule
from convergegate_async.load.profiles import Profile
from convergegate_async.load.recorder import Recorder, Result
from convergegate_async.load.scenarios import Scenario

SECOND = 1_000_000_000
NOBODY = CheckoutSessionFactory("sk_test_x", "http://127.0.0.1:1")
"""Is never called: these scenarios only wait."""


def still_clock() -> Clock:
    """Return the clock of a loop that stands still but for sleeping."""
    loop = asyncio.get_running_loop()
    return Clock(read=lambda: round(loop.time() * SECOND), tick=0.0)


def waits(seconds: Callable[[int], float]) -> Scenario:
    """Return a scenario that takes so long, by its number."""

    async def scenario(_checkout: CheckoutSessionFactory, number: int) -> None:
        await asyncio.sleep(seconds(number))

    return scenario


def run(
    scenario: Scenario,
    due: list[int],
    *,
    most: int = 1_000_000,
    most_errors: int | None = None,
    stop_after: float | None = None,
) -> tuple[Recorder, Generator]:
    """Run what is due, in no time; return what was recorded of it."""
    recorder = Recorder()

    async def main() -> Generator:
        generator = Generator(
            scenario,
            NOBODY,
            Schedule(enumerate(due)),
            recorder,
            most=most,
            most_errors=most_errors,
            clock=still_clock(),
        )
        loop = asyncio.get_running_loop()
        if stop_after is not None:
            loop.call_later(stop_after, generator.stop, "enough")
        await generator.run(start=0)
        return generator

    return recorder, run_still(main())


DUE = st.lists(st.integers(0, 20 * SECOND), max_size=60).map(sorted)


@given(
    DUE, st.lists(st.floats(0, 30), min_size=1), st.integers(1, 10), st.floats(0, 25)
)
def test_all_that_is_planned_is_sent_dropped_or_cut(
    due: list[int], durations: list[float], most: int, stop_after: float
) -> None:
    """Each once, whenever the run is stopped and whatever is under way then."""
    recorder, _ = run(
        waits(lambda number: durations[number % len(durations)]),
        due,
        most=most,
        stop_after=stop_after,
    )

    counts = recorder.total.counts
    assert counts.total() == len(due)
    assert set(counts) <= {Result.OK, Result.DROPPED, Result.CUT}
    sent = len(recorder.total.service)
    never_sent = counts.total() - counts[Result.DROPPED] - sent
    assert 0 <= never_sent <= counts[Result.CUT]


@given(DUE, st.lists(st.integers(0, 30_000), min_size=1))
def test_a_send_waits_for_no_answer(due: list[int], takes: list[int]) -> None:
    """Each is sent when it is due, and takes as long as it takes: no queue of ours."""
    recorder, _ = run(waits(lambda number: takes[number % len(takes)] / 1_000), due)

    expected = sorted(takes[n % len(takes)] / 1_000 for n in range(len(due)))
    measured = [
        seconds
        for seconds, count in recorder.total.response.counts()
        for _ in range(count)
    ]
    assert measured == pytest.approx(expected, rel=2e-3, abs=2e-6)
    assert recorder.lag.longest <= 2e-6


@given(DUE, st.integers(1, 5))
def test_never_more_are_under_way_than_may_be(due: list[int], most: int) -> None:
    """What is due beyond that is dropped, not delayed."""
    under_way = peak = 0

    async def scenario(_checkout: CheckoutSessionFactory, _number: int) -> None:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await asyncio.sleep(3)
        under_way -= 1

    recorder, _ = run(scenario, due, most=most)

    assert peak <= most
    assert recorder.lag.longest <= 2e-6
    assert recorder.total.counts[Result.OK] == len(recorder.total.service)


def test_a_target_that_freezes_is_measured_from_when_it_was_asked() -> None:
    """200 a second, and nothing answers for the last second of each five: the truth."""
    freeze, pause, service = 4.0, 1.0, 0.003

    async def scenario(_checkout: CheckoutSessionFactory, _number: int) -> None:
        now = asyncio.get_running_loop().time() % (freeze + pause)
        frozen = freeze + pause - now if now >= freeze else 0.0
        await asyncio.sleep(frozen + service)

    due = list(Profile.constant(200, 20).due_times())
    recorder, _ = run(scenario, due)

    found = recorder.total.response.percentiles([50, 90, 95, 99])
    # A fifth of all waits, evenly from nought to a second.
    assert found[50] == pytest.approx(service, rel=2e-3)
    assert found[90] == pytest.approx(0.5 + service, abs=0.01)
    assert found[95] == pytest.approx(0.75 + service, abs=0.01)
    assert found[99] == pytest.approx(0.95 + service, abs=0.01)


def test_ten_hours_are_driven_in_memory_that_does_not_grow() -> None:
    """Two a second: tasks end and are let go, and 72,000 are counted."""
    due = list(Profile.constant(2, 36_000).due_times())

    recorder, generator = run(waits(lambda number: 0.05 if number % 7 else 2.0), due)

    assert recorder.total.counts == {Result.OK: 72_000}
    assert generator.in_flight == 0
    assert len(list(recorder.intervals())) <= 600


def test_what_a_scenario_raises_is_counted_by_kind() -> None:
    """Calls by what is known of them, all else as the scenario's own failure."""

    async def scenario(_checkout: CheckoutSessionFactory, number: int) -> None:
        if number == 1:
            message = "there is no such thing"
            raise LookupError(message)
        if number == 2:
            message = "the plan was wrong"
            raise ConfigurationError(message)

    recorder, _ = run(scenario, [0, 1, 2])

    assert recorder.total.counts == {Result.OK: 1, Result.FAILED: 2}
    assert {kind: one.example for kind, one in recorder.total.errors.items()} == {
        "LookupError": "there is no such thing",
        "ConfigurationError": "the plan was wrong",
    }


class Mute(Exception):  # noqa: N818 -- somebody else's
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise LookupError


@pytest.mark.parametrize("error", [Mute(), SystemExit(3), LookupError("x" * 9_999)])
def test_whatever_a_scenario_raises_its_iteration_is_counted(
    error: BaseException,
) -> None:
    """The run goes on, and the example has an end."""

    async def scenario(_checkout: CheckoutSessionFactory, number: int) -> None:
        if number == 0:
            raise error

    recorder, _ = run(scenario, [0, 1])

    assert recorder.total.counts == {Result.OK: 1, Result.FAILED: 1}
    [failure] = recorder.total.errors.values()
    assert len(failure.example) <= 300


def test_a_scenario_that_will_not_end_is_left() -> None:
    """It swallows its cancellation; the run ends nevertheless."""
    ended = asyncio.Event()

    async def scenario(_checkout: CheckoutSessionFactory, _number: int) -> None:
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1_000)

    async def main() -> float:
        generator = Generator(
            scenario,
            NOBODY,
            Schedule(enumerate([0])),
            Recorder(),
            most=10,
            clock=still_clock(),
        )
        asyncio.get_running_loop().call_later(1.0, generator.stop, "enough")
        await generator.run(start=0)
        ended.set()  # the loop waits for it
        return generator.elapsed

    assert run_still(main()) < 20


@given(st.integers(1, 5), st.integers(6, 40))
def test_so_many_errors_end_the_run(most_errors: int, planned: int) -> None:
    """No further one is sent, and what was not due counts as cut."""

    async def scenario(_checkout: CheckoutSessionFactory, _number: int) -> None:
        raise LookupError

    due = [number * SECOND for number in range(planned)]
    recorder, generator = run(scenario, due, most_errors=most_errors)

    assert generator.stopped == "as many errors as were allowed"
    assert recorder.total.counts == Counter(
        {Result.FAILED: most_errors, Result.CUT: planned - most_errors}
    )


def test_a_run_that_is_stopped_gives_what_is_under_way_a_while() -> None:
    """What ends in that while is counted as what it came to, the rest as cut."""
    due = [0, 0, 0, 9 * SECOND]
    recorder, generator = run(
        waits(lambda number: [0.5, 3.0, 60.0, 0.0][number]), due, stop_after=1.0
    )

    assert recorder.total.counts == {Result.OK: 2, Result.CUT: 2}
    assert recorder.total.response.longest == pytest.approx(6.0, abs=0.2)
    assert generator.elapsed == pytest.approx(6.0, abs=0.2)


def test_a_run_that_is_cancelled_leaves_no_task() -> None:
    """And what it had sent is counted."""
    recorder = Recorder()

    async def main() -> int:
        generator = Generator(
            waits(lambda _: 1_000),
            NOBODY,
            Schedule(enumerate([0, 0, 500 * SECOND])),
            recorder,
            most=10,
            clock=still_clock(),
        )
        running = asyncio.create_task(generator.run(start=0))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert run_still(main()) == 1
    assert recorder.total.counts == {Result.CUT: 3}


def test_a_send_that_is_overdue_lets_answers_in_between() -> None:
    """A rate beyond all means does not shut the loop out: what was sent goes on."""
    begun: list[int] = []

    async def scenario(_checkout: CheckoutSessionFactory, number: int) -> None:
        begun.append(number)

    due = [0] * 1_000
    recorder, _ = run(scenario, due, most=200)

    assert begun == list(range(1_000))
    assert recorder.total.counts == {Result.OK: 1_000}


def test_a_schedule_is_taken_in_order_and_once() -> None:
    """Beyond the end there is nothing to take, and nothing to cut."""
    schedule = Schedule(zip(itertools.count(7), [1, 2, 3], strict=False))

    assert schedule.due == 1
    assert schedule.take() == (7, 1)
    assert schedule.cut() == 2
    assert schedule.cut() == 0
    with pytest.raises(IndexError):
        schedule.take()
