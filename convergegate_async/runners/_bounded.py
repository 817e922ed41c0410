"""A few awaitables at once, over many chunks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import TypeVar

C = TypeVar("C")
R = TypeVar("R")


async def bounded_map(
    do: Callable[[C], Coroutine[None, None, R]],
    chunks: AsyncIterator[C],
    most: Callable[[], int],
) -> AsyncGenerator[R, None]:
    """Yield what *do* makes of each chunk, in the order of completion.

    Args:
        do: What is to be done with a chunk.
        chunks: Taken one by one, as there is room.
        most: Tells how many may be under way just now.

    Raises:
        Exception: Whatever *do* or *chunks* raised; what was under way is cancelled.
    """
    running: set[asyncio.Task[R]] = set()
    done: asyncio.Queue[asyncio.Task[R]] = asyncio.Queue()
    is_over = False
    try:
        while True:
            while not is_over and len(running) < most():
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    is_over = True
                    break
                task = asyncio.create_task(do(chunk))
                task.add_done_callback(done.put_nowait)
                running.add(task)
            if not running:
                return
            task = await done.get()
            running.remove(task)
            yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
