"""Group G: trying again, waiting for it, and stopping in the middle of it."""

import asyncio
import json
import logging
import random
import re
import socket
from collections.abc import Callable
from email.utils import formatdate

import aiohttp
import attrs
import pytest
from matrix import AMPLE, OPERATIONS, SESSION_ANSWER, SESSION_ID, call, observe
from raw import Exchange, Handler, RawServer, http
from scripted import (
    DONE,
    LOST,
    REFUSED,
    ScriptedTransport,
    StillRuntime,
    answered,
    scripted_factory,
)

from convergegate_async import (
    CallError,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    NotSentError,
    OutcomeUnknownError,
    PoolLimits,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks

AT_ONCE = 30  # turns of the loop
Answer = HttpResponse | Failure


class Dealt(ScriptedTransport):
    """Answers every attempt by what *deal* returns."""

    def __init__(self, deal: Callable[[], Answer]) -> None:
        super().__init__()
        self.deal = deal

    async def send(self, request: HttpRequest, patience: float, marks: Marks) -> Answer:
        """Answer whatever is dealt."""
        del marks
        self.sent.append(request)
        self.patience.append(patience)
        return self.deal()


async def succeeds(checkout: CheckoutSessionFactory) -> bool:
    """Tell whether one look succeeds."""
    try:
        await checkout.retrieve(SESSION_ID)
    except CallError:
        return False
    return True


# -- the budget ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(REFUSED, id="G1-refused"),
        pytest.param(LOST, id="G1-lost"),
        pytest.param(answered(503, retry_after="1"), id="G1-unavailable"),
        pytest.param(answered(429), id="G1-throttled"),
    ],
)
def test_a_dead_gateway_is_not_stormed(answer: Answer) -> None:
    """However many calls meet a gateway that is down, 100 are sent again, no more."""
    transport = Dealt(lambda: answer)
    calls = 3_000

    async def run() -> int:
        async with scripted_factory(transport) as checkout:
            return sum([await succeeds(checkout) for _ in range(calls)])

    assert asyncio.run(run()) == 0
    assert len(transport.sent) - calls == 100


# Reliability 2.1, "ours": the share of failures, and what it comes to.
@pytest.mark.parametrize(
    ("failing", "load", "success"),
    [
        pytest.param(0.01, 1.01, 1.000, id="G2-1-percent"),
        pytest.param(0.10, 1.10, 0.990, id="G2-10-percent"),
        pytest.param(0.30, 1.08, 0.753, id="G2-30-percent"),
        pytest.param(0.50, 1.05, 0.527, id="G2-50-percent"),
        pytest.param(0.90, 1.01, 0.103, id="G2-90-percent"),
        pytest.param(1.00, 1.00, 0.000, id="G2-100-percent"),
    ],
)
def test_a_flapping_gateway_gets_little_more_load(
    failing: float, load: float, success: float
) -> None:
    """Repeats add a tenth at most, and save what can be saved for that."""
    dice = random.Random(7)  # noqa: S311 -- the failures have to be repeatable
    down = answered(503)
    transport = Dealt(lambda: down if dice.random() < failing else DONE)
    calls = 6_000
    policy = RetryPolicy(budget=6)  # to these calls as 100 to the table's 100,000

    async def run() -> int:
        async with scripted_factory(transport, retry=policy) as checkout:
            return sum([await succeeds(checkout) for _ in range(calls)])

    saved = asyncio.run(run()) / calls

    assert len(transport.sent) / calls == pytest.approx(load, abs=0.01)
    assert len(transport.sent) / calls <= 1.102
    assert saved == pytest.approx(success, abs=0.02)


@pytest.mark.parametrize("spent_by", [pytest.param("create", id="G10-create")])
def test_one_budget_serves_every_operation(
    spent_by: str, order: CheckoutSessionRequest
) -> None:
    """DESIGN has one budget: where it is spent, a look is still sent, but once."""
    transport = Dealt(lambda: REFUSED)

    async def run() -> CallError:
        policy = RetryPolicy(budget=4)
        async with scripted_factory(transport, retry=policy) as checkout:
            for _ in range(3):
                with pytest.raises(NotSentError):
                    await getattr(checkout, spent_by)(order)
            with pytest.raises(NotSentError) as caught:
                await checkout.retrieve(SESSION_ID)
        return caught.value

    assert asyncio.run(run()).attempts == 1
    assert len(transport.sent) == 3 + 4 + 1


