"""Requests that are ready in one turn of the loop leave together, in the next.

Each by itself would be written between the work of two others: 32 calls at once take
more of the system's time so, on loopback 16 µs each in place of 6.
"""

import asyncio
from collections import deque
from time import monotonic
from typing import TypeAlias

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ._answers import HEAD_LINE, HEAD_LINES
from ._kinds import StrayDataError
from ._marks import Marks

_Letter: TypeAlias = tuple[bytes, ResponseHandler, Marks]

_LOST_AFTER = 0.05  # seconds: most turns that were asked for have come by then


class Outbox:
    """What is about to be written, by the connections of one loop."""

    def __init__(self) -> None:
        self._letters: deque[_Letter] = deque()
        self._asked_at = 0.0

    def put(self, message: bytes, protocol: ResponseHandler, marks: Marks) -> None:
        """Write *message* in the next turn of the loop.

        Where that fails, *protocol* raises why to whoever reads from it; a
        `StrayDataError` if it brought what nobody had asked for.
        """
        self._letters.append((message, protocol, marks))
        # Ctrl-C may have ended the turn that was asked for; one too many does no harm.
        if len(self._letters) == 1 or monotonic() - self._asked_at > _LOST_AFTER:
            self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        self._asked_at = monotonic()
        asyncio.get_running_loop().call_soon(self._empty)

    def _empty(self) -> None:
        try:
            while self._letters:
                _deliver(*self._letters.popleft())
        except BaseException as error:  # noqa: BLE001 -- it is raised again
            ended = error.with_traceback(None)  # its frames hold the key and the body
            ended.__context__ = None
        else:
            return
        if self._letters:
            self._ask_for_turn()
        raise ended


def _deliver(message: bytes, protocol: ResponseHandler, marks: Marks) -> None:
    try:
        _write(message, protocol, marks)
    except Exception as error:  # noqa: BLE001 -- what is not listed is Unknown
        protocol.set_exception(error.with_traceback(None))
    except BaseException:
        protocol.close()
        raise


def _write(message: bytes, protocol: ResponseHandler, marks: Marks) -> None:
    transport = protocol.transport
    if transport is None or transport.is_closing():
        # Not `StrayDataError`, which is followed by the next connection at once: where
        # every one is hung up on, that would be as many as the pool has.
        raise aiohttp.ServerDisconnectedError
    if protocol.should_close:
        raise StrayDataError
    # Only now: whatever came before is not for the parser of this answer.
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=HEAD_LINE,
        max_field_size=HEAD_LINE,
        max_headers=HEAD_LINES,
    )
    marks.about_to_send(protocol)
    transport.write(message)
