"""Start the command line by a fork of a process that has imported it already.

What comes over the socket whose descriptor is the argument is one program each: its
command line, variables and folder as JSON, and the descriptors of stdin, stdout, stderr
and of a socket that is told the program's id, and in the end its exit code.
"""

import gc
import io
import json
import os
import runpy
import signal
import socket
import sys
from importlib import import_module
from typing import TypedDict

# A program waits for nothing else at its start: aiohttp and rich, above all.
IMPORTED = (
    *("_bulk", "_curl", "_debug", "_doctor_probes", "_payments", "_program", "_show"),
    *("_progress",),
)


class Order(TypedDict):
    """A program to be started."""

    arguments: list[str]
    environ: dict[str, str]
    cwd: str


def serve(orders: socket.socket) -> None:
    """Start what is ordered, until nobody can order any more."""
    for name in IMPORTED:
        import_module(f"convergegate_async.cli.{name}")
    import_module("convergegate_async.sandbox")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, 1 << 20, 4)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            if watch(descriptors):
                continue_as(json.loads(order), descriptors)
                return
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def watch(descriptors: list[int]) -> bool:
    """Return ``True`` in the program; tell its id, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program = os.fork()
    if program == 0:
        return True
    with socket.socket(fileno=descriptors.pop()) as teller:
        for descriptor in descriptors:
            os.close(descriptor)
        teller.send(b"%d" % program)
        code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        teller.send(b"%d" % code)
    return False


def continue_as(order: Order, descriptors: list[int]) -> None:
    """Be the program that is ordered, as a new interpreter would be."""
    for number, descriptor in enumerate(descriptors):
        if number < 3:
            os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["cwd"])
    encoding = os.environ["PYTHONIOENCODING"]
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(
        open(2, "wb", closefd=False),  # noqa: SIM115
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )
    sys.argv = ["convergegate", *order["arguments"]]
    runpy.run_module("convergegate_async", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        serve(orders)