# -- Retry-After ---------------------------------------------------------------------

SENT_AT = 1_700_000_000.0
DATE = b"Date: %b\r\n" % formatdate(SENT_AT, usegmt=True).encode()


CLOSE = b"Connection: close\r\n"


def header(value: str) -> bytes:
    """Return a Retry-After with *value*."""
    return f"Retry-After: {value}\r\n".encode()


# What the gateway says, the seconds that are understood, and how often it is asked: a
# pause that does not fit the deadline ends the call at once.
HINTS: dict[str, tuple[bytes, float | None, int]] = {
    "G3-none": (b"", None, 2),
    "G3-zero": (header("0"), 0.0, 2),
    "G3-five": (header("5"), 5.0, 1),
    "G3-nine-digits": (header("999999999"), 999999999.0, 1),
    "G3-white-space": (header("\t 5 \t"), 5.0, 1),
    "G3-date": (DATE + header("Tue, 14 Nov 2023 22:14:20 GMT"), 60.0, 1),
    "G3-date-rfc-850": (DATE + header("Tuesday, 14-Nov-23 22:14:20 GMT"), 60.0, 1),
    "G3-date-asctime": (DATE + header("Tue Nov 14 22:14:20 2023"), 60.0, 1),
    "G3-date-past": (DATE + header("Tue, 14 Nov 2023 22:13:00 GMT"), 0.0, 2),
    "G3-date-past-by-our-clock": (header("Tue, 14 Nov 2023 22:13:00 GMT"), 0.0, 2),
    "G3-ten-digits": (header("1000000000"), None, 2),
    "G3-400-digits": (header("9" * 400), None, 2),
    "G3-negative": (header("-1"), None, 2),
    "G3-fraction": (header("1.5"), None, 2),
    "G3-exponent": (header("1e3"), None, 2),
    "G3-nan": (header("nan"), None, 2),
    "G3-arabic-digits": (header("١٢"), None, 2),
    "G3-word": (header("soon"), None, 2),
    "G3-empty": (header(""), None, 2),
    "G3-year-99999": (header("Tue, 14 Nov 99999 22:14:20 GMT"), None, 2),
    "G3-twice": (header("5") + header("7"), None, 2),
    "G3-twice-alike": (header("5") + header("5"), None, 2),
}


@pytest.mark.parametrize("hint", HINTS)
async def test_retry_after_is_read_strictly(hint: str) -> None:
    """Seconds and dates are obeyed if they fit; what is unclear is as if not there."""
    extra, seconds, requests = HINTS[hint]

    async def throttles(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(http(b"", "429 Too Many Requests", extra + CLOSE))

    observed = await observe(throttles, "create", timeout=4)

    assert isinstance(observed.result, RateLimitedError)
    assert observed.result.retry_after == seconds
    assert len(observed.requests) == requests


@pytest.mark.parametrize("clients", [pytest.param(200, id="G4-200-clients")])
def test_those_sent_away_together_do_not_come_back_together(clients: int) -> None:
    """All are told to wait 5 s; they return spread over the whole first window."""
    dice = random.Random(7)  # noqa: S311 -- the spread has to be repeatable
    pauses: list[float] = []

    async def run() -> None:
        for _ in range(clients):
            still = StillRuntime()
            runtime = attrs.evolve(still.runtime(), spread=dice.random)
            script = ScriptedTransport(answered(503, retry_after="5"), DONE)
            async with scripted_factory(script, runtime=runtime) as checkout:
                await checkout.retrieve(SESSION_ID)
            pauses.extend(still.slept)

    asyncio.run(run())

    window = RetryPolicy().base_delay
    assert len(pauses) == clients
    assert min(pauses) >= 5.0
    assert max(pauses) <= 5.0 + window
    assert max(pauses) - min(pauses) >= 0.95 * window


# -- the pause before the next attempt -----------------------------------------------


@pytest.mark.parametrize(
    ("answer", "policy", "timeout"),
    [
        pytest.param(REFUSED, RetryPolicy(base_delay=9), 4.0, id="G6-jitter"),
        pytest.param(
            answered(503, retry_after="4"), RetryPolicy(), 4.0, id="G6-retry-after"
        ),
        pytest.param(answered(409), RetryPolicy(), 1.0, id="G6-conflict"),
    ],
)
def test_a_pause_beyond_the_deadline_is_not_made(
    answer: Answer, policy: RetryPolicy, timeout: float
) -> None:
    """The call fails now, not at its deadline, and takes nothing from the budget."""
    still = StillRuntime()
    transport = ScriptedTransport(answer)

    async def run() -> CallError:
        checkout = scripted_factory(transport, still, retry=policy)
        async with checkout:
            with pytest.raises(CallError) as caught:
                await checkout.retrieve(SESSION_ID, timeout=timeout)
        return caught.value

    error = asyncio.run(run())

    assert still.slept == []
    assert (error.attempts, error.elapsed) == (1, 0.0)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(3_600.0, id="G8-an-hour-on"),
        pytest.param(-3_600.0, id="G8-an-hour-back"),
    ],
)
def test_a_stepped_clock_changes_nothing(step: float) -> None:
    """Pauses and the deadline go by the clock that only goes forward."""
    assert asyncio.run(_pauses(step)) == asyncio.run(_pauses(0.0))


