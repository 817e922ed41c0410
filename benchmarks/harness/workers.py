"""How calls are made, so many at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import TypeVar

Call = Callable[[], Awaitable[object]]
T = TypeVar("T")


async def share(
    items: Iterable[T],
    work: Callable[[Iterator[T]], Coroutine[object, object, None]],
    workers: int,
) -> None:
    """Have so many *workers* take from the same *items* until none is left.

    The loop over them is *work*'s own: another await around each would be measured.
    """
    left = iter(items)
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work(left))


async def make(call: Call, calls: int, concurrency: int) -> None:
    """Make so many calls, so many at a time."""

    async def work(left: Iterator[int]) -> None:
        for _ in left:
            await call()

    await share(range(calls), work, concurrency)


async def make_timed(call: Call, calls: int, concurrency: int) -> list[int]:
    """Make so many calls, so many at a time; return the nanoseconds of each."""
    taken: list[int] = []

    async def work(left: Iterator[int]) -> None:
        for _ in left:
            started = time.perf_counter_ns()
            await call()
            taken.append(time.perf_counter_ns() - started)

    await share(range(calls), work, concurrency)
    return taken
