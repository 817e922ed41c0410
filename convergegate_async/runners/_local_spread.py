"""Slices spread over processes of this machine, each started for one slice.

A `ProcessPoolExecutor` does not promise one process a slice, and does not say which
were begun when one is lost. Each process has a pipe of its own, and a thread here that
hears it to its end.
"""

import asyncio
import pickle
import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import TypeVar

import attrs

from ._processes import SPAWNED, live_with_parent
from ._spread import MOST_NEWS, SAME_CLOCK, Part, Spread, do_in_time, lost

C = TypeVar("C")
R = TypeVar("R")

_LOST = "its process was lost before the slice was done"
_GRACE = 5.0  # seconds, for a process to end after its result
_LOOK = 1.0  # seconds between looks whether a silent process still lives


@attrs.frozen
class _Ready:
    """The process is up, and has its slice."""


@attrs.frozen
class _News:
    news: object


@attrs.frozen
class _Raised:
    error: Exception


@attrs.frozen
class _Gone:
    """The process has ended, for better or worse."""


# -- in the process ------------------------------------------------------------------


class _LocalPart:
    offset = SAME_CLOCK.offset
    margin = SAME_CLOCK.margin

    def __init__(
        self, start: float, connection: Connection, outbox: "queue.Queue[bytes | None]"
    ) -> None:
        self.start = start
        self._connection = connection
        self._outbox = outbox

    def is_stopped(self) -> bool:
        # After the start, nothing comes but the wish to end.
        return self._connection.poll()

    def tell(self, news: object) -> None:
        message = pickle.dumps(_News(news))
        with suppress(queue.Full):
            self._outbox.put_nowait(message)


def _serve(connection: Connection) -> None:
    live_with_parent()
    # The pipe is full where nobody listens: a thread waits for it, and not the work.
    outbox: queue.Queue[bytes | None] = queue.Queue(MOST_NEWS)
    sender = threading.Thread(target=_send_all, args=[connection, outbox], daemon=True)
    sender.start()
    outbox.put(_packed(_do(connection, outbox)))
    outbox.put(None)
    sender.join()


def _do(
    connection: Connection, outbox: "queue.Queue[bytes | None]"
) -> Spread[object] | _Raised:
    try:
        work, item = connection.recv()
        outbox.put(pickle.dumps(_Ready()))
        return do_in_time(work, item, _LocalPart(connection.recv(), connection, outbox))
    except Exception as error:  # noqa: BLE001 -- it is raised on the other side
        error.add_note("".join(traceback.format_exception(error)))
        return _Raised(error)


def _packed(end: Spread[object] | _Raised) -> bytes:
    try:
        return pickle.dumps(end)
    except Exception as error:  # noqa: BLE001 -- it is raised on the other side
        return pickle.dumps(_Raised(error))


def _send_all(connection: Connection, outbox: "queue.Queue[bytes | None]") -> None:
    with suppress(OSError):  # the parent is gone, and this process follows
        while (message := outbox.get()) is not None:
            connection.send_bytes(message)


# -- on the submitting side ----------------------------------------------------------


class _Worker:
    """A process, and the thread that hears it.

    Args:
        task: Work and slice, pickled.
        hear: Called in that thread with all that the process says, and at last with
            `_Gone`.
    """

    def __init__(self, task: bytes, hear: Callable[[object], object]) -> None:
        self._task = task
        self._hear = hear
        self._connection, other_end = SPAWNED.Pipe()
        self._process = SPAWNED.Process(target=_serve, args=[other_end], daemon=True)
        self._process.start()
        other_end.close()  # else its end would never be heard
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def send(self, message: object) -> None:
        with suppress(OSError):  # it is gone, and the thread tells
            self._connection.send(message)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Leave nothing behind of a process that has ended, or was killed just now."""
        self._thread.join()  # it does not wait for anything but that end
        self._process.close()
        self._connection.close()

    def _follow(self) -> None:
        with suppress(EOFError, OSError):  # the process is gone
            self._connection.send_bytes(self._task)
            self._listen()
        self._process.join(_GRACE)
        self._process.kill()
        self._process.join()
        self._hear(_Gone())

    def _listen(self) -> None:
        message: object = None
        while not isinstance(message, Spread | _Raised):
            if not self._connection.poll(_LOOK):
                if not self._process.is_alive():  # a child of its own holds the pipe
                    return
                continue
            packed = self._connection.recv_bytes()
            try:
                message = pickle.loads(packed)  # noqa: S301 -- of our own process
            except Exception as error:  # noqa: BLE001 -- of whatever was pickled
                message = _Raised(error)
            self._hear(message)


async def spread_locally(
    work: Callable[[C, Part], R],
    slices: Sequence[C],
    *,
    lead: float,
    stop: asyncio.Event,
    on_news: Callable[[int, object], None],
) -> list[Spread[R]]:
    """Do each slice in a process of its own; see `Runner.spread`."""
    tasks = [pickle.dumps((work, item)) for item in slices]
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[tuple[int, object]] = asyncio.Queue()
    workers: list[_Worker] = []

    def hear(index: int, message: object) -> None:  # in a thread
        loop.call_soon_threadsafe(heard.put_nowait, (index, message))

    def begin() -> None:
        start = time.time() + lead
        for worker in workers:
            worker.send(start)
        begun.set()

    begun = asyncio.Event()
    stopping = asyncio.create_task(_pass_on(stop, begun, workers))
    try:
        for index, task in enumerate(tasks):
            workers.append(_Worker(task, partial(hear, index)))
        return await _results(heard, len(workers), begin, on_news)
    finally:
        stopping.cancel()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()
        await asyncio.gather(stopping, return_exceptions=True)


async def _results(
    heard: "asyncio.Queue[tuple[int, object]]",
    number: int,
    begin: Callable[[], None],
    on_news: Callable[[int, object], None],
) -> list[Spread[R]]:
    """Hear all workers to their end; *begin* is called once, as all are up or lost."""
    results: list[Spread[R]] = [lost(_LOST, SAME_CLOCK)] * number
    not_up = set(range(number))
    living = number
    while living:
        index, message = await heard.get()
        match message:
            case _News(news):
                on_news(index, news)
            case Spread():
                results[index] = message
            case _Raised(error):
                raise error
            case _Gone():
                living -= 1
            case _:  # it is up
                pass
        if index in not_up:
            not_up.remove(index)
            if not not_up:
                begin()
    return results


async def _pass_on(
    stop: asyncio.Event, begun: asyncio.Event, workers: Sequence[_Worker]
) -> None:
    await begun.wait()
    await stop.wait()
    for worker in workers:
        worker.send(None)
