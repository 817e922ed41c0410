"""`create` beside other clients: the same request and answer, each in its own process.

The client processes are pinned to one core, the stub to another. They take turns, round
by round, so that a ratio is formed between neighbours in time. Read the ratios: times
depend on the day. Peers live in an environment of their own, made on first use.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from platform import python_version

from harness.client import LOOPS, CallCost, Client, running_client
from harness.figures import spread, table, versions
from harness.peers import peer_python, peer_versions
from harness.stub import running_stub
from harness.ways import OWN, PEERS

CONCURRENCIES = (1, 32, 256)
SLOW = 4
"""The clients on httpx make so many times fewer calls: they take that much longer."""

Rounds = dict[str, list[CallCost]]
"""What every way took, round by round."""


def take_turns(
    clients: dict[str, Client], *, pairs: int, calls: int, concurrency: int
) -> Rounds:
    """Let every client make its calls, one after the other, so many times."""
    rounds: Rounds = {way: [] for way in clients}
    for _ in range(pairs):
        for way, client in clients.items():
            share = SLOW if "httpx" in way else 1
            rounds[way].append(client.make(max(1, calls // share), concurrency))
    return rounds


def compare(ways: Sequence[str], options: argparse.Namespace) -> list[list[str]]:
    """Return the lines of the table."""
    python = sys.executable if options.no_peers else peer_python()
    lines: list[list[str]] = []
    for loop in options.loops:
        with running_stub() as base_url, ExitStack() as processes:
            clients = {
                way: processes.enter_context(
                    running_client(way, base_url, python=python, loop=loop)
                )
                for way in ways
            }
            for concurrency in CONCURRENCIES:
                rounds = take_turns(
                    clients,
                    pairs=options.pairs,
                    calls=options.calls,
                    concurrency=concurrency,
                )
                setting = f"{loop}, {concurrency}"
                lines += [line(setting, way, rounds) for way in ways]
    return lines


def line(setting: str, way: str, rounds: Rounds) -> list[str]:
    """Return a line of the table: medians, and medians of ratios with p10 to p90."""
    cpu = [taken.cpu for taken in rounds[way]]
    wall = [taken.wall for taken in rounds[way]]

    def ratio(other: str) -> str:
        pairs = zip(rounds[way], rounds[other], strict=True)
        return spread(mine.cpu / theirs.cpu for mine, theirs in pairs)

    ours = [taken.wall for taken in rounds["factory"]]
    return [
        setting,
        way,
        f"{statistics.median(cpu) * 1e6:.0f}",
        f"{statistics.median(wall) * 1e6:.0f}",
        ratio("aiohttp, tuned"),
        ratio("aiohttp, by hand"),
        spread(its / our for its, our in zip(wall, ours, strict=True)),
    ]


HEAD = (
    "loop, at once",
    "client",
    "CPU, µs",
    "wall, µs",
    "CPU to tuned",
    "CPU to by hand",
    "factory's calls/s to its",
)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="rounds, 2 at least")
    parser.add_argument("--calls", type=int, default=2_000, help="calls of a round")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS)
    parser.add_argument("--no-peers", action="store_true", help="aiohttp alone")
    parser.add_argument("--quick", action="store_true", help="see that it works")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.calls = 2, 200
    return options


def main() -> None:
    """Print a line for every way, at every concurrency, on every loop."""
    options = read_options()
    ways = [*OWN] if options.no_peers else [*OWN, *PEERS]
    print(f"Python {python_version()}, {versions('aiohttp', 'attrs', 'cattrs')}")
    if not options.no_peers:
        print(peer_versions())
    print(f"{options.pairs} rounds of {options.calls:,} calls\n")
    print(table(HEAD, compare(ways, options), words=2))


if __name__ == "__main__":
    main()
