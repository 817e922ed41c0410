"""A Redis of one's own, behind a Unix socket."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis, RedisError

REDIS_SERVER = shutil.which("redis-server")
_PATIENCE = 60.0  # seconds that it may take to start


@contextmanager
def running_redis(*options: str, folder: Path | None = None) -> Iterator[str]:
    """Run a Redis, and yield the path of its socket.

    Args:
        options: Of ``redis-server``.
        folder: Where it keeps socket and files, for another to go on with; a new one if
            `None`, removed at the end. A short path: that of a socket has 107 bytes.
    """
    if REDIS_SERVER is None:
        message = "this needs redis-server"
        raise RuntimeError(message)
    with TemporaryDirectory(prefix="cg-") as own:
        home = str(folder or own)
        socket = f"{home}/s"
        command = (REDIS_SERVER, "--port", "0", "--unixsocket", socket, "--save", "")
        with subprocess.Popen(  # noqa: S603 -- Debian's server
            [*command, "--dir", home, *options], stdout=subprocess.DEVNULL
        ) as server:
            try:
                _wait_until_ready(socket, server)
                yield socket
            finally:
                server.terminate()


def _wait_until_ready(socket: str, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE
    while not _answers(socket):
        if server.poll() is not None or time.monotonic() > until:
            message = "redis-server did not start"
            raise RuntimeError(message)
        time.sleep(0.02)


def _answers(socket: str) -> bool:
    with Redis(unix_socket_path=socket) as client, suppress(RedisError):
        return bool(client.ping())
    return False
