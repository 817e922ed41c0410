"""How a `create` scales: with concurrency, processes, calls made and connections held.

Client processes are pinned, as is the stub; on two cores the second client shares the
stub's. All take turns, round by round. Goals: cost per call within 15 % however many
calls were made before; memory flat; at 70 % of the highest rate, with arrivals fixed in
advance, p99 under 3 times p50.
"""

import argparse
import asyncio
import json
import os
import statistics
from contextlib import ExitStack
from pathlib import Path
from platform import python_version

import attrs
from harness.calls import KEY, by_factory, order
from harness.client import LOOPS, CallCost, Client, running_client
from harness.figures import resident, spread, table, versions
from harness.stub import running_stub
from harness.workers import make

from convergegate_async import CheckoutSessionFactory, PoolLimits

CONCURRENCIES = tuple(2**power for power in range(11))
BUSY = 32
"""The concurrency at which the rate is highest, or close to it."""

LOAD = 0.7
CHUNK = 10_000
YOUNG = 1_000
"""So many calls the youngest process has made before it is measured."""


@attrs.frozen(kw_only=True)
class Point:
    """How fast calls are made, at one concurrency for each process.

    Attributes:
        client: The way, and the number of processes.
        concurrency: Calls at a time in each process.
        rate: Calls in a second, all processes together.
        cpu: Seconds of a call, by the processes' own clocks.
        p50: Seconds that half of the calls were answered in.
        p99: Seconds that all but one in a hundred were answered in.
    """

    client: str
    concurrency: int
    rate: float
    cpu: float
    p50: float
    p99: float


def point(name: str, concurrency: int, taken: list[CallCost]) -> Point:
    """Return what processes that ran at the same time come to."""
    return Point(
        client=name,
        concurrency=concurrency,
        rate=sum(1 / one.wall for one in taken),
        cpu=statistics.mean(one.cpu for one in taken),
        p50=statistics.mean(one.p50 for one in taken),
        p99=max(one.p99 for one in taken),
    )


def together(clients: list[Client], calls: int, concurrency: int) -> list[CallCost]:
    """Let all *clients* make so many calls at the same time."""
    for client in clients:
        client.ask(calls, concurrency)
    return [client.costs() for client in clients]


def median(points: list[Point]) -> Point:
    """Return the middle of the same point in several rounds."""
    figures = {
        name: statistics.median(getattr(one, name) for one in points)
        for name in ("rate", "cpu", "p50", "p99")
    }
    return attrs.evolve(points[0], **figures)


def curves(
    base_url: str, loop: str, rounds: int, calls: int, cores: list[int]
) -> list[Point]:
    """Return the points of every client's curve."""
    ways = ("aiohttp, tuned", "factory")
    with ExitStack() as processes:
        tuned, first, second = (
            processes.enter_context(
                running_client(way, base_url, loop=loop, core=cores[core % len(cores)])
            )
            for way, core in zip((*ways, "factory"), (0, 0, 1), strict=True)
        )
        groups = {
            "aiohttp, tuned": [tuned],
            "factory": [first],
            "factory, 2 processes": [first, second],
        }
        settings = [(name, step) for step in CONCURRENCIES for name in groups]
        taken: dict[tuple[str, int], list[Point]] = {key: [] for key in settings}
        for _ in range(rounds):
            for name, step in settings:
                costs = together(groups[name], calls, step)
                taken[name, step].append(point(name, step, costs))
    return [median(points) for points in taken.values()]


def growing_old(
    base_url: str, loop: str, rounds: int, calls: int
) -> list[tuple[str, str]]:
    """Return the cost of a call after *calls* of them, and the memory that stayed.

    The old process and a young one take turns, so that the day is the same for both.
    """
    with (
        running_client("factory", base_url, loop=loop) as old,
        running_client("factory", base_url, loop=loop) as young,
    ):
        young.make(YOUNG, BUSY)
        before = old.make(YOUNG, BUSY)
        for done in range(YOUNG, calls, CHUNK):
            old.make(min(CHUNK, calls - done), BUSY)
        after = old.make(YOUNG, BUSY)
        ratios = [
            old.make(YOUNG, BUSY).cpu / young.make(YOUNG, BUSY).cpu
            for _ in range(rounds)
        ]
    grown = (after.memory - before.memory) / calls
    return [
        (f"CPU per call after {calls:,} calls, to after {YOUNG:,}", spread(ratios)),
        ("memory that stays of a call, bytes", f"{grown:.2f}"),
    ]


