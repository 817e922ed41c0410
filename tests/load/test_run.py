"""A whole run over real sockets: what it sends, what ends it, what it leaves."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from typing import Any

import pytest

from convergegate_async import (
    AuthenticationError,
    CheckoutSessionFactory,
    ConfigurationError,
    NotSentError,
)
from convergegate_async.load.plan import LoadPlan
from convergegate_async.load.profiles import Profile, Trace
from convergegate_async.load.progress import INTERRUPTED, Progress
from convergegate_async.load.recorder import Result
from convergegate_async.load.report.data import Status
from convergegate_async.load.run import run_load
from convergegate_async.load.targets import OwnTarget, Target, own_target
from convergegate_async.runners import LocalRunner
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

SHORT = Profile.constant(50, 0.4)
ENDLESS = Profile.constant(50, 100)
NOWHERE = Target(base_url="http://127.0.0.1:1", api_key="sk_test_x")


def planned(profile: Profile | Trace, **options: Any) -> LoadPlan:  # noqa: ANN401 -- a plan's
    """Return a plan whose run is valid however busy the machine is."""
    return LoadPlan(profile=profile, max_lag=600.0, **options)


def at(sandbox: Sandbox, api_key: str | None = None) -> Target:
    """Return a sandbox as a target."""
    return Target(base_url=sandbox.base_url, api_key=api_key or sandbox.api_key)


async def test_a_run_sends_what_was_planned(sandbox: Sandbox) -> None:
    """As often, no more, and every one is in the report."""
    report = await run_load(planned(profile=SHORT), at(sandbox))

    assert sandbox.count("create") == report.planned == report.sent == 20
    assert report.counts == {Result.OK: 20}
    assert report.seconds >= 0.4
    assert report.facts.target == sandbox.base_url
    assert report.facts.profile == "50/s for 0.4 s"


async def test_connections_are_opened_before_the_first_send(sandbox: Sandbox) -> None:
    """By looking for what there is not; with *cold* nothing is asked beforehand."""
    await run_load(planned(profile=SHORT), at(sandbox))
    looked = sandbox.count("retrieve")
    await run_load(planned(profile=SHORT, cold=True), at(sandbox))

    assert looked == sandbox.count("retrieve") == 3  # a twentieth of a second's
    assert [one.operation for one in sandbox.seen][:4] == ["retrieve"] * 3 + ["create"]


@pytest.mark.parametrize("kind", ["sandbox", "stub"])
async def test_a_target_of_its_own_lives_as_long_as_the_run(kind: OwnTarget) -> None:
    """In another process, which is gone afterwards."""
    async with own_target(kind) as target:
        report = await run_load(
            planned(profile=SHORT, scenario="create-retrieve"), target
        )

    assert report.counts == {Result.OK: 20}
    assert report.facts.target == kind
    with pytest.raises(NotSentError):
        async with target.factory() as checkout:
            await checkout.retrieve("any", timeout=2)


async def test_a_target_of_its_own_that_ends_in_mid_run_is_told() -> None:
    """What was not sent then says nothing of a gateway: the run proves nothing."""
    program = "from convergegate_async.load.targets import serve; serve()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "stub"), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    target = Target(base_url=base_url, api_key="sk_test_stub", own="stub")

    def kill(_: Progress) -> None:
        if process.returncode is None:
            process.kill()

    profile = Profile.constant(50, 1.5)
    report = await run_load(planned(profile=profile), target, on_progress=kill)
    await process.communicate()

    assert report.status is Status.INCOMPLETE
    assert report.reasons == ("the stub of its own ended before the run did",)
    assert report.counts[Result.OK] > 0 < report.counts[Result.NOT_SENT]


async def test_by_default_a_sandbox_is_loaded() -> None:
    """No account, no key, no address."""
    report = await run_load(planned(profile=SHORT))

    assert report.facts.target == "sandbox"
    assert report.counts == {Result.OK: 20}


@pytest.mark.parametrize(
    ("key", "error"),
    [("sk_test_wrong", AuthenticationError), ("sk_live_1", ConfigurationError)],
)
async def test_a_wrong_key_begins_no_run(
    sandbox: Sandbox, key: str, error: type[Exception]
) -> None:
    """A live one is not even tried, unless that is allowed."""
    with pytest.raises(error):
        await run_load(planned(profile=SHORT), at(sandbox, key))

    assert sandbox.count("create") == 0
    assert (sandbox.count("retrieve") == 0) is key.startswith("sk_live")


async def test_a_target_that_is_not_there_begins_no_run() -> None:
    """It is told before time 0."""
    with pytest.raises(NotSentError):
        await run_load(
            planned(profile=SHORT),
            Target(base_url="http://127.0.0.1:1", api_key="sk_test_x"),
        )


async def test_a_run_can_be_stopped(sandbox: Sandbox) -> None:
    """It is marked as cut short, and tells what was measured until then."""
    stop = asyncio.Event()

    def watch(_progress: Progress) -> None:
        stop.set()

    report = await run_load(
        planned(profile=ENDLESS),
        at(sandbox),
        on_progress=watch,
        stop=stop,
    )

    assert (report.status, report.exit_code) == (Status.CUT_SHORT, 130)
    assert report.stopped == INTERRUPTED
    assert report.planned == 5_000
    assert report.counts[Result.OK] == sandbox.count("create") > 0
    assert report.counts[Result.CUT] == 5_000 - report.counts[Result.OK]


async def test_a_threshold_can_end_a_run(sandbox: Sandbox) -> None:
    """Before time and errors have been spent on it."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, operation="create"))

    report = await run_load(
        planned(profile=ENDLESS, abort_on=["error_rate<50%"]),
        at(sandbox),
    )

    assert (report.status, report.exit_code) == (Status.FAILED, 99)
    assert report.reasons[0] == "stopped early: error_rate<50% was not kept"
    assert sandbox.count("create") < 2_500


