"""A gateway that goes wrong as often as it should, and counts what it saw."""

import asyncio
import json
import random
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import parse_qsl

from convergegate_async import CheckoutSessionRequest

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nidempotency-key: *([^\r]*)\r", re.IGNORECASE)

Reply = Callable[["Connection", bytes, dict[str, str]], None]
"""What to do with one whole request: its key and its form are given."""


class FaultyGateway:
    """What all connections of one server share.

    Attributes:
        dice: Seeded, so that a run can be repeated.
        seen: How often each idempotency key arrived, in whole or in part.
        connections: Those that are open.
        tls: What it speaks TLS with from the next `open` on, if it does.
    """

    def __init__(self, reply: Reply, seed: int) -> None:
        self.reply = reply
        self.dice = random.Random(seed)  # noqa: S311 -- chance, not secrets
        self.seen: Counter[bytes] = Counter()
        self.connections: set[Connection] = set()
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Return where it is called."""
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Accept connections: on any free port, and again on that one later."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Hang up on everybody, and refuse new connections."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class Connection(asyncio.Protocol):
    """Cuts the stream into requests.

    Attributes:
        target: The path of the last one.
    """

    def __init__(self, gateway: FaultyGateway) -> None:
        self.gateway = gateway
        self.target = ""
        self._buffer = b""
        self._noted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.gateway.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Count it out."""
        self.gateway.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Note each key as soon as it can be read, and reply to each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 4]
            found, length = _KEY.search(head), _LENGTH.search(head)
            key = found[1] if found else b""
            if not self._noted:
                self.gateway.seen[key] += 1
                self._noted = True
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._noted = False
            self.target = head.split(b" ", 2)[1].decode()
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            self.gateway.reply(self, key, form)

    def say(self, data: bytes) -> None:
        """Write, if anybody is still there."""
        if not self.transport.is_closing():
            self.transport.write(data)


@asynccontextmanager
async def running_gateway(reply: Reply, seed: int = 17) -> AsyncIterator[FaultyGateway]:
    """Serve on a free port of this machine, in this process."""
    gateway = FaultyGateway(reply, seed)
    await gateway.open()
    try:
        yield gateway
    finally:
        await gateway.close()


def reset(transport: asyncio.WriteTransport) -> None:
    """Hang up with a RST instead of a FIN."""
    raw: socket.socket = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def an_order(number: str) -> CheckoutSessionRequest:
    """Return a request that can be recognised by its *number*."""
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email=f"john.{number}@example.com",
        customer_firstname="John",
        customer_lastname="Doe",
        customer_phone="+48123456789",
        success_url="https://shop.example/thanks",
        metadata={"number": number},
    )


def session_of(key: bytes, form: dict[str, str]) -> bytes:
    """Return a whole answer that repeats what was sent, as the gateway's would."""
    return answer(
        {
            "id": f"cs_{key.decode()}",
            "status": "open",
            "amount_sub_total": int(form.get("amount", 0)),
            "currency": form.get("currency"),
            "customer_email": form.get("customer_email"),
            "metadata": {"number": form.get("metadata[number]", "")},
        }
    )


def answer(document: object, status: str = "200 OK") -> bytes:
    """Return a whole answer."""
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body