def under_load(
    base_url: str, loop: str, rounds: int, calls: int
) -> list[tuple[str, str]]:
    """Return how long calls take at 70 % of the highest rate, arrivals fixed."""
    with running_client("factory", base_url, loop=loop) as client:
        client.make(YOUNG, BUSY)
        taken = []
        for _ in range(rounds):
            highest = 1 / client.make(calls, BUSY).wall
            taken.append((highest, client.make(calls, BUSY, LOAD * highest)))
    rate = statistics.median(highest for highest, _ in taken) * LOAD
    return [
        (f"p50 at {rate:,.0f}/s, ms", spread(one.p50 * 1e3 for _, one in taken)),
        (f"p99 at {rate:,.0f}/s, ms", spread(one.p99 * 1e3 for _, one in taken)),
        ("p99 to p50 there", spread(one.p99 / one.p50 for _, one in taken)),
    ]


async def weigh(base_url: str, count: int) -> list[tuple[str, str]]:
    """Return the resident bytes of an open connection, and of a session held."""
    async with CheckoutSessionFactory(KEY, base_url, pool=PoolLimits(limit=1)) as one:
        await make(by_factory(one), count, count)  # room for so many callers
    many = PoolLimits(limit=count, keepalive=60)
    async with CheckoutSessionFactory(KEY, base_url, pool=many) as checkout:
        before = resident()
        await make(by_factory(checkout), count, count)
        connected = resident()
        held = [await checkout.create(order()) for _ in range(10 * count)]
        holding = resident()
    return [
        (
            "memory of an open connection, KiB",
            f"{(connected - before) / count / 1024:.1f}",
        ),
        (
            "memory of a session held, KiB",
            f"{(holding - connected) / len(held) / 1024:.1f}",
        ),
    ]


def line(point: Point) -> list[str]:
    """Return a line of the table."""
    return [
        point.client,
        f"{point.concurrency:,}",
        f"{point.rate:,.0f}",
        f"{point.cpu * 1e6:.0f}",
        f"{point.p50 * 1e3:.2f}",
        f"{point.p99 * 1e3:.2f}",
    ]


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="2 at least")
    parser.add_argument("--step", type=int, default=2_000, help="calls of a step")
    parser.add_argument("--calls", type=int, default=100_000, help="of the old process")
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--loop", choices=LOOPS, default=LOOPS[0])
    parser.add_argument("--data", type=Path, help="write the curves there, as JSON")
    parser.add_argument("--quick", action="store_true", help="see that it works")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.step, options.calls = 2, 200, 2_000
    return options


def main() -> None:
    """Print a line for every point of the curves, and what else was measured."""
    options = read_options()
    rounds, loop = options.rounds, options.loop
    cores = sorted(os.sched_getaffinity(0))
    with running_stub() as base_url:
        points = curves(base_url, loop, rounds, options.step, cores)
        facts = growing_old(base_url, loop, rounds, options.calls)
        facts += under_load(base_url, loop, rounds, options.step)
        facts += asyncio.run(weigh(base_url, options.connections))
    print(
        f"Python {python_version()}, {versions('aiohttp', 'attrs', 'cattrs')}, {loop}"
    )
    print(f"{rounds} rounds of {options.step:,} calls\n")
    head = ("client", "at once", "calls/s", "CPU, µs", "p50, ms", "p99, ms")
    print(table(head, map(line, points)))
    print()
    for fact in facts:
        print("- " + ": ".join(fact))
    if options.data:
        options.data.write_text(json.dumps([attrs.asdict(point) for point in points]))


if __name__ == "__main__":
    main()