async def test_so_many_errors_end_a_run(sandbox: Sandbox) -> None:
    """Those on their way then are the only ones beyond."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, operation="create"))

    report = await run_load(planned(profile=ENDLESS, max_errors=3), at(sandbox))

    assert report.status is Status.FAILED
    assert report.counts[Result.REJECTED] >= 3
    assert sandbox.count("create") < 2_500


async def test_a_scenario_may_be_a_function(sandbox: Sandbox) -> None:
    """Its name is in the report."""

    async def my_flow(checkout: CheckoutSessionFactory, number: int) -> None:
        del checkout, number

    report = await run_load(planned(profile=SHORT, scenario=my_flow), at(sandbox))

    assert "my_flow" in report.facts.scenario
    assert report.counts == {Result.OK: 20}


async def test_a_cancelled_run_leaves_no_task() -> None:
    """Whatever was under way."""
    before = len(asyncio.all_tasks())
    async with own_target("stub") as target:
        running = asyncio.create_task(run_load(planned(profile=ENDLESS), target))
        await asyncio.sleep(0.5)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_in_flight": 0},
        {"max_in_flight": True},
        {"max_errors": 0},
        {"thresholds": ["p99"]},
        {"abort_on": ["p99<"]},
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(wrong: dict[str, object]) -> None:
    """When it is made."""
    with pytest.raises(ConfigurationError):
        LoadPlan(profile=SHORT, **wrong)  # type: ignore[arg-type]  # wrong on purpose


async def test_who_is_shown_the_progress_may_fail(sandbox: Sandbox) -> None:
    """Its error ends the run, and is not lost."""

    def fails(_progress: Progress) -> None:
        raise LookupError

    for runner in (None, LocalRunner(1)):
        with pytest.raises(LookupError):
            await run_load(
                planned(profile=ENDLESS), at(sandbox), runner=runner, on_progress=fails
            )


async def test_the_key_is_in_no_example(sandbox: Sandbox) -> None:
    """Not even where a scenario raises it."""

    async def careless(checkout: CheckoutSessionFactory, number: int) -> None:
        del checkout, number
        raise LookupError(sandbox.api_key)

    report = await run_load(planned(profile=SHORT, scenario=careless), at(sandbox))

    [failure] = report.recorder.total.errors.values()
    assert failure.example == "[api_key]"
    assert sandbox.api_key not in report.to_json()


async def test_several_parts_need_a_runner(sandbox: Sandbox) -> None:
    """And an iteration each, at least, that may be in flight."""
    with pytest.raises(ConfigurationError, match="several parts need a runner"):
        await run_load(planned(profile=SHORT), at(sandbox), parts=2)
    with pytest.raises(ConfigurationError, match="more parts than iterations"):
        await run_load(
            planned(profile=SHORT, max_in_flight=1),
            at(sandbox),
            runner=LocalRunner(2),
            parts=2,
        )
