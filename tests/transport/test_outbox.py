"""The outbox: written together, and nothing over a connection that was spoilt."""

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import aiohttp
import attrs
import pytest
from aiohttp.client_proto import ResponseHandler

from convergegate_async._transport import Marks
from convergegate_async._transport._kinds import StrayDataError
from convergegate_async._transport._outbox import Outbox

MESSAGE = b"POST / HTTP/1.1\r\nAuthorization: a secret\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 -- there is none on Windows

    return uvloop.new_event_loop()


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """What runs on a loop, asyncio's own or uvloop."""
    if request.param == "uvloop" and find_spec("uvloop") is None:
        pytest.skip("there is no uvloop")
    loops = {"asyncio": asyncio.SelectorEventLoop, "uvloop": _uvloop}
    with asyncio.Runner(loop_factory=loops[request.param]) as runner:
        yield runner


@attrs.frozen
class Line:
    """A connection, and its other end.

    Attributes:
        protocol: Of the end that sends.
        server: The other one, which does not block.
    """

    protocol: ResponseHandler
    server: socket.socket

    def received(self) -> bytes:
        """Return what has come over it since the last time."""
        try:
            return self.server.recv(65_536)
        except BlockingIOError:
            return b""


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    """Connect two sockets."""
    loop = asyncio.get_running_loop()
    client, server = socket.socketpair()
    server.setblocking(False)  # noqa: FBT003 -- of the standard library
    transport, protocol = await loop.create_connection(
        lambda: ResponseHandler(loop), sock=client
    )
    with server:
        yield Line(protocol, server)
        transport.abort()
        await asyncio.sleep(0)


async def a_few_turns() -> None:
    """Let the loop go round: uvloop 0.21 writes a turn later than it is told."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_is_ready_in_one_turn_leaves_together(runner: asyncio.Runner) -> None:
    """None before the next turn, then all of them, in order and marked."""

    async def main() -> None:
        outbox, marks = Outbox(), [Marks() for _ in range(9)]
        async with line() as one, line() as other:
            for number, mark in enumerate(marks):
                protocol = (one, other)[number % 2].protocol
                outbox.put(b"%d" % number, protocol, mark)
            assert (one.received(), other.received()) == (b"", b"")
            assert not any(mark.is_sent for mark in marks)

            await a_few_turns()

            assert (one.received(), other.received()) == (b"02468", b"1357")
            assert all(mark.is_sent for mark in marks)

    runner.run(main())


def _hang_up(one: Line) -> None:
    one.protocol.close()


def _abort(one: Line) -> None:
    if one.protocol.transport is not None:
        one.protocol.transport.abort()


def _answer(one: Line) -> None:
    one.protocol.data_received(ANSWER)


SPOILT: dict[str, tuple[Callable[[Line], None], type[Exception]]] = {
    "closed": (_hang_up, aiohttp.ServerDisconnectedError),
    "cut": (_abort, aiohttp.ServerDisconnectedError),
    "answered": (_answer, StrayDataError),
}


@pytest.mark.parametrize("what", SPOILT)
def test_nothing_goes_over_a_spoilt_connection(
    runner: asyncio.Runner, what: str
) -> None:
    """Whoever reads is told, and the marks say that nothing was sent."""
    spoil, error = SPOILT[what]

    async def main() -> None:
        outbox, marks = Outbox(), Marks()
        async with line() as one, line() as sound:
            outbox.put(MESSAGE, one.protocol, marks)
            outbox.put(MESSAGE, sound.protocol, Marks())
            spoil(one)
            with pytest.raises(error):
                await one.protocol.read()

            await a_few_turns()
            assert not marks.is_sent
            assert one.received() == b""
            assert sound.received() == MESSAGE

    runner.run(main())


def test_what_cannot_be_written_may_have_been(runner: asyncio.Runner) -> None:
    """The transport's own error reaches whoever reads, behind the mark."""

    async def main() -> None:
        outbox, marks = Outbox(), Marks()
        async with line() as one:
            assert one.protocol.transport is not None
            one.protocol.transport.write_eof()
            outbox.put(MESSAGE, one.protocol, marks)
            with pytest.raises(RuntimeError, match=r"write") as caught:
                await one.protocol.read()
            assert marks.is_sent
            assert not shows_message(caught.value)

    runner.run(main())


def shows_message(error: BaseException) -> bool:
    """Tell whether a traceback shows it that tells what every name stood for."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "a secret" in "".join(shown.format())


class Interrupted(Marks):
    """Marks whose holder is interrupted when they are set."""

    def about_to_send(self, protocol: ResponseHandler) -> None:
        """Be interrupted after that."""
        super().about_to_send(protocol)
        raise KeyboardInterrupt


def test_an_interrupt_keeps_nothing_back(runner: asyncio.Runner) -> None:
    """What is behind it leaves in the next turn, and no frame of it holds a message."""
    outbox, marks = Outbox(), Marks()

    async def put(one: Line, other: Line) -> None:
        outbox.put(MESSAGE, one.protocol, Interrupted())
        outbox.put(MESSAGE, other.protocol, marks)
        await asyncio.sleep(9)

    lines = AsyncExitStack()
    one, other = [runner.run(lines.enter_async_context(line())) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt) as caught:
        runner.run(put(one, other))

    assert not shows_message(caught.value)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        runner.run(one.protocol.read())
    runner.run(a_few_turns())
    assert (one.received(), other.received()) == (b"", MESSAGE)
    assert marks.is_sent
    runner.run(lines.aclose())


class Forgetful(asyncio.SelectorEventLoop):
    """Forgets what it is to call soon, as an interrupt makes a loop do.

    Attributes:
        forgets: Whether it does so now.
    """

    forgets = False

    if not TYPE_CHECKING:  # its types are a variadic generic's

        def call_soon(self, callback, *args, context=None):  # noqa: ANN001, ANN002, ANN201
            """Call it soon, or never."""
            if self.forgets:
                return asyncio.Handle(callback, args, self, context)
            return super().call_soon(callback, *args, context=context)


def test_a_turn_that_was_lost_is_asked_for_again() -> None:
    """By the next request that comes a little later."""

    async def main(loop: Forgetful) -> None:
        outbox = Outbox()
        async with line() as one, line() as other:
            loop.forgets = True
            outbox.put(b"1", one.protocol, Marks())
            loop.forgets = False
            await asyncio.sleep(0.1)
            assert one.received() == b""

            outbox.put(b"2", other.protocol, Marks())
            await asyncio.sleep(0)

            assert (one.received(), other.received()) == (b"1", b"2")

    loop = Forgetful()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))
