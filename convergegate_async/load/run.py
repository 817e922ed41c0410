"""A run, from its plan to its report."""

import asyncio
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version

from convergegate_async._version import __version__
from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import context_of

from .drive import Control, Driven, drive
from .plan import LoadPlan
from .progress import Progress, why_end
from .report.data import LoadReport, RunFacts
from .targets import Target, own_target

_LEAD = 50_000_000  # nanoseconds, between all being ready and the first send
INTERRUPTED = "it was interrupted"


async def run_load(
    plan: LoadPlan,
    target: Target | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
    allow_live: bool = False,
) -> LoadReport:
    """Load a gateway as planned, and return what was measured.

    Args:
        plan: What the run is to be.
        target: The gateway; a sandbox of its own, in another process, if `None`.
        on_progress: Is called every second. What it takes, sends are late.
        stop: Ends the run early when it is set: nothing more is sent, what is under way
            has a few seconds to end, and the report is marked as cut short.
        allow_live: A key that may move real money is used.

    Raises:
        ConfigurationError: The plan or the target cannot be right, or the key is a live
            one, and that is not allowed.
        CallError: Before the first send: the target cannot be reached, or refuses the
            key.
    """
    async with AsyncExitStack() as stack:
        if target is None:
            target = await stack.enter_async_context(own_target("sandbox"))
        _refuse_live(target, allow_live=allow_live)
        started_at = datetime.now(UTC)
        referee = Referee(plan, on_progress, stop)

        async def begin() -> int:
            return time.perf_counter_ns() + _LEAD

        control = Control(begin=begin, why_stop=referee.why_stop, tell=referee.see)
        driven = await drive(plan, target, control)
    return report_of(plan, target, [driven], started_at)


class Referee:
    """Sees how far a run is, and says when it shall end.

    Args:
        plan: What the run is to be.
        on_progress: Is shown what it sees.
        stop: Set from outside to interrupt the run.
    """

    def __init__(
        self,
        plan: LoadPlan,
        on_progress: Callable[[Progress], None] | None,
        stop: asyncio.Event | None,
    ) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._stop = stop
        self._why: str | None = None

    def see(self, progress: Progress) -> None:
        """Look at how far it is."""
        self._why = self._why or why_end(self._plan, progress)
        if self._on_progress is not None:
            self._on_progress(progress)

    def why_stop(self) -> str | None:
        """Return why it shall end now; `None` if it shall go on."""
        if self._why is None and self._stop is not None and self._stop.is_set():
            self._why = INTERRUPTED
        return self._why


def report_of(
    plan: LoadPlan, target: Target, driven: list[Driven], started_at: datetime
) -> LoadReport:
    """Return what the parts of a run come to together."""
    whole = driven[0]
    for part in driven[1:]:
        whole = whole.beside(part)
    planned = 0.0 if whole.stopped else plan.profile.duration
    return LoadReport(
        facts=RunFacts(
            scenario=plan.scenario_name,
            profile=str(plan.profile),
            target=target.own or context_of(target.factory()).base_url,
            seconds=plan.profile.duration,
            processes=len(driven),
            max_in_flight=plan.max_in_flight,
            max_attempts=plan.retry.max_attempts,
            seed=plan.seed,
            started_at=started_at,
            environment=environment(),
        ),
        recorder=whole.recorder,
        effort=whole.effort,
        seconds=max(planned, whole.seconds),
        thresholds=plan.thresholds,
        stopped=whole.stopped,
        interrupted=whole.stopped == INTERRUPTED,
    )


def environment() -> Mapping[str, str]:
    """Return what a figure depends on: versions, and the machine."""
    loop = type(asyncio.get_running_loop())
    return {
        "convergegate_async": __version__,
        "aiohttp": version("aiohttp"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "loop": f"{loop.__module__}.{loop.__qualname__}",
        "platform": platform.platform(),
        "cores": str(len(os.sched_getaffinity(0)) if _CAN_PIN else os.cpu_count()),
    }


_CAN_PIN = sys.platform == "linux"


def _refuse_live(target: Target, *, allow_live: bool) -> None:
    if context_of(target.factory()).is_live and not allow_live:
        message = "the key may move real money: load tests are for test keys"
        raise ConfigurationError(message)
