"""The short way to the gateway: aiohttp's pool, protocol and parser, and an outbox.

A connection comes from aiohttp's connector, which looks up, connects, speaks TLS and
keeps alive. Head and body leave together, and what aiohttp's parser makes of the answer
is read as it is. Through a session, with its request and its response, which a form and
a short document do not need, a `create` takes two thirds more instructions.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from convergegate_async._core.messages import (
    BODY_LIMIT,
    KEY_HEADER,
    Connection,
    HttpRequest,
    HttpResponse,
)

from ._answers import (
    SWITCHING_PROTOCOLS,
    accept_head,
    finish_answer,
    read_body,
)
from ._kinds import StrayDataError
from ._marks import Marks
from ._outbox import Outbox


class _ConnectRequest(aiohttp.ClientRequest):
    """What a connector connects to: built once for each place, and never sent."""

    @cached_property
    def connection_key(self) -> Any:  # noqa: ANN401 -- aiohttp's own
        return super().connection_key


class Lane:
    """Exchanges over the connections of one session's connector.

    It is taken where `_guard.find_objection` has none.

    Args:
        session: Whose connector it is.
        timeout: Of which *connect* is kept.
        headers: What every request says beside its own.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str],
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._headers = headers
        self._places: dict[tuple[str, str, bool], tuple[_ConnectRequest, str]] = {}
        self._outbox = Outbox()
        self._methods = aiohttp.ClientSession.request, aiohttp.ClientSession._request  # noqa: SLF001 -- to see whether it was replaced

    def is_clear(self) -> bool:
        """Tell whether `ClientSession` is as it was: a mock may have replaced parts."""
        cls = aiohttp.ClientSession
        return (cls.request, cls._request) == self._methods

    async def exchange(
        self,
        request: HttpRequest,
        marks: Marks,
        count_answer: Callable[[ResponseHandler | None], Connection | None],
    ) -> HttpResponse | Exception:
        """Send *request* once, read its answer to the end, and have it counted.

        Returns:
            The answer or what broke, as the long way tells it.
        """
        marks.is_marking = True
        try:
            origin, path = _split(request.url)
            address, shared = self._place(request, origin)
            message = _message(request, path, shared)
            connector = self._session.connector
            if connector is None:  # the session was closed
                return aiohttp.ClientConnectionError()
            try:
                connection = await connector.connect(address, [], self._timeout)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError from error
            try:
                protocol = _protocol_of(connection)
                # Not only once it is written: others of this turn would wait for that.
                marks.open_no_more()
                self._outbox.put(message, protocol, marks)
                response = await _read_answer(protocol, marks, count_answer)
            except BaseException:
                connection.close()
                raise
            connection.release()
        except Exception as error:  # noqa: BLE001 -- what is not listed is Unknown
            return error
        return response

    def _place(self, request: HttpRequest, origin: str) -> tuple[_ConnectRequest, str]:
        """Return what is connected to, and the lines that requests there share.

        Raises:
            ValueError: A line of the head would be two.
        """
        place = origin, request.authorization, request.body is None
        known = self._places.get(place)
        if known is None:
            address = _ConnectRequest(
                "GET",
                URL(origin, encoded=True),
                headers={**self._headers, **request.shared_headers},
                loop=asyncio.get_running_loop(),
                session=self._session,
            )
            lines = [f"{name}: {text}" for name, text in address.headers.items()]
            _require_one_line("".join(lines))
            shared = "".join([f"{line}\r\n" for line in lines])
            known = self._places[place] = address, shared
        return known


def _split(url: str) -> tuple[str, str]:
    """Return origin and path."""
    # Behind the scheme, even if that is the shorter http: a host is no slash.
    end = url.find("/", len("https://"))
    return (url, "/") if end < 0 else (url[:end], url[end:])


def _protocol_of(connection: aiohttp.connector.Connection) -> ResponseHandler:
    """Return what a *connection* reads and writes with.

    Raises:
        StrayDataError: It is closed.
    """
    if connection.protocol is None:
        raise StrayDataError
    return connection.protocol


async def _read_answer(
    protocol: ResponseHandler,
    marks: Marks,
    count_answer: Callable[[ResponseHandler | None], Connection | None],
) -> HttpResponse:
    """Read an answer to its end, and have it counted.

    Raises:
        StrayDataError: It was there before the request was written.
        BodyError: The body is not to be read.
        Exception: Whatever *protocol* raises.
    """
    head, content = await protocol.read()
    if not marks.is_sent:
        raise StrayDataError
    while _is_interim(head.code):
        head, content = await protocol.read()
    status, headers = head.code, head.headers
    accept_head(status, headers, marks)
    body = _body_at_hand(content) or await read_body(headers, content)
    return finish_answer(status, headers, body, marks, count_answer)


def _body_at_hand(content: aiohttp.StreamReader) -> bytes | None:
    """Return a body that has come whole, and is within the limit; else `None`.

    `read_body` would first ask the connection for more: a sixtieth of a `create`.
    """
    is_whole = content.is_eof() and content.exception() is None
    # aiohttp has one reader for all that are empty, and that has no buffer.
    if is_whole and 0 < content.total_bytes <= BODY_LIMIT:
        body = b"".join(content._buffer)  # noqa: SLF001 -- see above
        content._buffer.clear()  # noqa: SLF001 -- the connection keeps its last answer
        return body
    return None


def _is_interim(status: int) -> bool:
    return status // 100 == 1 and status != SWITCHING_PROTOCOLS


def _message(request: HttpRequest, path: str, shared: str) -> bytes:
    """Return head and body as they leave.

    Raises:
        ValueError: A line of the head would be two.
    """
    key, body = request.idempotency_key, request.body
    start = f"{request.method} {path}"
    _require_one_line(start if key is None else start + key)
    head = f"{start} HTTP/1.1\r\n{shared}"
    if key is not None:
        head += f"{KEY_HEADER}: {key}\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _require_one_line(text: str) -> None:
    if "\r" in text or "\n" in text or "\0" in text:
        message = "a header holds a line break"
        raise ValueError(message)
