"""One `create`, made in several ways: the same request, the same decoded answer."""

import asyncio
import uuid
from typing import cast
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
)
from harness.workers import Call

PATH = "/v1/checkout/sessions"
KEY = "sk_test_x"
FORM = {
    "amount": "4999",
    "currency": "pln",
    "customer_email": "john@example.com",
    "customer_firstname": "John",
    "customer_lastname": "Doe",
    "customer_phone": "+48123456789",
    "customer_country": "PL",
    "success_url": "https://shop.example/thanks",
    "cancel_url": "https://shop.example/cancelled",
    "notification_url": "https://shop.example/webhooks",
    "payment_method": "blik",
    "locale": "pl",
    "metadata[order]": "A-17",
}


def order() -> CheckoutSessionRequest:
    """Build a request of 13 fields, as a handler does for every customer."""
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email="john@example.com",
        customer_firstname="John",
        customer_lastname="Doe",
        customer_phone="+48123456789",
        customer_country="PL",
        success_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cancelled",
        notification_url="https://shop.example/webhooks",
        payment_method=("blik",),
        locale="pl",
        metadata={"order": "A-17"},
    )


def by_hand(session: aiohttp.ClientSession, base_url: str) -> Call:
    """Return a create as one writes it first: a dict, `resp.json()`, no checks."""
    authorization = aiohttp.encode_basic_auth(KEY, "")

    async def call() -> object:
        headers = {"Authorization": authorization, "Idempotency-Key": uuid.uuid4().hex}
        form = dict(FORM)
        async with session.post(base_url + PATH, data=form, headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json()

    return call


def tuned_session(
    connector: aiohttp.BaseConnector | None = None,
) -> aiohttp.ClientSession:
    """Return a session as somebody sets it up who has measured."""
    return aiohttp.ClientSession(
        connector=connector,
        headers={
            "Authorization": aiohttp.encode_basic_auth(KEY, ""),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def tuned(session: aiohttp.ClientSession, base_url: str) -> Call:
    """Return the least that aiohttp can be asked: one body, one URL, msgspec."""
    url = URL(base_url + PATH)
    body = urlencode(FORM).encode()
    decode = msgspec.json.Decoder().decode

    async def call() -> object:
        async with session.post(url, data=body, allow_redirects=False) as answer:
            return decode(await answer.read())

    return call


def by_factory(checkout: CheckoutSessionFactory) -> Call:
    """Return a create with all its checks."""

    async def call() -> CheckoutSession:
        return await checkout.create(order())

    return call


class _Wire(asyncio.Protocol):
    """A connection that asks and is answered, with no client around it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Send *request*, and return the body that will come back."""
        self._answer: asyncio.Future[bytes] = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Hand a body over as soon as it is whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        if found and len(body) == int(length):
            self._buffer = b""
            self._answer.set_result(body)


def floor(base_url: str) -> Call:
    """Return the least that asyncio can be asked: one string out, one parse in.

    Its connections stay open until the process ends.
    """
    host, _, port = base_url.removeprefix("http://").partition(":")
    body = urlencode(FORM)
    request = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: {aiohttp.encode_basic_auth(KEY, '')}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    free: list[_Wire] = []

    async def connect() -> _Wire:
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(_Wire, host, int(port))
        return wire

    async def call() -> object:
        wire = free.pop() if free else await connect()
        answer = await wire.ask(request)
        free.append(wire)
        return msgspec.json.decode(answer)

    return call
