"""The transport on the wire: what it names, what it refuses, what it leaves open."""

import asyncio
import errno
import gc
import inspect
import itertools
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from matrix import SESSION_ID, gateway
from raw import Exchange, RawServer, http

from convergegate_async import (
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    OutcomeUnknownError,
    PoolLimits,
    RetryPolicy,
    Timeouts,
    __version__,
)
from convergegate_async._core.messages import (
    BODY_LIMIT,
    COMMON_HEADERS,
    HttpRequest,
    HttpResponse,
)
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import AiohttpTransport, Marks
from convergegate_async._transport._kinds import KINDS, kind_of
from convergegate_async._waiting import OPENED_AT_ONCE, PAUSE
from convergegate_async.errors import FailureKind

ONCE = RetryPolicy(max_attempts=1)
SESSION = b'{"id": "AW-kLcRRC5P8U68CYe0kVA", "status": "open"}'

EXPORTED = [
    error
    for module in (client_exceptions, http_exceptions)
    for _, error in inspect.getmembers(module, inspect.isclass)
    if issubclass(error, Exception) and error.__module__ == module.__name__
]


def factory(base_url: str, **pool: float) -> CheckoutSessionFactory:
    """Return a factory that tries once."""
    return CheckoutSessionFactory(
        "sk_test_x",
        base_url,
        retry=ONCE,
        timeouts=Timeouts(total=60),
        pool=PoolLimits(**pool),  # type: ignore[arg-type]  # checked when built
    )


# -- names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [e for e in EXPORTED if e.__module__ == "aiohttp.client_exceptions"],
    ids=lambda error: error.__name__,
)
def test_every_class_of_aiohttp_s_client_is_named(error: type[Exception]) -> None:
    """A class that aiohttp adds must be given its kind before this passes again."""
    assert error in KINDS


@pytest.mark.parametrize(
    "error",
    [e for e in EXPORTED if e.__module__ == "aiohttp.http_exceptions"],
    ids=lambda error: error.__name__,
)
def test_every_class_of_aiohttp_s_parser_is_named(error: type[Exception]) -> None:
    """The pure Python parser's errors, which are no client errors, are known too."""
    assert kind_of(error.__new__(error)) is not FailureKind.UNEXPECTED


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (socket.EAI_NONAME, FailureKind.UNKNOWN_HOST),
        (socket.EAI_AGAIN, FailureKind.DNS),
        (errno.ECONNREFUSED, FailureKind.DNS),
    ],
)
def test_a_name_that_does_not_exist_is_told_from_a_resolver_that_is_down(
    number: int, kind: FailureKind
) -> None:
    """Only an unknown name cannot succeed by asking again."""
    error = aiohttp.ClientConnectorDNSError(
        None,  # type: ignore[arg-type]  # never looked at
        OSError(number, "resolver"),
    )

    assert kind_of(error) is kind


def test_what_nobody_foresaw_is_unexpected() -> None:
    """An exception of no known class has the kind whose verdict is Unknown."""
    assert kind_of(ArithmeticError()) is FailureKind.UNEXPECTED


# -- proofs -----------------------------------------------------------------------


# -- answers ----------------------------------------------------------------------

UNREADABLE = {
    "garbage head": (b"\x16\x03\x01 not http\r\n\r\n", "head"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "head",
    ),
    "too large": (http(b" " * (BODY_LIMIT + 1)), "body"),
    "compressed": (http(SESSION, extra=b"Content-Encoding: gzip\r\n"), "body"),
    "cut": (http(SESSION)[:-5], "body"),
    "bad chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "head",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_an_unreadable_answer_is_unknown(
    name: str, order: CheckoutSessionRequest
) -> None:
    """Findings 1, 4 and 5: what cannot be read is never "400, rejected"."""
    answer, phase = UNREADABLE[name]

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(answer)

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.create(order)

    assert len(server.requests) == 1
    assert caught.value.phase == phase
    assert caught.value.http_status is None


READABLE = {
    "a line of 16 KB": b"Content-Security-Policy: " + b"a" * 16_000 + b"\r\n",
    "250 lines": b"".join(b"X-%d: y\r\n" % n for n in range(250)),
    "encoding, empty": b"Content-Encoding:\r\n",
    "encoding, none": b"Content-Encoding: none\r\n",
    "encoding, a charset": b"Content-Encoding: UTF-8\r\n",
    "encoding, identity twice": b"Content-Encoding: identity, Identity\r\n",
    "encodings, two lines": b"Content-Encoding: \r\nContent-Encoding: utf-8\r\n",
}


