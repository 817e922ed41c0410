"""Places and deadlines behave as those of the standard library, at less expense."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from still_loop import StillLoop, run_still

from convergegate_async._waiting import OPENED_AT_ONCE, PAUSE, Deadlines, Slots

Event: TypeAlias = tuple[str, int, float]
Within: TypeAlias = Callable[[float], AbstractAsyncContextManager[object]]

# Sleeps, deadlines and cancellations never fall together: which comes first is nobody's
# promise. Eighths are exact in a float.
SLEEPS = st.integers(0, 6).map(float)
INNER = st.integers(0, 6).map(lambda n: n + 0.25)
OUTER = st.integers(0, 6).map(lambda n: n + 0.375)
CANCELS = st.integers(0, 6).map(lambda n: n + 0.625)


@attrs.frozen
class Course:
    """What one task does, and when it is cancelled.

    Attributes:
        start: When it begins.
        sleeps: What it does within both deadlines, one after the other.
        clean_up: How long it takes to clean up when it is interrupted.
        keeps_on: A cancellation within the deadlines is swallowed once.
    """

    start: float
    inner: float
    outer: float
    sleeps: list[float]
    cancels: list[float]
    clean_up: float
    keeps_on: bool


COURSES = st.builds(
    Course,
    start=SLEEPS,
    inner=INNER,
    outer=OUTER,
    sleeps=st.lists(SLEEPS, max_size=3),
    cancels=st.lists(CANCELS, max_size=2),
    clean_up=SLEEPS,
    keeps_on=st.booleans(),
)


async def follow(course: Course, within: Within) -> list[object]:
    """Follow *course*; tell what became of it, and when."""
    loop = asyncio.get_running_loop()
    log: list[object] = []

    async def work() -> None:
        swallows = course.keeps_on
        for seconds in course.sleeps:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                log.append(("interrupted", loop.time()))
                if not swallows:
                    await asyncio.sleep(course.clean_up)
                    raise
                swallows = False

    await asyncio.sleep(course.start)
    try:
        async with within(course.outer):
            try:
                async with within(course.inner):
                    await work()
            except TimeoutError:
                log.append(("inner", loop.time()))
                await asyncio.sleep(course.clean_up)
    except (TimeoutError, asyncio.CancelledError) as error:
        log.append((type(error).__name__, loop.time()))
    task = asyncio.current_task()
    assert task is not None
    log.append(("left", loop.time(), task.cancelling()))
    return log


async def follow_all(courses: list[Course], within: Within) -> list[object]:
    """Follow *courses* side by side."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(follow(course, within)) for course in courses]
    for course, task in zip(courses, tasks, strict=True):
        for moment in course.cancels:
            loop.call_at(moment, task.cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [repr(one) if isinstance(one, BaseException) else one for one in results]


@given(st.lists(COURSES, min_size=1, max_size=4))
def test_deadlines_are_those_of_the_standard_library(courses: list[Course]) -> None:
    """Who is interrupted, when and by what, with deadlines in each other, too."""

    async def ours() -> list[object]:
        deadlines = Deadlines()

        @asynccontextmanager
        async def within(seconds: float) -> AsyncIterator[None]:
            with deadlines.within(seconds):
                yield

        results = await follow_all(courses, within)
        assert len(deadlines) == 0
        deadlines.close()
        return results

    expected = run_still(follow_all(courses, asyncio.timeout))
    assert run_still(ours()) == expected


class CoarseLoop(StillLoop):
    """Counts whole milliseconds, as uvloop does, so that its timers ring early.

    Each timer takes it a microsecond.
    """

    timers = 0

    def call_at(  # type: ignore[override]  # with fewer words
        self,
        when: float,
        callback: Callable[[], object],
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer that rings up to a millisecond early."""
        self.timers += 1
        self._still.now += 1e-6
        return super().call_at(math.floor(when * 1e3) / 1e3, callback, context=context)


@pytest.mark.parametrize("seconds", [0.0001, 0.0104, 0.0109])
def test_a_ring_that_comes_early_is_waited_for_once_more(seconds: float) -> None:
    """Nobody is interrupted too soon, and no timer is set again and again."""

    async def run_out() -> None:
        with Deadlines().within(seconds):
            await asyncio.get_running_loop().create_future()

    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, CoarseLoop)
        with pytest.raises(TimeoutError):
            runner.run(run_out())
        assert seconds <= loop.time() < seconds + 0.002
        assert loop.timers <= 3


@attrs.frozen
class Visit:
    """When a task comes, how long it stays, and when it is cancelled.

    Attributes:
        opens: How long it takes of that to open a connection.
    """

    comes: float
    stays: float
    leaves: float | None = None
    opens: float = 0.0


VISITS = st.builds(Visit, comes=SLEEPS, stays=INNER, leaves=st.none() | CANCELS)


async def visit(each: Visit, number: int, places: object, log: list[Event]) -> None:
    """Take a place, stay, and give it back."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(each.comes)
    if isinstance(places, Slots):
        if not places.try_acquire():
            await places.acquire()
    else:
        assert isinstance(places, asyncio.Semaphore)
        await places.acquire()
    log.append(("in", number, loop.time()))
    is_opening = isinstance(places, Slots)
    try:
        if isinstance(places, Slots):
            if each.opens:
                await asyncio.sleep(each.opens)
            places.opened()
            is_opening = False
        await asyncio.sleep(each.stays - each.opens)
    finally:
        log.append(("out", number, loop.time()))
        if isinstance(places, Slots):
            if is_opening:
                places.opened()
            places.release()
        else:
            places.release()


async def visit_all(visits: list[Visit], places: object) -> list[Event]:
    """Let all of them come; tell who was in, and when."""
    loop = asyncio.get_running_loop()
    log: list[Event] = []
    tasks = [
        asyncio.create_task(visit(each, number, places, log))
        for number, each in enumerate(visits)
    ]
    for each, task in zip(visits, tasks, strict=True):
        if each.leaves is not None:
            loop.call_at(each.leaves, task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    return log


@given(st.lists(VISITS, max_size=8), st.integers(1, 3))
def test_places_are_given_as_by_a_semaphore(visits: list[Visit], places: int) -> None:
    """First come first served, never more than there are, and none is lost."""
    slots = Slots(places)

    log = run_still(visit_all(visits, slots))

    assert log == run_still(visit_all(visits, asyncio.Semaphore(places)))
    assert all(slots.try_acquire() for _ in range(places))
    assert not slots.try_acquire()


MANY = 100
"""Places enough for whoever comes: only the openings make anybody wait."""


def comings(log: list[Event]) -> dict[int, float]:
    """Return when each was in."""
    return {number: moment for what, number, moment in log if what == "in"}


@pytest.mark.parametrize("opens", [0.01, 0.07, 10.0])
@pytest.mark.parametrize("callers", [1, 16, 17, 32, 33, MANY])
def test_a_burst_opens_its_connections_a_few_at_a_time(
    callers: int, opens: float
) -> None:
    """Sixteen at once, and sixteen more each 50 ms, however long those before take."""
    visits = [Visit(0.0, 20.0, opens=opens) for _ in range(callers)]

    log = run_still(visit_all(visits, Slots(MANY)))

    expected = {n: n // OPENED_AT_ONCE * PAUSE for n in range(callers)}
    assert comings(log) == pytest.approx(expected)


def test_one_who_leaves_lets_no_crowd_in() -> None:
    """A wait that is cancelled in a burst changes nothing for those behind it."""
    quick, slow = Visit(0.0, 20.0, opens=0.004), Visit(0.0, 20.0, opens=10.0)
    leaves = Visit(0.0, 20.0, leaves=0.005)

    log = run_still(visit_all([quick, *[slow] * 15, leaves, *[slow] * 48], Slots(MANY)))

    others = [n for n in range(65) if n != 16]
    expected = {n: at // OPENED_AT_ONCE * PAUSE for at, n in enumerate(others)}
    assert comings(log) == pytest.approx(expected)


def test_a_connection_that_is_freed_is_taken_first() -> None:
    """Whoever waits to open one is in as soon as a place is given back."""
    visits = [Visit(0.0, 0.02, opens=0.01), *[Visit(0.0, 1.0, opens=0.5)] * 16]

    log = run_still(visit_all(visits, Slots(MANY)))

    assert comings(log)[16] == 0.02


OPENINGS = st.builds(
    Visit,
    comes=st.integers(0, 20).map(lambda n: n / 64),
    stays=st.integers(20, 60).map(lambda n: n / 64),
    leaves=st.none() | st.integers(0, 40).map(lambda n: (n + 0.5) / 64),
    opens=st.integers(0, 20).map(lambda n: n / 64),
)


@given(st.lists(OPENINGS, max_size=60), st.integers(1, MANY))
def test_nobody_is_lost_at_the_gate(visits: list[Visit], places: int) -> None:
    """Never more than there are places, first come first served, all in the end."""
    slots = Slots(places)

    log = run_still(visit_all(visits, slots))

    came = comings(log)
    stayed = [n for n, each in enumerate(visits) if each.leaves is None]
    assert set(stayed) <= came.keys()
    moments = [visits[n].comes for what, n, _ in log if what == "in"]
    assert moments == sorted(moments)
    inside = 0
    for what, _, _ in log:
        inside += 1 if what == "in" else -1
        assert inside <= places
    assert all(slots.try_acquire() for _ in range(min(places, OPENED_AT_ONCE)))
    assert not slots.try_acquire()


@given(st.lists(OPENINGS, max_size=60))
def test_nobody_waits_at_the_gate_in_vain(visits: list[Visit]) -> None:
    """Sixteen are let in each 50 ms at least, where places are left."""
    log = run_still(visit_all(visits, Slots(MANY)))

    for number, moment in comings(log).items():
        ahead = sum(each.comes <= visits[number].comes for each in visits)
        waits = -(-ahead // OPENED_AT_ONCE) * PAUSE
        assert moment - visits[number].comes <= waits + 1e-9
