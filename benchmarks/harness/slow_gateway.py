"""Gateways that are slow in a way that can be computed, in a process of their own.

Each is a model first: given when requests arrive, it says when they are answered. The
process does just that, on the machine's monotonic clock, which all processes share.
"""

import asyncio
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from convergegate_async.load.stub import Stub, serve_stub

SERVICE = 0.003
"""Seconds that an answer takes when nothing is wrong."""

PERIOD, FROZEN = 5.0, 1.0
"""In every so many seconds all stands still for so many, at the end."""

CAPACITY = 150.0
"""Answers a second of the gateway with a hidden queue: it takes more, and they wait."""

EVERY, SLOW = 1_000, 0.5
"""Every so many-th answer takes so many seconds."""


def thawed(moment: float) -> float:
    """Return when the frozen gateway can do what it would do at *moment*."""
    phase = moment % PERIOD
    return moment if phase < PERIOD - FROZEN else moment - phase + PERIOD


def freezing() -> Callable[[float], float]:
    """Return the model of a gateway that freezes."""
    return lambda arrived: thawed(thawed(arrived) + SERVICE)


def queueing() -> Callable[[float], float]:
    """Return the model of a gateway that answers one after the other."""
    free_at = 0.0

    def answered(arrived: float) -> float:
        nonlocal free_at
        free_at = max(arrived, free_at) + 1 / CAPACITY
        return free_at

    return answered


def thousandth() -> Callable[[float], float]:
    """Return the model of a gateway that is slow now and then."""
    seen = 0

    def answered(arrived: float) -> float:
        nonlocal seen
        seen += 1
        return arrived + (SLOW if seen % EVERY == EVERY // 2 else SERVICE)

    return answered


MODELS: dict[str, Callable[[], Callable[[float], float]]] = {
    "freezing": freezing,
    "queueing": queueing,
    "thousandth": thousandth,
}


def serving(answered: Callable[[float], float]) -> type[Stub]:
    """Return a protocol that answers when the model says."""

    class Slow(Stub):
        def answer(self, whole: bytes) -> None:
            """Send an answer when it is time."""
            now = time.monotonic()
            loop = asyncio.get_running_loop()
            loop.call_at(answered(now), super().answer, whole)

    return Slow


async def freeze() -> None:
    """Stand still as the model does: nothing is read, nothing is written."""
    while True:
        now = time.monotonic()
        begins = now - now % PERIOD + PERIOD - FROZEN
        if begins > now:
            await asyncio.sleep(begins - now)
        time.sleep(thawed(time.monotonic()) - time.monotonic())  # noqa: ASYNC251 -- that is the point


async def serve(name: str) -> None:
    """Listen on a free port, print it, and stop when stdin ends."""
    server = await serve_stub(serving(MODELS[name]()))
    frozen = asyncio.create_task(freeze() if name == "freezing" else asyncio.sleep(0))
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    frozen.cancel()
    server.close()


@contextmanager
def running_gateway(name: str) -> Iterator[str]:
    """Run a slow gateway, and yield its address."""
    with subprocess.Popen(  # noqa: S603 -- our own
        [sys.executable, __file__, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    # epoll waits in whole milliseconds, select does not.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(serve(sys.argv[1]))
