"""The command line as a process that is forked, not started: it is there at once."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")

AT_START = ("PYTHON", "LC_", "LANG", "TZ", "SSL_CERT_")
"""How variables begin that Python reads as it starts, or aiohttp as it is loaded."""

STREAMS = ("", "unread", ">/dev/full", "2>/dev/full")
"""How one may be lost, as a shell spells it, for all to be handed over; where one is
closed, Python itself has to start."""


def can_fork(environ: Mapping[str, str], stdin: str, streams: str = "") -> bool:
    """Tell whether a program that is forked would be the same, and can be told all."""
    starts_alike = not any(name.startswith(AT_START) for name in environ)
    fits = len(stdin) < 10_000  # of a pipe's 64 K
    return sys.platform == "linux" and starts_alike and fits and streams in STREAMS


async def run_forked(
    arguments: Sequence[str],
    stdin: str,
    environ: Mapping[str, str],
    cwd: Path,
    streams: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, its streams in the encoding that *environ* names."""
    encoding = environ["PYTHONIOENCODING"]
    loop = asyncio.get_running_loop()
    read_in, write_in = os.pipe()
    os.write(write_in, stdin.encode())
    os.close(write_in)
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    order = {
        "arguments": arguments,
        "environ": dict(environ),
        "cwd": str(cwd),
    }
    theirs = [read_in, write_out, write_err, its.detach()]
    if streams:
        number, lost = _lost(streams)
        os.close(theirs[number])
        theirs[number] = lost
    socket.send_fds(_server()[1], [json.dumps(order).encode()], theirs)
    for descriptor in theirs:
        os.close(descriptor)
    with ours:
        ours.setblocking(False)  # noqa: FBT003 -- the library's
        program = int(await loop.sock_recv(ours, 32))
        try:
            out, err = await asyncio.gather(_read(read_out), _read(read_err))
            code = int(await loop.sock_recv(ours, 32))
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(program, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(
        arguments, code, out.decode(encoding), err.decode(encoding)
    )


def _lost(streams: str) -> tuple[int, int]:
    """Return which stream is not as usual, and the descriptor in its place."""
    if streams == "unread":
        reader, writer = os.pipe()
        os.close(reader)
        return 1, writer
    before, _, path = streams.partition(">")
    return int(before or 1), os.open(path, os.O_WRONLY)


@cache
def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the server, once in a process of tests: it ends when that has ended."""
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with its:
        number = its.fileno()
        command = [sys.executable, str(SERVER), str(number)]
        return subprocess.Popen(command, pass_fds=[number]), ours  # noqa: S603 -- our own


async def _read(descriptor: int) -> bytes:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        return await reader.read()
    finally:
        transport.close()
