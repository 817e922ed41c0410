"""One fault, one call: what the caller got, what the server saw, what was left over.

A1 to J10, in the ids of tests, are names of faults: see `tests/matrix/test_index.py`.
"""

import asyncio
import itertools
import json
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from typing import TypeVar, Unpack

import attrs
from canaries import BLIK_CODE, KEY, canary_order, channels, leaked
from raw import Exchange, Handler, RawServer, http
from scripted import StillRuntime
from watching import PHASES, Broken, Watcher, last_phase

from convergegate_async import (
    AttemptInfo,
    CallError,
    CheckoutSession,
    CheckoutSessionFactory,
    FailureKind,
    NotSentError,
    OutcomeUnknownError,
    PoolLimits,
    Refund,
    RefundRequest,
    RetryPolicy,
    Timeouts,
)
from convergegate_async.factory import FactoryOptions, Runtime

OPERATIONS = ("create", "retrieve", "pay", "refund")
SESSION_ID = "AW-kLcRRC5P8U68CYe0kVA"
SESSION = json.dumps({"id": SESSION_ID, "status": "completed"}).encode()
SESSION_ANSWER = http(SESSION)
"""An answer to every operation: each compares only what an answer repeats."""

WARM_ID = "warm-up"  # a connection that has named an id does not open that session

AMPLE = 60.0  # seconds: a deadline that does not matter
DEADLINE = 0.4  # of a call whose attempts stall
ATTEMPT = 0.15
GRACE = 5.0  # a busy machine is not what is tested
REST = 0.05  # for what is under way to arrive
TWICE = RetryPolicy(max_attempts=2, base_delay=0.001)
_KEY_HEADER = re.compile(rb"\r\nidempotency-key: *([^\r]*)\r", re.IGNORECASE)


@attrs.frozen
class Observed:
    """What came of one call.

    Attributes:
        result: What the caller got, or was raised.
        requests: The call's own requests, as the server read them.
        looks: How many requests looked whether it was done after all.
        connections: How many connections the server accepted for it all.
        attempts: The call's own attempts, as an observer saw them.
    """

    result: CheckoutSession | Refund | CallError
    requests: Sequence[bytes]
    looks: int
    connections: int
    attempts: Sequence[AttemptInfo]

    @property
    def keys(self) -> set[bytes]:
        """Return the distinct idempotency keys on the wire."""
        found = (_KEY_HEADER.search(request) for request in self.requests)
        return {key[1] for key in found if key is not None}


async def call(
    checkout: CheckoutSessionFactory, operation: str, timeout: float = AMPLE
) -> CheckoutSession | Refund:
    """Make the call that *operation* names, full of canaries."""
    match operation:
        case "create":
            return await checkout.create(canary_order(), timeout=timeout)
        case "retrieve":
            return await checkout.retrieve(SESSION_ID, timeout=timeout)
        case "pay":
            return await checkout.pay(SESSION_ID, BLIK_CODE, timeout=timeout)
        case "refund":
            refund = RefundRequest(session_id=SESSION_ID, amount=1000)
            return await checkout.refund(refund, timeout=timeout)
        case _:
            raise AssertionError(operation)


