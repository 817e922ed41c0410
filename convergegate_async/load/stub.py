"""The cheapest gateway there can be, to find out what the generator can drive.

It answers every request for a session at once, and keeps none. Ids count up, so that
no two answers are alike.
"""

import asyncio
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from typing import ClassVar

_SESSION = {
    "id": "ID",
    "amount_total": 4999,
    "amount_sub_total": 4999,
    "currency": "pln",
    "customer_email": "john@example.com",
    "success_url": "https://shop.example/thanks",
    "cancel_url": "https://shop.example/cancelled",
    "created_at": int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()),
    "expire_at": int(datetime(2038, 1, 1, tzinfo=UTC).timestamp()),
    "url": "https://gateway.example/pay/ID",
    "refunds": [],
    "refunded": False,
    "status": "open",
    "livemode": False,
}
_ID = b"%022d"
_BODY = json.dumps(_SESSION).encode().replace(b"ID", _ID)
_HEAD = (
    "HTTP/1.1 200 OK",
    f"Date: {formatdate(usegmt=True)}",
    "Content-Type: application/json",
    f"Content-Length: {len(_BODY % (0, 0))}",
    "Request-Id: ID",
    "",
    "",
)
_ANSWER = "\r\n".join(_HEAD).encode().replace(b"ID", _ID) + _BODY
_LENGTH = b"content-length: "
_SESSIONS = b"/v1/checkout/sessions/"


class Stub(asyncio.Protocol):
    """Answers every request, without reading more of it than its end."""

    numbers: ClassVar[Iterator[int]] = itertools.count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer as often as a whole request has come in."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, rest = self._buffer[:end].lower(), self._buffer[end + 4 :]
            length = head.partition(_LENGTH)[2].partition(b"\r\n")[0]
            size = int(length or b"0")
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            asked = head.partition(b" http/")[0].partition(_SESSIONS)[2]
            number = int(asked) if asked.isdigit() else next(self.numbers)
            self.answer(_ANSWER % (next(self.numbers), number, number))

    def answer(self, whole: bytes) -> None:
        """Send an answer; a slower stub does so later."""
        if not self._transport.is_closing():
            self._transport.write(whole)


async def serve_stub(protocol: type[Stub] = Stub) -> asyncio.Server:
    """Listen on a free port of this machine."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096)
