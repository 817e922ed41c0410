"""The command line as processes, as a user starts them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM = (sys.executable, "-m", "convergegate_async")


@contextmanager
def running_sandbox(
    *arguments: str, stderr: int = subprocess.PIPE
) -> "Iterator[tuple[subprocess.Popen[str], dict[str, str]]]":
    """Run ``convergegate sandbox``: the process, and the environment that it prints.

    Args:
        arguments: Of the command.
        stderr: As `subprocess.Popen` takes it; a pipe that nobody reads fills up.
    """
    with subprocess.Popen(  # noqa: S603 -- our own program
        [*PROGRAM, "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        if process.stdout is None:
            raise AssertionError
        lines = [process.stdout.readline() for _ in range(2)]
        try:
            yield process, dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        finally:
            process.terminate()