async def observe(  # noqa: PLR0913 -- whatever a fault may need
    fault: Handler,
    operation: str,
    *,
    tls: ssl.SSLContext | None = None,
    at: Callable[[str], str] | None = None,
    warm: asyncio.Event | None = None,
    timeout: float = 10.0,
    **options: Unpack[FactoryOptions],
) -> Observed:
    """Make one call against a server with *fault*, and check what holds for them all.

    No attempt waits in vain (unless *timeouts* are given); seen by an observer as it
    was (another one raises), without a canary on any channel, one key and one body for
    all attempts of a create or refund and none for the others, both places of the pool
    free again (where the server is called by plain http at its own address).

    Only pauses move the call's clock, and they take no time: no machine is too busy.

    Args:
        fault: What the server does.
        operation: What is called.
        tls: What the server speaks TLS with.
        at: Turns the server's address into the one that is called.
        warm: Make a call before it that leaves an idle connection behind; the server
            sets the event once it has done to the connection what it does.
        timeout: The call's deadline.
        **options: What the factory is built with.
    """
    options.setdefault("retry", TWICE)
    is_patient = "timeouts" not in options
    options.setdefault("timeouts", Timeouts(attempt=AMPLE, connect=AMPLE))
    options.setdefault("pool", PoolLimits(limit=2, keepalive=AMPLE))
    still = StillRuntime()

    async def pause(seconds: float, waker: asyncio.Event) -> None:
        await still.sleep(seconds, waker)
        await turn()

    options.setdefault("runtime", still.runtime(pause))
    watcher = Watcher()
    options.setdefault("observers", [Broken(), watcher])
    healer = Healer(fault)
    async with RawServer(healer, tls) as server:
        base_url = server.base_url if at is None else at(server.base_url)
        checkout = CheckoutSessionFactory(KEY, base_url, **options)
        with captured_logs() as log:
            async with checkout:
                if warm is not None:
                    await checkout.retrieve(WARM_ID)
                    await warm.wait()
                    await come_to_rest()
                    server.requests.clear()
                    watcher.clear()
                result = await _result(checkout, operation, timeout)
                watcher.agrees_with(result)
                seen = list(watcher.attempts)
                if isinstance(result, NotSentError):
                    await asyncio.sleep(REST)  # what was sent after all would arrive
                wire = list(server.requests)
                connections = server.connections
                healer.healthy = True
                if tls is None and at is None:
                    await _fill_the_pool(checkout, healer)
            text = log.getvalue()
    if isinstance(result, CallError):
        text += channels(result)
    verb = b"GET" if operation == "retrieve" else b"POST"
    own = [request for request in wire if request.startswith(verb)]
    attempts = [one for one in seen if one.operation == operation]
    observed = Observed(result, own, len(wire) - len(own), connections, attempts)
    assert leaked(text) == []
    if isinstance(result, CallError) and is_patient:
        assert result.failure is not FailureKind.TIMEOUT
    has_key = operation in ("create", "refund")
    assert len(observed.keys) == (1 if has_key and own else 0)
    assert len({request.partition(b"\r\n\r\n")[2] for request in own}) <= 1
    return observed


async def observe_stall(
    fault: Handler, operation: str, retry: RetryPolicy = TWICE
) -> Observed:
    """Make one call against a server that stalls; it has to end in time.

    An attempt that this machine kept from being sent in time met no fault: the call is
    made again.
    """
    runtime = Runtime()
    started = runtime.clock()
    observed = await observe(
        fault,
        operation,
        timeout=DEADLINE,
        retry=retry,
        timeouts=Timeouts(attempt=ATTEMPT, connect=ATTEMPT),
        runtime=runtime,
    )
    assert runtime.clock() - started <= DEADLINE + GRACE
    if observed.requests:
        return observed
    expect_unsent(observed, operation)
    return await observe_stall(fault, operation, retry)


T = TypeVar("T")


async def until_sent(make: Callable[[], Awaitable[T]]) -> T:
    """Make a call again that this machine kept from being sent before its deadline."""
    while True:
        with suppress(NotSentError):
            return await make()


async def turn() -> None:
    """Let the loop take up all that has come by now."""
    for _ in range(20):
        await asyncio.sleep(0)


async def come_to_rest() -> None:
    """Let what is under way arrive, and the loop take it up."""
    await asyncio.sleep(REST)
    await turn()


_numbers = itertools.count()


def answer_to(request: bytes) -> bytes:
    """Answer as a healthy gateway does: it makes nothing under another's id."""
    if WARM_ID.encode() in request:
        return http(json.dumps({"id": WARM_ID}).encode())
    makes = (b"POST /v1/checkout/sessions HTTP/", b"POST /v1/refunds HTTP/")
    if not request.startswith(makes):
        return SESSION_ANSWER
    made = {"id": f"made_{next(_numbers)}", "status": "completed"}
    return http(json.dumps(made).encode())


async def gateway(exchange: Exchange) -> None:
    """Be a healthy gateway, on a connection that is kept."""
    while True:
        await exchange.write(answer_to(await exchange.read_request()))


class Healer:
    """Has a fault until it is *healthy*; then waits for company before it answers."""

    def __init__(self, fault: Handler) -> None:
        self.fault = fault
        self.healthy = False
        self.together = asyncio.Barrier(2)

    async def __call__(self, exchange: Exchange) -> None:
        """Have the fault, or be a gateway."""
        if not self.healthy:
            await self.fault(exchange)
        while self.healthy:
            await exchange.read_request()
            await self.together.wait()
            await exchange.write(SESSION_ANSWER)


