"""Instructions per `create` under callgrind, beside aiohttp tuned and by hand.

The client alone is counted, at two numbers of calls; the difference is what calls cost.
That repeats to a tenth of a percent on the noisiest machine, so it guards the hot path:
``--check`` fails when the ratio to tuned aiohttp is over the one kept here by 3 %.
*watched* is the factory with one observer.
"""

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
from harness.calls import by_factory, by_hand, tuned, tuned_session
from harness.figures import table, versions
from harness.stub import running_stub
from harness.workers import make

from convergegate_async import AttemptInfo, CallEnded, CheckoutSessionFactory

KEPT = 1.67
"""The ratio to tuned aiohttp that was last found good."""

LEEWAY = 1.03
CONCURRENCY = 32
FEW, MANY = 320, 960
WAYS = ("tuned", "by hand", "factory", "watched")


class Watcher:
    """The cheapest observer there can be."""

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Do nothing."""

    def call_ended(self, call: CallEnded) -> None:
        """Do nothing."""


async def run(way: str, base_url: str, calls: int) -> None:
    """Make so many calls, 32 at a time."""
    async with (
        tuned_session() as session,
        aiohttp.ClientSession() as plain,
        CheckoutSessionFactory("sk_test_x", base_url) as checkout,
    ):
        call = {
            "tuned": tuned(session, base_url),
            "by hand": by_hand(plain, base_url),
            "factory": by_factory(checkout),
            "watched": by_factory(checkout.with_options(observers=[Watcher()])),
        }[way]
        await make(call, calls, CONCURRENCY)


def count(way: str, base_url: str, calls: int) -> int:
    """Return the instructions of a process that makes so many calls."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind")
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            sys.executable,
            __file__,
            *("--way", way, "--base-url", base_url, "--calls", str(calls)),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        environment.pop("COVERAGE_PROCESS_START", None)
        subprocess.run(  # noqa: S603 -- our own file
            command, check=True, capture_output=True, env=environment
        )
        total = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    if total is None:
        raise AssertionError
    return int(total[1])


def compare() -> dict[str, float]:
    """Return the instructions of one call, each way."""
    with running_stub() as base_url:
        return {
            way: (count(way, base_url, MANY) - count(way, base_url, FEW)) / (MANY - FEW)
            for way in WAYS
        }


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        asyncio.run(run(options.way, options.base_url, options.calls))
        return
    if shutil.which("valgrind") is None:
        parser.exit(0, "valgrind is not installed: nothing was counted\n")
    found = compare()
    print(f"{versions('aiohttp', 'attrs', 'cattrs', 'msgspec')}\n")
    lines = [
        [
            way,
            f"{instructions:,.0f}",
            f"{instructions / found['tuned']:.3f}",
            f"{instructions / found['by hand']:.3f}",
        ]
        for way, instructions in found.items()
    ]
    print(table(("way", "instructions", "to tuned", "to by hand"), lines))
    ratio = found["factory"] / found["tuned"]
    if options.check and ratio > KEPT * LEEWAY:
        parser.exit(1, f"{ratio:.3f} is over {KEPT} by more than 3 %\n")


if __name__ == "__main__":
    main()
