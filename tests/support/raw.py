"""A server on a raw socket: it says exactly the bytes that a test tells it to."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from types import TracebackType
from typing import Self

from harness.faulty import reset

Handler = Callable[["Exchange"], Awaitable[None]]

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


class Exchange:
    """One connection, as the handler sees it."""

    def __init__(
        self,
        server: "RawServer",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer

    async def read_request(self) -> bytes:
        """Wait for one whole request, note it, and return it."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        self.server.requests.append(head + body)
        return head + body

    async def read_some(self) -> None:
        """Note what has come of a request, or comes next, without its body."""
        head, end, _ = (await self.reader.read(65_536)).partition(b"\r\n\r\n")
        if head:
            self.server.requests.append(head + end)

    async def write(self, data: bytes) -> None:
        """Say *data*."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Hang up with a RST instead of a FIN."""
        reset(self.writer.transport)


class RawServer:
    """Runs *handler* on every connection, and remembers the requests that it read.

    Args:
        handler: Says what there is to say on one connection, then hangs up.
        tls: What to speak TLS with; plain if `None`.
    """

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.requests: list[bytes] = []
        self.connections = 0
        self.base_url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self._tls
        )
        host, port = self._server.sockets[0].getsockname()
        self.base_url = f"http{'s' if self._tls else ''}://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hung_up(self) -> None:
        """Wait until every connection was hung up on."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._handler(Exchange(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def http(body: bytes, status: str = "200 OK", extra: bytes = b"") -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + extra + b"\r\n" + body


# -- what more than one file's servers do --------------------------------------------


def says(*parts: bytes, stays: bool = False, resets: bool = False) -> Handler:
    """Read a request, say *parts* one after the other, then hang up, reset or stay."""

    async def fault(exchange: Exchange) -> None:
        await exchange.read_request()
        for part in parts:
            await exchange.write(part)
            if part is not parts[-1] or resets:
                await asyncio.sleep(0.01)
        if stays:
            await asyncio.Event().wait()
        if resets:
            exchange.reset()

    return fault


async def hangs_up(exchange: Exchange) -> None:
    """Hang up on whoever was just accepted, and note what is sent all the same."""
    exchange.writer.write_eof()
    await exchange.read_some()


async def resets(exchange: Exchange) -> None:
    """Reset what was just accepted, and note what had come by then."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await exchange.read_some()
    exchange.reset()


async def tunnels(exchange: Exchange) -> None:
    """Be a proxy that leads to this machine."""
    method, target, _ = (await exchange.read_request()).split(b" ", 2)
    assert method == b"CONNECT"
    await exchange.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await relay(exchange, int(target.rpartition(b":")[2]))


async def relay(exchange: Exchange, port: int) -> None:
    """Carry all between *exchange* and a local *port*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_pump(exchange.reader, writer), _pump(reader, exchange.writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError), closing(writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
