"""What stdin held is kept in a file while it is needed, and not when a signal came."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from orders import ORDER_ROW
from programs import PROGRAM, run, send, shell_needed

pytestmark = shell_needed

COMMANDS = {"check": ("check", "-"), "run": ("run", "-", "--job", "april")}
ENVIRON = {"CONVERGEGATE_API_KEY": "sk_test_x", "CONVERGEGATE_BASE_URL": "http://[::1]"}


@asynccontextmanager
async def a_reader(
    folder: Path, command: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command that has kept some of its stdin, and waits for the rest."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "bulk", *COMMANDS[command]),
        cwd=folder,
        env={**os.environ, **ENVIRON, "TMPDIR": str(folder)},
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(",".join(ORDER_ROW).encode())
        while not any(folder.iterdir()):  # noqa: ASYNC110, ASYNC240 -- another process
            await asyncio.sleep(0.01)
        yield process
    finally:
        send(process, signal.SIGKILL)
        await process.communicate()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_an_interrupt_leaves_no_copy_of_stdin(
    tmp_path: Path, command: str, name: str
) -> None:
    """It holds personal data, and a job's would keep the next run from its name."""
    async with a_reader(tmp_path, command) as process:
        send(process, signal.Signals[name])
        _, err = await process.communicate()

    assert (process.returncode, err.decode().strip()) == (130, "Interrupted.")
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 -- nothing else runs


async def test_what_a_kill_leaves_of_stdin_is_explained(tmp_path: Path) -> None:
    """The next run of that name says what the file is, and how to go on."""
    async with a_reader(tmp_path, "run") as process:
        send(process, signal.SIGKILL)

    words = ("bulk", "run", "-", "--job", "april")
    again = await run(None, *words, cwd=tmp_path, stdin="id\n", environ=ENVIRON)

    assert again.code == 3
    assert again.err == (
        "Error: april.input is there, and no journal: a run was killed while it read "
        "its rows, and sent none, or the journal is gone; move the file and run again, "
        "or choose another name for the job\n"
    )