async def _fill_the_pool(checkout: CheckoutSessionFactory, healer: Healer) -> None:
    """Have two calls under way at once, which takes both places of the pool.

    What the fault left in the pool may cost the first try, and a busy machine some more
    where connecting may take but an instant.
    """
    patient = checkout.with_options(timeouts=Timeouts(attempt=AMPLE, connect=AMPLE))
    got: list[CheckoutSession | BaseException] = []
    for _ in range(50):
        healer.together = asyncio.Barrier(2)
        looks = [patient.retrieve(SESSION_ID, timeout=AMPLE) for _ in range(2)]
        got = await asyncio.gather(*looks, return_exceptions=True)
        if not any(isinstance(one, BaseException) for one in got):
            return
    raise AssertionError(got)


async def _result(
    checkout: CheckoutSessionFactory, operation: str, timeout: float
) -> CheckoutSession | Refund | CallError:
    try:
        return await call(checkout, operation, timeout)
    except CallError as error:
        return error


@contextmanager
def captured_logs() -> Iterator[StringIO]:
    """Collect what every logger says at DEBUG."""
    text = StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


# -- what may be expected of it ------------------------------------------------------

REACHED: dict[FailureKind | None, str] = {
    **dict.fromkeys(
        (
            *(FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT, FailureKind.HANDSHAKE),
            *(FailureKind.DNS, FailureKind.UNKNOWN_HOST, FailureKind.UNEXPECTED),
        ),
        "pool_wait",
    ),
    **dict.fromkeys(
        (
            *(FailureKind.DISCONNECTED, FailureKind.BROKEN),
            *(FailureKind.HEAD, FailureKind.HEAD_TOO_LARGE),
        ),
        "connect",
    ),
    **dict.fromkeys(
        (FailureKind.BODY, FailureKind.ENCODED, FailureKind.TOO_LARGE), "first_byte"
    ),
    None: "body",
}
"""The last phase that an attempt came through before it broke so, or was judged."""


@attrs.frozen
class Sight:
    """What an observer sees of every attempt that meets a fault.

    Attributes:
        kinds: What may have broken; `None` if an answer is judged.
        at_most: The last phase that can be reached; `None` if the kind tells it.
    """

    kinds: frozenset[FailureKind | None]
    at_most: str | None = None

    def check(self, attempts: Sequence[AttemptInfo]) -> None:
        """Check what was seen of *attempts*."""
        assert attempts
        for one in attempts:
            assert one.failure in self.kinds
            if self.at_most is None:
                assert last_phase(one) == REACHED[one.failure]
            else:
                assert PHASES.index(last_phase(one)) <= PHASES.index(self.at_most)


def sees(*kinds: FailureKind | None, at_most: str | None = None) -> Sight:
    """Return what an observer sees: one of *kinds*."""
    return Sight(frozenset(kinds), at_most)


JUDGED = sees(None)


def expect_done(observed: Observed, operation: str) -> None:
    """The caller got what was made, whatever it took."""
    del operation
    assert isinstance(observed.result, CheckoutSession | Refund)


def expect_unsent(observed: Observed, operation: str) -> None:
    """Provably nothing reached the server, and the server agrees."""
    del operation
    assert isinstance(observed.result, NotSentError)
    assert (observed.requests, observed.looks) == ([], 0)


SENT = {"create": 2, "retrieve": 2, "pay": 1, "refund": 1}
"""How often each is sent if nobody can know: only what a repeat cannot harm, twice."""


def expect_unknown(observed: Observed, operation: str) -> None:
    """Nobody can know, and what a repeat cannot harm was sent again."""
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.attempts == len(observed.requests) == SENT[operation]


def expect_unknown_after_stall(observed: Observed, operation: str) -> None:
    """Nobody can know; the stall may leave a repeat no time, even to connect.

    Nor may a busy machine leave the first attempt that time: then it was not sent, and
    is repeated whatever it is.
    """
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.attempts <= TWICE.max_attempts
    assert 1 <= len(observed.requests) <= SENT[operation]


def expect_unknown_at_once(observed: Observed, operation: str) -> None:
    """Nobody can know, and no operation was sent again."""
    del operation
    assert isinstance(observed.result, OutcomeUnknownError)
    assert len(observed.requests) == 1
