"""What a command tells when its streams are missing, full, closed or of few characters.

Real processes against a sandbox in this one, which knows what really happened.
"""

import json
import os
from pathlib import Path

import pytest
from orders import ORDER_ROW, an_order
from programs import ERR_LOST, OUT_LOST, run, shell_needed

from convergegate_async.sandbox import Fault, Sandbox

pytestmark = shell_needed

KEY = "key-17"
NEW = (
    *("create", "--amount", "123400", "--currency", "pln"),
    *("--customer-email", "john@example.com", "--customer-phone", "+48123456789"),
    *("--customer-firstname", "Łukasz", "--customer-lastname", "Żółć"),
    *("--success-url", "https://shop.example/thanks", "--idempotency-key", KEY),
)
NARROW = ("ascii", "cp852", "cp1250", "cp1252", "iso-8859-2", "utf-16")


def files_in(folder: Path) -> list[Path]:
    """Return what lies in *folder*."""
    return [*folder.iterdir()]


async def a_paid_session(sandbox: Sandbox) -> str:
    """Open a session, pay it, and return its id."""
    async with sandbox.factory() as checkout:
        session = await checkout.create(an_order(customer_firstname="Łukasz"))
        await checkout.pay(session.id, "123456")
        await checkout.wait(session.id)
        return session.id


@pytest.mark.parametrize("encoding", NARROW)
@pytest.mark.parametrize("output", ["table", "json", "id"])
async def test_a_session_is_shown_in_any_encoding(
    output: str, encoding: str, sandbox: Sandbox
) -> None:
    """Characters that the stream lacks are spelled otherwise, and never left out."""
    done = await run(sandbox, *NEW, "--output", output, encoding=encoding)

    [session_id] = sandbox.book.sessions
    assert (done.code, done.err) == (0, "")
    assert session_id in done.out
    assert "?" not in done.out
    if output == "json":
        assert json.loads(done.out)["id"] == session_id
    if output == "table":
        assert "1 234.00 PLN" in done.out.replace("\u202f", " ")


@pytest.mark.parametrize("encoding", NARROW)
async def test_json_survives_any_encoding(encoding: str, sandbox: Sandbox) -> None:
    """What is read back from JSON is what the gateway said, letter by letter."""
    note = "Łukasz … \U0001f600"

    done = await run(
        sandbox,
        *(*NEW, "--metadata", f"note={note}", "--output", "json"),
        encoding=encoding,
    )

    assert json.loads(done.out)["metadata"]["note"] == note


@pytest.mark.parametrize("output", ["table", "json", "id"])
@pytest.mark.parametrize("streams", OUT_LOST)
async def test_a_session_whose_card_is_lost_is_told_on_stderr(
    streams: str, output: str, sandbox: Sandbox
) -> None:
    """The id and the key of what was opened reach the other stream; exit code 1."""
    done = await run(sandbox, *NEW, "--output", output, streams=streams)

    [session_id] = sandbox.book.sessions
    assert done.code == 1
    assert "Traceback" not in done.err
    if "2>" not in streams:
        assert session_id in done.err
        assert KEY in done.err


@pytest.mark.parametrize("streams", OUT_LOST)
async def test_a_refund_whose_card_is_lost_is_told_on_stderr(
    streams: str, sandbox: Sandbox
) -> None:
    """A script that saw nothing of a refund would make it twice."""
    session_id = await a_paid_session(sandbox)
    amount = ("--amount", "100", "--idempotency-key", KEY)

    done = await run(sandbox, "refund", session_id, *amount, streams=streams)

    [refund_id] = sandbox.book.refunds
    assert done.code == 1
    assert "Traceback" not in done.err
    if "2>" not in streams:
        assert refund_id in done.err
        assert KEY in done.err


@pytest.mark.parametrize("streams", ERR_LOST)
async def test_what_is_on_stdout_needs_no_stderr(
    streams: str,
) -> None:
    """Notes that nobody reads are no failure, the one of a repeat included."""
    lost_once = Fault("lost", operation="create", times=1)
    async with Sandbox(faults=[lost_once]) as sandbox:
        done = await run(sandbox, *NEW, "--output", "id", streams=streams)

    [session_id] = sandbox.book.sessions
    assert (done.code, done.out) == (0, f"{session_id}\n")


@pytest.mark.parametrize("streams", ["", *ERR_LOST])
async def test_the_key_of_a_doubt_is_told_somewhere(
    streams: str,
) -> None:
    """Where stderr is lost the key of an unknown outcome goes to stdout."""
    async with Sandbox(faults=[Fault("lost", operation="create")]) as sandbox:
        done = await run(sandbox, *NEW, "--output", "id", streams=streams)

    assert done.code == 5
    assert KEY in done.out + done.err
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize(
    ("streams", "code"), [("unread", 0), (">/dev/full", 1), (">&-", 1)]
)
async def test_a_look_that_nobody_reads(
    streams: str, code: int, sandbox: Sandbox
) -> None:
    """A reader that has enough is no error; a screen that is lost is one."""
    session_id = await a_paid_session(sandbox)

    done = await run(sandbox, "get", session_id, streams=streams)

    assert done.code == code
    assert "Traceback" not in done.err
    assert bool(done.err) is bool(code)


