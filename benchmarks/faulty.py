"""A gateway on the bench that goes wrong as often as it is told, and keeps count."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import parse_qsl

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nidempotency-key: *([^\r]*)\r", re.IGNORECASE)

Reply = Callable[["Connection", bytes, dict[str, str]], None]
"""What to do with one whole request: its key and its form are given."""


class Bench:
    """What all connections of one server share.

    Attributes:
        dice: Seeded, so that a run can be repeated.
        seen: How often each idempotency key arrived, in whole or in part.
        connections: Those that are open.
    """

    def __init__(self, reply: Reply, seed: int) -> None:
        self.reply = reply
        self.dice = random.Random(seed)  # noqa: S311 -- chance, not secrets
        self.seen: Counter[bytes] = Counter()
        self.connections: set[Connection] = set()
        self.base_url = ""


class Connection(asyncio.Protocol):
    """Cuts the stream into requests."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._buffer = b""
        self._noted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.bench.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Count it out."""
        self.bench.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Note each key as soon as it can be read, and reply to each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 4]
            found, length = _KEY.search(head), _LENGTH.search(head)
            key = found[1] if found else b""
            if not self._noted:
                self.bench.seen[key] += 1
                self._noted = True
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._noted = False
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            self.bench.reply(self, key, form)

    def say(self, data: bytes) -> None:
        """Write, if anybody is still there."""
        if not self.transport.is_closing():
            self.transport.write(data)


@asynccontextmanager
async def running_bench(reply: Reply, seed: int = 17) -> AsyncIterator[Bench]:
    """Serve on a free port of this machine, in this process."""
    bench = Bench(reply, seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(bench), "127.0.0.1", 0)
    bench.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield bench
    finally:
        server.close()
        for connection in tuple(bench.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


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
