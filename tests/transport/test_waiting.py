"""Places and deadlines behave as those of the standard library, at less expense."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import attrs
from hypothesis import given
from hypothesis import strategies as st
from still_loop import run_still

from convergegate_async._waiting import Deadlines, Slots

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
    told: list[object] = []

    async def work() -> None:
        swallows = course.keeps_on
        for seconds in course.sleeps:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                told.append(("interrupted", loop.time()))
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
                told.append(("inner", loop.time()))
                await asyncio.sleep(course.clean_up)
    except (TimeoutError, asyncio.CancelledError) as error:
        told.append((type(error).__name__, loop.time()))
    task = asyncio.current_task()
    assert task is not None
    told.append(("left", loop.time(), task.cancelling()))
    return told


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


@attrs.frozen
class Visit:
    """When a task comes, how long it stays, and when it is cancelled."""

    comes: float
    stays: float
    leaves: float | None


VISITS = st.builds(Visit, comes=SLEEPS, stays=INNER, leaves=st.none() | CANCELS)


async def visit(each: Visit, number: int, places: object, log: list[object]) -> None:
    """Take a place, stay, and give it back."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(each.comes)
    if isinstance(places, Slots):
        if not places.take():
            await places.wait()
    else:
        assert isinstance(places, asyncio.Semaphore)
        await places.acquire()
    log.append(("in", number, loop.time()))
    try:
        await asyncio.sleep(each.stays)
    finally:
        log.append(("out", number, loop.time()))
        (places.give_back if isinstance(places, Slots) else places.release)()


async def visit_all(visits: list[Visit], places: object) -> list[object]:
    """Let all of them come; tell who was in, and when."""
    loop = asyncio.get_running_loop()
    log: list[object] = []
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
    assert all(slots.take() for _ in range(places))
    assert not slots.take()
