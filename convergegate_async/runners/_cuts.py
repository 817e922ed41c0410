"""How work is ended that nobody waits for any more: a thread of Dask cannot be killed.

Work that is a coroutine can be cancelled, wherever its event loop runs.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TypeAlias, TypeVar

from ._protocol import WorkersLostError

R = TypeVar("R")

_Cut: TypeAlias = Future[None]
"""Cancelled, once the work is to end."""

_under_way: dict[_Cut, str] = {}
"""What this process works on: the name of each chunk, which may be there twice."""

_current: ContextVar[_Cut | None] = ContextVar("cut", default=None)


@contextmanager
def may_be_cut(name: str) -> Iterator[None]:
    """Let `cut` end what is done in the block, and in this thread."""
    ours: _Cut = Future()
    _under_way[ours] = name
    token = _current.set(ours)
    try:
        yield
    finally:
        _current.reset(token)
        del _under_way[ours]


def cut(name: str) -> None:
    """End the chunk of that name, if this process works on it; from any thread."""
    for theirs, known in list(_under_way.items()):
        if known == name:
            theirs.cancel()


def run_until_cut(work: Coroutine[object, object, R]) -> R:
    """Run *work* to its end in an event loop of its own, as `asyncio.run` does.

    For functions that a `Runner` maps: when who waits for the chunk has left, *work* is
    cancelled, and does not go on unseen.

    Raises:
        WorkersLostError: It was cancelled so.
        Exception: Whatever *work* raised.
    """
    ours = _current.get()
    if ours is None:
        return asyncio.run(work)
    try:
        return asyncio.run(_cancelled_with(ours, work))
    except asyncio.CancelledError:
        message = "the chunk was cut, as nobody waits for it any more"
        raise WorkersLostError(message) from None


async def _cancelled_with(ours: _Cut, work: Coroutine[object, object, R]) -> R:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)

    def cancel(_: _Cut) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the work with it
            loop.call_soon_threadsafe(task.cancel)

    ours.add_done_callback(cancel)  # called at once, if it came before
    return await task
