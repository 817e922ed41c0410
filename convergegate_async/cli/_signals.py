"""Run something until Ctrl-C or SIGTERM."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress


def run_until_interrupted(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run *serve*, and set the event that it is given when it shall stop."""

    async def run() -> None:
        stop = asyncio.Event()
        on_interrupt(stop.set)
        await serve(stop)

    asyncio.run(run())


def on_interrupt(react: Callable[[], None]) -> None:
    """Have *react* called, on the running loop, on each Ctrl-C or SIGTERM.

    Windows' loops take no signal handlers: there Ctrl-C ends the run itself.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, react)