@pytest.mark.parametrize(
    "words",
    [
        ("export", "april"),
        ("export", "april", "--format", "jsonl"),
        ("export", "april", "--format", "parquet"),
        ("status", "april"),
        ("status", "april", "--output", "json"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("streams", "code"), [("unread", 0), (">/dev/full", 1), (">&-", 1)]
)
async def test_a_job_that_nobody_reads(
    streams: str, code: int, words: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    """A reader of a job's results that has enough, as ``head``, is no error either."""
    row = ",".join(map(str, (ORDER_ROW | {"amount": 4999}).values()))
    rows = f"{','.join(ORDER_ROW)}\n{row}\n"
    folder = ("--directory", str(tmp_path))
    made = await run(sandbox, "bulk", "run", "-", "--job", "april", *folder, stdin=rows)
    assert made.code == 0, made.err

    done = await run(sandbox, "bulk", *words, *folder, streams=streams)

    assert done.code == code
    assert "Traceback" not in done.err
    assert "Error" not in done.err or code


@pytest.mark.parametrize("streams", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("demo",)], ids=str)
async def test_what_changes_nothing_says_why_it_failed(
    arguments: tuple[str, ...], streams: str
) -> None:
    """One line on stderr, exit code 1."""
    done = await run(None, *arguments, streams=streams)

    assert done.code == 1
    assert done.err.startswith("Error: stdout cannot be written: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("encoding", NARROW)
async def test_the_demo_runs_in_any_encoding(encoding: str) -> None:
    """The first thing that a stranger runs does not die of a tick."""
    done = await run(None, "demo", encoding=encoding)

    assert (done.code, done.err) == (0, "")
    assert "1 payment, 1 refund" in done.out


@pytest.mark.parametrize("command", ["create", "get", "wait", "demo"])
async def test_a_card_needs_no_rich(
    command: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Where rich cannot be imported what was answered is shown all the same."""
    session_id = await a_paid_session(sandbox)
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise ImportError")
    words = {"create": NEW, "demo": ("demo",)}.get(command, (command, session_id))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    done = await run(sandbox, *words, environ={"PYTHONPATH": path})

    assert (done.code, done.err) == (0, "")
    assert "amount" in done.out
    assert "PLN" in done.out
    if command != "demo":
        assert [*sandbox.book.sessions][-1] in done.out


@pytest.mark.parametrize(
    ("blik_code", "code", "status"),
    [("123456", 1, "completed"), ("300000", 5, "pending"), ("200000", 4, None)],
)
@pytest.mark.parametrize("streams", OUT_LOST)
async def test_a_payment_whose_card_is_lost_is_told_on_stderr(
    streams: str, blik_code: str, code: int, status: str | None, sandbox: Sandbox
) -> None:
    """What became of it outlives the loss: only a 0 turns into a 1."""
    async with sandbox.factory() as checkout:
        session = await checkout.create(an_order())
    words = ("pay", session.id, "--timeout", "2")

    done = await run(sandbox, *words, stdin=blik_code, streams=streams)

    assert done.code == code
    assert "Traceback" not in done.err
    if status is not None and "2>" not in streams:
        assert f"{session.id} is {status}" in done.err


@pytest.mark.parametrize("streams", ERR_LOST)
async def test_a_payment_needs_no_stderr(streams: str, sandbox: Sandbox) -> None:
    """Nobody sees it wait, and it is paid all the same."""
    async with sandbox.factory() as checkout:
        session = await checkout.create(an_order())
    words = ("pay", session.id, "--output", "id")

    done = await run(sandbox, *words, stdin="012345", streams=streams)

    assert (done.code, done.out) == (0, f"{session.id}\n")
    assert sandbox.book.sessions[session.id].status == "completed"


@pytest.mark.parametrize(
    "words", [("pay", "nobody"), ("bulk", "run", "-", "--job", "x")], ids=" ".join
)
async def test_a_stdin_that_is_not_there_is_named(
    words: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    """What has to be read is asked for in a sentence; nothing is sent or left."""
    if "bulk" in words:
        words = (*words, "--directory", str(tmp_path))

    done = await run(sandbox, *words, streams="<&-")

    assert done.code == 2
    assert "there is no stdin" in done.err
    assert not sandbox.seen
    assert files_in(tmp_path) == []
