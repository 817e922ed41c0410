"""The long way to the gateway: a session of aiohttp's, with a marker in its request."""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from convergegate_async._core.messages import (
    Connection,
    HttpRequest,
    HttpResponse,
)
from convergegate_async._core.secret import Secret

from ._answers import HEAD_LINE, HEAD_LINES, accept_head, finish_answer, read_body
from ._kinds import StrayDataError
from ._marks import Marks

_marks: ContextVar[Marks] = ContextVar("convergegate_marks")
"""Those of the last attempt that the running task has begun."""


def open_session(
    connector: aiohttp.BaseConnector,
    *,
    is_ours: bool,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
) -> aiohttp.ClientSession:
    """Open a session over *connector*, which it closes if that is ours."""
    session = aiohttp.ClientSession(
        connector=connector,
        loop=asyncio.get_running_loop(),  # or it would be the connector's
        connector_owner=is_ours,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        auto_decompress=False,
        trust_env=False,  # or a .netrc would take the place of our key
        request_class=_Request,
        # A security policy and some cookies are more than aiohttp takes by itself.
        max_line_size=HEAD_LINE,
        max_field_size=HEAD_LINE,
        max_headers=HEAD_LINES,
    )
    # aiohttp would silently send a GET again once: one attempt is one request.
    session._retry_connection = False  # noqa: SLF001 -- there is no public switch (aiohttp 3.14)
    return session


async def exchange(
    session: aiohttp.ClientSession,
    request: HttpRequest,
    marks: Marks,
    proxy: Secret[str] | None,
    count_answer: Callable[[ResponseHandler | None], Connection | None],
) -> HttpResponse | Exception:
    """Send *request* once, read its answer to the end, and have it counted.

    Returns:
        The answer or what broke: a `StrayDataError` before anything was sent, a
        `BodyError`, or what aiohttp raised.
    """
    _marks.set(marks)
    try:
        async with session.request(
            request.method,
            _url_of(request.url),
            data=request.body,
            headers=request.headers,
            allow_redirects=False,  # a redirect would take the body elsewhere
            **_proxy_arguments(proxy),
        ) as response:
            status, headers = response.status, response.headers
            accept_head(status, headers, marks)
            body = await read_body(headers, response.content)
            return finish_answer(status, headers, body, marks, count_answer)
    except Exception as error:  # noqa: BLE001 -- what is not listed is Unknown
        # Returned, as a collector may end this frame once the loop is closed: those of
        # aiohttp's hold the key and the body, and raise then.
        return error


class _Request(aiohttp.ClientRequest):
    """Leaves the marker that proves what was sent.

    aiohttp builds it before it connects and calls `send` with a connection in hand.
    """

    def update_expect_continue(self, expect: bool = False) -> None:  # noqa: FBT001, FBT002 -- aiohttp's
        # What aiohttp's constructor does last. One of our own would have to pack its
        # twenty arguments again, which costs a fiftieth of a create.
        super().update_expect_continue(expect)
        self._marks = _marks.get()
        self._marks.is_marking = True

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        # An unsolicited answer on an idle connection would be read as ours.
        if conn.protocol is None or conn.protocol.should_close:
            raise StrayDataError
        self._marks.about_to_send(conn.protocol)
        return await super().send(conn)


def _proxy_arguments(proxy: Secret[str] | None) -> dict[str, Any]:
    """Name the proxy to aiohttp, its password apart from its address.

    aiohttp keeps addresses in its session and in the keys of its pool, whose `repr` it
    warns with.
    """
    if proxy is None:
        return {}
    try:
        url = URL(proxy.reveal())
        if url.raw_user is None and url.raw_password is None:
            return {"proxy": url}
        word = aiohttp.encode_basic_auth(url.user or "", url.password or "")
    except ValueError:
        address = "the proxy's"
        raise aiohttp.InvalidURL(address) from None
    headers = {"Proxy-Authorization": word}
    return {"proxy": url.with_user(None), "proxy_headers": headers}


@lru_cache(maxsize=64)
def _url_of(url: str) -> URL:
    return URL(url, encoded=True)  # or yarl would undo our %3D
