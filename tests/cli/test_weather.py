"""How the command line bears bad weather: what it says, and with what it exits."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import authority
import pytest
from orders import ORDER_FIELDS, table_of
from programs import run

from convergegate_async.bulk import PaceInfo
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = 40
JOB = ("bulk", "run", "orders.csv", "--job", "april", "--concurrency", "4")
KEY = {"CONVERGEGATE_API_KEY": "sk_test_x"}


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A folder with an input."""
    text = table_of({"id": f"A-{n}", **ORDER_FIELDS} for n in range(ROWS))
    (tmp_path / "orders.csv").write_text(text, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def untrusted_gateway() -> AsyncIterator[str]:
    """Serve with a certificate of an authority that nobody knows."""
    server = await asyncio.start_server(
        lambda _, writer: writer.close(),
        authority.HOST,
        0,
        ssl=authority.untrusted().server,
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"https://{authority.HOST}:{port}"


async def test_a_gateway_that_cannot_be_trusted_ends_the_job(orders: Path) -> None:
    """Exit code 3, the reason, and what to do; every row is pending."""
    async with untrusted_gateway() as base_url:
        done = await run(
            *(None, *JOB),
            cwd=orders,
            environ={**KEY, "CONVERGEGATE_BASE_URL": base_url},
        )

    assert done.code == 3
    assert "certificate is not trusted" in done.err
    assert "then go on with `convergegate bulk resume april`" in done.err
    assert "Traceback" not in done.err
    assert not (orders / "april.failed.csv").exists()
    status = await run(None, "bulk", "status", "april", cwd=orders)
    assert re.search(rf"pending +{ROWS}\n", status.out)


async def test_too_long_a_pause_ends_the_job_and_says_until_when(
    orders: Path, sandbox: Sandbox
) -> None:
    """Exit code 5; no row is rejected, and `resume` does them all."""
    sandbox.faults.add(
        Fault(FaultKind.STATUS, status=429, retry_after="86400", times=1)
    )

    done = await run(sandbox, *JOB, cwd=orders)

    assert done.code == 5
    assert "asked for 86,400 s, which is more than --max-pause" in done.err
    assert re.search(r"resume april` from \d{4}-\d\d-\d\d \d\d:\d\d on", done.err)
    assert not (orders / "april.failed.csv").exists()

    rest = await run(sandbox, "bulk", "resume", "april", cwd=orders)

    assert (rest.code, len(sandbox.book.sessions)) == (0, ROWS)


async def test_an_outage_ends_the_job_after_a_while(orders: Path) -> None:
    """Exit code 5, and how to go on; `resume` takes a bound of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**KEY, "CONVERGEGATE_BASE_URL": f"http://127.0.0.1:{port}"}

    done = await run(None, *JOB, "--max-outage", "0.1", cwd=orders, environ=environ)

    assert done.code == 5
    assert "could not be reached" in done.err
    assert "go on with `convergegate bulk resume april`" in done.err
    assert "Traceback" not in done.err

    words = ("bulk", "resume", "april", "--max-outage", "0.2")
    again = await run(None, *words, cwd=orders, environ=environ)

    assert again.code == 5


async def test_the_screen_says_what_holds_a_job_back(
    orders: Path, sandbox: Sandbox
) -> None:
    """A line in the middle of a pause tells of it, and of the next look."""
    fault = Fault(FaultKind.STATUS, status=429, retry_after="14", times=1)
    sandbox.faults.add(fault)

    done = await run(sandbox, *JOB, cwd=orders)

    assert done.code == 0
    assert re.search(
        r"held back: \d of 4, the gateway asked for 14 s, next look in \d+ s", done.err
    )


@pytest.mark.parametrize(
    ("reason", "next_look", "words"),
    [
        (None, 0.0, ""),
        (
            "the gateway asked for 1 s",
            0.4,
            "held back: 6 of 64, the gateway asked for 1 s",
        ),
        ("it is down", 12.3, "held back: 6 of 64, it is down, next look in 12 s"),
    ],
)
def test_what_is_said_of_the_pace(
    reason: str | None, next_look: float, words: str
) -> None:
    """Nothing where nothing holds it back; the next look where that takes a while."""
    info = PaceInfo(at_once=6, ceiling=64, reason=reason, next_look=next_look)

    assert str(info) == words
