"""A running sandbox beside strangers: its log stays readable, and it stays up."""

import shlex
import socket
import subprocess
from contextlib import ExitStack
from urllib.parse import urlsplit

from programs import PATIENCE, PROGRAM, call, running_sandbox, shell_needed

ORDER = (
    *("create", "--amount", "4999", "--currency", "pln", "--output", "id"),
    *("--customer-email", "john@example.com", "--customer-firstname", "John"),
    *("--customer-lastname", "Doe", "--customer-phone", "+48123456789"),
    *("--success-url", "https://shop.example/thanks"),
)


def test_what_is_no_http_leaves_no_traceback() -> None:
    """It is answered 400, and the log goes on with the next request."""
    with running_sandbox() as (process, environ):
        parts = urlsplit(environ["CONVERGEGATE_BASE_URL"])
        for garbage in (
            b"\x16\x03\x01 hello\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: \0\r\n\r\n",
        ):
            with socket.create_connection((parts.hostname, parts.port), 10) as stranger:
                stranger.sendall(garbage)
                assert b" 400 " in stranger.recv(100)
        done = call(*ORDER, **environ)
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)

    assert done.returncode == 0
    assert "Traceback" not in stderr
    assert len(stderr.splitlines()) <= 5  # of a narrow terminal


@shell_needed
def test_a_crowd_is_one_line_and_leaves_as_it_came() -> None:
    """With more connections than files one is told once, and served after them."""
    command = f"ulimit -n 64; exec {shlex.join([*PROGRAM, 'sandbox'])}"
    with (
        subprocess.Popen(  # noqa: S602 -- our own program, with few files
            command,
            shell=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        ExitStack() as crowd,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline().partition("=")[2] for _ in range(2)]
        key, base_url = (line.strip() for line in lines)
        parts = urlsplit(base_url)
        for _ in range(200):
            stranger = socket.create_connection((parts.hostname, parts.port), 10)
            crowd.callback(stranger.close)
        crowd.close()
        address = {"CONVERGEGATE_API_KEY": key, "CONVERGEGATE_BASE_URL": base_url}
        done = call(*ORDER, **address)
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in stderr
    assert stderr.count("Too many connections") == 1
    assert len(stderr.splitlines()) <= 6  # of a narrow terminal
