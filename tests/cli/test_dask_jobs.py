"""``bulk --dask`` as a user meets it: real schedulers, workers and programs."""

import asyncio
import csv
import io
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from begun import begun, until_begun
from clusters import cluster_of, until_idle
from distributed import LocalCluster
from orders import ORDER_ROW
from programs import PROGRAM, run, send, variables_of

from convergegate_async.sandbox import Fault, FaultKind, Sandbox

WORKERS = 2
ROWS = 30
SLOW = ("--maximum-rps", "4", "--concurrency", "2")
"""Chunks of ten rows, of which two are under way at once on either worker."""
AT_ONCE = 2 * WORKERS


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of orders, told apart by their amounts."""
    path = tmp_path / "orders.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [*ORDER_ROW])
        table.writeheader()
        for number in range(1, ROWS + 1):
            table.writerow(ORDER_ROW | {"id": number, "amount": number})
    return path


@pytest.fixture
async def cluster(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[LocalCluster]:
    """A cluster whose workers have the API key in their environment."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    async with cluster_of(WORKERS, tmp_path / "dask") as cluster:
        yield cluster


def job(command: str, *arguments: str, directory: Path) -> tuple[str, ...]:
    """Return the words of a command for a job."""
    return ("bulk", command, *arguments, "--directory", str(directory))


def new_job(rows: Path, address: str, *options: str) -> tuple[str, ...]:
    """Return the words that begin a job on Dask."""
    return job(
        *("run", str(rows), "--job", "april", "--id-column", "id"),
        *("--amount-unit", "minor", "--keys-honoured", "--yes", "--dask", address),
        *options,
        directory=rows.parent,
    )


async def status(sandbox: Sandbox, directory: Path) -> dict[str, Any]:
    """Return what ``status`` tells."""
    done = await run(
        sandbox, *job("status", "april", "--output", "json", directory=directory)
    )
    summary: dict[str, Any] = json.loads(done.out)
    return summary


# -- Ctrl-C --------------------------------------------------------------------------


async def interrupted(
    words: tuple[str, ...], sandbox: Sandbox, interrupts: int
) -> tuple[int | None, str]:
    """Interrupt a job as its workers wait for answers; return exit code and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, *words),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables_of(sandbox)},
    )
    assert process.stderr is not None
    await until_begun(sandbox, AT_ONCE)
    send(process, signal.SIGINT)
    err = ""
    while "Ctrl-C again" not in err:
        err += (await process.stderr.readline()).decode()
    for _ in range(interrupts - 1):
        send(process, signal.SIGINT)
    err += (await process.stderr.read()).decode()
    return await process.wait(), err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("where", "interrupts"), [("remote", 2), ("remote", 4), ("local", 2)]
)
async def test_a_second_ctrl_c_cuts_what_workers_do(
    where: str,
    interrupts: int,
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No row begins after it, also where Ctrl-C is held; all of them are in doubt."""
    async with Sandbox() as sandbox:
        monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
        sandbox.faults.add(Fault(FaultKind.STALL))
        async with cluster_of(WORKERS, tmp_path / "dask") as cluster:
            address = cluster.scheduler_address if where == "remote" else "local:2"
            words = new_job(rows, address, *SLOW)
            code, err = await interrupted(words, sandbox, interrupts)
            before = begun(sandbox)
            sandbox.faults.clear()
            await until_idle(cluster)
            summary = await status(sandbox, tmp_path)

            assert code == 130
            assert "go on with `convergegate bulk resume april`" in err
            assert "Traceback" not in err
            assert begun(sandbox) == before
            assert (summary["unknown"], summary["pending"]) == (ROWS, 0)

            resume = job("resume", "april", "--dask", address, directory=tmp_path)
            done = await run(sandbox, *resume, "--on-unknown", "repeat")
            assert done.code == 0, done.err
        booked = [session.request.amount for session in sandbox.book.sessions.values()]
    assert sorted(booked) == list(range(1, ROWS + 1))


# -- retry-failed --------------------------------------------------------------------


@pytest.mark.timeout(300)
async def test_rejected_rows_are_retried_on_dask(
    cluster: LocalCluster, sandbox: Sandbox, rows: Path, tmp_path: Path
) -> None:
    """`retry-failed --dask` sends those alone, from the workers."""
    address = cluster.scheduler_address
    refused = Fault(FaultKind.STATUS, status=400, operation="create", times=3)
    sandbox.faults.add(refused)
    first = await run(sandbox, *new_job(rows, address))
    sent = len(sandbox.seen)

    retry = job("retry-failed", "april", "--dask", address, directory=tmp_path)
    done = await run(sandbox, *retry, "--max-pause", "60", "--max-outage", "60")

    assert (first.code, done.code) == (4, 0), first.err + done.err
    assert "created 3\n" in done.err
    assert len(sandbox.seen) == sent + 3
    exported = await run(sandbox, *job("export", "april", directory=tmp_path))
    states = [row["cg_state"] for row in csv.DictReader(io.StringIO(exported.out))]
    assert states == ["created"] * ROWS


# -- schedulers that cannot be used --------------------------------------------------


@pytest.mark.timeout(200)
async def test_a_scheduler_that_cannot_be_used_is_told_in_one_sentence(
    sandbox: Sandbox, rows: Path, tmp_path: Path
) -> None:
    """Exit code 3, nothing sent, and no word of asyncio's or tornado's after it."""
    first = await run(sandbox, *new_job(rows, "tls://127.0.0.1:1"))
    place = sandbox.base_url.removeprefix("http://")
    ends = {
        "tls://127.0.0.1:1": "a tls:// address needs certificates",
        f"tcp://{place}": f"what answers at tcp://{place} is no Dask scheduler",
        f"http://{place}": "the Dask address must be tcp://host:port",
        "tcp://[::1": "the Dask address must be tcp://host:port",
    }

    assert first.code == 3
    for address, beginning in ends.items():
        words = job("resume", "april", "--dask", address, directory=tmp_path)
        done = await run(sandbox, *words)
        assert (done.code, done.out) == (3, "")
        [line] = done.err.splitlines()
        assert line.startswith(f"Error: {beginning}")
    assert not sandbox.seen
    assert (await status(sandbox, tmp_path))["pending"] == ROWS
