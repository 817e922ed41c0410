"""A run, from its plan to its report."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import reduce

import attrs

from convergegate_async.errors import ConfigurationError, ConvergeGateError
from convergegate_async.factory import context_of
from convergegate_async.runners import LocalRunner, Runner

from .drive import Control, Loop, PartResult, Slice, drive, refuse_live
from .plan import LoadPlan
from .progress import INTERRUPTED, Progress, merged, why_end
from .report.data import LoadReport
from .report.facts import RunFacts
from .slices import drive_slice
from .targets import Target, has_ended, own_target

_READY = 50_000_000  # nanoseconds, between all being ready and the first send
_LEAD = 1.0  # seconds, for workers that are up to open their connections
_LOOK_EVERY = 0.2  # seconds
_SEE_EVERY = 0.9


class NothingDrivenError(ConvergeGateError):
    """No worker has driven its part of a run; there is nothing to report."""


async def run_load(  # noqa: PLR0913 -- each is a separate choice of the caller
    plan: LoadPlan,
    target: Target | None = None,
    *,
    runner: Runner | None = None,
    parts: int = 1,
    loop: Loop = "auto",
    lead: float = _LEAD,
    on_progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
    allow_live: bool = False,
) -> LoadReport:
    """Load a gateway as planned, and return what was measured.

    Args:
        plan: What the run is to be.
        target: The gateway; a sandbox of its own, in another process, if `None`.
        runner: Where it is driven, such as ``LocalRunner(2)``; it is entered here. On
            the running loop if `None`. Dask's workers read the key from their
            environment.
        parts: By how many workers of *runner* side by side.
        loop: The event loop of these workers.
        lead: Seconds that they have to open their connections.
        on_progress: Is called every second. On the running loop, what it takes, sends
            are late.
        stop: Ends the run early when it is set: nothing more is sent, what is under way
            has a few seconds to end, and the report is marked as cut short.
        allow_live: A key that may move real money is used.

    Raises:
        ConfigurationError: The plan or the target cannot be right, the key is a live
            one and that is not allowed, or there are fewer workers than parts.
        CallError: Before the first send: the target cannot be reached, or refuses the
            key.
        NothingDrivenError: All workers were lost.
        WorkersLostError: What holds Dask's workers together was lost.
    """
    if parts > 1 and runner is None:
        message = "several parts need a runner, such as LocalRunner(2)"
        raise ConfigurationError(message)
    if parts > plan.max_in_flight:
        message = "there are more parts than iterations that may be in flight"
        raise ConfigurationError(message)
    async with AsyncExitStack() as stack:
        if target is None:
            target = await stack.enter_async_context(own_target("sandbox"))
        refuse_live(target.factory(), allow_live=allow_live)
        started_at = datetime.now(UTC)
        referee = _Referee(plan, on_progress, stop)
        if runner is None:
            slice_ = Slice(plan=plan, target=target, allow_live=allow_live)
            made = await _drive_here(slice_, referee)
        else:
            await stack.enter_async_context(runner)
            slices = [
                Slice(
                    plan=plan,
                    target=target,
                    part=part,
                    parts=parts,
                    loop=loop,
                    allow_live=allow_live,
                )
                for part in range(parts)
            ]
            made = await _drive_there(slices, referee, runner, lead)
        if target.own is not None and await has_ended(target):
            gone = f"the {target.own} of its own ended before the run did"
            made = attrs.evolve(made, lost=(*made.lost, gone))
    return _report_of(plan, target, made, referee.why, started_at)


@attrs.frozen
class _Made:
    """What workers made of a run.

    Attributes:
        lost: Why parts of it are missing.
        clocks: By how much each worker's clock was ahead, and how far off that may be.
    """

    driven: list[PartResult]
    lost: tuple[str, ...] = ()
    clocks: tuple[tuple[float, float], ...] = ()


def _report_of(
    plan: LoadPlan,
    target: Target,
    made: _Made,
    why: str | None,
    started_at: datetime,
) -> LoadReport:
    """Return what all parts come to; *why* is what ended them early, if known here.

    Raises:
        NothingDrivenError: There is none.
    """
    if not made.driven:
        raise NothingDrivenError("; ".join(made.lost))
    whole = reduce(PartResult.beside, made.driven)
    stopped = why or whole.stopped
    return LoadReport(
        facts=RunFacts(
            scenario=plan.scenario_name,
            profile=str(plan.profile),
            target=target.own or context_of(target.factory()).base_url,
            seconds=plan.profile.duration,
            processes=len(made.clocks) or 1,
            max_in_flight=plan.max_in_flight,
            max_lag=plan.max_lag,
            max_attempts=plan.retry.max_attempts,
            seed=plan.seed,
            started_at=started_at,
            environment=whole.environment,
            clock_offsets=made.clocks,
        ),
        recorder=whole.recorder,
        effort=whole.effort,
        seconds=whole.seconds if stopped else max(whole.seconds, plan.profile.duration),
        thresholds=plan.thresholds,
        stopped=stopped,
        interrupted=stopped == INTERRUPTED,
        lost=made.lost,
    )


class _Referee:
    """Sees how far a run is, and says when it shall end.

    Args:
        plan: What the run is to be.
        on_progress: Is shown what it sees.
        stop: Set from outside to interrupt the run.

    Attributes:
        why: Why it shall end; `None` if it shall go on.
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
        self.why: str | None = None

    def see(self, progress: Progress) -> None:
        """Look at how far it is."""
        self.why = self.why or why_end(self._plan, progress)
        if self._on_progress is not None:
            self._on_progress(progress)

    def look(self) -> str | None:
        """Return why it shall end now; `None` if it shall go on."""
        if self.why is None and self._stop is not None and self._stop.is_set():
            self.why = INTERRUPTED
        return self.why


