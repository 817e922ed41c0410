"""What a crowd of idle connections takes from a sandbox, and from the shop beside it.

A sandbox in a process of its own is called by a shop: first alone, then beside so many
connections of strangers that say nothing or half a request, and again once the sandbox
has closed those. Its patience is short here. The figures are calls a second, the most
that one took, and the memory of the sandbox. It needs Linux and two file descriptors a
connection; both processes take as many as they may.
"""

import argparse
import asyncio
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from harness.calls import order
from harness.figures import table, versions

from convergegate_async import CheckoutSessionFactory
from convergegate_async.policy import Timeouts

KEY = "sk_test_sandbox"
SERVE = """
import asyncio, sys
from convergegate_async.sandbox import Sandbox

async def main():
    async with Sandbox(patience=float(sys.argv[1])) as sandbox:
        print(sandbox.base_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
HALF = b"POST /v1/refunds HTTP/1.1\r\nHost: localhost\r\n"


@attrs.frozen
class Service:
    """What the shop got.

    Attributes:
        rate: Calls a second, one after the other.
        worst: Seconds that one took.
        memory: MiB that the sandbox holds.
    """

    rate: float
    worst: float
    memory: float

    def cells(self) -> tuple[str, str, str]:
        """Return it as a table has it."""
        return f"{self.rate:,.0f}", f"{self.worst * 1e3:,.1f}", f"{self.memory:,.0f}"


def memory_of(pid: int) -> float:
    """Return the resident MiB of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def served(base_url: str, pid: int, calls: int) -> Service:
    """Make so many calls as a shop."""
    took: list[float] = []
    async with CheckoutSessionFactory(
        KEY, base_url, timeouts=Timeouts(total=120, attempt=60, connect=50)
    ) as checkout:
        for _ in range(calls):
            start = time.perf_counter()
            await checkout.create(order())
            took.append(time.perf_counter() - start)
    return Service(calls / sum(took), max(took), memory_of(pid))


async def crowd(base_url: str, size: int) -> list[asyncio.StreamWriter]:
    """Open connections, and say nothing or half a request on each."""
    parts = urlsplit(base_url)
    writers: list[asyncio.StreamWriter] = []
    for number in range(size):
        with suppress(OSError):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            if number % 2:
                writer.write(HALF)
            writers.append(writer)
    return writers


async def main(size: int, calls: int, patience: float) -> None:
    """Print the table."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, str(patience)), stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise AssertionError
    base_url = (await process.stdout.readline()).decode().strip()
    try:
        rows = {"alone": await served(base_url, process.pid, calls)}
        writers = await crowd(base_url, size)
        rows[f"beside {len(writers):,}"] = await served(base_url, process.pid, calls)
        await asyncio.sleep(patience + 1)
        for writer in writers:
            writer.close()
        rows["after them"] = await served(base_url, process.pid, calls)
    finally:
        process.terminate()
        await process.wait()
    print(versions("aiohttp"))
    print(
        table(
            ["the shop", "calls/s", "worst ms", "sandbox MiB"],
            [[name, *one.cells()] for name, one in rows.items()],
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--patience", type=float, default=10.0, help="seconds")
    given = parser.parse_args()
    asyncio.run(main(given.connections, given.calls, given.patience))
