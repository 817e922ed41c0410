"""What Ctrl-C, SIGTERM and SIGHUP do to a command."""

import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def run_until_interrupted(
    serve: "Callable[[asyncio.Event], Awaitable[None]]",
) -> None:
    """Run *serve*, and set the event that it is given when it shall stop."""
    import asyncio

    async def run() -> None:
        stop = asyncio.Event()
        on_interrupt(stop.set)
        await serve(stop)

    asyncio.run(run())


def on_interrupt(react: Callable[[], None]) -> None:
    """Have *react* called, on the running loop, on each of `interrupts`.

    Windows' loops take no signal handlers: there Ctrl-C ends the run itself.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    for number in interrupts():
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, react)


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Let the others do inside what Ctrl-C does, so that no file is left behind.

    Raises:
        KeyboardInterrupt: It came; further ones are passed over.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = [number for number in interrupts() if number is not signal.SIGINT]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def interrupts() -> list[signal.Signals]:
    """Return the signals that interrupt a command.

    Who starts it may have it ignore Ctrl-C, as shells do with what they start in the
    background, or that its terminal was closed (SIGHUP), as ``nohup`` does; that is
    left as it is.
    """
    ignorable = [signal.SIGINT]
    if sys.platform != "win32":
        ignorable.append(signal.SIGHUP)
    heard = [n for n in ignorable if signal.getsignal(n) is not signal.SIG_IGN]
    return [*heard, signal.SIGTERM]
