"""What scenarios do to a sandbox, and what is measured of their steps."""

import asyncio
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from convergegate_async import (
    CheckoutSessionFactory,
    ConfigurationError,
    RetryPolicy,
    SessionStatus,
)
from convergegate_async.load.generator import Generator, Schedule
from convergegate_async.load.recorder import Recorder, Result
from convergegate_async.load.scenarios import (
    CreatePayWebhook,
    Mix,
    Scenario,
    create,
    create_retrieve,
    scenario_named,
)
from convergegate_async.load.steps import PHASES, StepWatch, step
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

KEY = "sk_test_sandbox"


async def run(sandbox: Sandbox, scenario: Scenario, times: int) -> Recorder:
    """Run a scenario so often against a sandbox, and return what was recorded."""
    recorder = Recorder()
    options = sandbox.factory(
        observers=[StepWatch()], retry=RetryPolicy(max_attempts=1)
    )
    async with options as checkout:
        schedule = Schedule((number, 0) for number in range(times))
        generator = Generator(scenario, checkout, schedule, recorder, most=100)
        await generator.run(time.perf_counter_ns())
    return recorder


async def test_create_opens_one_session_an_iteration(sandbox: Sandbox) -> None:
    """Each with its own number, so that no answer can be taken for another's."""
    recorder = await run(sandbox, create, 5)

    assert recorder.total.counts == {Result.OK: 5}
    assert list(recorder.steps) == ["create"]
    numbers = {
        (one.request.metadata or {})["iteration"]
        for one in sandbox.book.sessions.values()
    }
    assert numbers == {"0", "1", "2", "3", "4"}


async def test_each_call_is_a_step(sandbox: Sandbox) -> None:
    """In their order; the first waited for its turn, the second only for its answer."""
    recorder = await run(sandbox, create_retrieve, 3)

    assert list(recorder.steps) == ["create", "retrieve"]
    for measured in recorder.steps.values():
        assert measured.counts == {Result.OK: 3}
    first, second = recorder.steps.values()
    assert first.response.mean >= first.service.mean
    assert second.response.encoded() == second.service.encoded()


async def test_phases_of_attempts_are_kept(sandbox: Sandbox) -> None:
    """By the factory's own marks."""
    recorder = await run(sandbox, create, 3)

    assert set(recorder.phases) == set(PHASES)
    assert {len(times) for times in recorder.phases.values()} == {3}


async def test_a_payment_is_waited_for(sandbox: Sandbox) -> None:
    """By its webhook, which is a step, too."""
    async with CreatePayWebhook(KEY) as scenario:
        recorder = await run(sandbox, scenario, 4)

    assert recorder.total.counts == {Result.OK: 4}
    assert list(recorder.steps) == ["create", "pay", "webhook"]
    statuses = {one.status for one in sandbox.book.sessions.values()}
    assert statuses == {SessionStatus.COMPLETED}


@pytest.mark.parametrize(
    ("fault", "result", "kind"),
    [
        (Fault(FaultKind.STATUS, status=429), Result.REJECTED, "RateLimitedError 429"),
        (Fault(FaultKind.LOST), Result.UNKNOWN, "OutcomeUnknownError"),
    ],
)
async def test_errors_are_told_apart(
    sandbox: Sandbox, fault: Fault, result: Result, kind: str
) -> None:
    """A rejected call is not an unknown one; each has one example."""
    sandbox.faults.add(fault)

    recorder = await run(sandbox, create, 2)

    assert recorder.total.counts == {result: 2}
    assert {one: failure.count for one, failure in recorder.total.errors.items()} == {
        kind: 2
    }
    assert recorder.step("create").counts == {result: 2}
    [failure] = recorder.total.errors.values()
    assert "create" in failure.example
    assert "john@example.com" not in failure.example


async def test_a_step_of_ones_own_is_measured(sandbox: Sandbox) -> None:
    """By the name that it was given, as long as it took, whatever it came to."""

    async def scenario(checkout: CheckoutSessionFactory, number: int) -> None:
        with step("think"):
            await asyncio.sleep(0.01)
        with step("ship"):
            if number == 0:
                raise LookupError
        await checkout.retrieve("no-such-session")

    recorder = await run(sandbox, scenario, 2)

    assert list(recorder.steps) == ["think", "ship", "retrieve"]
    assert recorder.step("ship").counts == {Result.OK: 1, Result.FAILED: 1}
    assert recorder.step("retrieve").counts == {Result.REJECTED: 1}
    assert recorder.step("think").response.longest >= 0.009


