"""Who watches calls sees each attempt and each call, and costs them nothing else."""

import asyncio
import logging
import threading
from typing import Any

import attrs
import pytest
from matrix import OPERATIONS, call
from raw import RawServer, hangs_up
from scripted import (
    LOST,
    REFUSED,
    ScriptedTransport,
    StillRuntime,
    answered,
    scripted_factory,
)
from watching import Broken, Watcher

from convergegate_async import (
    AttemptInfo,
    CallEnded,
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    FailureKind,
    Outcome,
    PoolLimits,
    PoolStats,
    RefundRequest,
    RetryPolicy,
    Timeouts,
    WaitTimeoutError,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport._kinds import KINDS
from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import Runtime
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

DONE = HttpResponse(status=200, body=b'{"id": "s1", "status": "completed"}')
OPEN = HttpResponse(status=200, body=b'{"id": "s1", "status": "open"}')


async def test_a_lost_answer_is_seen_attempt_by_attempt(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """First unknown, then done: two attempts, one call, over one endpoint."""
    watcher = Watcher()
    sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=1))

    async with sandbox.factory(observers=[watcher]) as checkout:
        await checkout.create(order, idempotency_key="order-17")

    lost, done = watcher.attempts
    port = int(sandbox.base_url.rpartition(":")[2])
    assert (lost.attempt, done.attempt) == (1, 2)
    assert (lost.outcome, done.outcome) == (Outcome.UNKNOWN, None)
    assert (lost.http_status, done.http_status) == (None, 200)
    assert (lost.request_id, done.request_id) == (None, "req_2")
    assert lost.failure in {FailureKind.DISCONNECTED, FailureKind.BROKEN}
    assert {(one.operation, one.path) for one in watcher.attempts} == {
        ("create", "/v1/checkout/sessions")
    }
    assert (done.server_address, done.server_port) == ("127.0.0.1", port)
    (ended,) = watcher.calls
    assert (ended.outcome, ended.attempts, ended.unknown_attempts) == (None, 2, 1)
    assert ended.idempotency_key == "order-17"


async def test_the_phases_of_an_attempt_are_those_it_came_through(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """What was done has all four; what was lost has no first byte."""
    watcher = Watcher()
    sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=1))

    async with sandbox.factory(observers=[watcher]) as checkout:
        await checkout.create(order)

    lost, done = (attrs.asdict(one.timings) for one in watcher.attempts)
    assert [name for name, seconds in lost.items() if seconds is None] == [
        "first_byte",
        "body",
    ]
    assert all(seconds >= 0 for seconds in done.values())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_phases_are_finer_than_the_clock_of_a_loop(loop: str) -> None:
    """The one of uvloop counts milliseconds, in which most phases are over."""
    factory = pytest.importorskip(loop).new_event_loop
    watcher = Watcher()

    async def look() -> None:
        async with (
            Sandbox() as sandbox,
            sandbox.factory(observers=[watcher]) as checkout,
        ):
            for _ in range(5):
                with pytest.raises(CallError):
                    await checkout.retrieve("nobody")

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(look())

    phases = [
        seconds * 1_000
        for attempt in watcher.attempts
        for seconds in attrs.astuple(attempt.timings)
    ]
    assert len(phases) == 20
    assert min(phases) > 0
    assert not any(abs(one - round(one)) < 1e-6 for one in phases)


async def test_what_is_seen_is_as_if_made_by_its_class() -> None:
    """Every field is set, of what was done and of what was not; all is frozen."""
    watcher, script = Watcher(), ScriptedTransport(DONE, answered(404))

    async with scripted_factory(script, observers=[watcher]) as checkout:
        await checkout.retrieve("s1")
        with pytest.raises(CallError):
            await checkout.retrieve("s2")

    timings = [one.timings for one in watcher.attempts]
    shown: list[Any] = [*watcher.attempts, *timings, *watcher.calls]
    for seen in shown:
        assert attrs.evolve(seen) == seen
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(seen, attrs.fields(type(seen))[0].name, None)


