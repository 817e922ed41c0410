"""Instructions, counted by valgrind: the same on a quiet machine and on a busy one."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

AT_ONCE = 2
"""How many processes are counted at a time."""


def is_there() -> bool:
    """Tell whether anything can be counted here."""
    return shutil.which("valgrind") is not None


def count(*arguments: str) -> int:
    """Return the instructions of a Python that runs with *arguments*.

    It runs once uncounted, so that none is spent on compiling what it imports.
    """
    program = (sys.executable, *arguments)
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.pop("COVERAGE_PROCESS_START", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603 -- our own programs

    run(*program)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind")
        run("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *program)
        total = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    if total is None:
        raise AssertionError
    return int(total[1])
