"""Whether the next aiohttp, and the oldest that is allowed, carry what we stand on.

Each gets an environment of its own, with the package as it lies here, and the fault
matrix runs in it, by the lane and by the session. The lane is taken on a minor version
that was not tested, too: that is what is asked. When both are green, a new minor
version may join `TESTED` in `_transport/_guard.py`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
KNOWN = "tests/transport/test_lane.py::test_this_aiohttp_is_one_of_those_tested"
"""Fails on a new minor version, to say that this is to be run."""

NEWEST = ("--pre", "aiohttp<4")
NEEDED = ("aioresponses", "hypothesis", "pytest", "pytest-asyncio", "pytest-timeout")
FURTHER = ("pytest-xdist", "trustme", "uvloop", "msgspec", "tzdata")


def oldest() -> tuple[str, ...]:
    """Return what installs the oldest aiohttp that is allowed."""
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))
    [needed] = [
        one for one in project["project"]["dependencies"] if one.startswith("aiohttp")
    ]
    found = re.search(r">=([0-9.]+)", needed)
    if found is None:
        raise AssertionError(needed)
    return (f"aiohttp=={found[1]}",)


def run(name: str, wanted: tuple[str, ...], words: list[str]) -> bool:
    """Tell whether the matrix is green with the aiohttp that is *wanted*."""
    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder, "bin", "python"))
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603 -- our own
        pip = (python, "-m", "pip", "install", "-q")
        subprocess.run([*pip, "-e", f"{ROOT}[cli]", *NEEDED, *FURTHER], check=True)  # noqa: S603 -- as above
        subprocess.run([*pip, *wanted], check=True)  # noqa: S603 -- as above
        version = subprocess.run(  # noqa: S603 -- as above
            [python, "-c", "import aiohttp; print(aiohttp.__version__)"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        print(f"== {name}: aiohttp {version}", flush=True)
        tests = words or ["tests/matrix", "tests/transport"]
        done = subprocess.run(  # noqa: S603 -- as above
            [python, "-m", "pytest", "-q", "--deselect", KNOWN, *tests],
            cwd=ROOT,
            env={**os.environ, "CONVERGEGATE_LANE": "untested"},
            check=False,
        )
    return done.returncode == 0


def main() -> None:
    """Run both; exit with 1 if one is red."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="*", help="what is run in place of the matrix")
    options = parser.parse_args()
    green = [
        run("newest, with pre-releases", NEWEST, options.tests),
        run("oldest allowed", oldest(), options.tests),
    ]
    if not all(green):
        parser.exit(1, "an aiohttp does not carry what we stand on\n")


if __name__ == "__main__":
    main()
