"""Jobs, servers and looks whose screen is lost: each goes on, or ends, as it should."""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from orders import ORDER_FIELDS, table_of
from programs import ERR_LOST, PROGRAM, run, send, shell_needed, variables_of

from convergegate_async.sandbox import (
    Fault,
    ReceivedWebhook,
    Sandbox,
    WebhookListener,
)
from convergegate_async.webhooks import WebhookVerifier

pytestmark = shell_needed

READING = [("unread", 0), (">/dev/full", 1), (">&-", 1)]
"""What a reading command finds in the place of stdout, and its exit code."""


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A folder with an input of 20 rows, the names of which ASCII lacks."""
    names = {**ORDER_FIELDS, "customer_firstname": "Łukasz"}
    text = table_of({"id": f"A-{n}", **names} for n in range(20))
    (tmp_path / "orders.csv").write_text(text, encoding="utf-8")
    return tmp_path


def without_rich(folder: Path) -> dict[str, str]:
    """Return the environment of a program that cannot import rich."""
    package = folder / "broken" / "rich"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError")
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path}


JOB = ("bulk", "run", "orders.csv", "--job", "april")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1250"])
@pytest.mark.parametrize("streams", ["", ">&-", ">&- 2>&-", *ERR_LOST])
async def test_a_job_goes_on_without_a_screen(
    streams: str, encoding: str, orders: Path, sandbox: Sandbox
) -> None:
    """All rows are sent, and the exit code is what it would have been."""
    done = await run(sandbox, *JOB, streams=streams, encoding=encoding, cwd=orders)

    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err
    assert len(sandbox.book.sessions) == 20


@pytest.mark.parametrize("streams", ["", *ERR_LOST])
async def test_the_exit_code_of_a_job_needs_no_screen(
    streams: str, orders: Path
) -> None:
    """Rejected rows are 4, told or not, and are written down in either case."""
    refused = Fault("status", operation="create", status=400, times=2)
    async with Sandbox(faults=[refused]) as sandbox:
        done = await run(sandbox, *JOB, streams=streams, cwd=orders)

        assert (done.code, len(sandbox.book.sessions)) == (4, 18)
    assert (orders / "april.failed.csv").is_file()


@pytest.mark.parametrize("with_rich", [True, False])
async def test_a_job_outlives_its_terminal(
    with_rich: bool, orders: Path, sandbox: Sandbox
) -> None:
    """Once something was drawn the terminal hangs up; the job is done to its end."""
    master, slave = os.openpty()
    environ = {} if with_rich else without_rich(orders)
    # Slow enough for two pictures, or a line, before it is over.
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, *JOB, "--maximum-rps", "10" if with_rich else "2"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=slave,
        cwd=orders,
        env={**os.environ, **variables_of(sandbox), **environ},
        start_new_session=True,
    )
    os.close(slave)
    drawn = b""
    while b"april" not in drawn:
        drawn += await asyncio.to_thread(os.read, master, 4096)
    os.close(master)

    code = await process.wait()

    assert code == 0
    assert b"Traceback" not in drawn
    assert len(sandbox.book.sessions) == 20


@pytest.mark.parametrize(
    ("answer", "code", "sessions"), [(b"y\n", 0, 20), (b"n\n", 1, 0), (b"\n", 1, 0)]
)
async def test_a_question_is_answered_at_a_terminal(
    answer: bytes, code: int, sessions: int, orders: Path, sandbox: Sandbox
) -> None:
    """By yes alone: anything else sends nothing, which no script takes for done."""
    master, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, *JOB, "--confirm-above", "PLN=0.01"),
        stdin=slave,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=orders,
        env={**os.environ, **variables_of(sandbox)},
        start_new_session=True,
    )
    os.close(slave)
    os.write(master, answer)

    _, shown = await process.communicate()

    os.close(master)
    assert process.returncode == code
    assert b"Go on? [y/N]: " in shown
    assert (b"Nothing was sent.\n" in shown) is (sessions == 0)
    assert len(sandbox.book.sessions) == sessions


@pytest.mark.parametrize(("streams", "code"), READING)
@pytest.mark.parametrize(
    "words",
    [("status",), ("status", "--output", "json"), ("export",)],
    ids=" ".join,
)
async def test_a_look_at_a_job_that_nobody_reads(
    words: tuple[str, ...], streams: str, code: int, orders: Path, sandbox: Sandbox
) -> None:
    """In silence if the reader has left, else one sentence; never a wrong reason."""
    await run(sandbox, *JOB, cwd=orders)
    name, *options = words

    done = await run(
        sandbox, "bulk", name, "april", *options, streams=streams, cwd=orders
    )

    assert done.code == code
    assert bool(done.err) is bool(code)
    assert not code or done.err.startswith("Error: stdout cannot be written: ")


@pytest.mark.parametrize("streams", ["unread", ">/dev/full", ">&-"])
async def test_a_journal_that_is_not_sound_is_told_by_the_exit_code(
    streams: str, orders: Path, sandbox: Sandbox
) -> None:
    """`verify` exits with 1 for it, whether or not anybody reads why."""
    await run(sandbox, *JOB, cwd=orders)
    with closing(sqlite3.connect(orders / "april.journal")) as journal, journal:
        journal.execute("UPDATE job SET total = 3")

    done = await run(sandbox, "bulk", "verify", "april", streams=streams, cwd=orders)

    assert done.code == 1
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("streams", "status", "code"),
    [
        ("unread", 200, 0),
        (">/dev/full", 200, 1),
        (">&-", 200, 1),
        ("unread", 400, 4),
        (">/dev/full", 400, 4),
        ("2>/dev/full", 200, 0),
        ("2>&-", 400, 4),
    ],
)
async def test_a_webhook_is_sent_without_a_screen(
    streams: str, status: int, code: int
) -> None:
    """It is sent once, and what the shop answered is the exit code."""
    heard: list[ReceivedWebhook] = []
    key = "sk_test_x" if status == 200 else "sk_test_other"
    async with WebhookListener(WebhookVerifier("sk_test_x"), heard.append) as hooks:
        done = await run(
            *(None, "webhooks", "send", hooks.url),
            streams=streams,
            environ={"CONVERGEGATE_API_KEY": key},
        )

    assert [delivery.status for delivery in heard] == [status]
    assert done.code == code
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("streams", "code"), READING)
async def test_a_listener_ends_where_nobody_learns_its_address(
    streams: str, code: int
) -> None:
    """It does not wait for webhooks that cannot come."""
    done = await run(
        *(None, "webhooks", "listen"),
        streams=streams,
        environ={"CONVERGEGATE_API_KEY": "sk_test_x"},
    )

    assert done.code == code
    assert "Traceback" not in done.err


async def test_a_listener_ends_once_its_reader_has_left() -> None:
    """As `tail -f` does: with the first line that nobody takes, and a good answer."""
    key = {"CONVERGEGATE_API_KEY": "sk_test_x"}
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "webhooks", "listen"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **key},
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # noqa: SLF001 -- asyncio has no other way to leave

    sent = await run(None, "webhooks", "send", url, environ=key)
    _, err = await process.communicate()

    assert (sent.code, sent.out) == (0, "200\n")
    assert (process.returncode, b"Traceback" in err) == (0, False)


@pytest.mark.parametrize(
    ("streams", "code"),
    [(">/dev/full", 1), (">&-", 1), ("2>&-", 0), ("2>/dev/full", 0)],
)
async def test_a_sandbox_serves_without_a_screen(streams: str, code: int) -> None:
    """Its variables reach the stream that is left, and every request is answered."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {streams}', "sh", *PROGRAM, "sandbox"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    source = process.stdout if streams.startswith("2") else process.stderr
    assert source is not None
    lines = [(await source.readline()).decode().split() for _ in range(2)]
    environ = dict(words[1].split("=", 1) for words in lines)

    done = await run(None, "get", "nobody", environ=environ)
    send(process, signal.SIGINT)
    await process.communicate()

    assert done.code == 4
    assert "no such checkout session" in done.err
    assert process.returncode == code
