"""Dask clusters of a user's: the scheduler in this process, its workers are others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from distributed import LocalCluster


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
