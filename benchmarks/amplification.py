"""What repeats add to a gateway in trouble: requests per call at each rate of failure.

Every rate starts with a full bucket, as a factory does. Above the bucket, at most one
repeat is made for ten calls that succeed (goal: 1.10).
"""

import argparse
import asyncio
from collections.abc import Iterator

import attrs
from harness.faulty import (
    Connection,
    Reply,
    an_order,
    answer,
    running_gateway,
    session_of,
)
from harness.figures import table
from harness.workers import share

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    RetryPolicy,
)

RATES = (0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0)
POLICY = RetryPolicy(base_delay=0.001, max_delay=0.002)
GOAL = 1.10
HEAD = ("fails", "calls", "requests", "requests/call", "over the bucket", "succeeded")


@attrs.frozen
class Amplification:
    """What came of all calls at one rate of failure."""

    rate: float
    calls: int
    requests: int
    succeeded: int

    @property
    def factor(self) -> float:
        """Requests per call, over what the first bucket holds."""
        return max(1.0, (self.requests - POLICY.budget) / self.calls)


def failing(rate: float) -> Reply:
    """Return a gateway that answers 503 so often."""

    def reply(connection: Connection, key: bytes, form: dict[str, str]) -> None:
        fails = connection.gateway.dice.random() < rate
        busy = answer({"error": {"message": "busy"}}, "503 Busy")
        connection.say(busy if fails else session_of(key, form))

    return reply


async def amplify(rate: float, calls: int, concurrency: int = 32) -> Amplification:
    """Make so many calls against a gateway that fails so often."""
    succeeded = 0
    async with (
        running_gateway(failing(rate)) as gateway,
        CheckoutSessionFactory("sk_test_x", gateway.base_url, retry=POLICY) as checkout,
    ):

        async def work(left: Iterator[int]) -> None:
            nonlocal succeeded
            for _ in left:
                try:
                    await checkout.create(an_order("1"))
                except CallError:
                    continue
                succeeded += 1

        await share(range(calls), work, concurrency)
        return Amplification(rate, calls, gateway.seen.total(), succeeded)


def line(result: Amplification) -> list[str]:
    """Return a line of the table."""
    return [
        f"{result.rate:.0%}",
        f"{result.calls:,}",
        f"{result.requests:,}",
        f"{result.requests / result.calls:.3f}",
        f"{result.factor:.3f}",
        f"{result.succeeded / result.calls:.1%}",
    ]


def main() -> None:
    """Print a line for each rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    options = parser.parse_args()
    results = [asyncio.run(amplify(rate, options.calls)) for rate in RATES]
    print(table(HEAD, map(line, results)))
    raise SystemExit(max(result.factor for result in results) > GOAL)


if __name__ == "__main__":
    main()
