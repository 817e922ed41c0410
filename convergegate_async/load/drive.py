"""One process's part of a run: it warms up, begins on time, and is watched."""

import asyncio
import math
import os
import platform
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version
from typing import Literal, TypeAlias

import attrs

from convergegate_async._core.redaction import redacted
from convergegate_async._version import __version__
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    ConfigurationError,
    NotSentError,
    PermissionDeniedError,
)
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.policy import PoolLimits

from .effort import Effort, EffortMeter
from .generator import Generator, Schedule
from .plan import LoadPlan
from .progress import Progress, progress_of
from .recorder import Recorder
from .steps import StepWatch
from .targets import Target

Loop: TypeAlias = Literal["auto", "asyncio", "uvloop"]
"""What drives a worker's part; ``auto`` is uvloop where it is installed."""

_LOOK_EVERY = 0.2  # seconds
_TELL_EVERY = 5  # looks: a second
_WARM_SHARE = 0.05
"""Of a second's iterations, as many connections are opened beforehand."""
_MOST_WARM = 100
_UNWATCHED = "nobody watched it any more"
_NOBODY = "warm-up"  # a session that no gateway has


@attrs.frozen(kw_only=True)
class Slice:
    """A part of a run, as it travels to its worker.

    Attributes:
        part: Which one it is, from 0.
        parts: Of how many.
        loop: The event loop that drives it.
        allow_live: Its worker may use a key that moves real money.
    """

    plan: LoadPlan
    target: Target
    part: int = 0
    parts: int = 1
    loop: Loop = "auto"
    allow_live: bool = False


@attrs.frozen(kw_only=True)
class PartResult:
    """A part of a run that is over.

    Attributes:
        stopped: Why it ended early, if it did.
        seconds: How long it took.
        environment: What its figures depend on: versions, and the machine.
    """

    recorder: Recorder
    effort: Effort
    stopped: str | None
    seconds: float
    environment: Mapping[str, str]

    def beside(self, other: "PartResult") -> "PartResult":
        """Return both parts as one."""
        both = Recorder()
        both.add(self.recorder)
        both.add(other.recorder)
        return PartResult(
            recorder=both,
            effort=self.effort.beside(other.effort),
            stopped=self.stopped or other.stopped,
            seconds=max(self.seconds, other.seconds),
            environment=self.environment,
        )


@attrs.frozen(kw_only=True)
class Control:
    """How a part is told to begin and to end, and how it reports its progress.

    Attributes:
        warm_up: How many seconds there are to open connections; `None` for all.
        begin: Waits for the beginning, and returns it by `time.perf_counter_ns`.
        why_stop: Why it shall end now; `None` if it shall not.
        tell: Is called every second.
    """

    warm_up: Callable[[], float | None]
    begin: Callable[[], Awaitable[int]]
    why_stop: Callable[[], str | None]
    tell: Callable[[Progress], None]


async def drive(slice_: Slice, control: Control) -> PartResult:
    """Drive a part of a run, from its common start to its last answer.

    Raises:
        ConfigurationError: The target, or the scenario, cannot be right.
        CallError: Before the start: the target cannot be reached, or refuses the key.
    """
    recorder = Recorder()
    plan, target, parts = slice_.plan, slice_.target, slice_.parts
    most = plan.max_in_flight // parts
    async with AsyncExitStack() as stack:
        checkout = await stack.enter_async_context(
            target.factory(
                retry=plan.retry,
                timeouts=plan.timeouts,
                pool=PoolLimits(limit=most),
                observers=[StepWatch()],
            )
        )
        refuse_live(checkout, allow_live=slice_.allow_live)
        scenario = plan.scenario_for(target.key)
        if isinstance(scenario, AbstractAsyncContextManager):
            await stack.enter_async_context(scenario)
        if not plan.cold:
            with suppress(TimeoutError):  # and begins with what is open by then
                async with asyncio.timeout(control.warm_up()):
                    await _warm_up(checkout, min(most, _warm_of(plan, parts)))
        generator = Generator(
            scenario,
            checkout,
            Schedule(
                plan.share(slice_.part, parts), plan.share_size(slice_.part, parts)
            ),
            recorder,
            most=most,
            most_errors=plan.max_errors,
            hide=partial(_without_key, target.key),
        )
        with EffortMeter() as meter:
            start = await control.begin()
            meter.begin()
            watcher = asyncio.create_task(_watch(generator, recorder, control))
            watcher.add_done_callback(lambda _: generator.stop(_UNWATCHED))
            try:
                await generator.run(start)
                stopped = generator.stopped
            finally:
                watcher.cancel()
                [end] = await asyncio.gather(watcher, return_exceptions=True)
            if isinstance(end, Exception):
                raise end  # of whoever was shown how far it is
        return PartResult(
            recorder=recorder,
            effort=meter.effort,
            stopped=stopped,
            seconds=generator.elapsed,
            environment=_environment(),
        )


def _environment() -> Mapping[str, str]:
    loop = type(asyncio.get_running_loop())
    return {
        "convergegate_async": __version__,
        "aiohttp": version("aiohttp"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "loop": f"{loop.__module__.partition('.')[0]}.{loop.__name__}",
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
    }


def refuse_live(checkout: CheckoutSessionFactory, *, allow_live: bool) -> None:
    """Refuse a key that may move real money, unless that is allowed.

    Raises:
        ConfigurationError: It is one.
    """
    if context_of(checkout).is_live and not allow_live:
        message = "the key may move real money: load tests are for test keys"
        raise ConfigurationError(message)


def _without_key(key: str, text: str) -> str:
    return redacted(text, (("api_key", key),), len(text)) if key else text


def _warm_of(plan: LoadPlan, parts: int) -> int:
    """Return how many connections are opened before the start."""
    return max(1, min(_MOST_WARM, math.ceil(plan.profile.peak * _WARM_SHARE / parts)))


async def _warm_up(checkout: CheckoutSessionFactory, connections: int) -> None:
    """Open connections, by looking for a session that there is not.

    Raises:
        CallError: The target cannot be reached, or refuses the key: no run is begun.
    """

    async def look() -> None:
        try:
            await checkout.retrieve(_NOBODY)
        except (AuthenticationError, PermissionDeniedError, NotSentError):
            raise
        except CallError:
            pass  # it is not there, as it should be

    await asyncio.gather(*[look() for _ in range(connections)])


async def _watch(generator: Generator, recorder: Recorder, control: Control) -> None:
    """Look every now and then whether the run shall end, and tell how far it is."""
    looks = 0
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        looks += 1
        if (why := control.why_stop()) is not None:
            generator.stop(why)
        if looks % _TELL_EVERY:
            continue
        control.tell(progress_of(recorder, generator.elapsed, generator.in_flight))
