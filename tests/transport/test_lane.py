"""The lane, and where it is not taken."""

import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from convergegate_async import PoolLimits, Timeouts
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.secret import Secret
from convergegate_async._transport import AiohttpTransport
from convergegate_async._transport._guard import TESTED

ANSWER = HttpResponse(status=200, headers={}, body=b"{}")


def transport_of(**pool: Any) -> AiohttpTransport:  # noqa: ANN401 -- of the pool's fields
    """Return a transport whose pool is as *pool* says."""
    return AiohttpTransport(timeouts=Timeouts(), pool=PoolLimits(**pool))


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
    "aiohttp 3.99.0 is newer": lambda patch: patch.setattr(
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


def test_this_aiohttp_is_one_of_those_that_were_tested() -> None:
    """When this fails: run the canary, read what changed, and add the release."""
    assert ".".join(aiohttp.__version__.split(".")[:2]) in TESTED