async def test_an_id_is_no_part_of_what_is_seen() -> None:
    """Paths are templates: an id near a pay page stays out of metrics."""
    watcher, script = Watcher(), ScriptedTransport(DONE)

    async with scripted_factory(script, observers=[watcher]) as checkout:
        await checkout.retrieve("s1")

    assert watcher.attempts[0].path == "/v1/checkout/sessions/{id}"
    assert "s1" not in repr(watcher.attempts) + repr(watcher.calls)


async def test_an_observer_that_raises_costs_one_line(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """The call and the other observer go on; the log names two classes, once."""
    watcher, script = Watcher(), ScriptedTransport(REFUSED, DONE, DONE)

    async with scripted_factory(script, observers=[Broken(), watcher]) as checkout:
        await checkout.create(order)
        await checkout.create(order)

    errors = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert [one.getMessage() for one in errors] == [
        "the observer Broken raised ZeroDivisionError and missed that event (said once)"
    ]
    assert (len(watcher.attempts), len(watcher.calls)) == (3, 2)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError(), asyncio.CancelledError(), GeneratorExit(), BaseException()),
        pytest.fail.Exception("the app's own test"),
        BaseExceptionGroup("", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_observer_cannot_end_a_call(
    order: CheckoutSessionRequest, error: BaseException
) -> None:
    """What an observer raises is its own, also if it looks like a cancellation."""

    class Ending(Watcher):
        def attempt_ended(self, _: AttemptInfo, /) -> None:
            """Fail."""
            raise error

        def call_ended(self, _: CallEnded, /) -> None:
            """Fail."""
            raise error

    script = ScriptedTransport(DONE)
    async with scripted_factory(script, observers=[Ending()]) as checkout:
        session = await checkout.create(order)

    assert session.id == "s1"


async def test_views_complain_of_an_observer_once(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A factory and its views, and views of views, share what was said."""
    script = ScriptedTransport(DONE, DONE, DONE)
    async with scripted_factory(script, observers=[Broken()]) as checkout:
        for caller in (checkout, checkout.with_options(), checkout.with_options()):
            await caller.create(order)

    assert [one.levelno for one in caplog.records] == [logging.ERROR]


class HalfAnObserver:
    def call_ended(self, call: CallEnded) -> None:
        """See half of it."""


class AwaitedObserver:
    async def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Never be awaited."""

    async def call_ended(self, call: CallEnded) -> None:
        """Never be awaited."""


class AwaitedCall:
    async def __call__(self, _: object) -> None:
        """Never be awaited."""


class ObserverOfAwaited:
    attempt_ended = call_ended = AwaitedCall()


async def test_which_observers_are_refused_is_said() -> None:
    """By the names of their types, for somebody who gives several."""
    both: Any = [Watcher(), HalfAnObserver()]

    with pytest.raises(ConfigurationError, match=r"have not: HalfAnObserver$"):
        scripted_factory(ScriptedTransport()).with_options(observers=both)


@pytest.mark.parametrize(
    "observers",
    [
        *(None, 5, "x", Watcher(), [Watcher], [HalfAnObserver()]),
        *([AwaitedObserver()], [ObserverOfAwaited()]),
    ],
    ids=[
        *("nothing", "number", "text", "no collection", "class", "half"),
        *("awaited", "awaited call"),
    ],
)
async def test_what_cannot_be_told_is_no_observer(observers: Any) -> None:  # noqa: ANN401 -- not even a collection
    """It is refused when it is given: later it would miss what it was given for."""
    checkout = scripted_factory(ScriptedTransport())

    with pytest.raises(ConfigurationError, match="attempt_ended and call_ended"):
        checkout.with_options(observers=observers)
    with pytest.raises(ConfigurationError, match="attempt_ended and call_ended"):
        scripted_factory(ScriptedTransport(), observers=observers)


async def test_a_view_tells_its_own_observers_and_the_factory_s(
    order: CheckoutSessionRequest,
) -> None:
    """Observers of a view are added, and see the calls of the view only."""
    everyone, own = Watcher(), Watcher()
    script = ScriptedTransport(DONE, DONE)

    async with scripted_factory(script, observers=[everyone]) as checkout:
        view = checkout.with_options(observers=[own])
        await checkout.create(order)
        await view.create(order)

    assert (len(everyone.calls), len(own.calls)) == (2, 1)


async def test_a_view_has_a_policy_of_its_own(order: CheckoutSessionRequest) -> None:
    """One attempt by the view, three by the factory, over one transport."""
    script = ScriptedTransport(*[REFUSED] * 4)

    async with scripted_factory(script) as checkout:
        view = checkout.with_options(retry=RetryPolicy(max_attempts=1))
        for caller, attempts in ((view, 1), (checkout, 3)):
            with pytest.raises(CallError) as caught:
                await caller.create(order)
            assert caught.value.attempts == attempts


async def test_a_view_is_neither_opened_nor_closed() -> None:
    """The pool is the factory's; a view that closed it would cut the others' calls."""
    async with scripted_factory(ScriptedTransport()) as checkout:
        view = checkout.with_options(timeouts=Timeouts(total=1))

        for act in (view.open, view.aclose):
            with pytest.raises(ConfigurationError, match="a view is not opened"):
                await act()


async def test_a_cancelled_call_is_seen_as_well(order: CheckoutSessionRequest) -> None:
    """What may have been done is unknown, in the attempt and in the call."""
    watcher, sent = Watcher(), asyncio.Event()

    class Held(ScriptedTransport):
        """Never answers."""

        async def send(self, *_: object) -> HttpResponse:
            sent.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with scripted_factory(Held(), observers=[watcher]) as checkout:
        task = asyncio.create_task(checkout.create(order))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [one.outcome for one in watcher.attempts] == [Outcome.UNKNOWN]
    (ended,) = watcher.calls
    assert (ended.outcome, ended.unknown_attempts) == (Outcome.UNKNOWN, 1)
    assert ended.error == "CancelledError"


async def test_a_call_cancelled_after_a_refusal_is_in_no_doubt(
    sandbox: Sandbox, order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """It waited to repeat what had been answered by 429: nothing was opened."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, retry_after="20"))
    watcher = Watcher()
    async with sandbox.factory(observers=[watcher]) as checkout:
        task = asyncio.create_task(checkout.create(order, idempotency_key="order-17"))
        while not watcher.attempts:  # noqa: ASYNC110 -- observers have no event
            await asyncio.sleep(0.005)
        closing = asyncio.create_task(checkout.aclose(60))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await closing == ()

    (ended,) = watcher.calls
    assert (ended.outcome, ended.http_status) == (Outcome.REJECTED, 429)
    assert (ended.error, ended.unknown_attempts) == ("CancelledError", 0)
    assert [record.message for record in caplog.records] == []


@pytest.mark.parametrize("is_watched", [True, False])
async def test_a_call_cancelled_before_it_was_sent_is_in_no_doubt(
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
    caplog: pytest.LogCaptureFixture,
    *,
    is_watched: bool,
) -> None:
    """It waited for a place in the pool; nobody has to watch for that to be known."""
    sandbox.faults.add(Fault(FaultKind.STALL, times=1))
    watcher = Watcher()
    async with sandbox.factory(pool=PoolLimits(limit=1)) as checkout:
        held = asyncio.create_task(checkout.retrieve("cs_1", timeout=60))
        while not sandbox.count("retrieve"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        view = checkout.with_options(observers=[watcher] if is_watched else [])
        task = asyncio.create_task(view.create(order))
        while not checkout.stats().waiting:  # noqa: ASYNC110 -- likewise
            await asyncio.sleep(0.005)
        task.cancel()
        held.cancel()
        await asyncio.gather(task, held, return_exceptions=True)

    assert [record.message for record in caplog.records] == []
    if is_watched:
        assert [one.outcome for one in watcher.attempts] == [Outcome.NOT_SENT]
        (ended,) = watcher.calls
        assert (ended.outcome, ended.unknown_attempts) == (Outcome.NOT_SENT, 0)


async def test_a_wait_cancelled_in_a_look_counts_that_look(sandbox: Sandbox) -> None:
    """Attempts and call agree, also where a look was cut short."""
    sandbox.faults.add(Fault(FaultKind.STALL, times=1))
    watcher = Watcher()
    async with sandbox.factory(observers=[watcher]) as checkout:
        task = asyncio.create_task(checkout.wait("cs_1"))
        while not sandbox.count("retrieve"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [one.outcome for one in watcher.attempts] == [Outcome.UNKNOWN]
    (ended,) = watcher.calls
    assert (ended.outcome, ended.attempts) == (Outcome.UNKNOWN, 1)
    assert ended.unknown_attempts == 1


@pytest.mark.parametrize(
    ("look", "outcome"),
    [
        (REFUSED, Outcome.NOT_SENT),
        (answered(503), Outcome.UNKNOWN),
        (OPEN, Outcome.UNKNOWN),
    ],
)
async def test_a_wait_cancelled_between_looks_is_in_doubt(
    look: HttpResponse | Failure, outcome: Outcome
) -> None:
    """What becomes of the session is not known, unless nothing was even asked."""
    pauses, watcher = asyncio.Event(), Watcher()

    async def pause(_seconds: float, waker: asyncio.Event) -> None:
        pauses.set()
        await waker.wait()

    runtime, script = Runtime(sleep=pause), ScriptedTransport(look)
    async with scripted_factory(
        script, runtime=runtime, observers=[watcher]
    ) as checkout:
        task = asyncio.create_task(checkout.wait("s1"))
        await pauses.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    (ended,) = watcher.calls
    assert (ended.outcome, ended.error) == (outcome, "CancelledError")


async def test_a_wait_that_runs_out_is_one_call() -> None:
    """Its looks are attempts of the one call that was made."""
    pending = HttpResponse(status=200, body=b'{"id": "s1", "status": "pending"}')
    watcher, script = Watcher(), ScriptedTransport(*[pending] * 50)

    async with scripted_factory(script, observers=[watcher]) as checkout:
        with pytest.raises(WaitTimeoutError):
            await checkout.wait("s1", timeout=5)

    (ended,) = watcher.calls
    assert (ended.operation, ended.outcome) == ("wait", Outcome.UNKNOWN)
    assert ended.attempts == len(watcher.attempts) > 1
    assert [one.attempt for one in watcher.attempts] == [*range(1, ended.attempts + 1)]
    assert (ended.error, ended.history) == (
        "WaitTimeoutError",
        tuple(watcher.attempts),
    )


@pytest.mark.parametrize(
    ("operation", "seen"),
    [
        ("pay", [("pay", "POST"), ("retrieve", "GET"), ("retrieve", "GET")]),
        ("refund", [("refund", "POST"), ("retrieve", "GET")]),
    ],
)
async def test_a_call_tells_of_its_looks_as_well(
    operation: str, seen: list[tuple[str, str]]
) -> None:
    """What was looked at after a loss belongs to the call, and is told apart."""
    pending = HttpResponse(status=200, body=b'{"id": "s1", "status": "pending"}')
    watcher, script = Watcher(), ScriptedTransport(LOST, pending, DONE)

    async with scripted_factory(script, observers=[watcher]) as checkout:
        if operation == "pay":
            await checkout.pay("s1", "123456")
        else:
            with pytest.raises(CallError):
                await checkout.refund(RefundRequest(session_id="s1", full=True))

    (ended,) = watcher.calls
    assert ended.attempts == 1
    assert [(one.operation, one.method) for one in ended.history] == seen


async def test_calls_at_once_tell_of_their_own_attempts_alone(
    order: CheckoutSessionRequest,
) -> None:
    """Calls and views take turns over one transport, and none tells of another's."""

    class TakingTurns(ScriptedTransport):
        """Answers one call after the other, attempt by attempt."""

        async def send(self, *arguments: Any) -> HttpResponse | Failure:  # noqa: ANN401 -- handed through
            await asyncio.sleep(0)
            return await super().send(*arguments)

    watcher, own = Watcher(), Watcher()
    script = TakingTurns(*[REFUSED] * 3, *[DONE] * 3)

    async with scripted_factory(script, observers=[watcher]) as checkout:
        view = checkout.with_options(observers=[own])
        await asyncio.gather(
            checkout.create(order), view.retrieve("s1"), checkout.retrieve_refund("s1")
        )

    assert len(watcher.attempts) == 6
    assert {
        call.operation: [one.operation for one in call.history]
        for call in watcher.calls
    } == {name: [name, name] for name in ("create", "retrieve", "retrieve_refund")}
    (ended,) = own.calls
    assert ended.history == tuple(own.attempts)


async def test_when_attempts_and_calls_were_over_can_be_compared(
    order: CheckoutSessionRequest,
) -> None:
    """One clock for both: what is between two attempts was the pause."""
    watcher, still = Watcher(), StillRuntime()

    class Slow(ScriptedTransport):
        """Takes two seconds."""

        async def send(self, *arguments: Any) -> HttpResponse | Failure:  # noqa: ANN401 -- handed through
            still.time += 2
            return await super().send(*arguments)

    script = Slow(REFUSED, DONE)
    async with scripted_factory(script, still, observers=[watcher]) as checkout:
        await checkout.create(order)

    (ended,) = watcher.calls
    first, second = ended.history
    (pause,) = still.slept
    assert (first.elapsed, second.elapsed) == (2, 2)
    assert ended.elapsed == pytest.approx(4 + pause)
    assert second.ended_at - first.ended_at == pytest.approx(2 + pause)
    assert second.ended_at == ended.ended_at


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_is_seen_and_what_is_raised_agree(operation: str) -> None:
    """A server that hangs up: outcome, count and kind as on the error."""
    watcher = Watcher()
    twice = RetryPolicy(max_attempts=2, base_delay=0.001)
    async with (
        RawServer(hangs_up) as server,
        CheckoutSessionFactory(
            "sk_test_x", server.base_url, retry=twice, observers=[watcher]
        ) as checkout,
    ):
        with pytest.raises(CallError) as caught:
            await call(checkout, operation, timeout=1)

    error, ended = caught.value, watcher.calls[-1]
    assert (ended.operation, ended.outcome) == (operation, error.outcome)
    assert (ended.attempts, ended.failure) == (error.attempts, error.failure)
    assert error.failure in KINDS.values()


async def test_stats_count_what_is_under_way(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Idle at first, one connection after a call, repeats as the budget has them."""
    async with sandbox.factory() as checkout:
        before = checkout.stats()
        await checkout.create(order)
        after = checkout.stats()

    assert (before.in_flight, before.waiting, before.connections) == (0, 0, 0)
    assert (after.in_flight, after.waiting, after.connections) == (0, 0, 1)
    assert before.repeats_left == RetryPolicy().budget


async def test_stats_can_be_asked_for_by_another_thread(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """As a metrics exporter does: nothing is raised, and no count is below zero."""
    is_over = threading.Event()
    async with sandbox.factory() as checkout:

        def ask() -> list[PoolStats]:
            seen = []
            while not is_over.is_set():
                seen.append(checkout.stats())
            return seen

        asking = asyncio.create_task(asyncio.to_thread(ask))
        try:
            for _ in range(20):
                await asyncio.gather(*(checkout.create(order) for _ in range(20)))
        finally:
            is_over.set()
        seen = await asking

    assert min(min(attrs.astuple(one)) for one in seen) >= 0


async def test_a_429_tells_when_to_come_back() -> None:
    """`retry_after` is on the attempt, so that a pace can learn from it."""
    watcher = Watcher()
    script = ScriptedTransport(answered(429, retry_after="3"), DONE)

    async with scripted_factory(script, observers=[watcher]) as checkout:
        await checkout.retrieve("s1")

    assert [one.retry_after for one in watcher.attempts] == [3.0, None]
