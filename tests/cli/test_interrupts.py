"""What a command tells that is interrupted, by Ctrl-C or SIGTERM, early or late.

Real processes; the moment is chosen by what a server has seen, and what comes after the
answer is stretched by a stdout that takes nothing.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from textwrap import dedent

import pytest
from orders import ORDER_ROW, an_order
from programs import PROGRAM, run, send, shell_needed, variables_of
from raw import Exchange, RawServer, http, says

from convergegate_async.sandbox import Sandbox, SeenRequest

pytestmark = shell_needed

NEW = (
    *("create", "--amount", "4999", "--currency", "pln"),
    *("--customer-email", "john@example.com", "--customer-phone", "+48123456789"),
    *("--customer-firstname", "John", "--customer-lastname", "Doe"),
    *("--success-url", "https://shop.example/thanks"),
)
WRITES = ("create", "pay", "refund")
STARTED_IGNORING = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""How a script starts what runs in its background."""


@asynccontextmanager
async def a_full_pipe() -> AsyncIterator[int]:
    """Yield the end of a pipe that nobody reads and nothing more fits into."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b" " * 65_536)
        os.set_blocking(writer, True)
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


async def started(
    environ: dict[str, str],
    *words: str,
    stdout: int = asyncio.subprocess.PIPE,
    by: Sequence[str] = (),
) -> asyncio.subprocess.Process:
    """Start the program, with a BLIK code on its stdin."""
    process = await asyncio.create_subprocess_exec(
        *(*by, *PROGRAM, *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
    )
    assert process.stdin is not None
    process.stdin.write(b"123456\n")
    return process


async def interrupted(
    command: str, signals: Sequence[signal.Signals], delay: float
) -> tuple[int | None, str, set[str]]:
    """Interrupt a write so long after the gateway has done it, its card unread.

    Returns:
        The exit code, stderr, and the texts of which one had to be there.
    """
    done = asyncio.Event()

    def look(seen: SeenRequest) -> None:
        if seen.operation == command:
            done.set()

    async with Sandbox(on_request=look) as sandbox, a_full_pipe() as stdout:
        words: tuple[str, ...] = NEW
        if command != "create":
            async with sandbox.factory() as checkout:
                session = await checkout.create(an_order())
                if command == "refund":
                    await checkout.pay(session.id, "123456")
            words = (command, session.id, *(["--full"] * (command == "refund")))
        done.clear()
        process = await started(variables_of(sandbox), *words, stdout=stdout)
        await done.wait()
        await asyncio.sleep(delay)
        for number in signals:
            send(process, number)
        _, err = await process.communicate()

    key = sandbox.seen[-1].idempotency_key
    book = sandbox.book.refunds if command == "refund" else sandbox.book.sessions
    return process.returncode, err.decode(), {*book, *([key] if key else [])}


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)],
    ids=lambda signals: "+".join(number.name for number in signals),
)
@pytest.mark.parametrize("command", WRITES)
async def test_a_write_that_is_interrupted_once_it_is_done_is_told(
    command: str, signals: Sequence[signal.Signals]
) -> None:
    """Its id or its key is on stderr, however long after the answer it was."""
    runs = [interrupted(command, signals, delay) for delay in (0.0, 0.2, 1.0)]

    results = await asyncio.gather(*runs)

    for code, err, names in results:
        assert code == 130
        assert any(name in err for name in names), err
        assert "Traceback" not in err


IN_EXEC = """
    import os, signal

    exec("os.kill(os.getpid(), signal.NAME)")
"""
"""As data classes are made: Python takes a KeyboardInterrupt that leaves `exec` for one
that nobody hears, and ends itself by it."""

WHERE_NOTHING_CAN_BE_RAISED = """
    import os, signal

    class Left:
        def __del__(self):
            os.kill(os.getpid(), signal.NAME)

    Left()
"""
"""As each module's lock is let go of: what is raised there is printed and forgotten."""


@pytest.mark.parametrize(
    "library", [IN_EXEC, WHERE_NOTHING_CAN_BE_RAISED], ids=["exec", "del"]
)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
async def test_an_interrupt_while_a_library_is_imported_tells_the_news(
    name: str, library: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """An answer waits longest for that; it ends even where no exception gets out."""
    (tmp_path / "rich").mkdir()
    text = dedent(library).replace("NAME", name)
    (tmp_path / "rich" / "__init__.py").write_text(text)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    done = await run(sandbox, *NEW, environ={"PYTHONPATH": path})

    [session_id] = sandbox.book.sessions
    key = sandbox.seen[0].idempotency_key
    news = f"The gateway answered: {session_id} is open. The key was {key}."
    assert (done.code, done.out) == (130, "")
    assert done.err.split("\n")[-3:] == [news, "Interrupted.", ""]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", WRITES)
async def test_an_interrupted_write_tells_what_is_in_doubt(
    command: str, number: signal.Signals
) -> None:
    """While the gateway has it: its key, or the session, and exit code 130."""
    words = {
        "create": NEW,
        "pay": ("pay", "session-1"),
        "refund": ("refund", "session-1", "--full"),
    }[command]
    async with RawServer(says(stays=True)) as server:
        environ = {
            "CONVERGEGATE_API_KEY": "sk_test_key",
            "CONVERGEGATE_BASE_URL": server.base_url,
        }
        process = await started(environ, *words)
        while not server.requests:  # noqa: ASYNC110 -- before any answer, or its lack
            await asyncio.sleep(0.02)
        send(process, number)
        _, err = await process.communicate()

    key = re.search(rb"Idempotency-Key: (\S+)", server.requests[0])
    assert process.returncode == 130
    assert (key[1] if key else b"wait session-1") in err
    assert b"Traceback" not in err


INTERRUPTED_EARLY = """
    import asyncio, os, signal
    from convergegate_async.cli._changes import telling

    class Interrupting(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().new_event_loop()

    async def call():
        print("called")

    asyncio.set_event_loop_policy(Interrupting())
    raise SystemExit(telling(lambda write: write.run(call)))
"""


def test_an_interrupt_while_a_loop_is_made_is_heard_once_there_is_one() -> None:
    """It breaks nothing off inside of asyncio, which would leave pieces and warn."""
    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", dedent(INTERRUPTED_EARLY)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("command", ["create", "bulk run"])
async def test_a_write_that_was_started_to_ignore_ctrl_c_ignores_it(
    command: str, tmp_path: Path
) -> None:
    """What runs in a script's background is not ended by a Ctrl-C to the script."""
    is_interrupted = asyncio.Event()
    rows = tmp_path / "orders.csv"
    rows.write_text(
        f"{','.join(ORDER_ROW)}\n{','.join(map(str, ORDER_ROW.values()))}\n"
    )
    job = ("run", str(rows), "--job", "april", "--directory", str(tmp_path))

    async def late(exchange: Exchange) -> None:
        await exchange.read_request()
        await is_interrupted.wait()
        await exchange.write(http(b'{"id":"session-1"}'))

    async with RawServer(late) as server:
        environ = {
            "CONVERGEGATE_API_KEY": "sk_test_key",
            "CONVERGEGATE_BASE_URL": server.base_url,
        }
        words = NEW if command == "create" else ("bulk", *job)
        process = await started(environ, *words, by=STARTED_IGNORING)
        while not server.requests:  # noqa: ASYNC110 -- the answer waits for what follows
            await asyncio.sleep(0.02)
        send(process, signal.SIGINT)
        is_interrupted.set()
        out, err = await process.communicate()

    assert process.returncode == 0
    assert (b"session-1" if command == "create" else b"created 1") in out + err
