"""A run in parts: one a worker, all from a common start, none of them twice."""

import asyncio
import time
from collections.abc import Callable

from convergegate_async.errors import ConfigurationError
from convergegate_async.runners import Part

from .drive import Control, Loop, PartResult, Slice, drive
from .progress import INTERRUPTED
from .times import NANOSECONDS

_READY = 0.1  # seconds, between connections and the start


def drive_slice(slice_: Slice, part: Part) -> PartResult:
    """Drive a part of a run, in its worker.

    Raises:
        ConfigurationError: The scenario, or the loop, cannot be had there.
        CallError: Before the start: the target cannot be reached, or refuses the key.
    """

    async def begin() -> int:
        # If it has passed, sends are late, and the run is as invalid as they are.
        early = part.start - time.time()
        return time.perf_counter_ns() + int(early * NANOSECONDS)

    control = Control(
        warm_up=lambda: max(0.0, part.start - time.time() - _READY),
        begin=begin,
        why_stop=lambda: INTERRUPTED if part.is_stopped() else None,
        tell=part.tell,
    )
    with asyncio.Runner(loop_factory=_loop_factory(slice_.loop)) as runner:
        return runner.run(drive(slice_, control))


def _loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 -- of the extra `speed`
    except ImportError:
        if loop == "auto":
            return None
        message = 'uvloop is not installed: pip install "convergegate-async[speed]"'
        raise ConfigurationError(message) from None
    return uvloop.new_event_loop
