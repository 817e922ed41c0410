"""The command line as processes, as a user starts them."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict, TypeVar, Unpack

import attrs
import pytest
from forked import can_fork, run_forked

from convergegate_async.sandbox import Sandbox

T = TypeVar("T")

PROGRAM = (sys.executable, "-m", "convergegate_async")
PATIENCE = 100  # seconds that a busy machine may take for it

OUT_LOST = (">/dev/full", ">&-", "unread", ">&- 2>/dev/null")
ERR_LOST = ("2>/dev/full", "2>&-")


class Options(TypedDict, total=False):
    """Those of `subprocess.Popen` that are used here."""

    cwd: Path
    env: Mapping[str, str]
    stdout: int
    stderr: int


shell_needed = pytest.mark.skipif(
    sys.platform == "win32", reason="redirections are made by a shell"
)


@contextmanager
def started(
    *command: str, **options: Unpack[Options]
) -> "Iterator[subprocess.Popen[str]]":
    """Start a program that ends with the block: a test that fails waits for nobody."""
    with subprocess.Popen(command, text=True, **options) as process:  # noqa: S603 -- what a test starts
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def running_sandbox(
    *arguments: str, stderr: int = subprocess.PIPE
) -> "Iterator[tuple[subprocess.Popen[str], dict[str, str]]]":
    """Run ``convergegate sandbox``: the process, and the environment that it prints.

    Args:
        arguments: Of the command.
        stderr: As `subprocess.Popen` takes it; a pipe that nobody reads fills up.
    """
    with subprocess.Popen(  # noqa: S603 -- our own program
        [*PROGRAM, "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        if process.stdout is None:
            raise AssertionError
        lines = [process.stdout.readline() for _ in range(2)]
        try:
            yield process, dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        finally:
            process.terminate()


@attrs.frozen
class Done:
    """A process that has ended."""

    code: int | None
    out: str
    err: str


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a process of the loop's, if it has not ended.

    `asyncio.subprocess.Process.send_signal` polls first: of a process that has just
    ended it takes the exit code away from the loop's watcher, who then tells 255.
    """
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


def variables_of(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment of a program that calls *sandbox*."""
    return {
        "CONVERGEGATE_API_KEY": sandbox.api_key,
        "CONVERGEGATE_BASE_URL": sandbox.base_url,
    }


def call(
    *arguments: str, stdin: str = "", cwd: str = ".", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, where no gateway of the test has to be awaited.

    Args:
        arguments: Its command line.
        stdin: What it reads.
        cwd: Where it is started.
        environ: Further variables.
    """
    variables = {**os.environ, "PYTHONIOENCODING": "utf-8", **environ}
    if can_fork(environ, stdin):
        program = run_forked(arguments, stdin, variables, Path(cwd).resolve())
        return asyncio.run(_in_time(program))
    return subprocess.run(  # noqa: S603 -- our own program
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=variables,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


async def _in_time(program: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await program


async def run(  # noqa: PLR0913 -- the sides of a process
    sandbox: Sandbox | None,
    *arguments: str,
    streams: str = "",
    stdin: str = "",
    encoding: str = "utf-8",
    cwd: Path | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Done:
    """Run the program to its end.

    Args:
        sandbox: The gateway that it calls.
        arguments: Its command line.
        streams: The shell's redirections, or ``unread``: stdout is a pipe whose reader
            has left.
        stdin: What it reads.
        encoding: That of its streams.
        cwd: Where it is started.
        environ: Further variables.
    """
    gateway = {} if sandbox is None else variables_of(sandbox)
    variables = {**os.environ, "PYTHONIOENCODING": encoding, **gateway, **environ}
    if can_fork(environ, stdin, streams):
        place = cwd or Path.cwd()
        done = await run_forked(arguments, stdin, variables, place, streams)
        return Done(done.returncode, done.stdout, done.stderr)
    unread = streams == "unread"
    script = f'exec "$@" {"" if unread else streams}'
    stdout: int = asyncio.subprocess.PIPE
    if unread:
        reader, stdout = os.pipe()
        os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", script, "sh", *PROGRAM, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=variables,
    )
    if unread:
        os.close(stdout)
    out, err = await process.communicate(stdin.encode())
    return Done(process.returncode, (out or b"").decode(encoding), err.decode(encoding))


async def bulk(
    sandbox: Sandbox | None, folder: Path, *words: str, stdin: str = ""
) -> Done:
    """Run a command of ``bulk`` in *folder* to its end."""
    return await run(sandbox, "bulk", *words, cwd=folder, stdin=stdin)
