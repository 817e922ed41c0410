"""``bulk --dask`` as a user meets it: real schedulers, workers and programs."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from clusters import cluster_of
from distributed import LocalCluster
from orders import ORDER_ROW
from programs import run

from convergegate_async.sandbox import Fault, FaultKind, Sandbox

WORKERS = 2
ROWS = 30


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


@pytest.mark.timeout(300)
async def test_rejected_rows_are_retried_on_dask(
    cluster: LocalCluster, sandbox: Sandbox, rows: Path, tmp_path: Path
) -> None:
    """`retry-failed --dask` sends those alone, from the workers."""
    address = cluster.scheduler_address
    refused = Fault(FaultKind.STATUS, status=400, operation="create", times=3)
    sandbox.faults.add(refused)
    begun = await run(sandbox, *new_job(rows, address))
    sent = len(sandbox.seen)

    retry = job("retry-failed", "april", "--dask", address, directory=tmp_path)
    done = await run(sandbox, *retry, "--max-pause", "60", "--max-outage", "60")

    assert (begun.code, done.code) == (4, 0), begun.err + done.err
    assert "created 3\n" in done.err
    assert len(sandbox.seen) == sent + 3
    exported = await run(sandbox, *job("export", "april", directory=tmp_path))
    states = [row["state"] for row in csv.DictReader(io.StringIO(exported.out))]
    assert states == ["created"] * ROWS
