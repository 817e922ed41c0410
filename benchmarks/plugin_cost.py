"""What the pytest plugin costs: where nobody uses it, and a test that does.

Where nobody uses it, `pytest --collect-only` of an empty project is set beside the same
with a plugin that holds nothing, as pytest searches all distributions for one that is
named: in instructions where valgrind is installed, else in CPU time.
A test is what many of them take beyond few, in CPU time of processes that take turns:
one that does nothing, one that creates a session by the fixture *checkout*, and one
that starts a sandbox of its own for it. Goals: 1.01, and 50 ms.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from platform import python_version

import pytest
from harness import callgrind
from harness.figures import spread, table, versions

PLUGIN = ("-p", "convergegate_async.testing.plugin")
EMPTY = ("-p", "empty_plugin")
BARE = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
FEW, MANY = 5, 305

HEAD = """
import pytest

from convergegate_async.sandbox import Sandbox
from convergegate_async.testing import checkout_request

numbered = pytest.mark.parametrize("number", range({tests}))
"""
NOTHING, FIXTURE, OWN = "nothing", "checkout", "a sandbox of its own"
TESTS = {
    NOTHING: """
@numbered
async def test_nothing(number):
    pass
""",
    FIXTURE: """
@numbered
async def test_create(number, checkout):
    await checkout.create(checkout_request())
""",
    OWN: """
@numbered
async def test_create(number):
    async with Sandbox() as sandbox, sandbox.factory() as checkout:
        await checkout.create(checkout_request())
""",
}


def environment() -> Mapping[str, str]:
    """Return one in which pytest loads the plugins that are named, and no other."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "PYTEST" not in name and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def cpu_of(*arguments: str, code: int = 0) -> float:
    """Return the CPU seconds that pytest takes; it ends with *code*."""
    before = os.times()
    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, *BARE, *arguments],
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != code:
        raise AssertionError(done.stdout)
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system


def collect(folder: str, *plugins: str) -> float:
    """Return the CPU seconds of collecting an empty project."""
    return cpu_of(
        *plugins, "--collect-only", folder, code=pytest.ExitCode.NO_TESTS_COLLECTED
    )


def run_tests(folder: Path, source: str, tests: int) -> float:
    """Return the CPU seconds of a process with so many tests."""
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    (folder / "test_it.py").write_text(HEAD.format(tests=tests) + source)
    return cpu_of(*PLUGIN, "-p", "pytest_asyncio.plugin", str(folder))


def cost_of_tests(rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of CPU of a test, round by round."""
    taken: dict[str, list[float]] = {name: [] for name in TESTS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, source in TESTS.items():
                few, many = (
                    run_tests(Path(folder), source, tests) for tests in (FEW, MANY)
                )
                taken[name].append((many - few) / (MANY - FEW) * 1e3)
    return taken


def cost_unused(rounds: int) -> tuple[str, list[float], list[float]]:
    """Return the unit, and what collecting takes without and with the plugin."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "empty_plugin.py").write_text("import pytest\n")
        paths = (folder, os.environ.get("PYTHONPATH", ""))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        for plugin in (EMPTY, PLUGIN):
            collect(folder, *plugin)  # pytest keeps what it has compiled
        if callgrind.is_there():
            program = (
                "import os, sys, pytest;"
                "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1';"
                "pytest.main(sys.argv[1:])"
            )
            arguments = [*BARE[2:], "--collect-only", folder]
            without = callgrind.count("-c", program, *EMPTY, *arguments)
            beside = callgrind.count("-c", program, *PLUGIN, *arguments)
            return "million instructions", [without / 1e6], [beside / 1e6]
        pairs = [
            (collect(folder, *EMPTY), collect(folder, *PLUGIN)) for _ in range(rounds)
        ]
    without_all, beside_all = zip(*pairs, strict=True)
    return "CPU, s", [*without_all], [*beside_all]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="2 at least")
    options = parser.parse_args()
    names = ("pytest", "pytest-asyncio", "aiohttp")
    print(f"Python {python_version()}, {versions(*names)}, {options.rounds} rounds\n")
    unit, without, beside = cost_unused(options.rounds)
    ratio = statistics.median(
        with_it / bare for with_it, bare in zip(beside, without, strict=True)
    )
    print(
        table(
            ("an empty project is collected", unit, "ratio"),
            [
                ["with an empty plugin", f"{statistics.median(without):,.3f}", ""],
                ["with ours", f"{statistics.median(beside):,.3f}", f"{ratio:.4f}"],
            ],
        )
    )
    taken = cost_of_tests(options.rounds)
    print()
    print(
        table(
            ("a test with", "CPU, ms", "to a sandbox of its own (p10 to p90)"),
            [
                [
                    name,
                    f"{statistics.median(taken[name]):.1f}",
                    spread(
                        mine / own
                        for mine, own in zip(taken[name], taken[OWN], strict=True)
                    ),
                ]
                for name in TESTS
            ],
        )
    )


if __name__ == "__main__":
    main()
