"""CPU time of a successful `create`, beside aiohttp as one writes it by hand.

Both send the same request to the same stub, turn about, in one process; the client's
CPU time comes from the process's own clock. Read the ratio: times depend on the day.
"""

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import aiohttp
from stub import running_stub

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
)

Call = Callable[[], Awaitable[object]]


def order() -> CheckoutSessionRequest:
    """Build a request of 13 fields, as a handler does for every customer."""
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email="john@example.com",
        customer_firstname="John",
        customer_lastname="Doe",
        customer_phone="+48123456789",
        customer_country="PL",
        success_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cancelled",
        notification_url="https://shop.example/webhooks",
        payment_method=("blik",),
        locale="pl",
        metadata={"order": "A-17"},
    )


def by_hand(session: aiohttp.ClientSession, base_url: str) -> Call:
    """Return a create as one writes it first: a dict, `resp.json()`, no checks."""
    authorization = aiohttp.encode_basic_auth("sk_test_x", "")

    async def call() -> object:
        form = {
            "amount": 4999,
            "currency": "pln",
            "customer_email": "john@example.com",
            "customer_firstname": "John",
            "customer_lastname": "Doe",
            "customer_phone": "+48123456789",
            "customer_country": "PL",
            "success_url": "https://shop.example/thanks",
            "cancel_url": "https://shop.example/cancelled",
            "notification_url": "https://shop.example/webhooks",
            "payment_method": "blik",
            "locale": "pl",
            "metadata[order]": "A-17",
        }
        headers = {"Authorization": authorization, "Idempotency-Key": uuid.uuid4().hex}
        url = f"{base_url}/v1/checkout/sessions"
        async with session.post(url, data=form, headers=headers) as response:
            response.raise_for_status()
            return await response.json()

    return call


def by_factory(checkout: CheckoutSessionFactory) -> Call:
    """Return a create with all its checks."""

    async def call() -> CheckoutSession:
        return await checkout.create(order())

    return call


async def measure(call: Call, calls: int, concurrency: int) -> float:
    """Return the CPU seconds of one call, over *calls* of them."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await call()

    started = time.process_time_ns()
    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(work())
    return (time.process_time_ns() - started) / calls / 1e9


async def compare(base_url: str, *, pairs: int, calls: int, concurrency: int) -> None:
    """Print a line: both times, and their ratio with its spread."""
    async with (
        aiohttp.ClientSession() as session,
        CheckoutSessionFactory("sk_test_x", base_url) as checkout,
    ):
        hand, ours = by_hand(session, base_url), by_factory(checkout)
        for call in (hand, ours):
            await measure(call, calls // 4, concurrency)
        taken = [
            (
                await measure(hand, calls, concurrency),
                await measure(ours, calls, concurrency),
            )
            for _ in range(pairs)
        ]
    ratios = [mine / theirs for theirs, mine in taken]
    low, *_, high = statistics.quantiles(ratios, n=10)
    theirs = statistics.median(pair[0] for pair in taken) * 1e6
    mine = statistics.median(pair[1] for pair in taken) * 1e6
    print(
        f"{concurrency:>11} {theirs:>14.0f} {mine:>14.0f} "
        f"{statistics.median(ratios):>7.2f}   {low:.2f} to {high:.2f}"
    )


def main() -> None:
    """Compare at three degrees of concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--calls", type=int, default=1_000)
    options = parser.parse_args()
    names = ("aiohttp", "attrs", "cattrs", "tenacity")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print("concurrency  by hand, µs   factory, µs   ratio   p10 to p90")
    with running_stub() as base_url:
        for concurrency in (1, 32, 256):
            asyncio.run(
                compare(
                    base_url,
                    pairs=options.pairs,
                    calls=options.calls,
                    concurrency=concurrency,
                )
            )


if __name__ == "__main__":
    main()
