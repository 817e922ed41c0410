"""`create_many` on the wire; judged by the sandbox's own journal and book."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from itertools import pairwise

import aiohttp
import attrs
import pytest
from scripted import ScriptedTransport, scripted_factory

from convergegate_async import (
    AuthenticationError,
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConfigurationError,
    PermissionDeniedError,
    PoolLimits,
    RateLimitedError,
    RetryPolicy,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async.bulk import (
    Created,
    NotSent,
    Rejected,
    Unknown,
    create_many,
)
from convergegate_async.bulk.sending.create_many import create_one
from convergegate_async.bulk.sending.outcomes import Numbered
from convergegate_async.factory import Runtime
from convergegate_async.sandbox import Fault, FaultKind, Sandbox
from convergegate_async.testing import ThreadedSandbox

CONCURRENCY = 16
QUICK = RetryPolicy(base_delay=0.001, budget=10_000)


def orders(
    order: CheckoutSessionRequest, count: int
) -> Iterator[CheckoutSessionRequest]:
    """Yield *count* requests that differ in their amount."""
    for amount in range(1, count + 1):
        yield attrs.evolve(order, amount=amount)


async def asynchronous(
    order: CheckoutSessionRequest, count: int
) -> AsyncIterator[CheckoutSessionRequest]:
    """Yield the same, as a database cursor does."""
    for one in orders(order, count):
        await asyncio.sleep(0)
        yield one


@pytest.mark.parametrize("source", [orders, asynchronous])
async def test_each_request_becomes_one_session(
    source: type,
    checkout: CheckoutSessionFactory,
    convergegate_sandbox: ThreadedSandbox,
    order: CheckoutSessionRequest,
) -> None:
    """500 requests, 500 sessions, each yielded once with its own index and request."""
    making = create_many(checkout, source(order, 500), concurrency=CONCURRENCY)
    made = [outcome async for outcome in making]

    assert all(isinstance(outcome, Created) for outcome in made)
    assert sorted(outcome.index for outcome in made) == list(range(500))
    assert all(one.session.amount_total == one.request.amount for one in made)  # type: ignore[union-attr]  # all are Created
    assert len(convergegate_sandbox.sessions()) == 500


async def test_no_more_are_under_way_than_asked_for(
    checkout: CheckoutSessionFactory, order: CheckoutSessionRequest
) -> None:
    """Neither on the wire nor taken from the input are there more than workers."""
    taken, yielded, most = 0, 0, 0

    def counted() -> Iterator[CheckoutSessionRequest]:
        nonlocal taken, most
        for one in orders(order, 300):
            taken += 1
            most = max(most, taken - yielded)
            yield one

    async for _ in create_many(checkout, counted(), concurrency=CONCURRENCY):
        yielded += 1

    # As many on the wire as workers, as many more waiting to be yielded.
    assert most <= 2 * CONCURRENCY + 1


async def test_every_verdict_has_its_noun(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Created, rejected and unknown rows come out as such, each with its key."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=400, times=2))
    sandbox.faults.add(Fault(FaultKind.LOST, times=3))
    policy = RetryPolicy(repeat_unknown_create=False)

    async with sandbox.factory(retry=policy) as checkout:
        made = [one async for one in create_many(checkout, orders(order, 20))]

    nouns = Counter(type(one) for one in made)
    assert nouns == {Created: 15, Rejected: 2, Unknown: 3}
    assert all(one.idempotency_key for one in made)
    assert len({one.idempotency_key for one in made}) == 20


async def test_where_nobody_listens_nothing_is_sent(
    order: CheckoutSessionRequest,
) -> None:
    """A gateway that is down makes every row `NotSent`."""
    async with Sandbox() as sandbox:
        gone = sandbox.factory(retry=QUICK)
    async with gone as checkout:
        made = [one async for one in create_many(checkout, orders(order, 10))]

    assert [type(one) for one in made] == [NotSent] * 10


async def test_keys_of_the_caller_are_sent(
    checkout: CheckoutSessionFactory,
    convergegate_sandbox: ThreadedSandbox,
    order: CheckoutSessionRequest,
) -> None:
    """A second run under the same keys opens no second session."""
    for _ in range(2):
        async for _ in create_many(
            checkout, orders(order, 30), key=lambda one: f"order-{one.amount}"
        ):
            pass

    assert len(convergegate_sandbox.sessions()) == 30


async def test_a_wrong_key_stops_the_job(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """H16: at most *concurrency* + 3 of 10,000 requests are sent, and it is raised."""
    wrong = CheckoutSessionFactory("sk_test_wrong", sandbox.base_url)

    async with wrong as checkout:
        with pytest.raises(AuthenticationError):
            async for _ in create_many(
                checkout, orders(order, 10_000), concurrency=CONCURRENCY
            ):
                pass

    assert len(sandbox.seen) <= CONCURRENCY + 3


async def test_three_forbidden_rows_in_a_row_stop_the_job(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """What the key may not do once it may not do ten thousand times."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=403))

    async with sandbox.factory() as checkout:
        with pytest.raises(PermissionDeniedError):
            async for _ in create_many(
                checkout, orders(order, 10_000), concurrency=CONCURRENCY
            ):
                pass

    assert len(sandbox.seen) <= CONCURRENCY + 3


