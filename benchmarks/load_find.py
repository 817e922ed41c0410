"""Whether the search for the highest rate that holds finds a capacity that is known.

The gateway answers so many a second, one after the other, and queues what is beyond.
Each search begins far below and knows nothing of the others. Goal: within 5 % in nine
of ten.
"""

import argparse
import asyncio
import sys

from harness.figures import table, versions
from harness.slow_gateway import CAPACITY, running_gateway

from convergegate_async.load import LoadPlan, Profile, Search, Status, Target, run_load

NEAR = 0.05
SECONDS = 3.0  # of a run
THRESHOLD = "p99<50ms"


async def search(target: Target) -> Search:
    """Search once."""
    found = Search(20.0, precision=0.02, repeats=5)
    for rate in found.rates():
        plan = LoadPlan(profile=Profile.constant(rate, SECONDS), thresholds=[THRESHOLD])
        report = await run_load(plan, target)
        found.note(rate, held=report.status is Status.PASSED)
    return found


def main() -> None:
    """Search again and again, and tell how near each has come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=10)
    options = parser.parse_args()
    print(f"{versions('convergegate-async', 'aiohttp')}; {THRESHOLD}, {CAPACITY:g}/s")
    lines, near = [], 0
    for number in range(1, options.searches + 1):
        with running_gateway("queueing") as url:
            found = asyncio.run(search(Target(base_url=url, api_key="sk_test_stub")))
        best, worst = found.best, found.worst
        if best is None:
            lines.append([str(number), "-", "-", "-", "-"])
            continue
        near += abs(best.rate / CAPACITY - 1) <= NEAR
        lines.append(
            [
                str(number),
                f"{best.rate:g}",
                f"{best.held} of {best.runs}",
                "-" if worst is None else f"{worst.rate:g}",
                str(sum(one.runs for one in found.tried)),
            ]
        )
        print(*lines[-1], flush=True)
    head = ("search", "holds, 1/s", "runs that held", "does not hold, 1/s", "runs")
    print(table(head, lines))
    print(f"within {NEAR:.0%}: {near} of {options.searches}")
    sys.exit(near < 0.9 * options.searches)


if __name__ == "__main__":
    main()
