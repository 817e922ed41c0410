"""Dask clusters of a user's: the scheduler in this process, its workers are others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import worker_functions
from distributed import Client, LocalCluster, Scheduler


@asynccontextmanager
async def cluster_of(workers: int, folder: Path) -> AsyncIterator[LocalCluster]:
    """Run so many workers of one thread each, with the environment as it is.

    Args:
        workers: How many.
        folder: Where they keep what they need.
    """
    async with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(folder),
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        asynchronous=True,
    ) as cluster:
        yield cluster


def scheduler_of(cluster: LocalCluster) -> Scheduler:
    """Return the scheduler of a cluster that runs."""
    if not isinstance(cluster.scheduler, Scheduler):
        raise TypeError
    return cluster.scheduler


async def until_idle(cluster: LocalCluster) -> None:
    """Wait until no worker works on anything: its one thread takes something else."""
    async with Client(
        cluster.scheduler_address,
        asynchronous=True,
        set_as_default=False,
    ) as client:
        for address in list(scheduler_of(cluster).workers):
            await client.submit(
                worker_functions.sleep, 0.0, workers=[address], pure=False
            )