@pytest.mark.parametrize("name", READABLE)
async def test_a_head_as_servers_send_it_loses_no_session(
    name: str, order: CheckoutSessionRequest
) -> None:
    """Long policies, many cookies, and an encoding that names no compression."""

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(http(SESSION, extra=READABLE[name]))

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        session = await checkout.create(order)

    assert session.id == "AW-kLcRRC5P8U68CYe0kVA"


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(b"X: " + b"y" * 20_000 + b"\r\n", id="line"),
        pytest.param(b"X" * 20_000 + b": y\r\n", id="name"),
        pytest.param(b"".join(b"X-%d: y\r\n" % n for n in range(300)), id="lines"),
    ],
)
async def test_a_head_that_is_too_large_is_called_so(
    extra: bytes, order: CheckoutSessionRequest
) -> None:
    """Whoever runs the proxy is told what to change."""

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(http(SESSION, extra=extra))

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        with pytest.raises(OutcomeUnknownError, match="too large: over 256") as caught:
            await checkout.create(order)

    assert (caught.value.failure, caught.value.phase) == ("head_too_large", "head")


@pytest.mark.parametrize(
    "encoding",
    ["gzip", "GZip", "x-gzip", "br", "zstd", "deflate", "utf-8, gzip", "gzip\tx, br"],
)
async def test_an_encoding_that_names_a_compression_is_refused(
    encoding: str, order: CheckoutSessionRequest
) -> None:
    """Alone or among others, in any case: the body would not be what it seems."""

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        line = f"Content-Encoding: {encoding}\r\n".encode()
        await exchange.write(http(SESSION, extra=line))

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        with pytest.raises(OutcomeUnknownError, match="was compressed"):
            await checkout.create(order)


async def test_a_redirect_is_not_followed(order: CheckoutSessionRequest) -> None:
    """Finding 10: the form stays with the host that it was meant for."""

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(http(b"", "303 See Other", b"Location: /v1/elsewhere\r\n"))

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        with pytest.raises(OutcomeUnknownError, match="303"):
            await checkout.create(order)

    assert len(server.requests) == 1


