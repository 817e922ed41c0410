"""A run in parts: each once, all from one start, and what is lost is said."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from importlib.util import find_spec
from typing import Any, Self, TypeVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import (
    AuthenticationError,
    CheckoutSessionFactory,
    ConfigurationError,
)
from convergegate_async.load import (
    LoadPlan,
    Profile,
    Progress,
    Result,
    Status,
    Target,
    Trace,
    create,
    run_load,
)
from convergegate_async.load.drive import Control, Slice, drive
from convergegate_async.load.run import NothingDrivenError
from convergegate_async.runners import DaskRunner, Done, LocalRunner, Part, Spread
from convergegate_async.sandbox import Sandbox

C = TypeVar("C")
R = TypeVar("R")


def planned(profile: Profile | Trace, **options: Any) -> LoadPlan:  # noqa: ANN401 -- a plan's
    """Return a plan whose run is valid however busy the machine is."""
    return LoadPlan(profile=profile, max_lag=600.0, **options)


SHORT = planned(profile=Profile.constant(40, 0.5))
ENDLESS = planned(profile=Profile.constant(40, 100))


def at(sandbox: Sandbox) -> Target:
    """Return a sandbox as a target."""
    return Target(base_url=sandbox.base_url, api_key=sandbox.api_key)


async def dies_once(checkout: CheckoutSessionFactory, number: int) -> None:
    """Kill the worker that has the seventh iteration."""
    await create(checkout, number)
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)


async def odd_ones_die(checkout: CheckoutSessionFactory, number: int) -> None:
    """Kill the worker that has the odd iterations, once it has told something."""
    await create(checkout, number)
    if number > 81 and number % 2:
        os.kill(os.getpid(), signal.SIGKILL)


async def dies(checkout: CheckoutSessionFactory, number: int) -> None:
    """Kill every worker."""
    del checkout, number
    os.kill(os.getpid(), signal.SIGKILL)


@given(st.integers(1, 9), st.floats(0.5, 50))
def test_parts_are_the_whole(parts: int, rate: float) -> None:
    """Every iteration falls to one of them, under its own number, when it is due."""
    plan = LoadPlan(
        max_lag=600.0, profile=Profile.constant(rate, 5, arrivals="poisson")
    )

    shares = [list(plan.share(part, parts)) for part in range(parts)]

    whole = sorted(itertools.chain.from_iterable(shares))
    assert whole == list(enumerate(plan.profile.due_times()))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("parts", [1, 2])
async def test_processes_drive_a_run_together(sandbox: Sandbox, parts: int) -> None:
    """What was planned is sent once, by whichever of them."""
    seen: list[Progress] = []

    report = await run_load(
        planned(profile=Profile.constant(20, 2.5)),
        at(sandbox),
        runner=LocalRunner(parts),
        parts=parts,
        on_progress=seen.append,
    )

    numbers = sorted(
        int((one.request.metadata or {})["iteration"])
        for one in sandbox.book.sessions.values()
    )
    assert numbers == list(range(50))
    assert report.counts == {Result.OK: 50}
    assert (report.facts.processes, report.lost) == (parts, ())
    assert report.facts.clock_offsets == ((0.0, 0.0),) * parts
    assert seen
    assert sum(seen[-1].total.counts.values()) <= 50


async def test_a_lost_worker_makes_a_run_incomplete(sandbox: Sandbox) -> None:
    """Its part is not driven again, and what the other has measured is told."""
    plan = LoadPlan(
        max_lag=600.0, profile=SHORT.profile, scenario=dies_once, thresholds=["p99<60s"]
    )

    report = await run_load(plan, at(sandbox), runner=LocalRunner(2), parts=2)

    assert (report.status, report.exit_code) == (Status.INCOMPLETE, 98)
    assert report.counts == {Result.OK: 10}  # the even numbers: 7 fell to the other
    assert report.reasons[0].startswith("part 2 of 2 is lost")
    assert sandbox.count("create") <= 10 + 7


async def test_a_run_is_watched_without_its_last_part(sandbox: Sandbox) -> None:
    """Its worker has died; what the other tells is still looked at."""
    stop = asyncio.Event()

    def watch(progress: Progress) -> None:
        if progress.elapsed > 5:
            stop.set()

    report = await run_load(
        planned(profile=ENDLESS.profile, scenario=odd_ones_die),
        at(sandbox),
        runner=LocalRunner(2),
        parts=2,
        on_progress=watch,
        stop=stop,
    )

    assert report.interrupted
    assert len(report.lost) == 1


async def test_without_any_worker_there_is_no_report(sandbox: Sandbox) -> None:
    """All of them died: it is an error, not an empty run."""
    plan = planned(profile=SHORT.profile, scenario=dies)

    with pytest.raises(NothingDrivenError, match="part 1 of 1 is lost"):
        await run_load(plan, at(sandbox), runner=LocalRunner(1))


async def test_a_run_in_parts_can_be_stopped(sandbox: Sandbox) -> None:
    """All of them end, and the report is marked as cut short."""
    stop = asyncio.Event()

    report = await run_load(
        ENDLESS,
        at(sandbox),
        runner=LocalRunner(2),
        parts=2,
        on_progress=lambda _: stop.set(),
        stop=stop,
    )

    assert (report.status, report.exit_code) == (Status.CUT_SHORT, 130)
    assert report.planned == 4_000
    assert report.counts[Result.OK] == sandbox.count("create") > 0


async def test_what_all_parts_measure_ends_a_run(sandbox: Sandbox) -> None:
    """A threshold is judged over all of them."""
    report = await run_load(
        planned(profile=ENDLESS.profile, abort_on=["p50<1us"]),
        at(sandbox),
        runner=LocalRunner(2),
        parts=2,
    )

    assert (report.status, report.stopped) == (Status.FAILED, "p50<1us was not kept")


async def test_a_wrong_key_is_told_from_a_worker(sandbox: Sandbox) -> None:
    """As it would be here."""
    wrong = Target(base_url=sandbox.base_url, api_key="sk_test_wrong")

    with pytest.raises(AuthenticationError):
        await run_load(SHORT, wrong, runner=LocalRunner(2), parts=2)


async def test_workers_have_the_loop_that_was_asked_for(sandbox: Sandbox) -> None:
    """And say which it was; uvloop is taken where it is installed."""
    for loop in ("asyncio", "auto"):
        report = await run_load(SHORT, at(sandbox), runner=LocalRunner(1), loop=loop)
        assert report.counts == {Result.OK: 20}
        is_uvloop = "uvloop" in report.facts.environment["loop"]
        assert is_uvloop is (loop == "auto" and find_spec("uvloop") is not None)


class Watchful:
    """A runner that keeps what it was to send, and has lost it."""

    slots = 1

    def __init__(self) -> None:
        self.slices: list[Slice] = []

    async def __aenter__(self) -> Self:
        """Get ready."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Leave."""

    async def everywhere(self, work: Callable[[C], R], item: C) -> list[R]:
        """Do it here."""
        return [work(item)]

    def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Do nothing."""
        raise NotImplementedError

    async def spread(
        self,
        work: Callable[[C, Part], R],
        slices: Sequence[C],
        **_options: object,
    ) -> list[Spread[R]]:
        """Keep what was to be sent."""
        del work
        self.slices += [one for one in slices if isinstance(one, Slice)]
        return [Spread(None, "it was lost", 0.0, 0.0) for _ in slices]


async def test_no_key_travels_to_workers_elsewhere(sandbox: Sandbox) -> None:
    """They read it from their environment; a sandbox's own is no secret."""
    for target, key in (
        (at(sandbox), None),
        (attrs.evolve(at(sandbox), own="sandbox"), sandbox.api_key),
    ):
        runner = Watchful()
        with pytest.raises(NothingDrivenError):
            await run_load(SHORT, target, runner=runner, parts=2)

        assert [one.target.api_key for one in runner.slices] == [key, key]


async def test_a_worker_refuses_a_live_key_of_its_own() -> None:
    """Whoever submits it may have had a test key."""
    async with Sandbox(api_key="sk_live_1") as sandbox:
        slice_ = Slice(plan=SHORT, target=at(sandbox))
        control = Control(
            warm_up=lambda: None,
            begin=never_begins,
            why_stop=lambda: None,
            tell=lambda _: None,
        )
        with pytest.raises(ConfigurationError, match="real money"):
            await drive(slice_, control)

        assert not sandbox.seen


async def never_begins() -> int:
    """Fail."""
    raise AssertionError


async def test_dask_drives_a_run(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers read the key from their environment: the task holds none."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)

    report = await run_load(
        SHORT, at(sandbox), runner=DaskRunner("local:2"), parts=2, lead=3.0
    )

    assert report.counts == {Result.OK: 20}
    assert len(report.facts.clock_offsets) == 2