async def test_a_call_that_the_scenario_gives_up_is_unknown(sandbox: Sandbox) -> None:
    """It may have been done: it is no cut, and counts in the rates of its step."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=60.0, operation="create"))

    async def scenario(checkout: CheckoutSessionFactory, number: int) -> None:
        creating = asyncio.create_task(create(checkout, number))
        while not sandbox.count("create"):  # noqa: ASYNC110 -- of a server
            await asyncio.sleep(0.01)
        creating.cancel()
        await creating

    recorder = await run(sandbox, scenario, 1)

    assert recorder.step("create").counts == {Result.UNKNOWN: 1}
    assert recorder.total.counts == {Result.FAILED: 1}


async def test_a_call_that_the_end_of_the_run_cancels_is_cut(sandbox: Sandbox) -> None:
    """It says nothing about the target."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=60.0, operation="create"))
    recorder = Recorder()
    async with sandbox.factory(observers=[StepWatch()]) as checkout:
        schedule = Schedule([(0, 0)])
        generator = Generator(create, checkout, schedule, recorder, most=1, grace=0.1)
        running = asyncio.create_task(generator.run(time.perf_counter_ns()))
        while not sandbox.count("create"):  # noqa: ASYNC110 -- of a server
            await asyncio.sleep(0.01)
        generator.stop("enough")
        await running

    assert recorder.step("create").counts == {Result.CUT: 1}
    assert recorder.total.counts == {Result.CUT: 1}


async def test_outside_of_a_load_test_a_step_does_nothing(sandbox: Sandbox) -> None:
    """A scenario can be tried by calling it; its factory may be watched, too."""
    with step("anything"):
        pass
    async with sandbox.factory(observers=[StepWatch()]) as checkout:
        await create(checkout, 0)

    assert sandbox.count("create") == 1


async def test_a_mix_is_as_its_weights_say(sandbox: Sandbox) -> None:
    """Every number falls to the same scenario, whichever worker has it."""
    mix = Mix({create: 3, create_retrieve: 1}, seed=5)

    recorder = await run(sandbox, mix, 40)

    chosen = Counter(mix.chosen(number) for number in range(40))
    assert recorder.step("create").counts[Result.OK] == 40
    assert recorder.step("retrieve").counts[Result.OK] == chosen[create_retrieve]
    many = Counter(mix.chosen(number) for number in range(4_000))
    assert many[create] / 4_000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("create", create), ("create-retrieve", create_retrieve)],
)
def test_scenarios_have_names(text: str, expected: Scenario) -> None:
    """Those of ours."""
    assert scenario_named(text, api_key=KEY) is expected


async def test_what_a_mix_needs_is_opened(sandbox: Sandbox) -> None:
    """The listener of a scenario among others, and closed again."""
    mix = scenario_named("create=1,create-pay-webhook=1", api_key=KEY)

    async with AsyncExitStack() as stack:
        assert isinstance(mix, Mix)
        await stack.enter_async_context(mix)
        recorder = await run(sandbox, mix, 10)

    assert recorder.total.counts == {Result.OK: 10}
    assert "webhook" in recorder.steps


def test_a_scenario_of_ones_own_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder where the command is run, a function or an object."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # it is added to
    Path("own_scenario.py").write_text(
        "async def flow(checkout, number): pass\n"
        "class Flow:\n"
        "    async def __call__(self, checkout, number): pass\n"
        "flows = Flow()\n"
        "def plain(checkout, number): pass\n"
        "async def alone(): pass\n"
    )

    for name in ("flow", "flows"):
        assert callable(scenario_named(f"own_scenario:{name}", api_key=KEY))
    for name in ("plain", "alone"):
        with pytest.raises(ConfigurationError, match="async def"):
            scenario_named(f"own_scenario:{name}", api_key=KEY)


@pytest.mark.parametrize(
    "text",
    [
        *("", "pay", "no_such_module:flow", "json:no_such_name", ":flow", "json:"),
        *("create=0", "create=x", "create,pay=2", "create=1,", "create=1,create=2"),
    ],
)
def test_what_is_no_scenario_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError):
        scenario_named(text, api_key=KEY)