async def _pauses(step: float) -> tuple[list[float], list[float]]:
    """Return pauses and patience of a call during which the wall clock is stepped."""
    still = StillRuntime()
    wall = iter([SENT_AT, *[SENT_AT + step] * 20])
    runtime = attrs.evolve(still.runtime(), now=lambda: next(wall))
    throttled = answered(
        503,
        retry_after=formatdate(SENT_AT + 3, usegmt=True),
        date=formatdate(SENT_AT, usegmt=True),
    )
    script = ScriptedTransport(answered(503), throttled, answered(503))
    async with scripted_factory(script, runtime=runtime) as checkout:
        with pytest.raises(ServerError):
            await checkout.retrieve(SESSION_ID, timeout=8)
    return still.slept, script.patience


@pytest.mark.parametrize(
    ("spread", "pauses"),
    [
        pytest.param(0.0, [0.0, 0.0, 0.0, 0.0], id="G9-zero"),
        pytest.param(1.0, [0.2, 0.4, 0.8, 1.0], id="G9-one"),
    ],
)
def test_jitter_keeps_its_bounds(spread: float, pauses: list[float]) -> None:
    """Full jitter goes from 0 to a ceiling that doubles up to the longest pause."""
    still = StillRuntime()
    runtime = attrs.evolve(still.runtime(), spread=lambda: spread)
    policy = RetryPolicy(max_attempts=5, max_delay=1)

    async def run() -> None:
        script = ScriptedTransport(*[REFUSED] * 5)
        async with scripted_factory(script, runtime=runtime, retry=policy) as checkout:
            with pytest.raises(NotSentError):
                await checkout.retrieve(SESSION_ID)

    asyncio.run(run())

    assert still.slept == pytest.approx(pauses)


@pytest.mark.parametrize("spread", [0.0, 1.0], ids=["G9-look-zero", "G9-look-one"])
def test_looks_keep_their_bounds(spread: float) -> None:
    """A pay that may have been done is looked at in pauses that are never nothing."""
    still = StillRuntime()
    runtime = attrs.evolve(still.runtime(), spread=lambda: spread)
    script = ScriptedTransport(LOST, *[DONE] * 100)

    async def run() -> None:
        async with scripted_factory(script, runtime=runtime) as checkout:
            with pytest.raises(OutcomeUnknownError):
                await checkout.pay(SESSION_ID, "123456", timeout=30)

    asyncio.run(run())

    assert sum(still.slept) == pytest.approx(30.0)
    assert all(0.25 <= pause <= 5.0 for pause in still.slept[:-1])


# -- many calls at once --------------------------------------------------------------


