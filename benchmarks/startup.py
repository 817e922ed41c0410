"""What it costs to start: imports, the first call, and `convergegate --help`.

Every line is the work of fresh interpreters that take turns; times are taken within,
after the interpreter itself has started, but for `--help`, which is timed from outside.
Where valgrind is installed the instructions of imports are counted as well, beyond a
bare interpreter's: times vary by a tenth, these by a thousandth.
Goals: the import 1.20 times aiohttp's; `--help` in 200 ms.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from platform import python_version

import attrs
from harness import callgrind
from harness.figures import spread, table, versions
from harness.stub import running_stub

CLOCKED = """
import asyncio, json, time
{before}
cpu, wall = time.process_time(), time.perf_counter()
{work}
taken = time.process_time() - cpu, time.perf_counter() - wall
print(json.dumps(taken))
"""
BEFORE_CALL = "from harness.calls import *"
FIRST_CALL = """
async def first():
    async with {opened} as client:
        await {way}
asyncio.run(first())
"""
OURS, THEIRS = "import CheckoutSessionFactory", "import aiohttp"
IMPORTS = {
    THEIRS: "import aiohttp",
    OURS: "from convergegate_async import CheckoutSessionFactory",
}
FIRST, THEIR_FIRST = "first create, imports done", "first call of aiohttp, imports done"
HELP = "convergegate --help"
BESIDE = {OURS: THEIRS, FIRST: THEIR_FIRST}
"""What each line is compared to."""


@attrs.frozen
class StartCost:
    """What a start took, in seconds; from outside only the wall clock is seen."""

    cpu: float | None
    wall: float


def programs(base_url: str) -> dict[str, tuple[str, str]]:
    """Return what is done before the clock starts, and what it measures."""
    ours = FIRST_CALL.format(
        opened=f"CheckoutSessionFactory(KEY, {base_url!r})", way="by_factory(client)()"
    )
    theirs = FIRST_CALL.format(
        opened="tuned_session()", way=f"tuned(client, {base_url!r})()"
    )
    return {
        **{name: ("", statement) for name, statement in IMPORTS.items()},
        THEIR_FIRST: (BEFORE_CALL, theirs),
        FIRST: (BEFORE_CALL, ours),
    }


def run(*arguments: str) -> str:
    """Run a fresh interpreter, and return what it prints."""
    return subprocess.run(  # noqa: S603 -- our own programs
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    ).stdout


def start(before: str, work: str) -> StartCost:
    """Return what *work* took in a fresh interpreter, by its own clocks."""
    program = CLOCKED.format(before=before, work=work)
    return StartCost(*json.loads(run("-c", program)))


def ask_for_help() -> StartCost:
    """Return what the command line took to explain itself."""
    started = time.perf_counter()
    run("-m", "convergegate_async", "--help")
    return StartCost(None, time.perf_counter() - started)


def compare(rounds: int) -> dict[str, list[StartCost]]:
    """Return what every start took, round by round; the first round warms the disk."""
    taken: dict[str, list[StartCost]] = {}
    with running_stub() as base_url:
        for _ in range(rounds + 1):
            for name, program in programs(base_url).items():
                taken.setdefault(name, []).append(start(*program))
            taken.setdefault(HELP, []).append(ask_for_help())
    return {name: starts[1:] for name, starts in taken.items()}


def line(name: str, taken: dict[str, list[StartCost]]) -> list[str]:
    """Return a line of the table."""
    cpu = [start.cpu for start in taken[name] if start.cpu is not None]
    ratio = ""
    if name in BESIDE:
        theirs = [start.cpu or 0 for start in taken[BESIDE[name]]]
        ratio = spread(mine / other for mine, other in zip(cpu, theirs, strict=True))
    return [
        name,
        f"{statistics.median(cpu) * 1e3:.0f}" if cpu else "",
        f"{statistics.median(start.wall for start in taken[name]) * 1e3:.0f}",
        ratio,
    ]


def count_imports() -> list[list[str]]:
    """Return the lines of a table: what imports cost beyond a bare interpreter."""
    with ThreadPoolExecutor(callgrind.AT_ONCE) as pool:
        bare, *others = pool.map(
            lambda program: callgrind.count("-c", program), ("", *IMPORTS.values())
        )
    found = {name: one - bare for name, one in zip(IMPORTS, others, strict=True)}
    return [
        [name, f"{one / 1e6:,.0f}", f"{one / found[THEIRS]:.3f}"]
        for name, one in found.items()
    ]


def main() -> None:
    """Print a line for every kind of start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="2 at least")
    parser.add_argument("--quick", action="store_true", help="see that it works")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    taken = compare(rounds)
    names = ("aiohttp", "attrs", "cattrs", "tenacity")
    print(f"Python {python_version()}, {versions(*names)}, {rounds} rounds\n")
    head = ("start", "CPU, ms", "wall, ms", "CPU to aiohttp (p10 to p90)")
    print(table(head, [line(name, taken) for name in taken]))
    if callgrind.is_there() and not options.quick:
        columns = ("import", "million instructions", "to aiohttp")
        print(f"\n{table(columns, count_imports())}")


if __name__ == "__main__":
    main()