async def test_the_request_says_what_the_contract_asks(
    order: CheckoutSessionRequest,
) -> None:
    """Basic authorisation, a form, a key, no compression, no cookies."""

    async def handler(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            answer = SESSION if exchange.server.requests[1:] == [] else b'{"id": "a=b"}'
            await exchange.write(http(answer, extra=b"Set-Cookie: a=b\r\n"))

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        await checkout.create(order, idempotency_key="order-17")
        await checkout.retrieve("a=b")

    created, looked = (request.decode() for request in server.requests)
    head, body = created.split("\r\n\r\n")
    assert head.startswith("POST /v1/checkout/sessions HTTP/1.1\r\n")
    assert "Authorization: Basic c2tfdGVzdF94Og==" in head
    assert "Content-Type: application/x-www-form-urlencoded" in head
    for name, value in COMMON_HEADERS.items():
        assert head.count(f"{name}: {value}") == 1
    assert "Idempotency-Key: order-17" in head
    assert "customer_phone=%2B48123456789" in body
    assert "metadata%5Border%5D=A-17" in body
    assert looked.startswith("GET /v1/checkout/sessions/a%3Db HTTP/1.1\r\n")
    assert "Idempotency-Key" not in looked
    assert "Cookie" not in looked


async def test_the_app_is_named_behind_us() -> None:
    """Every request of a factory, and of its views, says whose app it comes from."""
    async with RawServer(gateway) as server:
        checkout = CheckoutSessionFactory(
            "sk_test_x", server.base_url, app_info="my-shop/1.2"
        )
        async with checkout:
            await checkout.retrieve(SESSION_ID)
            await checkout.with_options(retry=ONCE).retrieve(SESSION_ID)

    agent = f"\r\nUser-Agent: convergegate-async/{__version__} my-shop/1.2\r\n"
    assert [request.count(agent.encode()) for request in server.requests] == [1, 1]
    assert b"".join(server.requests).count(b"User-Agent") == 2


async def test_what_comes_too_late_is_not_sent(echo: RawServer) -> None:
    """Neither without time left nor after closing does a request leave."""
    request = HttpRequest(method="GET", url=f"{echo.base_url}/v1/x", authorization="x")
    transport = AiohttpTransport(timeouts=Timeouts(), pool=PoolLimits())
    await transport.open()

    late = await transport.send(request, 0, Marks())
    await transport.aclose()
    closed = await transport.send(request, 1, Marks())

    assert late == Failure(kind=FailureKind.TIMEOUT, sent=False)
    assert closed == Failure(kind=FailureKind.CLOSED, sent=False)
    assert echo.requests == []


# -- connections ------------------------------------------------------------------


@pytest.fixture
async def echo() -> AsyncIterator[RawServer]:
    """A server that answers every request on a connection, each with a new id."""

    async def handler(exchange: Exchange) -> None:
        for number in itertools.count():
            await exchange.read_request()
            await exchange.write(http(b'{"id": "s%d", "status": "open"}' % number))

    async with RawServer(handler) as server:
        yield server


async def test_connections_are_reused(
    echo: RawServer, order: CheckoutSessionRequest
) -> None:
    """Calls one after the other share a connection."""
    async with factory(echo.base_url) as checkout:
        for _ in range(5):
            await checkout.create(order)

    assert echo.connections == 1


async def test_calls_over_open_connections_do_not_count_as_opening() -> None:
    """All calls of one turn find theirs at once, and none waits for another's."""
    many = 2 * OPENED_AT_ONCE
    all_open = asyncio.Barrier(many)

    async def answer(exchange: Exchange) -> None:
        await exchange.read_request()
        await all_open.wait()
        await exchange.write(http(b"{}"))
        await exchange.read_request()
        await exchange.write(http(b"{}"))

    async with RawServer(answer) as server:
        url = f"{server.base_url}/v1/x"
        request = HttpRequest(method="GET", url=url, authorization="x")
        transport = AiohttpTransport(timeouts=Timeouts(connect=60), pool=PoolLimits())
        await transport.open()
        sends = [transport.send(request, 60, Marks()) for _ in range(many)]
        await asyncio.gather(*sends)

        marks = [Marks() for _ in range(many)]
        calls = [asyncio.create_task(transport.send(request, 60, m)) for m in marks]
        await asyncio.sleep(0)

        assert not any(each.is_queued for each in marks)
        await asyncio.gather(*calls)
        await transport.aclose()


async def test_few_connections_are_opened_at_once() -> None:
    """Whoever comes as the seventeenth waits, before it has a place and connects."""
    all_met = asyncio.Event()

    async def silent(exchange: Exchange) -> None:
        if exchange.server.connections == 20:
            all_met.set()
        await exchange.reader.read()

    async with RawServer(silent) as server:
        url = server.base_url.replace("http:", "https:")
        request = HttpRequest(method="GET", url=f"{url}/v1/x", authorization="x")
        transport = AiohttpTransport(timeouts=Timeouts(connect=60), pool=PoolLimits())
        await transport.open()
        marks = [Marks() for _ in range(20)]
        for each in marks:
            each.is_timed = True
        calls = [asyncio.create_task(transport.send(request, 60, m)) for m in marks]
        await all_met.wait()
        await transport.aclose()
        failures = await asyncio.gather(*calls)

    queued = min(each.queued_at or 0.0 for each in marks)
    placed = sorted(each.placed_at or 0.0 for each in marks)
    assert 0.0 < queued <= placed[0]
    assert placed[OPENED_AT_ONCE] - queued > 0.9 * PAUSE
    assert {one.kind for one in failures if isinstance(one, Failure)} == {
        FailureKind.CLOSED
    }


async def test_idle_connections_are_closed_in_time(
    echo: RawServer, order: CheckoutSessionRequest
) -> None:
    """Finding 9: a connection idle beyond *keepalive* is not used again."""
    async with factory(echo.base_url, keepalive=0.1) as checkout:
        await checkout.create(order)
        await asyncio.sleep(0.3)
        await checkout.create(order)

    assert echo.connections == 2


async def test_a_stray_session_retires_every_connection(
    order: CheckoutSessionRequest,
) -> None:
    """After an answer that was not ours no present connection is used again."""
    wrong = b'{"id": "other", "customer_email": "eve@example.com"}'
    answers = iter([SESSION, wrong, SESSION])

    async def handler(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            await exchange.write(http(next(answers)))

    async with RawServer(handler) as server, factory(server.base_url) as checkout:
        await checkout.create(order)
        with pytest.raises(OutcomeUnknownError, match="customer_email"):
            await checkout.create(order)
        await checkout.create(order)

    assert server.connections == 2


async def test_an_own_connector_loses_the_mistrusted_connection(
    order: CheckoutSessionRequest,
) -> None:
    """What brought a stray answer is closed, even where the pool is the caller's."""
    wrong = b'{"id": "other", "customer_email": "eve@example.com"}'

    async def handler(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            await exchange.write(http(wrong))

    connector = aiohttp.TCPConnector()
    async with (
        RawServer(handler) as server,
        CheckoutSessionFactory(
            "sk_test_x", server.base_url, connector=connector
        ) as checkout,
    ):
        for _ in range(3):
            with pytest.raises(OutcomeUnknownError, match="customer_email"):
                await checkout.create(order)
    await connector.close()

    assert server.connections == 3


async def test_nothing_is_left_open(
    echo: RawServer, order: CheckoutSessionRequest
) -> None:
    """After closing no session and no connection is left to the garbage collector."""
    async with factory(echo.base_url) as checkout:
        await checkout.create(order)
    del checkout

    # An unclosed one would warn, and warnings are errors here.
    gc.collect()
    assert len(asyncio.all_tasks()) <= 2


async def test_retired_connections_are_closed_by_closing(echo: RawServer) -> None:
    """Even if the task that was to close them was cancelled before it began."""
    transport = AiohttpTransport(timeouts=Timeouts(), pool=PoolLimits())
    await transport.open()
    request = HttpRequest(method="GET", url=echo.base_url, authorization="x")
    together = [transport.send(request, 60, Marks()) for _ in range(2)]
    response, _ = await asyncio.gather(*together)
    assert isinstance(response, HttpResponse)
    before = asyncio.all_tasks()
    transport.distrust(response, everything=True)
    for task in asyncio.all_tasks() - before:
        task.cancel()

    await transport.aclose()

    assert transport.load() == (0, 0, 0)
