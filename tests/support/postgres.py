"""A PostgreSQL of a test's own."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
"""Where initdb and postgres lie, as Debian's postgresql installs them."""

_PATIENCE = 60.0  # seconds that a server may take to start


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a PostgreSQL behind a Unix socket, and yield what to connect with.

    It refuses to run as root, and runs as *postgres* then.
    """
    if POSTGRES is None:
        raise AssertionError
    with _short_folder() as folder:
        user = "postgres" if os.getuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user)
        role = user or pwd.getpwuid(os.getuid()).pw_name
        data = f"{folder}/data"
        subprocess.run(  # noqa: S603 -- Debian's program
            [POSTGRES / "initdb", "-D", data, "-A", "trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=user,
        )
        with subprocess.Popen(  # noqa: S603 -- Debian's server
            [POSTGRES / "postgres", "-D", data, "-k", folder, "-h", "", "-F"],
            stderr=subprocess.DEVNULL,
            cwd=folder,
            user=user,
        ) as server:
            try:
                _wait_until(partial(_accepts, POSTGRES, folder), server)
                yield f"host={folder} user={role} dbname=postgres"
            finally:
                server.terminate()


def _accepts(bin_folder: Path, folder: str) -> bool:
    command = [str(bin_folder / "pg_isready"), "-q", "-h", folder]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 -- Debian's program


def _wait_until(ready: Callable[[], bool], server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE
    while not ready():
        if server.poll() is not None or time.monotonic() > until:
            message = f"{server.args!r} did not start"
            raise RuntimeError(message)
        time.sleep(0.02)


@contextmanager
def _short_folder() -> Iterator[str]:
    """Make a folder whose path leaves room for the name of a socket (107 bytes)."""
    folder = mkdtemp(prefix="cg-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