@pytest.mark.parametrize("calls", [pytest.param(200, id="G7-200-calls")])
async def test_each_call_gets_its_own_result(calls: int) -> None:
    """Finding 13: one instance of tenacity per call, or results would be mixed up."""
    failed: set[bytes] = set()

    async def fails_first(exchange: Exchange) -> None:
        while True:
            path = (await exchange.read_request()).split(b" ")[1]
            if path not in failed:
                failed.add(path)
                await exchange.write(http(b"", "503 Unavailable"))
                continue
            session = {"id": path.rpartition(b"/")[2].decode(), "status": "open"}
            await exchange.write(http(json.dumps(session).encode()))

    ids = [f"session-{number}" for number in range(calls)]
    policy = RetryPolicy(base_delay=0.01, budget=calls)
    async with (
        RawServer(fails_first) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url, retry=policy) as checkout,
    ):
        got = await asyncio.gather(*(checkout.retrieve(one) for one in ids))

    assert [session.id for session in got] == ids
    assert {session.call.attempts for session in got} == {2}


@pytest.mark.parametrize("siblings", [pytest.param(5, id="G12-one-of-six-fails")])
async def test_a_task_group_ends_its_calls_in_a_legal_state(
    siblings: int, order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """One fails, the others are cancelled; whoever was sent is named in a warning."""
    arrived = asyncio.Event()

    async def fails_the_look(exchange: Exchange) -> None:
        request = await exchange.read_request()
        if len(exchange.server.requests) == siblings + 1:
            arrived.set()
        await arrived.wait()
        if request.startswith(b"GET"):
            await exchange.write(http(b"", "404 Not Found"))
        await asyncio.Event().wait()

    tasks: list[asyncio.Task[CheckoutSession]] = []
    async with (
        RawServer(fails_the_look) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url) as checkout,
    ):

        async def all_together() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(siblings):
                    create = checkout.create(order, idempotency_key=f"order-{number}")
                    tasks.append(group.create_task(create))
                group.create_task(checkout.retrieve(SESSION_ID))

        with pytest.raises(ExceptionGroup) as caught:
            await all_together()
        left = await checkout.aclose(drain=0)

    keys = {f"order-{number}" for number in range(siblings)}
    warned = " ".join(
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING
    )
    assert len(caught.value.exceptions) == 1
    assert all(task.cancelled() for task in tasks)
    assert set(re.findall(r"order-\d", warned)) == keys
    assert left == ()  # none was still under way when the factory was closed


# -- cancelled in the middle ---------------------------------------------------------


async def cancel_soon(task: asyncio.Task[CheckoutSession]) -> None:
    """Cancel *task*, which has to end at once, as cancelled."""
    task.cancel()
    for _ in range(AT_ONCE):
        await asyncio.sleep(0)
    assert task.cancelled()


def one_by_one(*answers: bytes) -> Handler:
    """Answer requests by *answers*, whatever connection they come over, then stall."""
    left = list(answers)

    async def handler(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            if not left:
                await asyncio.Event().wait()
            await exchange.write(left.pop(0))

    return handler


async def has_seen(server: RawServer, requests: int) -> None:
    """Wait until the server has read so many requests."""
    while len(server.requests) < requests:  # noqa: ASYNC110 -- a list tells no events
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("fault", ["G5-backoff"])
async def test_a_pause_can_be_cancelled(fault: str) -> None:
    """Finding 13: tenacity swallows no cancellation, and the pause ends at once."""
    del fault
    busy = http(b"", "503 Unavailable", header("20"))
    async with (
        RawServer(one_by_one(busy, SESSION_ANSWER)) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url) as checkout,
    ):
        task = asyncio.create_task(checkout.retrieve(SESSION_ID, timeout=AMPLE))
        await has_seen(server, 1)
        await asyncio.sleep(0.05)
        await cancel_soon(task)

        assert len(server.requests) == 1
        assert (await checkout.retrieve(SESSION_ID)).id == SESSION_ID


@pytest.mark.parametrize("fault", ["G5-second-attempt"])
async def test_a_repeat_can_be_cancelled(fault: str) -> None:
    """Finding 13: an attempt that is cancelled inside tenacity is not sent again."""
    del fault
    policy = RetryPolicy(base_delay=0.001)
    busy = http(b"", "503 Unavailable")
    async with (
        RawServer(one_by_one(busy)) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url, retry=policy) as checkout,
    ):
        task = asyncio.create_task(checkout.retrieve(SESSION_ID, timeout=AMPLE))
        await has_seen(server, 2)
        await cancel_soon(task)
        await asyncio.sleep(0.05)

        assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["G5-slot-wait"])
