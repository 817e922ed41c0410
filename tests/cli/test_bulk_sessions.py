"""What ``bulk`` tells of sessions once the links are out, as a user sees it."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from orders import ORDER_ROW
from programs import PROGRAM, Done, run, send, shell_needed, variables_of

from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = 6


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A gateway in this process, so that its book can be read and its money moved."""
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def folder(sandbox: Sandbox, tmp_path: Path) -> Path:
    """Where the job ``april`` has opened its sessions."""
    lines = [",".join(ORDER_ROW)]
    for number in range(1, ROWS + 1):
        order = ORDER_ROW | {"id": f"A-{number}", "amount": 1000 * number}
        lines.append(",".join(map(str, order.values())))
    (tmp_path / "orders.csv").write_text("\n".join(lines))
    done = await bulk(sandbox, tmp_path, "run", "orders.csv", "--job", "april")
    assert done.code == 0, done.err
    return tmp_path


async def bulk(sandbox: Sandbox, folder: Path, *words: str) -> Done:
    """Run a command of ``bulk``."""
    return await run(sandbox, "bulk", *words, cwd=folder)


async def test_a_refresh_shows_what_became_of_the_sessions(
    sandbox: Sandbox, folder: Path
) -> None:
    """Counts and sums by status and currency, at its end and in ``status``."""
    before = await bulk(sandbox, folder, "status", "april")
    for session in [*sandbox.book.sessions.values()][:2]:
        sandbox.book.pay(session, "123456")

    done = await bulk(sandbox, folder, "refresh", "april")
    table = await bulk(sandbox, folder, "status", "april")
    data = await bulk(sandbox, folder, "status", "april", "--output", "json")

    assert "  not looked at            6\n" in before.out
    assert (done.code, done.out) == (0, "")
    assert "april: 6 sessions looked at\n" in done.err
    for line in (
        "  completed                2  PLN          30.00\n",
        "  open                     4  PLN         180.00\n",
    ):
        assert line in done.err
        assert line in table.out
    [paid, still_open] = json.loads(data.out)["sessions"]
    assert (paid["status"], paid["count"], paid["amount_total"]) == (
        *("completed", 2),
        3000,
    )
    assert (still_open["status"], still_open["currency"]) == ("open", "pln")


async def test_a_refresh_in_a_rhythm_ends_once_all_is_final(
    sandbox: Sandbox, folder: Path
) -> None:
    """It looks at what is open again and again, and at nothing else."""

    async def pay_after_a_look() -> None:
        while sandbox.count("retrieve") < ROWS:  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(0.01)
        for session in sandbox.book.sessions.values():
            sandbox.book.pay(session, "123456")

    paying = asyncio.create_task(pay_after_a_look())
    done = await bulk(sandbox, folder, "refresh", "april", "--every", "100ms")
    await paying

    assert done.code == 0
    assert done.err.endswith("  completed                6  PLN         210.00\n")


async def test_a_refresh_in_a_rhythm_ends_at_its_moment(
    sandbox: Sandbox, folder: Path
) -> None:
    """Once no further look fits before it; what is open is left for another time."""
    until = "2020-01-01T00:00"
    words = ("refresh", "april", "--every", "10m", "--until", until)

    done = await bulk(sandbox, folder, *words)

    assert (done.code, sandbox.count("retrieve")) == (0, ROWS)


async def test_the_end_of_no_rhythm_is_refused(sandbox: Sandbox, folder: Path) -> None:
    """With what to add; and so is what is no time."""
    for words, code in (
        (("--until", "18:00"), 2),
        (("--every", "often"), 3),
        (("--every", "10m", "--until", "noon"), 3),
    ):
        done = await bulk(sandbox, folder, "refresh", "april", *words)

        assert done.code == code
        assert "Traceback" not in done.err
    assert sandbox.count("retrieve") == 0


async def test_sessions_that_cannot_be_seen_are_counted(
    sandbox: Sandbox, folder: Path
) -> None:
    """By the class of the error, with an exit code of their own."""
    sandbox.faults.add(
        Fault(FaultKind.STATUS, operation="retrieve", status=404, times=2)
    )

    done = await bulk(sandbox, folder, "refresh", "april")

    assert done.code == 5
    assert "april: 4 sessions looked at\n          2 NotFoundError\n" in done.err


@shell_needed
async def test_an_interrupt_between_two_looks_ends_a_rhythm(
    sandbox: Sandbox, folder: Path
) -> None:
    """At once, and whoever comes meanwhile can open the journal."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "bulk", "refresh", "april", "--every", "1h"),
        cwd=folder,
        env=variables_of(sandbox),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"open" not in await process.stderr.readline():
        pass
    between = await bulk(sandbox, folder, "resume", "april")
    send(process, signal.SIGTERM)
    await process.communicate()

    assert between.code == 0, between.err
    assert process.returncode == 130
