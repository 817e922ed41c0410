"""Reads an answer: the headers that matter, and the body within bounds."""

from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter

from aiohttp import StreamReader, hdrs
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDictProxy, istr

from convergegate_async._core.answer_headers import Headers
from convergegate_async._core.messages import (
    BODY_LIMIT,
    ID_HEADERS,
    READ_HEADERS,
    Connection,
    HttpResponse,
)
from convergegate_async._core.verdicts import is_success
from convergegate_async.errors import FailureKind

from ._kinds import BodyError
from ._marks import Marks

HEAD_LINE = 16_384  # bytes of one line of an answer's head
HEAD_LINES = 256
SWITCHING_PROTOCOLS = HTTPStatus.SWITCHING_PROTOCOLS.value  # an `int`: found sooner
_UNANNOUNCED = BODY_LIMIT + 1  # stands for a length that no header tells
# In the words of multidict, which folds a plain `str` for every look.
_ID_HEADERS = tuple(map(istr, ID_HEADERS))
_READ_HEADERS = tuple(map(istr, READ_HEADERS))
# IANA's content codings, without the encryption, and what else servers send.
_COMPRESSIONS = (
    *("br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip"),
    *("zstd", "bzip2", "lz4", "lzma", "snappy", "x-compress", "x-gzip", "xz"),
)


def accept_head(status: int, headers: CIMultiDictProxy[str], marks: Marks) -> None:
    """Note that an answer has begun, and refuse one whose body may not be read.

    Raises:
        BodyError: It is compressed.
    """
    marks.is_answered = True
    if marks.is_timed:
        marks.head_at = perf_counter()
    if status == SWITCHING_PROTOCOLS:
        close(marks.protocol)  # it speaks HTTP no longer
    if hdrs.CONTENT_ENCODING in headers and _is_compressed(headers):
        raise BodyError(FailureKind.ENCODED)


async def read_body(headers: CIMultiDictProxy[str], content: StreamReader) -> bytes:
    """Read a body to its end.

    Raises:
        BodyError: It is too large.
        Exception: Whatever *content* raises.
    """
    if int(headers.get(hdrs.CONTENT_LENGTH, _UNANNOUNCED)) <= BODY_LIMIT:
        # Never more than was announced; mostly it has come with the head.
        return content.read_nowait() if content.is_eof() else await content.read()
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise BodyError(FailureKind.TOO_LARGE)
    return bytes(body)


def finish_answer(
    status: int,
    headers: CIMultiDictProxy[str],
    body: bytes,
    marks: Marks,
    count_answer: Callable[[ResponseHandler | None], Connection | None],
) -> HttpResponse:
    """Return an answer that was read to its end, and have it counted."""
    if marks.is_timed:
        marks.body_at = perf_counter()
    return HttpResponse(
        status,
        _read_headers(status, headers),
        Headers(headers.items),
        body,
        count_answer(marks.protocol),
    )


def close(protocol: ResponseHandler | None) -> None:
    """Close a connection by aiohttp's own name for it, if it has one."""
    if protocol is not None:
        protocol.close()


def _is_compressed(headers: CIMultiDictProxy[str]) -> bool:
    """Tell whether a compression is named, rather than nothing or a charset."""
    names = ",".join(headers.getall(hdrs.CONTENT_ENCODING)).lower()
    return any(name.strip() in _COMPRESSIONS for name in names.split(","))


def _read_headers(status: int, headers: CIMultiDictProxy[str]) -> dict[str, str]:
    # One that came twice is joined, and so is unclear: "1, 2" is no time to wait.
    read: dict[str, str] = {}
    names = _ID_HEADERS if is_success(status) else _READ_HEADERS
    for name in names:
        if name in headers:
            read[name] = ", ".join(headers.getall(name))
    return read
