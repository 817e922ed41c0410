"""What the gateway sees; judged by the sandbox's own journal and book."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import aiohttp
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrix import AMPLE, GRACE, turn, until_sent

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    NotFoundError,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    PoolLimits,
    RetryPolicy,
    ServerError,
    SessionStatus,
    Timeouts,
)
from convergegate_async.errors import ApiError
from convergegate_async.factory import FactoryOptions
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(base_delay=0.001)

FAULTS = [kind for kind in FaultKind if not kind.concerns_webhooks]
BROKEN = [kind for kind in FAULTS if kind not in (FaultKind.STATUS, FaultKind.LATENCY)]
SLOW = (FaultKind.STALL, FaultKind.STALL_BODY, FaultKind.DRIP)


async def call(
    checkout: CheckoutSessionFactory,
    operation: str,
    order: CheckoutSessionRequest,
    timeout: float | None = None,
) -> None:
    """Make the call that *operation* names."""
    if operation == "create":
        await checkout.create(order, timeout=timeout)
    else:
        await checkout.retrieve("AW-kLcRRC5P8U68CYe0kVA", timeout=timeout)


async def test_a_session_is_opened_and_found_again(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """What `create` answers, `retrieve` answers too, whatever the spelling."""
    async with sandbox.factory() as checkout:
        created = await checkout.create(order)
        found = await checkout.retrieve(created.id)

    assert found == created
    assert created.call.headers["Content-Type"].startswith("application/json")
    assert found.status is SessionStatus.OPEN
    assert (found.amount_subtotal, found.metadata) == (4999, {"order": "A-17"})
    assert found.call.misread == ()


async def test_a_missing_session_is_not_found(sandbox: Sandbox) -> None:
    """An id that the gateway does not know is a `NotFoundError` with its words."""
    async with sandbox.factory() as checkout:
        with pytest.raises(NotFoundError) as caught:
            await checkout.retrieve("nobody")

    assert caught.value.message == "no such checkout session"
    assert caught.value.request_id == "req_1"


async def test_a_call_has_one_key_and_one_body(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Faults on every attempt: one distinct key and byte-identical bodies arrive."""
    for kind in (FaultKind.STATUS, FaultKind.LOST, FaultKind.RESET, FaultKind.TRUNCATE):
        sandbox.faults.add(Fault(kind, times=1))

    policy = RetryPolicy(max_attempts=5, base_delay=0.001)
    async with sandbox.factory(retry=policy) as checkout:
        session = await checkout.create(order)

    assert len(sandbox.seen) == 5
    assert {seen.idempotency_key for seen in sandbox.seen} == {
        session.call.idempotency_key
    }
    assert len({seen.body for seen in sandbox.seen}) == 1
    assert len(sandbox.book.sessions) == 1


