"""Dask clusters of a user's: the scheduler in this process, its workers are others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
import worker_functions
from distributed import Client, LocalCluster, Scheduler
from distributed.security import Security


@asynccontextmanager
async def cluster_of(
    workers: int, folder: Path, security: Security | None = None
) -> AsyncIterator[LocalCluster]:
    """Run so many workers of one thread each, with the environment as it is.

    Args:
        workers: How many.
        folder: Where they keep what they need.
        security: What all speak TLS with; plain TCP if `None`.
    """
    async with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(folder),
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        protocol="tcp://" if security is None else "tls://",
        security=security,
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
        security=cluster.security,
        asynchronous=True,
        set_as_default=False,
    ) as client:
        for address in list(scheduler_of(cluster).workers):
            await client.submit(
                worker_functions.sleep, 0.0, workers=[address], pure=False
            )


def settings_in(folder: Path) -> dict[str, str]:
    """Return Dask's settings of TLS for a client; their files are in *folder*."""
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own = authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    own.private_key_pem.write_to_path(folder / "key.pem")
    return {
        "distributed.comm.tls.ca-file": str(folder / "ca.pem"),
        "distributed.comm.tls.client.cert": str(folder / "cert.pem"),
        "distributed.comm.tls.client.key": str(folder / "key.pem"),
    }


def security_by(settings: dict[str, str]) -> Security:
    """Return what a whole cluster speaks TLS with, under one certificate."""
    ca_file, cert, key = settings.values()
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=ca_file,
        **{f"tls_{role}_cert": cert for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )
