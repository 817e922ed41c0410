"""Group D: the request is on the wire, and its answer is missing or broken."""

import asyncio
import gzip
import itertools
import json
import re
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import attrs
import pytest
from canaries import KEY, canary_order, channels, leaked
from matrix import (
    AMPLE,
    JUDGED,
    OPERATIONS,
    REST,
    SESSION,
    SESSION_ANSWER,
    SESSION_ID,
    TWICE,
    Observed,
    Sight,
    answer_to,
    call,
    captured_logs,
    expect_done,
    expect_unknown,
    expect_unknown_after_stall,
    expect_unknown_at_once,
    expect_unsent,
    gateway,
    observe,
    observe_stall,
    sees,
)
from raw import Exchange, Handler, RawServer, hangs_up, http, resets, says

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    FailureKind,
    NotSentError,
    OutcomeUnknownError,
    PoolLimits,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from convergegate_async._waiting import OPENED_AT_ONCE

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SIZE = f"{len(SESSION):x}".encode()
CHUNK = SIZE + b"\r\n" + SESSION + b"\r\n"
CLOSE = b"Connection: close\r\n"
CUT = SESSION_ANSWER[:-5]
FOREIGN = json.dumps(
    {
        "id": "somebody-elses",
        "customer_email": "john@example.com",
        "currency": "eur",
        "session_id": "somebody-elses",
        "amount": 1,
    }
).encode()
MOST_GROWTH = 4 * 2**20  # bytes
CROWD = 100
Expectation = Callable[[Observed, str], None]


# -- what a server may say -----------------------------------------------------------


def claims(*lines: bytes, body: bytes = SESSION) -> Handler:
    """Answer with 200, the header *lines* and *body*, as the last on its connection."""
    lines = (*lines, b"Connection: close")
    return says(OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)


def has_status(line: str, body: bytes = SESSION) -> Handler:
    """Answer with *body* under the status *line*."""
    return says(http(body, line, CLOSE))


def packs(encoding: bytes, body: bytes) -> Handler:
    """Answer with *body*, which is said to be packed by *encoding*."""
    return says(http(body, extra=CLOSE + b"Content-Encoding: " + encoding + b"\r\n"))


async def drips(exchange: Exchange) -> None:
    """Say the whole answer a byte at a time, always soon enough for a read timeout."""
    await exchange.read_request()
    for byte in SESSION_ANSWER:
        await exchange.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def hangs_up_unread(exchange: Exchange) -> None:
    """Close as soon as the request begins to arrive."""
    await exchange.read_some()


async def resets_unread(exchange: Exchange) -> None:
    """Reset as soon as the request begins to arrive."""
    await exchange.read_some()
    exchange.reset()


async def resets_after_head(exchange: Exchange) -> None:
    """Read the head, not the body, and reset."""
    head = await exchange.reader.readuntil(b"\r\n\r\n")
    exchange.server.requests.append(head)
    exchange.reset()


async def refuses_unread(exchange: Exchange) -> None:
    """Answer 503 after the head, and hang up without reading the body."""
    head = await exchange.reader.readuntil(b"\r\n\r\n")
    exchange.server.requests.append(head)
    await exchange.write(http(b"{}", "503 Service Unavailable"))


# -- what may be expected of it ------------------------------------------------------


