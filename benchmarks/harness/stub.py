"""The cheapest gateway there can be: one answer, in a process of its own."""

import asyncio
import itertools
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

SESSION_ID = "AW-kLcRRC5P8U68CYe0kVA"
SESSION = {
    "id": SESSION_ID,
    "amount_total": 4999,
    "amount_sub_total": 4999,
    "amount_refunded": 0,
    "currency": "pln",
    "cancel_url": "https://shop.example/cancelled",
    "customer_firstname": "John",
    "customer_lastname": "Doe",
    "customer_email": "john@example.com",
    "customer_ip": "",
    "customer_country": "PL",
    "expire_at": 2147483648,
    "created_at": 1700000000,
    "success_url": "https://shop.example/thanks",
    "payment_method": ["blik"],
    "locale": "pl",
    "url": "https://gateway.example/pay/AW-kLcRRC5P8U68CYe0kVA",
    "fees": None,
    "metadata": {"order": "A-17"},
    "refunds": [],
    "refunded": False,
    "status": "open",
    "livemode": False,
    "notification_url": "https://shop.example/webhooks",
}
BODY = json.dumps(SESSION).encode()
HEAD = (
    "HTTP/1.1 200 OK",
    f"Date: {formatdate(usegmt=True)}",
    "Content-Type: application/json; charset=utf-8",
    f"Content-Length: {len(BODY)}",
    "Connection: keep-alive",
    "Server: gateway",
    "Cache-Control: no-store",
    "Strict-Transport-Security: max-age=31536000",
    "Request-Id: req-NUMBER",
)
"""Eight lines, as a gateway behind a proxy says them."""

_WHOLE_HEAD = "\r\n".join((*HEAD, "", "")).encode()
BEFORE_NUMBER, _, AFTER_NUMBER = _WHOLE_HEAD.partition(b"NUMBER")
BEFORE_ID, _, AFTER_ID = BODY.partition(SESSION_ID.encode())


class Answers(asyncio.Protocol):
    """Answers every request, without reading more of it than its end.

    Only ids differ: a connection that opens one session twice has lost its place. Who
    asks for a session gets that one.
    """

    numbers = itertools.count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError
        self._transport = transport
        self._missing = -1
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer as often as a whole request has come in."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line = self._buffer.partition(b" HTTP/")[0]
            _, found, named = line.partition(b"/v1/checkout/sessions/")
            head = self._buffer[:end].lower()
            start = head.find(b"content-length: ")
            length = 0
            if start >= 0:
                length = int(head[start + 16 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            number = b"%019d" % next(self.numbers)
            name = named.partition(b"/")[0] if found else b"AW-" + number
            head = BEFORE_NUMBER + number + AFTER_NUMBER
            self._transport.write(head + BEFORE_ID + name + AFTER_ID)


def speaking(certificate: str) -> ssl.SSLContext:
    """Return what a server with this certificate speaks TLS with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def serve(tls: ssl.SSLContext | None) -> None:
    """Listen on a free port, print it, and stop when stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, "127.0.0.1", 0, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def running_stub(
    *, pinned: bool = True, certificate: Path | None = None
) -> Iterator[str]:
    """Run the stub on another core where there is one, and yield its address.

    Args:
        pinned: Whoever runs it stays on one core meanwhile.
        certificate: The file of a certificate and its key, to speak TLS with.
    """
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, str(Path(__file__)), str(cores[-1])]
    if certificate is not None:
        command.append(str(certificate))
    with subprocess.Popen(  # noqa: S603 -- our own file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        os.sched_setaffinity(0, {cores[0]} if pinned else cores)
        try:
            scheme = "http" if certificate is None else "https"
            yield f"{scheme}://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            os.sched_setaffinity(0, cores)
            process.stdin.close()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(speaking(sys.argv[2]) if sys.argv[2:] else None))