@pytest.mark.parametrize("operation", ["create", "retrieve"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_one_attempt_is_one_request(
    kind: FaultKind,
    operation: str,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """With `max_attempts` of 1 exactly one request arrives, whatever goes wrong."""
    sandbox.faults.add(Fault(kind))

    async with sandbox.factory(retry=ONCE) as checkout:
        with suppress(CallError):
            await until_sent(lambda: call(checkout, operation, order, timeout=0.3))

    assert sandbox.count(operation) == 1


@pytest.mark.parametrize("operation", ["create", "retrieve"])
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_answer_is_unknown(
    kind: FaultKind,
    operation: str,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """Every fault of the wire ends as unknown, in time, with the pool free again."""
    sandbox.faults.add(Fault(kind))
    deadline = 0.5 if kind in SLOW else AMPLE

    async with sandbox.factory(retry=QUICK) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await until_sent(lambda: call(checkout, operation, order, deadline))
        sandbox.faults.clear()
        await checkout.create(order)

    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.elapsed <= deadline + GRACE
    assert caught.value.attempts == (1 if kind in SLOW else 3)


@pytest.mark.parametrize(
    ("operation", "kind"), [("create", OutcomeUnknownError), ("retrieve", ServerError)]
)
async def test_a_lasting_503_is_unknown_for_a_write_only(
    operation: str,
    kind: type[CallError],
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """A 503 may come after the work; on a read there was no work."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=503))

    async with sandbox.factory(retry=QUICK) as checkout:
        with pytest.raises(kind) as caught:
            await call(checkout, operation, order)

    assert caught.value.http_status == 503
    assert sandbox.count(operation) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
async def test_a_refusal_is_not_repeated(
    status: int, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A plain 4xx ends the call after one request."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=status))

    async with sandbox.factory() as checkout:
        with pytest.raises(ApiError) as caught:
            await checkout.create(order)

    assert caught.value.outcome is Outcome.REJECTED
    assert sandbox.count("create") == 1


async def test_a_hint_is_waited_out(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """After a 429 with ``Retry-After: 1`` the next request comes a second later."""
    fault = Fault(FaultKind.STATUS, status=429, retry_after="1", times=1)
    sandbox.faults.add(fault)

    async with sandbox.factory() as checkout:
        session = await checkout.create(order)

    assert session.call.elapsed >= 1.0
    assert (session.call.attempts, session.call.unknown_attempts) == (2, 0)


@pytest.mark.parametrize("kind", SLOW)
async def test_an_attempt_leaves_time_for_the_next(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A stalled or dripping attempt is given up in time for another to succeed."""
    sandbox.faults.add(Fault(kind, times=1))

    async with sandbox.factory(
        timeouts=Timeouts(total=AMPLE, attempt=0.2),
        retry=attrs.evolve(QUICK, max_attempts=9),
    ) as checkout:
        session = await checkout.create(order)

    assert session.call.attempts >= 2
    assert len(sandbox.book.sessions) == 1


async def test_two_hundred_calls_each_get_their_own_session(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Concurrent calls whose first attempt fails are not mixed up by the retries."""
    sandbox.faults.add(Fault(FaultKind.LOST, times=200))
    policy = RetryPolicy(budget=1_000, max_attempts=5)

    async with sandbox.factory(retry=policy) as checkout:
        orders = [
            attrs.evolve(order, amount=number, metadata={"number": str(number)})
            for number in range(1, 201)
        ]
        sessions = await asyncio.gather(*[checkout.create(one) for one in orders])

    assert [session.amount_total for session in sessions] == list(range(1, 201))
    assert [session.metadata["number"] for session in sessions] == [
        str(number) for number in range(1, 201)
    ]
    assert len({session.id for session in sessions}) == 200
    assert len(sandbox.book.sessions) == 200
    assert sandbox.count("create") >= 400


async def test_a_gateway_that_ignores_keys_holds_an_orphan(
    order: CheckoutSessionRequest,
) -> None:
    """Where keys are ignored the repeat makes a second session, and says so."""
    lost = Fault(FaultKind.LOST, times=1)
    async with (
        Sandbox(honour_keys=False, faults=[lost]) as sandbox,
        sandbox.factory() as checkout,
    ):
        session = await checkout.create(order)

    assert len(sandbox.book.sessions) == 2
    assert session.call.unknown_attempts == 1


@pytest.mark.parametrize(
    "pool",
    [
        lambda: {"pool": PoolLimits(limit=1)},
        lambda: {"connector": aiohttp.TCPConnector(limit=1)},
        lambda: {"connector": aiohttp.TCPConnector(limit_per_host=1)},
    ],
    ids=["pool", "connector", "host"],
)
async def test_a_full_pool_is_waited_for_and_named(
    pool: Callable[[], FactoryOptions], sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A call whose time went into waiting for a slot was not sent, nor repeated."""
    sandbox.faults.add(Fault(FaultKind.STALL, times=1))

    options = pool()
    async with AsyncExitStack() as stack:
        connector = options.get("connector")
        if connector is not None:
            await stack.enter_async_context(connector)
        checkout = await stack.enter_async_context(sandbox.factory(**options))
        hog = asyncio.create_task(checkout.create(order))
        while not sandbox.count("create"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        with pytest.raises(NotSentError, match="stayed busy") as caught:
            await checkout.create(order, timeout=0.2)
        hog.cancel()
        await asyncio.wait([hog])

    assert caught.value.attempts == 1
    assert sandbox.count("create") == 1


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(delay=st.floats(0, 0.02), fault=st.sampled_from([None, *BROKEN]))
async def test_cancelling_at_any_moment_leaves_nothing_behind(
    delay: float,
    fault: FaultKind | None,
    order: CheckoutSessionRequest,
) -> None:
    """A cancelled call surfaces at once; its slot and its tasks are free again."""
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        if fault is not None:
            sandbox.faults.add(Fault(fault))
        async with sandbox.factory(pool=PoolLimits(limit=2), retry=QUICK) as checkout:
            calls = [asyncio.create_task(checkout.create(order)) for _ in range(2)]
            await asyncio.sleep(delay)
            for task in calls:
                task.cancel()
            await turn()
            surfaced = all(task.done() for task in calls)
            sandbox.faults.clear()
            # Both slots are needed for both to be under way at once.
            sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.02))
            await asyncio.gather(checkout.create(order), checkout.create(order))

    assert surfaced
    assert asyncio.all_tasks() == before
