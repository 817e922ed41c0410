"""What Ctrl-C and SIGTERM do to a command."""

import signal
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
    """Have *react* called, on the running loop, on each Ctrl-C or SIGTERM.

    Windows' loops take no signal handlers: there Ctrl-C ends the run itself.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    for number in interrupts():
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, react)


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Let SIGTERM do inside what Ctrl-C does, so that no file is left behind.

    Raises:
        KeyboardInterrupt: It came; further ones are passed over.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def interrupts() -> list[signal.Signals]:
    """Return the signals that interrupt a command.

    Who starts it may have it ignore Ctrl-C, as ``nohup`` does and shells do with what
    they start in the background; that is left as it is.
    """
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return [signal.SIGTERM] if is_ignored else [signal.SIGINT, signal.SIGTERM]
