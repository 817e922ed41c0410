"""Whether a caller is ever handed another caller's session.

One answer in a hundred is followed by a stray one that belongs to somebody else, at
once or while the connection is idle. Beside it, in the same run: aiohttp by hand.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
from harness.faulty import Connection, an_order, running_gateway, session_of
from harness.figures import table
from harness.workers import share

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    RetryPolicy,
)

STRAY_SHARE = 0.01
Call = Callable[[str], Awaitable[str]]
"""Takes a number, returns the number that the answer repeats."""


def stray(connection: Connection, key: bytes, form: dict[str, str]) -> None:
    """Answer; sometimes answer somebody else as well."""
    dice = connection.gateway.dice
    theirs = {**form, "customer_email": "eve@example.com", "metadata[number]": "eve"}
    whole, strange = session_of(key, form), session_of(b"eve", theirs)
    if dice.random() >= STRAY_SHARE:
        connection.say(whole)
    elif dice.random() < 1 / 2:
        connection.say(whole + strange)
    else:
        connection.say(whole)
        loop = asyncio.get_running_loop()
        loop.call_later(dice.uniform(0, 0.005), connection.say, strange)


def by_factory(checkout: CheckoutSessionFactory) -> Call:
    """Return a create whose answer is checked."""

    async def call(number: str) -> str:
        session = await checkout.create(an_order(number))
        return session.metadata["number"]

    return call


def by_hand(session: aiohttp.ClientSession, base_url: str) -> Call:
    """Return a create as one writes it first."""

    async def call(number: str) -> str:
        form = {"amount": "4999", "currency": "pln", "metadata[number]": number}
        async with session.post(f"{base_url}/v1/x", data=form) as response:
            document = await response.json()
            return str(document["metadata"]["number"])

    return call


async def count(call: Call, calls: int, concurrency: int) -> Counter[str]:
    """Return how often the answer was the caller's own, another's, or an error."""
    results: Counter[str] = Counter()

    async def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                repeated = await call(str(number))
            except (CallError, aiohttp.ClientError) as error:
                results[type(error).__name__] += 1
            else:
                results["own" if repeated == str(number) else "another's"] += 1

    await share(range(calls), work, concurrency)
    return results


async def compare(calls: int, concurrency: int = 32) -> dict[str, Counter[str]]:
    """Make so many calls with the factory, and so many by hand."""
    policy = RetryPolicy(base_delay=0.001)
    async with (
        running_gateway(stray) as gateway,
        aiohttp.ClientSession() as session,
        CheckoutSessionFactory("sk_test_x", gateway.base_url, retry=policy) as checkout,
    ):
        return {
            "factory": await count(by_factory(checkout), calls, concurrency),
            "by hand": await count(
                by_hand(session, gateway.base_url), calls, concurrency
            ),
        }


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    options = parser.parse_args()
    results = asyncio.run(compare(options.calls))
    outcomes = sorted({"own", "another's"}.union(*results.values()))
    lines = [
        [way, *(f"{counts[outcome]:,}" for outcome in outcomes)]
        for way, counts in results.items()
    ]
    print(table(("way", *outcomes), lines))
    raise SystemExit(bool(results["factory"]["another's"]))


if __name__ == "__main__":
    main()
