"""`create` beside other clients: the same request and answer, each in its own process.

The client processes are pinned to one core, the stub to another. They take turns, round
by round, so that a ratio is formed between neighbours in time. Read the ratios: times
depend on the day. Peers live in an environment of their own, made on first use.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from platform import python_version

import attrs
from harness.figures import resident, spread, table, versions
from harness.peers import peer_python, peer_versions, surroundings
from harness.stub import running_stub
from harness.ways import OWN, PEERS, Way
from harness.workers import Call, make, make_timed

CONCURRENCIES = (1, 32, 256)
LOOPS = ("asyncio", "uvloop")
SLOW = 4
"""The clients on httpx make so many times fewer calls: they take that much longer."""


# -- the client process, as its parent sees it ------------------------------------


@attrs.frozen(kw_only=True)
class CallCost:
    """What a number of calls took.

    Attributes:
        cpu: Seconds of a call, by the process's own clock.
        wall: Seconds of all calls together, divided by their number.
        p50: Seconds that half of the calls were answered in.
        p99: Seconds that all but one in a hundred were answered in.
        memory: Resident bytes of the process afterwards; 0 where that is not known.
    """

    cpu: float
    wall: float
    p50: float
    p99: float
    memory: int


class Client:
    """A process that makes calls in one way, as often as asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, calls: int, concurrency: int, rate: float = 0) -> None:
        """Have it make so many calls.

        Args:
            calls: How many.
            concurrency: How many at a time.
            rate: How many start in a second, whatever became of those before; as many
                as get through if 0.
        """
        if self._process.stdin is None:
            raise AssertionError
        self._process.stdin.write(f"{calls} {concurrency} {rate}\n")
        self._process.stdin.flush()

    def costs(self) -> CallCost:
        """Wait for what they took."""
        if self._process.stdout is None:
            raise AssertionError
        line = self._process.stdout.readline()
        if not line:
            message = "a client process has ended early"
            raise RuntimeError(message)
        return CallCost(**json.loads(line))

    def make(self, calls: int, concurrency: int, rate: float = 0) -> CallCost:
        """Have it make so many calls, and wait for what they took."""
        self.ask(calls, concurrency, rate)
        return self.costs()


@contextmanager
def running_client(
    way: str,
    base_url: str,
    *,
    python: str = sys.executable,
    loop: str = "asyncio",
    core: int | None = None,
) -> Iterator[Client]:
    """Run a client process, on the parent's core unless another is given."""
    command = [python, __file__, "--way", way, "--loop", loop, "--base-url", base_url]
    if core is not None:
        command += ["--core", str(core)]
    with subprocess.Popen(  # noqa: S603 -- our own file
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=surroundings(),
    ) as process:
        try:
            yield Client(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()


# -- the client process, from within ----------------------------------------------


async def answer_requests(way: Way, base_url: str) -> None:
    """Make calls as stdin asks for, until it ends; print what they took."""
    async with way(base_url) as call:
        for line in sys.stdin:
            calls, concurrency, rate = line.split()
            # Connections that went stale while it was others' turn are opened anew.
            await make(call, int(concurrency), int(concurrency))
            taken = await clocked(call, int(calls), int(concurrency), float(rate))
            print(json.dumps(attrs.asdict(taken)), flush=True)


async def clocked(call: Call, calls: int, concurrency: int, rate: float) -> CallCost:
    """Make so many calls, and return what they took."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    if rate:
        times = await arrive(call, calls, rate)
    else:
        times = await make_timed(call, calls, concurrency)
    cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
    shares = statistics.quantiles(times, n=100, method="inclusive")
    return CallCost(
        cpu=cpu / calls / 1e9,
        wall=wall / calls / 1e9,
        p50=shares[49] / 1e9,
        p99=shares[98] / 1e9,
        memory=resident(),
    )


async def arrive(call: Call, calls: int, rate: float) -> list[int]:
    """Start so many calls in a second; return the nanoseconds since each was due."""
    taken: list[int] = []

    async def one(due: int) -> None:
        await call()
        taken.append(time.perf_counter_ns() - due)

    started = time.perf_counter_ns()
    async with asyncio.TaskGroup() as callers:
        for number in range(calls):
            due = started + int(number / rate * 1e9)
            # The loop's own timers are a millisecond coarse.
            while time.perf_counter_ns() < due:  # noqa: ASYNC110
                await asyncio.sleep(0)
            callers.create_task(one(due))
    return taken


def serve(options: argparse.Namespace) -> None:
    """Be a client process."""
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    factory = asyncio.new_event_loop
    if options.loop == "uvloop":
        factory = import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(answer_requests({**OWN, **PEERS}[options.way], options.base_url))


# -- the comparison ---------------------------------------------------------------

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
    parser.add_argument("--way", choices=[*OWN, *PEERS], help=argparse.SUPPRESS)
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.calls = 2, 200
    return options


def main() -> None:
    """Print a line for every way, at every concurrency, on every loop."""
    options = read_options()
    if options.way:
        serve(options)
        return
    ways = [*OWN] if options.no_peers else [*OWN, *PEERS]
    print(f"Python {python_version()}, {versions('aiohttp', 'attrs', 'cattrs')}")
    if not options.no_peers:
        print(peer_versions())
    print(f"{options.pairs} rounds of {options.calls:,} calls\n")
    print(table(HEAD, compare(ways, options), words=2))


if __name__ == "__main__":
    main()
