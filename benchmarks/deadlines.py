"""How much longer than its deadline a call takes, against a gateway that stalls.

Every fault that can hold a call up is met in turn; a call has 300 ms. Printed is by how
much calls overshoot. Goal: p99 of 50 ms, never above 250 ms.
"""

import asyncio
import statistics
import time

from harness.calls import order
from harness.figures import table

from convergegate_async import CallError, RetryPolicy
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

DEADLINE = 0.3
ROUNDS = 10
CONCURRENCY = 20


async def overshoots(fault: Fault) -> list[float]:
    """Return the overshoot of every call, in seconds."""
    taken: list[float] = []

    async def one() -> None:
        started = time.perf_counter()
        try:
            await checkout.create(order(), timeout=DEADLINE)
        except CallError:
            taken.append(time.perf_counter() - started - DEADLINE)

    async with (
        Sandbox(faults=[fault]) as sandbox,
        sandbox.factory(retry=RetryPolicy(max_attempts=1)) as checkout,
    ):
        for _ in range(ROUNDS):
            await asyncio.gather(*[one() for _ in range(CONCURRENCY)])
    return taken


def line(kind: FaultKind, taken: list[float]) -> list[str]:
    """Return a line of the table."""
    p99 = statistics.quantiles(taken, n=100)[98]
    figures = (statistics.median(taken), p99, max(taken))
    return [kind, str(len(taken)), *(f"{figure * 1e3:.1f}" for figure in figures)]


def main() -> None:
    """Print a line for every fault."""
    slow = (
        Fault(FaultKind.LATENCY, seconds=1.0),
        Fault(FaultKind.STALL),
        Fault(FaultKind.STALL_BODY),
        Fault(FaultKind.DRIP, seconds=1.0),
    )
    lines = [line(fault.kind, asyncio.run(overshoots(fault))) for fault in slow]
    print(table(("fault", "calls", "p50, ms", "p99, ms", "max, ms"), lines))


if __name__ == "__main__":
    main()
