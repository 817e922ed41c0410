"""A runner whose workers are lost once with every chunk."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

from thread_runner import ThreadRunner

from convergegate_async.runners import Done

C = TypeVar("C")
R = TypeVar("R")


class TwiceRunner(ThreadRunner):
    """Has each chunk done twice, and hands out what became of it the second time.

    Args:
        between: Called after the first time; its result is lost with its worker.
    """

    def __init__(self, between: Callable[[], None]) -> None:
        self._between = between

    async def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield what *work* makes of each chunk the second time."""
        async for chunk in chunks:
            await asyncio.to_thread(work, chunk)
            self._between()
            result = await asyncio.to_thread(work, chunk)
            yield Done(result, again=True)