def expect_unread(observed: Observed, operation: str) -> None:
    """It is unknown, and no status was made up for what could not be read."""
    expect_unknown(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.http_status is None


def expect_unread_after_stall(observed: Observed, operation: str) -> None:
    """It is unknown, and no status was made up, whatever the stall left time for."""
    expect_unknown_after_stall(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.http_status is None


def expect_undecided(observed: Observed, operation: str) -> None:
    """Who is faster decides; "not sent" is said only if the server saw nothing."""
    if isinstance(observed.result, NotSentError):
        expect_unsent(observed, operation)
    else:
        assert isinstance(observed.result, OutcomeUnknownError)


def expect_unknown_switch(observed: Observed, operation: str) -> None:
    """Nobody asked to switch protocols: only the read is sent again."""
    assert isinstance(observed.result, OutcomeUnknownError)
    assert len(observed.requests) == (2 if operation == "retrieve" else 1)


def expect_503(observed: Observed, operation: str) -> None:
    """The answer that came too early was read: nobody was cut off by the hang-up."""
    kind = ServerError if operation == "retrieve" else OutcomeUnknownError
    assert isinstance(observed.result, kind)
    assert observed.result.http_status == 503


def expect_encoded(observed: Observed, operation: str) -> None:
    """It was refused by its header, unread."""
    expect_unknown(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert "compressed" in observed.result.reason


def expect_foreign(observed: Observed, operation: str) -> None:
    """It was not to this request, and nothing was sent again because of it."""
    expect_unknown_at_once(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.phase == "echo"


# -- the table -----------------------------------------------------------------------

ZIPPED = gzip.compress(SESSION)

BROKEN = sees(FailureKind.BROKEN)
DISCONNECTED = sees(FailureKind.DISCONNECTED)
HEAD = sees(FailureKind.HEAD)
HEAD_TOO_LARGE = sees(FailureKind.HEAD_TOO_LARGE)
BODY = sees(FailureKind.BODY)
ENCODED = sees(FailureKind.ENCODED)
# Bytes that come after the hang-up are answered by a reset, which may be seen instead.
ENDED = sees(FailureKind.DISCONNECTED, FailureKind.BROKEN)
# Or it comes before the connection is ours, or the head is about to be written.
ON_ACCEPT = sees(
    *(FailureKind.DISCONNECTED, FailureKind.BROKEN, FailureKind.CONNECT),
    at_most="connect",
)
# Some platforms forget at a reset what was not yet read, the head included.
CUT_OFF = sees(FailureKind.BODY, FailureKind.BROKEN)

FAULTS: dict[str, tuple[Handler, Expectation, Sight]] = {
    "D1-fin-on-accept": (hangs_up, expect_undecided, ON_ACCEPT),
    "D1-reset-on-accept": (resets, expect_undecided, ON_ACCEPT),
    "D1-fin-before-read": (hangs_up_unread, expect_unread, ENDED),
    "D1-reset-before-read": (resets_unread, expect_unread, BROKEN),
    "D2-reset-after-head": (resets_after_head, expect_unread, BROKEN),
    "D2-reset-after-body": (says(resets=True), expect_unread, BROKEN),
    "D3-fin-after-body": (says(), expect_unread, DISCONNECTED),
    "D5-status-line-cut": (says(b"HTTP/1.1 2"), expect_unread, DISCONNECTED),
    "D5-head-cut": (says(OK + b"Content-Le"), expect_unread, DISCONNECTED),
    "D6-body-fin": (says(CUT), expect_unread, BODY),
    "D6-body-reset": (says(CUT, resets=True), expect_unread, CUT_OFF),
    "D7-chunk-cut": (says(CHUNKED + CHUNK[:-5]), expect_unread, BODY),
    "D7-last-chunk-missing": (says(CHUNKED + CHUNK), expect_unread, BODY),
    "D8-bad-chunk-with-head": (says(CHUNKED + b"zz\r\n"), expect_unread, HEAD),
    "D10-chunk-size-overflow": (
        says(CHUNKED + b"F" * 17 + b"\r\n"),
        expect_unread,
        HEAD,
    ),
    "D10-chunk-extension": (
        says(CHUNKED + SIZE + b";x=" + b"y" * 20_000 + CHUNK[2:] + b"0\r\n\r\n"),
        expect_done,
        JUDGED,
    ),
    "D11-garbage": (says(b"\x00\xff garbage \r\n\r\n"), expect_unread, HEAD),
    "D11-tls-bytes": (says(b"\x15\x03\x01\x00\x02\x02\x50"), expect_unread, HEAD),
    "D11-http-0.9": (says(SESSION), expect_unread, HEAD),
    "D11-http-2": (says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), expect_unread, HEAD),
    "D12-20-kB-header": (
        says(http(SESSION, extra=CLOSE + b"X: y" + b"y" * 20_000 + b"\r\n")),
        expect_unread,
        HEAD_TOO_LARGE,
    ),
    "D12-500-headers": (
        says(
            http(
                SESSION, extra=CLOSE + b"".join(b"X-%d: y\r\n" % n for n in range(500))
            )
        ),
        expect_unread,
        HEAD_TOO_LARGE,
    ),
    "D12-nul": (
        says(http(SESSION, extra=CLOSE + b"X: a\x00b\r\n")),
        expect_unread,
        HEAD,
    ),
    "D13-two-lengths": (
        claims(b"Content-Length: 5", b"Content-Length: 6"),
        expect_unread,
        HEAD,
    ),
    "D13-length-and-chunks": (
        claims(
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked",
            body=CHUNK + b"0\r\n\r\n",
        ),
        expect_unread,
        HEAD,
    ),
    "D13-negative-length": (claims(b"Content-Length: -1"), expect_unread, HEAD),
    "D14-body-too-long": (says(SESSION_ANSWER + b"more"), expect_unread, HEAD),
    "D15-000": (has_status("000 Zero"), expect_unknown, JUDGED),
    "D15-99": (has_status("99 Few"), expect_unknown, HEAD),
    "D15-600": (has_status("600 Many"), expect_unknown, JUDGED),
    "D15-999999": (has_status("999999 Most"), expect_unknown, HEAD),
    "D16-101": (
        says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        expect_unknown_switch,
        JUDGED,
    ),
    "D16-204-with-body": (has_status("204 No Content"), expect_unknown, HEAD),
    "D16-205-empty": (has_status("205 Reset Content", b""), expect_unknown, JUDGED),
    "D16-206-part": (
        has_status("206 Partial Content", SESSION[:9]),
        expect_unknown,
        JUDGED,
    ),
    "D17-100-a-thousand-times": (
        says(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + SESSION_ANSWER),
        expect_done,
        JUDGED,
    ),
    "D17-103": (
        says(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + SESSION_ANSWER),
        expect_done,
        JUDGED,
    ),
    "D19-503-before-the-body": (refuses_unread, expect_503, JUDGED),
    "D20-gzip": (packs(b"gzip", ZIPPED), expect_encoded, ENCODED),
    "D20-gzip-cut": (packs(b"gzip", ZIPPED[:-20]), expect_encoded, ENCODED),
    "D20-gzip-that-is-none": (packs(b"gzip", SESSION), expect_encoded, ENCODED),
    "D20-deflate": (packs(b"deflate", zlib.compress(SESSION)), expect_encoded, ENCODED),
    "D20-zstd": (
        packs(b"zstd", b"\x28\xb5\x2f\xfd" + SESSION),
        expect_encoded,
        ENCODED,
    ),
    "D20-twice": (packs(b"gzip, gzip", gzip.compress(ZIPPED)), expect_encoded, ENCODED),
    "D21-foreign": (says(http(FOREIGN, extra=CLOSE)), expect_foreign, JUDGED),
}

# A busy machine may have no time to send, or to read as far as there is something.
BEFORE_HEAD = sees(FailureKind.TIMEOUT, FailureKind.CONNECT_TIMEOUT, at_most="connect")
BEFORE_END = sees(
    FailureKind.TIMEOUT, FailureKind.CONNECT_TIMEOUT, at_most="first_byte"
)
# It may read two parts at once, too: aiohttp tells of a bad chunk that comes with more.
BAD_CHUNK = sees(
    *(FailureKind.TIMEOUT, FailureKind.CONNECT_TIMEOUT),
    *(FailureKind.HEAD, FailureKind.BODY),
    at_most="first_byte",
)

STALLS: dict[str, tuple[Handler, Sight]] = {
    "D4-silence": (says(stays=True), BEFORE_HEAD),
    "D5-head-stall": (says(OK, stays=True), BEFORE_HEAD),
    "D6-body-stall": (says(CUT, stays=True), BEFORE_END),
    # aiohttp 3.14 does not tell whoever is reading of a bad chunk: it is a stall to us.
    "D9-bad-chunk-later": (says(CHUNKED + CHUNK, b"zz\r\n"), BAD_CHUNK),
    "D9-bad-chunk-stays": (says(CHUNKED, CHUNK, b"zz\r\n", stays=True), BAD_CHUNK),
    "D18-drip": (drips, BEFORE_HEAD),
}

# Of D16, 203 and 206 with a whole session are no fault: any 2xx is read by its body.
# Of D25, no error names the loop's lag: there is no such word.


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_that_is_missing_or_broken(fault: str, operation: str) -> None:
    """Findings 1, 4, 5, 6: what cannot be read is unknown, and sent once."""
    script, expect, seen = FAULTS[fault]

    observed = await observe(script, operation)

    expect(observed, operation)
    seen.check(observed.attempts)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", STALLS)
async def test_an_answer_that_does_not_come(fault: str, operation: str) -> None:
    """Findings 1, 4: it is unknown, and the call ends in time."""
    script, seen = STALLS[fault]

    observed = await observe_stall(script, operation)

    expect_unread_after_stall(observed, operation)
    seen.check(observed.attempts)


# -- memory --------------------------------------------------------------------------


def _memory(name: str) -> int:
    """Return the bytes that the kernel tells under *name*."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{name}:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) * 1024


def _forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


HUGE: dict[str, tuple[Callable[[], Handler], Expectation, Sight]] = {
    "D10-trailers": (
        lambda: says(CHUNKED + CHUNK + b"0\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"),
        expect_unknown,
        HEAD_TOO_LARGE,
    ),
    "D20-bomb": (
        lambda: packs(b"gzip", gzip.compress(bytes(32 * 2**20))),
        expect_encoded,
        ENCODED,
    ),
    "D20-bomb-in-chunks": (
        lambda: says(
            CHUNKED.replace(
                b"\r\n\r\n", b"\r\nConnection: close\r\nContent-Encoding: gzip\r\n\r\n"
            )
            + b"8000\r\n"
            + gzip.compress(bytes(64 * 2**20))[:0x8000]
            + b"\r\n0\r\n\r\n"
        ),
        expect_encoded,
        ENCODED,
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the peak")
@pytest.mark.parametrize("fault", HUGE)
async def test_a_huge_answer_takes_little_memory(fault: str) -> None:
    """Finding 5: what is small on the wire and large at home stays small at home."""
    build, expect, seen = HUGE[fault]
    script = build()
    await observe(says(SESSION_ANSWER), "create")  # loads what every first call loads

    before = _memory("VmRSS")
    peaks = []
    for _ in range(3):  # the lowest counts: the rest of the process adds to the others
        _forget_the_peak()
        observed = await observe(script, "create")
        peaks.append(_memory("VmHWM"))
        expect(observed, "create")
        seen.check(observed.attempts)

    # Above one start: what the first try took and kept must not help the next ones.
    assert min(peaks) - before <= MOST_GROWTH


# -- answers that went astray --------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids="D14-{}".format)
async def test_what_follows_an_answer_is_nobodys(operation: str) -> None:
    """Finding 2: an answer behind the answer is not the next caller's."""

    async def says_more(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            await exchange.write(SESSION_ANSWER + http(FOREIGN))

    async with (
        RawServer(says_more) as server,
        CheckoutSessionFactory(KEY, server.base_url, retry=TWICE) as checkout,
    ):
        answers = [await call(checkout, operation) for _ in range(3)]

    assert {answer.id for answer in answers} == {SESSION_ID}
    assert (len(server.requests), server.connections) == (3, 3)


@pytest.mark.parametrize("swapped", ["D21-swapped"])
async def test_swapped_answers_retire_every_connection(swapped: str) -> None:
    """Finding 2: of three callers two get each other's answers, and refuse them.

    The third connection did nothing wrong, and is not used again either.
    """
    del swapped
    together = asyncio.Barrier(3)
    bodies: list[bytes] = []

    async def swaps(exchange: Exchange) -> None:
        request = await exchange.read_request()
        if request.startswith(b"GET"):
            await exchange.write(SESSION_ANSWER)
            return
        form = parse_qs(request.partition(b"\r\n\r\n")[2].decode())
        email, amount = form["customer_email"][0], int(form["amount"][0])
        answer = {"id": email[0], "customer_email": email, "amount_subtotal": amount}
        bodies.append(json.dumps(answer).encode())
        place = len(bodies) - 1
        await together.wait()
        await exchange.write(http(bodies[(1, 0, 2)[place]]))
        await swaps(exchange)

    orders = [
        attrs.evolve(
            canary_order(), customer_email=f"{name}@example.com", amount=amount
        )
        for name, amount in (("a", 100), ("b", 200), ("c", 300))
    ]
    async with (
        RawServer(swaps) as server,
        CheckoutSessionFactory(KEY, server.base_url, retry=TWICE) as checkout,
    ):
        results = await asyncio.gather(
            *[checkout.create(order) for order in orders],
            return_exceptions=True,
        )
        await checkout.retrieve(SESSION_ID)

    wrong = [one for one in results if isinstance(one, OutcomeUnknownError)]
    right = [one for one in results if isinstance(one, CheckoutSession)]
    assert [error.phase for error in wrong] == ["echo", "echo"]
    assert [session.id for session in right] == [bodies[2][8:9].decode()]
    assert (len(server.requests), server.connections) == (4, 4)


# -- cancelled -----------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids="D22-{}".format)
async def test_a_call_can_be_cancelled_at_every_step(operation: str) -> None:
    """Whenever the loop gets its turn: cancelled at once, truly reported, none left."""
    before = asyncio.all_tasks()
    for steps in itertools.count():
        if await _cancel_after(steps, operation):
            break
    await asyncio.sleep(0)

    assert steps > 5
    assert asyncio.all_tasks() == before


async def _cancel_after(steps: int, operation: str) -> bool:
    """Cancel a call after *steps* turns of the loop; tell whether it was too late."""
    async with RawServer(gateway) as server:
        checkout = CheckoutSessionFactory(
            KEY, server.base_url, retry=TWICE, pool=PoolLimits(limit=1)
        )
        with captured_logs() as log:
            async with checkout:
                task = asyncio.create_task(call(checkout, operation))
                for _ in range(steps):
                    await asyncio.sleep(0)
                was_late = task.done()
                task.cancel()
                await asyncio.wait([task])
                seen = len(server.requests)
                # The one place in the pool is free again.
                await checkout.retrieve(SESSION_ID)
        assert task.cancelled() is not was_late
        assert seen <= 1
        may_be_done = "may have been done" in log.getvalue()
        if seen and not was_late and operation != "retrieve":
            assert may_be_done
        assert leaked(log.getvalue()) == []
        return was_late


RUNS_OUT: dict[str, tuple[bool, bool]] = {
    # once the request has arrived: the outer timeout, the inner one
    "D23-inner-first": (False, True),
    "D23-outer-first": (True, False),
    "D23-both-at-once": (True, True),
}


@pytest.mark.parametrize("span", RUNS_OUT)
async def test_a_timeout_of_the_callers_own(span: str) -> None:
    """It is a `TimeoutError` for who set it, and leaves no cancellation behind."""
    outer, inner = asyncio.timeout(None), asyncio.timeout(None)
    now = asyncio.get_running_loop().time

    async def outlasts(exchange: Exchange) -> None:
        await exchange.read_request()
        for timeout, runs_out in zip((outer, inner), RUNS_OUT[span], strict=True):
            if runs_out:
                timeout.reschedule(now())
        await asyncio.Event().wait()

    async with (
        RawServer(outlasts) as server,
        CheckoutSessionFactory(KEY, server.base_url) as checkout,
    ):
        await _times_out(checkout, outer, inner)

    assert len(server.requests) == 1


EXPIRED: dict[str, tuple[float, float]] = {
    # seconds of the outer timeout, of the inner one
    "D23-expired": (AMPLE, 0),
    "D23-long-expired": (-1, -1),
}


@pytest.mark.parametrize("span", EXPIRED)
async def test_a_timeout_that_had_run_out(span: str) -> None:
    """The same, and nothing is sent."""
    outer, inner = (asyncio.timeout(seconds) for seconds in EXPIRED[span])
    async with (
        RawServer(gateway) as server,
        CheckoutSessionFactory(KEY, server.base_url) as checkout,
    ):
        await _times_out(checkout, outer, inner)

    assert server.requests == []


async def _times_out(
    checkout: CheckoutSessionFactory, outer: asyncio.Timeout, inner: asyncio.Timeout
) -> None:
    """Make a call within two timeouts, which have to end it without a trace."""

    async def call_within() -> None:
        async with outer, inner:
            await call(checkout, "create")

    with pytest.raises(TimeoutError) as caught:
        await call_within()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(REST)  # would raise what is left of a cancellation

    assert type(caught.value) is TimeoutError
    assert leaked(channels(caught.value)) == []


@pytest.mark.parametrize("span", ["D23-own-deadline-first"])
async def test_the_deadline_is_not_the_callers_timeout(span: str) -> None:
    """A call that outlasts its own deadline says so, and leaves the timeout alone."""
    del span
    async with (
        RawServer(says(stays=True)) as server,
        CheckoutSessionFactory(KEY, server.base_url) as checkout,
    ):
        async with asyncio.timeout(AMPLE) as own:
            with pytest.raises((NotSentError, OutcomeUnknownError)) as caught:
                await call(checkout, "create", timeout=0.1)
            await asyncio.sleep(0)

    assert not own.expired()
    # A busy machine may not have sent it in time.
    assert len(server.requests) == isinstance(caught.value, OutcomeUnknownError)


# -- closed --------------------------------------------------------------------------

CLOSINGS: dict[str, tuple[float, int]] = {
    # how long aclose drains, and how many of the hundred calls are answered by then
    "D24-drained": (AMPLE, CROWD),
    "D24-cut": (0.0, 0),
    "D24-drained-in-part": (3.0, CROWD // 2),
}


@pytest.mark.parametrize("closing", CLOSINGS)
async def test_closing_with_a_hundred_calls_under_way(closing: str) -> None:
    """Finding 7: `aclose` lets calls end, and returns the keys of those it cut."""
    drain, answered = CLOSINGS[closing]
    all_sent = asyncio.Event()

    async def answers_some(exchange: Exchange) -> None:
        await exchange.read_request()
        place = len(exchange.server.requests)
        if place == CROWD:
            all_sent.set()
        await all_sent.wait()
        if place > answered:
            await asyncio.Event().wait()
        await asyncio.sleep(REST)
        await exchange.write(SESSION_ANSWER)

    async with RawServer(answers_some) as server:
        checkout = await CheckoutSessionFactory(KEY, server.base_url).open()
        calls = [
            asyncio.create_task(checkout.create(canary_order(), timeout=AMPLE))
            for _ in range(CROWD)
        ]
        await all_sent.wait()
        left = await checkout.aclose(drain=drain)
        results = await asyncio.gather(*calls, return_exceptions=True)

    unknown = [one for one in results if isinstance(one, OutcomeUnknownError)]
    done = [one for one in results if isinstance(one, CheckoutSession)]
    assert (len(done), len(unknown)) == (answered, CROWD - answered)
    assert sorted(left) == sorted(str(error.idempotency_key) for error in unknown)
    assert len(server.requests) == CROWD


# -- a loop that does not turn -------------------------------------------------------

BLOCKS: dict[str, tuple[float, float, float]] = {
    # seconds of the block, of an attempt, of the deadline
    "D25-within-an-attempt": (0.5, AMPLE, AMPLE),
    "D25-past-an-attempt": (0.9, 0.7, AMPLE),
    "D25-past-the-deadline": (0.5, 0.15, 0.3),
}


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_blocked_loop_starts_no_storm(block: str) -> None:
    """No call is sent more often than its policy says, and each ends.

    Which of an answer and a timeout that wait for the loop comes first is the loop's
    affair, unless the timeout is not due. There are no more calls than may connect at
    once: one that had waited for its turn until its attempt was over is not sent again.
    """
    blocked, attempt, deadline = BLOCKS[block]
    calls_at_once, most_attempts = OPENED_AT_ONCE, 5
    arrived = asyncio.Event()

    async def notices(exchange: Exchange) -> None:
        while True:
            request = await exchange.read_request()
            arrived.set()
            await exchange.write(answer_to(request))

    async with RawServer(notices) as server:
        checkout = CheckoutSessionFactory(
            KEY,
            server.base_url,
            retry=RetryPolicy(max_attempts=most_attempts, base_delay=0.001),
            timeouts=Timeouts(attempt=attempt, connect=attempt),
        )
        async with checkout:
            calls = [
                asyncio.create_task(call(checkout, "create", timeout=deadline))
                for _ in range(calls_at_once)
            ]
            first = asyncio.create_task(arrived.wait())
            await asyncio.wait([first, *calls], return_when=asyncio.FIRST_COMPLETED)
            time.sleep(blocked)  # noqa: ASYNC251 -- the fault
            results = await asyncio.gather(*calls, return_exceptions=True)
            first.cancel()

    kinds = {type(result) for result in results}
    if deadline > blocked:
        assert kinds == {CheckoutSession}
    assert kinds <= {CheckoutSession, OutcomeUnknownError, NotSentError}
    most = 1 if attempt > blocked else most_attempts
    assert len(server.requests) <= most * calls_at_once
