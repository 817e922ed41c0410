"""A process that makes calls in one way: as its parent sees it, and from within."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import attrs

from harness.figures import resident
from harness.peers import surroundings
from harness.ways import OWN, PEERS, Way
from harness.workers import Call, make, make_timed

LOOPS = ("asyncio", "uvloop")


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
    command = [python, "-P", "-m", "harness.client"]
    command += ["--way", way, "--loop", loop, "--base-url", base_url]
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


def main() -> None:
    """Be a client process, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=[*OWN, *PEERS], required=True)
    parser.add_argument("--loop", choices=LOOPS, required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--core", type=int)
    serve(parser.parse_args())


if __name__ == "__main__":
    main()