async def test_waiting_for_a_place_can_be_cancelled(fault: str) -> None:
    """Whoever leaves the queue takes no place along, and sends nothing."""
    del fault
    release = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            await release.wait()
            await exchange.write(SESSION_ANSWER)

    pool = PoolLimits(limit=1)
    async with (
        RawServer(waits) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url, pool=pool) as checkout,
    ):
        first = asyncio.create_task(checkout.retrieve(SESSION_ID))
        await has_seen(server, 1)
        queued = asyncio.create_task(checkout.retrieve(SESSION_ID))
        await asyncio.sleep(0.01)
        await cancel_soon(queued)
        release.set()

        assert (await first).id == SESSION_ID
        assert (await checkout.retrieve(SESSION_ID)).id == SESSION_ID
        assert len(server.requests) == 2


class SlowResolver(aiohttp.abc.AbstractResolver):
    """Answers 127.0.0.1, but only once it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Keep whoever asks waiting."""
        self.asked.set()
        await self.may_answer.wait()
        return [
            aiohttp.abc.ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Let go of nothing."""


@pytest.mark.parametrize("fault", ["G5-dns"])
async def test_looking_up_a_name_can_be_cancelled(fault: str) -> None:
    """The caller is let go at once, nothing was sent, and the next call goes well."""
    del fault
    resolver = SlowResolver()
    async with RawServer(one_by_one(SESSION_ANSWER)) as server:
        port = server.base_url.rpartition(":")[2]
        connector = aiohttp.TCPConnector(resolver=resolver)
        async with CheckoutSessionFactory(
            "sk_test_x",
            f"http://localhost:{port}",
            connector=connector,
            timeouts=Timeouts(attempt=AMPLE, connect=AMPLE),
        ) as checkout:
            task = asyncio.create_task(checkout.retrieve(SESSION_ID))
            await resolver.asked.wait()
            await cancel_soon(task)
            assert server.connections == 0

            resolver.may_answer.set()
            assert (await checkout.retrieve(SESSION_ID)).id == SESSION_ID
        await connector.close()

    assert len(server.requests) == 1


# -- what is counted, and what passes through ----------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["G11-fresh", "G11-kept"])
async def test_one_attempt_is_one_request(fault: str, operation: str) -> None:
    """Finding 3: aiohttp repeats nothing by itself, be the connection new or kept."""
    healthy_first = [SESSION_ANSWER] if fault == "G11-kept" else []

    async def listens(exchange: Exchange) -> None:
        for answer in healthy_first:
            await exchange.read_request()
            await exchange.write(answer)
        await exchange.read_request()

    policy = RetryPolicy(max_attempts=1)
    async with (
        RawServer(listens) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url, retry=policy) as checkout,
    ):
        for _ in healthy_first:
            await checkout.retrieve(SESSION_ID)
        server.requests.clear()
        with pytest.raises(OutcomeUnknownError) as caught:
            await call(checkout, operation)

    assert caught.value.attempts == len(server.requests) == server.connections == 1


class _StopError(Exception):
    """Not ours to handle."""


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(_StopError(), id="G7-foreign-error"),
        pytest.param(TimeoutError(), id="G7-foreign-timeout"),
        pytest.param(asyncio.CancelledError(), id="G7-cancellation"),
        pytest.param(GeneratorExit(), id="G7-exit"),
    ],
)
def test_only_our_own_finding_is_sent_again(error: BaseException) -> None:
    """Finding 13: no broad predicate; what else comes up passes through, once."""

    def deal() -> Answer:
        if len(transport.sent) == 1:
            return REFUSED
        raise error

    transport = Dealt(deal)

    async def run() -> None:
        async with scripted_factory(transport) as checkout:
            with pytest.raises(type(error)):
                await checkout.retrieve(SESSION_ID)

    asyncio.run(run())

    assert len(transport.sent) == 2