async def test_one_hint_holds_all(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """After a 429 with ``Retry-After: 1`` nothing more is begun for a second."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, retry_after="1", times=1))
    moments: list[float] = []

    async with sandbox.factory() as checkout:
        async for _ in create_many(checkout, orders(order, 100), concurrency=4):
            moments.append(time.monotonic())  # noqa: PERF401 -- the moments are the point

    gaps = [later - moment for moment, later in pairwise(moments)]
    assert max(gaps) >= 0.9
    assert len(sandbox.book.sessions) == 100


async def test_the_rate_is_kept(
    checkout: CheckoutSessionFactory,
    convergegate_sandbox: ThreadedSandbox,
    order: CheckoutSessionRequest,
) -> None:
    """40 starts at 100 a second take the time that they have to."""
    started = convergegate_sandbox.now()

    with convergegate_sandbox.skip_pauses():
        async for _ in create_many(checkout, orders(order, 40), maximum_rps=100):
            pass

    assert convergegate_sandbox.now() - started == pytest.approx(0.39, abs=1e-3)


async def test_breaking_out_leaves_nothing_running(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """After ``aclosing`` no task of the job is left, and no further request is sent."""
    async with sandbox.factory() as checkout:
        before = {task for task in asyncio.all_tasks() if "_run_worker" in repr(task)}
        async with aclosing(create_many(checkout, orders(order, 10_000))) as outcomes:
            async for _ in outcomes:
                break
        after = {task for task in asyncio.all_tasks() if "_run_worker" in repr(task)}
        await asyncio.sleep(0.05)  # what was cancelled on the wire still arrives
        sent = len(sandbox.seen)
        await asyncio.sleep(0.05)

    assert before == after == set()
    assert len(sandbox.seen) == sent


async def test_cancelling_leaves_nothing_running(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A cancelled job ends at once, workers and all."""
    async with sandbox.factory() as checkout:

        async def job() -> None:
            async for _ in create_many(checkout, orders(order, 10_000)):
                pass

        task = asyncio.create_task(job())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        left = [task for task in asyncio.all_tasks() if "_run_worker" in repr(task)]

    assert task.cancelled()
    assert left == []


async def test_an_input_that_breaks_ends_the_job_cleanly(
    checkout: CheckoutSessionFactory,
    convergegate_sandbox: ThreadedSandbox,
    order: CheckoutSessionRequest,
) -> None:
    """H15: what was taken is yielded, then the input's own error is raised."""

    def broken() -> Iterator[CheckoutSessionRequest]:
        yield from orders(order, 20)
        message = "the cursor was closed"
        raise OSError(message)

    yielded = 0

    async def count() -> None:
        nonlocal yielded
        async for _ in create_many(checkout, broken(), concurrency=4):
            yielded += 1

    with pytest.raises(OSError, match="the cursor was closed"):
        await count()

    assert yielded == len(convergegate_sandbox.sessions()) == 20


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(FaultKind.STATUS, status=401), id="wrong key"),
        pytest.param(
            Fault(FaultKind.STATUS, status=429, retry_after="86400"), id="a day"
        ),
    ],
)
async def test_an_end_does_not_wait_for_more_input(
    fault: Fault, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A queue that may stay empty for hours is let go of, and tidies up behind it."""
    sandbox.faults.add(fault)
    tidied = []

    async def source() -> AsyncIterator[CheckoutSessionRequest]:
        try:
            for one in orders(order, 5):
                yield one
            await asyncio.Event().wait()
        finally:
            tidied.append("the source")

    outcomes = []
    end: CallError
    async with sandbox.factory(retry=QUICK) as checkout:
        try:
            async for outcome in create_many(checkout, source()):
                outcomes.append(outcome)  # noqa: PERF401 -- kept beside an error
        except (AuthenticationError, RateLimitedError) as error:
            end = error
    assert end.http_status == fault.status

    assert 0 < len(outcomes) <= 5
    assert tidied == ["the source"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "whole number above 0"),
        ({"concurrency": True}, "whole number above 0"),
        ({"concurrency": 11}, "above the 10 that the pool holds"),
        ({"maximum_rps": 0}, "maximum_rps"),
        ({"maximum_rps": float("nan")}, "maximum_rps"),
    ],
)
async def test_limits_that_cannot_be_kept_are_refused(
    options: dict[str, float],
    words: str,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """A limit is refused before anything is sent."""
    options = {"concurrency": 5, **options}
    async with sandbox.factory(pool=PoolLimits(limit=10)) as checkout:
        with pytest.raises(ConfigurationError, match=words):
            async for _ in create_many(checkout, [order], **options):  # type: ignore[arg-type]  # wrong on purpose
                pass

    assert list(sandbox.seen) == []


async def test_a_body_that_was_made_before_is_sent(
    order: CheckoutSessionRequest,
) -> None:
    """A row that a job has encoded for its fingerprint is not encoded again."""
    item = Numbered(0, order, "key-1", b"made=before")
    transport = ScriptedTransport(HttpResponse(status=200, body=b'{"id": "s1"}'))

    async with scripted_factory(transport) as checkout:
        await create_one(checkout, item)

    assert transport.sent[0].body == b"made=before"


async def test_a_connector_of_one_s_own_limits_it_too(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Rows beyond it would only wait for a place in the pool, and not be sent."""
    async with (
        aiohttp.TCPConnector(limit_per_host=2) as connector,
        sandbox.factory(connector=connector) as checkout,
    ):
        with pytest.raises(ConfigurationError, match="above the 2 that the pool holds"):
            async for _ in create_many(checkout, [order], concurrency=3):
                pass

    assert list(sandbox.seen) == []


async def test_a_gateway_that_was_away_gets_one_row_at_a_time(
    order: CheckoutSessionRequest,
) -> None:
    """While nothing can be sent rows are held back; the first answer frees them all."""
    waited: list[float] = []

    async def sleep(seconds: float, waker: asyncio.Event) -> None:
        # Long waits are those of the breaker: noted, and cut short.
        if seconds >= 1:
            waited.append(seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, 0.05)):
                await waker.wait()

    runtime = Runtime(sleep=sleep, clock=Clock(waited))
    async with Sandbox() as sandbox:
        port = int(sandbox.base_url.rpartition(":")[2])
        checkout = sandbox.factory(retry=RetryPolicy(max_attempts=1), runtime=runtime)
    nouns: Counter[type] = Counter()
    async with checkout:
        outcomes = create_many(checkout, orders(order, 60), concurrency=CONCURRENCY)
        async for outcome in outcomes:
            nouns[type(outcome)] += 1
            if (
                nouns.total() == 24
            ):  # twenty opened the breaker; some more were under way
                sandbox = Sandbox(port=port)
                await sandbox.__aenter__()
    await sandbox.__aexit__(None, None, None)

    assert nouns.total() == 60
    assert nouns[Created] >= 20
    assert waited != []


class Clock:
    """Real time, and what was waited for in a shorter time."""

    def __init__(self, waited: list[float]) -> None:
        self._waited = waited

    def __call__(self) -> float:
        """Return seconds that only go forward."""
        return time.monotonic() + sum(self._waited)
