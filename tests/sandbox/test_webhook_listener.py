"""What a listener hands to its handler, and how a delivery is passed on to a shop."""

import asyncio
import time
from collections.abc import Mapping

import pytest
from matrix import AMPLE
from raw import Exchange, Handler, RawServer, http, says

from convergegate_async import WebhookEvent, WebhookReply
from convergegate_async.sandbox import (
    ReceivedWebhook,
    WebhookListener,
    forward_webhook,
    post_webhook,
)
from convergegate_async.webhooks import WebhookVerifier, sign

KEY = "sk_test_x"
BODY = b'{ "id": "evt_1",\r\n "type": "session.completed" }\n'


def signed(body: bytes = BODY, key: str = KEY) -> dict[str, str]:
    """Return the headers of a delivery of now."""
    return sign(body, secret=key, timestamp=int(time.time()))


async def stays_silent(exchange: Exchange) -> None:
    """Read a request, and leave its sender waiting."""
    await exchange.read_request()
    await asyncio.Event().wait()


async def test_a_handler_decides_the_answer() -> None:
    """It is given the event, the body byte for byte, and the headers."""
    handled: list[tuple[WebhookEvent, bytes, str]] = []
    heard: list[ReceivedWebhook] = []

    async def handler(
        event: WebhookEvent, body: bytes, headers: Mapping[str, str]
    ) -> WebhookReply:
        handled.append((event, body, headers["content-type"]))
        return WebhookReply(503, "the shop is closed")

    verifier = WebhookVerifier(KEY)
    async with WebhookListener(verifier, heard.append, handler=handler) as hooks:
        status = await post_webhook(hooks.url, BODY, signed())

    [(event, body, content_type)] = handled
    assert (status, event.id, body) == (503, "evt_1", BODY)
    assert content_type == "application/json"
    assert [(one.event, one.status, one.problem) for one in heard] == [
        (event, 503, "the shop is closed")
    ]


async def test_a_handler_sees_no_forgery() -> None:
    """What is not the gateway's is refused before."""
    handled: list[WebhookEvent] = []

    async def handler(
        event: WebhookEvent, _body: bytes, _headers: Mapping[str, str]
    ) -> WebhookReply:
        handled.append(event)
        return WebhookReply(200, "")

    async with WebhookListener(WebhookVerifier(KEY), print, handler=handler) as hooks:
        status = await post_webhook(hooks.url, BODY, signed(key="sk_test_other"))

    assert (status, handled) == (400, [])


async def test_a_delivery_is_heard_of_though_nobody_waits_for_its_answer() -> None:
    """Its sender hangs up while the handler works."""
    begun, heard = asyncio.Event(), asyncio.Queue[ReceivedWebhook]()

    async def handler(
        _event: WebhookEvent, _body: bytes, _headers: Mapping[str, str]
    ) -> WebhookReply:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    verifier = WebhookVerifier(KEY)
    async with (
        asyncio.timeout(AMPLE),
        WebhookListener(verifier, heard.put_nowait, handler=handler) as hooks,
    ):
        sender = asyncio.create_task(post_webhook(hooks.url, BODY, signed()))
        await begun.wait()
        sender.cancel()
        delivery = await heard.get()

    assert (delivery.status, delivery.problem) == (499, "broken off before the answer")
    assert delivery.event is not None


async def test_a_delivery_is_passed_on_as_it_came() -> None:
    """The body byte for byte, what it is verified by and its type; nothing else."""
    headers = {
        **signed(),
        "Content-Type": "application/json; charset=utf-8",
        "Authorization": "Basic c2VjcmV0",
        "Host": "gateway.example",
    }
    async with RawServer(says(http(b"", "204 No Content"))) as shop:
        reply = await forward_webhook(f"{shop.base_url}/hooks?a=1", BODY, headers)

    head, _, body = shop.requests[0].partition(b"\r\n\r\n")
    start, *fields = head.decode().split("\r\n")
    passed_on = dict(field.split(": ", 1) for field in fields)
    assert (reply.status, reply.text) == (204, "")
    assert (start, body) == ("POST /hooks?a=1 HTTP/1.1", BODY)
    for name in ("Sec-Timestamp", "Sec-Signature", "Content-Type"):
        assert passed_on[name] == headers[name]
    assert "Authorization" not in passed_on
    assert passed_on["Host"] in shop.base_url


async def test_a_content_type_that_did_not_come_is_not_made_up() -> None:
    """A shop sees what it would have seen without us."""
    async with RawServer(says(http(b""))) as shop:
        await forward_webhook(shop.base_url, BODY, signed())

    assert b"content-type" not in shop.requests[0].lower()


@pytest.mark.parametrize(
    ("shop", "status", "problem"),
    [
        (says(http(b"", "200 OK")), 200, ""),
        (says(http(b"no", "500 Oh")), 500, ""),
        (says(http(b"", "302 Found", b"Location: /elsewhere\r\n")), 302, ""),
        (says(http(b"", "101 Switching Protocols")), 502, "the shop's answer is a 101"),
        (says(http(b"", "999 What")), 502, "the shop's answer is a 999"),
        (says(b"SSH-2.0\r\n"), 502, "the shop hung up, or its answer is not HTTP"),
        (says(b"", resets=True), 502, "the shop hung up, or its answer is not HTTP"),
        (stays_silent, 504, "no answer within 0.5 seconds"),
    ],
    ids=["200", "500", "302", "101", "999", "not HTTP", "reset", "silent"],
)
async def test_the_sender_is_answered_as_the_shop_answered(
    shop: Handler, status: int, problem: str
) -> None:
    """Where it did not, as gateways do: 502, or 504 if it was too slow."""
    patience = 0.5 if shop is stays_silent else AMPLE
    async with RawServer(shop) as server:
        reply = await forward_webhook(
            server.base_url, BODY, signed(), patience=patience
        )

    assert (reply.status, reply.text) == (status, problem)
    assert len(server.requests) == 1


async def test_a_shop_that_is_down_is_a_bad_gateway() -> None:
    """Nothing listens there."""
    reply = await forward_webhook("http://127.0.0.1:1/", BODY, signed())

    assert (reply.status, reply.text) == (502, "the shop cannot be reached")
