"""How much longer than its deadline a call takes, against a gateway that stalls.

Every fault that can hold a call up is met in turn; a call has 300 ms. Printed is by how
much calls overshoot. Goal (reliability 6, line 8): p99 of 50 ms, never above 250 ms.
"""

import asyncio
import statistics
import time

from harness.calls import order

from convergegate_async import CallError, RetryPolicy
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

DEADLINE = 0.3
ROUNDS = 10
CONCURRENCY = 20


async def overshoots(kind: FaultKind) -> list[float]:
    """Return the overshoot of every call, in seconds."""
    taken: list[float] = []

    async def one() -> None:
        started = time.perf_counter()
        try:
            await checkout.create(order(), timeout=DEADLINE)
        except CallError:
            taken.append(time.perf_counter() - started - DEADLINE)

    async with (
        Sandbox(faults=[Fault(kind, seconds=1.0)]) as sandbox,
        sandbox.factory(retry=RetryPolicy(max_attempts=1)) as checkout,
    ):
        for _ in range(ROUNDS):
            await asyncio.gather(*[one() for _ in range(CONCURRENCY)])
    return taken


def main() -> None:
    """Print a line for every fault."""
    print(f"{'fault':<12} {'calls':>5} {'p50, ms':>8} {'p99, ms':>8} {'max, ms':>8}")
    slow = (
        FaultKind.LATENCY,
        FaultKind.STALL,
        FaultKind.STALL_BODY,
        FaultKind.DRIP,
    )
    for kind in slow:
        taken = asyncio.run(overshoots(kind))
        p99 = statistics.quantiles(taken, n=100)[98]
        figures = (statistics.median(taken), p99, max(taken))
        cells = " ".join(f"{figure * 1e3:>8.1f}" for figure in figures)
        print(f"{kind:<12} {len(taken):>5} {cells}")


if __name__ == "__main__":
    main()
