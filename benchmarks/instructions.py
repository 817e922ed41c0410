"""Instructions of calls under callgrind, beside a `create` of tuned aiohttp.

The client alone is counted, at two numbers of calls; the difference is what calls cost.
That repeats to a tenth of a percent on the noisiest machine, so it guards the hot path:
``--check`` fails when one of the ratios kept here is over by 3 %. A `create` goes by
the *lane* and by the *session*; *watched* is the lane with one observer, *own work* a
`create` over a transport that answers at once, *job row* a row of a durable job, past
the first thousand.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import aiohttp
from harness import callgrind
from harness.calls import KEY, by_factory, by_hand, tuned, tuned_session
from harness.delivery import NOW, SECRET, delivery
from harness.figures import table, versions
from harness.instant import InstantTransport
from harness.orders import run_job
from harness.stub import SESSION_ID, running_stub
from harness.workers import Call, make

from convergegate_async import (
    AttemptInfo,
    CallEnded,
    CheckoutSessionFactory,
    PoolLimits,
)
from convergegate_async.webhooks import WebhookVerifier

KEPT = {"lane": 0.88, "session": 1.50}
"""The ratios to tuned aiohttp that were last found good."""

LEEWAY = 1.03
CONCURRENCY = 32
FEW, MANY = 320, 960
READ_TWICE = 1_000
"""Rows of a table: the first time shows how it is spelled, however long it is."""

Run = Callable[[str, int], Coroutine[object, object, None]]
"""Makes so many calls to an address."""


class Watcher:
    """The cheapest observer there can be."""

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Do nothing."""

    def call_ended(self, call: CallEnded) -> None:
        """Do nothing."""


def factory(base_url: str, *, lane: bool = True) -> CheckoutSessionFactory:
    """Return a factory that calls the stub, by the lane or not."""
    return CheckoutSessionFactory(KEY, base_url, pool=PoolLimits(lane=lane))


async def call_tuned(base_url: str, calls: int) -> None:
    """Ask aiohttp for as little as can be."""
    async with tuned_session() as session:
        await make(tuned(session, base_url), calls, CONCURRENCY)


async def call_by_hand(base_url: str, calls: int) -> None:
    """Ask aiohttp as one writes it first."""
    async with aiohttp.ClientSession() as session:
        await make(by_hand(session, base_url), calls, CONCURRENCY)


def calling(
    call: Callable[[CheckoutSessionFactory], Call], *, lane: bool = True
) -> Run:
    """Return what makes *call* with a factory."""

    async def run(base_url: str, calls: int) -> None:
        async with factory(base_url, lane=lane) as checkout:
            await make(call(checkout), calls, CONCURRENCY)

    return run


async def work_alone(base_url: str, calls: int) -> None:
    """Create over a transport that answers at once."""
    transport = InstantTransport()
    async with CheckoutSessionFactory(KEY, base_url, transport=transport) as checkout:
        await make(by_factory(checkout), calls, CONCURRENCY)


async def verify(base_url: str, calls: int) -> None:
    """Trust so many webhooks of 1 KiB."""
    del base_url
    body, headers = delivery()
    verifier = WebhookVerifier(SECRET)
    for _ in repeat(None, calls):
        verifier.verify(body, headers, NOW)


async def run_rows(base_url: str, calls: int) -> None:
    """Create for the rows of a file, by way of a journal."""
    with tempfile.TemporaryDirectory() as folder:
        async with factory(base_url) as checkout:
            rows = READ_TWICE + calls
            await run_job(checkout, Path(folder), rows, CONCURRENCY)


WAYS: dict[str, Run] = {
    "tuned": call_tuned,
    "by hand": call_by_hand,
    "lane": calling(by_factory),
    "session": calling(by_factory, lane=False),
    "watched": calling(lambda one: by_factory(one.with_options(observers=[Watcher()]))),
    "own work": work_alone,
    "retrieve": calling(lambda one: lambda: one.retrieve(SESSION_ID)),
    "pay": calling(lambda one: lambda: one.pay(SESSION_ID, "123456")),
    "job row": run_rows,
    "verify": verify,
}
CHECKED = ("tuned", "lane", "session")


def count_calls(way: str, base_url: str, calls: int) -> int:
    """Return the instructions of a process that makes so many calls."""
    settings = ("--way", way, "--base-url", base_url, "--calls", str(calls))
    return callgrind.count(__file__, *settings)


def compare(ways: Collection[str]) -> dict[str, float]:
    """Return the instructions of one call, each way."""
    jobs = [(way, calls) for way in ways for calls in (FEW, MANY)]
    with (
        running_stub(pinned=False) as base_url,
        ThreadPoolExecutor(callgrind.AT_ONCE) as pool,
    ):
        counted = pool.map(lambda job: count_calls(job[0], base_url, job[1]), jobs)
        found = dict(zip(jobs, counted, strict=True))
    return {way: (found[way, MANY] - found[way, FEW]) / (MANY - FEW) for way in ways}


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="count what is kept, and fail over it"
    )
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        asyncio.run(WAYS[options.way](options.base_url, options.calls))
        return
    if not callgrind.is_there():
        parser.exit(0, "valgrind is not installed: nothing was counted\n")
    found = compare(CHECKED if options.check else tuple(WAYS))
    print(f"{versions('aiohttp', 'attrs', 'cattrs', 'msgspec')}\n")
    ratios = {way: count / found["tuned"] for way, count in found.items()}
    lines = [[way, f"{found[way]:,.0f}", f"{ratios[way]:.3f}"] for way in found]
    print(table(("way", "instructions", "to tuned"), lines))
    over = [way for way in KEPT if ratios[way] > KEPT[way] * LEEWAY]
    if options.check and over:
        kept = ", ".join(f"{way} {ratios[way]:.3f} (kept: {KEPT[way]})" for way in over)
        parser.exit(1, f"over by more than 3 %: {kept}\n")


if __name__ == "__main__":
    main()