async def _drive_here(slice_: Slice, referee: _Referee) -> _Made:
    async def begin() -> int:
        return time.perf_counter_ns() + _READY

    control = Control(
        warm_up=lambda: None, begin=begin, why_stop=referee.look, tell=referee.see
    )
    return _Made([await drive(slice_, control)])


async def _drive_there(
    slices: list[Slice], referee: _Referee, runner: Runner, lead: float
) -> _Made:
    news: dict[int, Progress] = {}
    end = asyncio.Event()

    def hear(part: int, heard: object) -> None:
        if isinstance(heard, Progress):
            news[part] = heard

    async def look() -> None:
        seen = 0.0
        try:
            while referee.look() is None:
                await asyncio.sleep(_LOOK_EVERY)
                latest = max((one.elapsed for one in news.values()), default=0.0)
                if latest >= seen + _SEE_EVERY:
                    seen = latest
                    referee.see(merged(news.values()))
        finally:
            end.set()

    if not isinstance(runner, LocalRunner):
        slices = [_without_secrets(slice_) for slice_ in slices]
    looking = asyncio.create_task(look())
    try:
        spread = await runner.spread(
            drive_slice, slices, lead=lead, stop=end, on_news=hear
        )
    finally:
        looking.cancel()
        [raised] = await asyncio.gather(looking, return_exceptions=True)
    if isinstance(raised, Exception):
        raise raised  # of whoever was shown how far it is
    lost = (
        f"part {number} of {len(slices)} is lost: {one.problem}"
        for number, one in enumerate(spread, 1)
        if one.problem is not None
    )
    return _Made(
        [one.result for one in spread if one.result is not None],
        tuple(lost),
        tuple((one.offset, one.margin) for one in spread),
    )


def _without_secrets(slice_: Slice) -> Slice:
    """Return it as it may travel by Dask, whose workers read the key themselves."""
    if slice_.target.own is not None:
        return slice_
    return attrs.evolve(slice_, target=attrs.evolve(slice_.target, api_key=None))
