"""The lane: the same bytes as the long way, and where it is not taken."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.client_proto import ResponseHandler
from hypothesis import given
from hypothesis import strategies as st
from matrix import OPERATIONS, SESSION_ID, call, gateway
from raw import Exchange, RawServer, http

from convergegate_async import CheckoutSessionFactory, PoolLimits, Timeouts
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.secret import Secret
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import AiohttpTransport, Marks
from convergegate_async._transport._guard import TESTED

TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20
).map(str.strip)
URL = st.sampled_from(["", "/", "/v1/checkout/sessions", "/v1/a%3Db%2F%C3%A9?x=%20"])
REQUESTS = st.builds(
    HttpRequest,
    method=st.just("GET"),
    url=URL,
    authorization=TEXT,
    idempotency_key=st.none() | TEXT,
) | st.builds(
    HttpRequest,
    method=st.just("POST"),
    url=URL,
    authorization=TEXT,
    idempotency_key=st.none() | TEXT,
    body=st.binary(max_size=300),
)
ANSWER = HttpResponse(status=200, headers={}, body=b"{}")


def transport_of(**pool: Any) -> AiohttpTransport:  # noqa: ANN401 -- of the pool's fields
    """Return a transport whose pool is as *pool* says."""
    return AiohttpTransport(timeouts=Timeouts(), pool=PoolLimits(**pool))


async def both_ways(requests: list[HttpRequest]) -> list[list[bytes]]:
    """Return what a server read of *requests*, by the lane and by the session."""
    read = []
    for lane in (True, False):
        transport = transport_of(lane=lane)
        async with RawServer(_answer_always) as server:
            await transport.open()
            assert (transport.objection is None) is lane
            for request in requests:
                url = server.base_url + request.url
                whole = attrs.evolve(request, url=url)
                assert isinstance(
                    await transport.send(whole, 60, Marks()), HttpResponse
                )
            await transport.aclose()
            port = server.base_url.rpartition(":")[2].encode()
            read.append([one.replace(port, b"PORT") for one in server.requests])
    return read


async def _answer_always(exchange: Exchange) -> None:
    while True:
        await exchange.read_request()
        await exchange.write(http(b"{}"))


# -- the same bytes -----------------------------------------------------------------


@given(requests=st.lists(REQUESTS, min_size=1, max_size=3))
def test_a_server_reads_the_same_bytes_both_ways(requests: list[HttpRequest]) -> None:
    """Every line of the head in its place, and the body, whatever is asked."""
    by_lane, by_session = asyncio.run(both_ways(requests))

    assert by_lane == by_session
    assert len(by_lane) == len(requests)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_call_says_the_same_both_ways(operation: str) -> None:
    """A whole call of the factory, with everything that it puts into its requests."""
    read = []
    for lane in (True, False):
        async with RawServer(gateway) as server:
            checkout = CheckoutSessionFactory(
                *("sk_test_x", server.base_url),
                pool=PoolLimits(lane=lane),
                app_info="shop/1.2",
            )
            async with checkout:
                await call(checkout, operation)
            port = server.base_url.rpartition(":")[2].encode()
            read.append(b"".join(server.requests).replace(port, b"PORT"))

    by_lane, by_session = (
        [line for line in text.split(b"\r\n") if not line.startswith(b"Idempotency-")]
        for text in read
    )
    assert by_lane == by_session


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\r", "\0"])
@pytest.mark.parametrize("part", ["method", "url", "authorization", "key"])
async def test_a_line_of_the_head_cannot_become_two(part: str, end: str) -> None:
    """Nothing is sent that somebody could have written a header into."""
    parts = {"method": "GET", "url": "/v1/x", "authorization": "Basic x", "key": "k"}
    parts[part] += f"{end}X-Evil: 1"
    transport = transport_of()
    async with RawServer(_answer_always) as server:
        await transport.open()
        request = HttpRequest(
            method=parts["method"],
            url=server.base_url + parts["url"],
            authorization=parts["authorization"],
            idempotency_key=parts["key"],
        )
        result = await transport.send(request, 60, Marks())
        await transport.aclose()

    assert isinstance(result, Failure)
    assert result.sent is False
    assert server.requests == []


# -- where it is not taken ----------------------------------------------------------


def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch sessions as instrumentations do: each gets a trace config of theirs."""
    original = aiohttp.ClientSession.__init__

    def init(self: aiohttp.ClientSession, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- handed through
        original(self, *args, trace_configs=[aiohttp.TraceConfig()], **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)


def _replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(DeprecationWarning, match="discouraged"):

        class Session(aiohttp.ClientSession):
            """Somebody's own."""

    monkeypatch.setattr(aiohttp, "ClientSession", Session)


def _wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp.ClientRequest, "send", lambda *_: None)


