"""Where the shell touches time and chance."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs


async def _sleep(seconds: float, waker: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waker.wait()


@attrs.frozen(kw_only=True)
class Runtime:
    """Where the shell touches time and chance; tests bring their own.

    Let no pause take time::

        async def skip(seconds, waker): ...

        factory = CheckoutSessionFactory.from_env(runtime=Runtime(sleep=skip))

    Attributes:
        clock: Seconds that only go forward.
        now: Epoch seconds.
        sleep: Waits so many seconds, or until the event is set.
        spread: Rolls a number from 0 to 1.
        dice: Rolls 16 bytes for an idempotency key.
    """

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float, asyncio.Event], Awaitable[None]] = _sleep
    spread: Callable[[], float] = random.random
    dice: Callable[[], bytes] = lambda: os.urandom(16)
