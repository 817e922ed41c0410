"""A burst of calls over TLS while no connection is open: how long the loop stalls.

All callers come at once, with a pool that has room for each of them. While they wait
another task sleeps for a millisecond again and again: the most it oversleeps is what
whoever else lives in the loop has to bear. The ways take turns, round by round. Goals
for 256: at most 30 ms, and all answered within 250 ms.
"""

import argparse
import asyncio
import ssl
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import aiohttp
import attrs
import trustme
from harness.calls import KEY, by_factory, tuned, tuned_session
from harness.figures import table, versions
from harness.stub import running_stub
from harness.workers import Call

from convergegate_async import CheckoutSessionFactory, PoolLimits

Opened: TypeAlias = Callable[
    [str, ssl.SSLContext, int], AbstractAsyncContextManager[Call]
]


@attrs.frozen
class Burst:
    """What one burst took, in seconds.

    Attributes:
        lag: By how much another task overslept at most.
        whole: Until the last caller had its answer.
    """

    lag: float
    whole: float


@asynccontextmanager
async def factory(
    base_url: str, trusting: ssl.SSLContext, callers: int
) -> AsyncIterator[Call]:
    """Open a factory."""
    pool = PoolLimits(limit=callers)
    async with CheckoutSessionFactory(KEY, base_url, pool=pool, ssl=trusting) as one:
        yield by_factory(one)


@asynccontextmanager
async def tuned_aiohttp(
    base_url: str, trusting: ssl.SSLContext, callers: int
) -> AsyncIterator[Call]:
    """Open a session as somebody sets it up who has measured."""
    connector = aiohttp.TCPConnector(limit=callers, ssl=trusting)
    async with tuned_session(connector) as session:
        yield tuned(session, base_url)


WAYS: dict[str, Opened] = {"factory": factory, "aiohttp, tuned": tuned_aiohttp}


async def oversleep(most: list[float]) -> None:
    """Note in *most* by how much a sleep was too long, at most."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        most[0] = max(most[0], time.perf_counter() - started - 0.001)


async def burst(
    way: Opened, base_url: str, trusting: ssl.SSLContext, callers: int
) -> Burst:
    """Let all callers come at once, and return what it took."""
    async with way(base_url, trusting, callers) as call:
        most = [0.0]
        watch = asyncio.create_task(oversleep(most))
        await asyncio.sleep(0)
        started = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(callers)))
        whole = time.perf_counter() - started
        watch.cancel()
    return Burst(most[0], whole)


def shown(name: str, bursts: list[Burst]) -> list[str]:
    """Return a line of the table: medians, and the best and the worst."""
    cells = [name]
    for field in ("lag", "whole"):
        figures = [getattr(one, field) * 1e3 for one in bursts]
        middle = statistics.median(figures)
        cells.append(f"{middle:.0f} ({min(figures):.0f} to {max(figures):.0f})")
    return cells


def main() -> None:
    """Let bursts come in turn, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "certificate.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(file)
        with running_stub(certificate=file) as base_url:
            taken: dict[str, list[Burst]] = {name: [] for name in WAYS}
            for _ in range(options.rounds):
                for name, way in WAYS.items():
                    one = burst(way, base_url, trusting, options.callers)
                    taken[name].append(asyncio.run(one))
    print(f"{options.callers} callers at once, {versions('aiohttp')}\n")
    head = ("way", "the loop stalls, ms", "all answered after, ms")
    print(table(head, [shown(*each) for each in taken.items()]))


if __name__ == "__main__":
    main()
