"""A runner for tests of what is done with results, and not of workers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from convergegate_async.runners import Done, Part, Spread

C = TypeVar("C")
R = TypeVar("R")


class ThreadRunner:
    """Works on one chunk after the other, in a thread."""

    slots = 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hold nothing."""

    async def everywhere(self, work: Callable[[C], R], item: C) -> list[R]:
        """Return what *work* makes of *item*, in a thread."""
        return [await asyncio.to_thread(work, item)]

    async def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield what *work* makes of each chunk."""
        async for chunk in chunks:
            result = await asyncio.to_thread(work, chunk)
            yield Done(result, again=False)

    async def spread(
        self,
        work: Callable[[C, Part], R],
        slices: Sequence[C],
        *,
        lead: float,
        stop: asyncio.Event,
        on_news: Callable[[int, object], None],
    ) -> list[Spread[R]]:
        """Refuse: a single thread does not do several slices at a time."""
        raise NotImplementedError
