"""A run in parts: one a worker, all from a common start, none of them twice."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.runners import Part

from .drive import Control, Driven, drive
from .plan import LoadPlan
from .progress import INTERRUPTED
from .targets import Target

Loop: TypeAlias = Literal["auto", "asyncio", "uvloop"]
"""What drives a worker's part; ``auto`` is uvloop where it is installed."""

_NANOSECONDS = 1_000_000_000


@attrs.frozen(kw_only=True)
class Slice:
    """A part of a run, as it travels to its worker.

    Attributes:
        target: The gateway; that of the worker's environment if `None`.
        part: Which one it is, from 0.
        parts: Of how many.
        loop: The event loop that drives it.
    """

    plan: LoadPlan
    target: Target
    part: int
    parts: int
    loop: Loop


def cut(plan: LoadPlan, target: Target, parts: int, loop: Loop) -> list[Slice]:
    """Return a run in so many parts."""
    return [
        Slice(plan=plan, target=target, part=part, parts=parts, loop=loop)
        for part in range(parts)
    ]


def drive_slice(slice_: Slice, part: Part) -> Driven:
    """Drive a part of a run, in its worker.

    Raises:
        ConfigurationError: The scenario, or the loop, cannot be had there.
        CallError: Before the start: the target cannot be reached, or refuses the key.
    """

    async def begin() -> int:
        # If it has passed, sends are late, and the run is as invalid as they are.
        early = part.start - time.time()
        return time.perf_counter_ns() + int(early * _NANOSECONDS)

    control = Control(
        begin=begin,
        why_stop=lambda: INTERRUPTED if part.is_stopped() else None,
        tell=part.tell,
    )
    driving = drive(
        slice_.plan, slice_.target, control, part=slice_.part, parts=slice_.parts
    )
    with asyncio.Runner(loop_factory=_loop_factory(slice_.loop)) as runner:
        return runner.run(driving)


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