def _renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ResponseHandler, "is_connected")


def _changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp.BaseConnector, "connect", lambda *_: None)


OBJECTIONS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "CONVERGEGATE_LANE=off": lambda patch: patch.setenv("CONVERGEGATE_LANE", "OFF"),
    "CONVERGEGATE_LANE is none of": lambda patch: patch.setenv(
        "CONVERGEGATE_LANE", "aus"
    ),
    "aiohttp 3.99.0 was not tested": lambda patch: patch.setattr(
        aiohttp, "__version__", "3.99.0"
    ),
    "the session is traced": _watched,
    "aiohttp.ClientSession was replaced": _replaced,
    "ClientRequest.send was replaced": _wrapped,
    "aiohttp's ResponseHandler has no is_connected": _renamed,
    "aiohttp's BaseConnector.connect takes other arguments": _changed,
}


@pytest.mark.parametrize("reason", OBJECTIONS)
async def test_where_it_is_not_taken_the_reason_is_told_once(
    reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Switched off, unknown, watched or replaced: one DEBUG line, then nothing."""
    monkeypatch.delenv("CONVERGEGATE_LANE", raising=False)
    OBJECTIONS[reason](monkeypatch)
    transport = transport_of()
    with caplog.at_level(logging.DEBUG, "convergegate_async"):
        await transport.open()
        transport.distrust(ANSWER, everything=True)  # opens another session
        await transport.aclose()

    assert transport.objection is not None
    assert transport.objection.startswith(reason)
    assert [r.message for r in caplog.records if r.name == "convergegate_async"] == [
        f"calls go through aiohttp's session: {transport.objection}"
    ]


async def test_a_connector_of_the_caller_s_own_is_used_by_the_session() -> None:
    """It may be of any class, and do what it likes with a request."""
    async with aiohttp.TCPConnector() as connector:
        transport = AiohttpTransport(
            timeouts=Timeouts(), pool=PoolLimits(), connector=connector
        )
        await transport.open()
        await transport.aclose()

    assert transport.objection == "the connector is the caller's own"


async def test_a_proxy_is_spoken_to_by_the_session() -> None:
    """It has a dialect of its own."""
    proxy = Secret("http://127.0.0.1:1")
    transport = AiohttpTransport(timeouts=Timeouts(), pool=PoolLimits(), proxy=proxy)
    await transport.open()
    await transport.aclose()

    assert transport.objection == "a proxy is used"


async def test_a_new_aiohttp_can_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs this suite against the next one says so."""
    monkeypatch.setattr(aiohttp, "__version__", "3.99.0")
    monkeypatch.setenv("CONVERGEGATE_LANE", "untested")
    transport = transport_of()
    await transport.open()
    await transport.aclose()

    assert transport.objection is None


def test_this_aiohttp_is_one_of_those_tested() -> None:
    """When this fails: run the canary, read what changed, and add the release."""
    assert ".".join(aiohttp.__version__.split(".")[:2]) in TESTED


@pytest.mark.parametrize("name", ["request", "_request"])
async def test_what_takes_the_session_s_place_later_is_met(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock that comes after `open` is asked all the same, and when it goes, not."""
    methods = []
    original = getattr(aiohttp.ClientSession, name)

    def watch(self: object, method: str, url: object, **options: object) -> object:
        methods.append(method)
        return original(self, method, url, **options)

    async with (
        RawServer(gateway) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url) as checkout,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(aiohttp.ClientSession, name, watch)
            await checkout.retrieve(SESSION_ID)
        await checkout.retrieve(SESSION_ID)

    assert methods == ["GET"]
    assert len(server.requests) == 2
