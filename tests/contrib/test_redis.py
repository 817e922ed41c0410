"""Claims in a real Redis, between real processes that die."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import claiming_worker
import pytest
from claiming_worker import BODY, SECRET
from harness.redis_server import REDIS_SERVER, running_redis
from redis.asyncio import Redis
from webhook_claims import run

from convergegate_async import CheckoutSessionFactory, WebhookEvent, sign
from convergegate_async.contrib.redis import RedisClaims
from convergegate_async.webhooks import Claim, WebhookReceiver, WebhookVerifier

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(REDIS_SERVER is None, reason="needs redis-server"),
]


@pytest.fixture
def socket() -> Iterator[str]:
    """A Redis of this test."""
    with running_redis() as path:
        yield path


@pytest.fixture
async def client(socket: str) -> AsyncIterator[Redis]:
    """A client of it."""
    async with Redis(unix_socket_path=socket) as client:
        yield client


@contextmanager
def worker_at_work(socket: str, seconds: float) -> "Iterator[subprocess.Popen[str]]":
    """Start a worker, and wait until its handler has begun."""
    with subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, claiming_worker.__file__, socket, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None:
            raise AssertionError
        try:
            assert process.stdout.readline() == "evt_1\n"
            yield process
        finally:
            process.kill()


class Worker:
    """A second worker of the shop, in this process."""

    def __init__(self, client: Redis) -> None:
        self.heard: list[str] = []
        self._receiver = WebhookReceiver(
            WebhookVerifier(SECRET), self._hear, claims=RedisClaims(client)
        )

    async def deliver(self) -> int:
        """Take a delivery of the event, and return the status of the answer."""
        headers = sign(BODY, secret=SECRET, timestamp=int(time.time()))
        async with CheckoutSessionFactory(SECRET, "http://127.0.0.1:9") as checkout:
            return (await self._receiver.receive(BODY, headers, checkout)).status

    async def _hear(self, event: WebhookEvent, _: CheckoutSessionFactory) -> None:
        self.heard.append(event.id)


async def test_an_event_whose_worker_was_killed_is_handled(
    socket: str, client: Redis
) -> None:
    """After kill -9 others are told to come again; when the lease is over, one acts."""
    worker = Worker(client)
    with worker_at_work(socket, seconds=60) as process:
        meanwhile = await worker.deliver()
        process.kill()
        process.wait()
        dead = await worker.deliver()
        (key,) = await client.keys()
        left = await client.pttl(key)
        await client.pexpire(key, 1)  # the rest of the lease goes by
        await asyncio.sleep(0.05)

    afterwards = [await worker.deliver() for _ in range(2)]

    assert (meanwhile, dead, afterwards) == (503, 503, [200, 200])
    assert 0 < left <= 90_000
    assert worker.heard == ["evt_1"]


async def test_a_handler_that_took_too_long_elsewhere_is_handled_here(
    socket: str, client: Redis
) -> None:
    """The other process answers 500 and gives the event back before its lease ends."""
    worker = Worker(client)
    with worker_at_work(socket, seconds=4) as process:
        output, _ = await asyncio.to_thread(process.communicate)

        status = await worker.deliver()

    assert output == "500\n"
    assert (status, worker.heard) == (200, ["evt_1"])


async def test_no_key_is_left_for_ever(client: Redis) -> None:
    """Leases and what is done run out in Redis itself, under a prefix."""
    claims = RedisClaims(client, prefix="shop:")

    await claims.claim("evt_1", "a", 15.0004)
    await claims.complete("evt_2", "a", 608_700)

    names = sorted(await client.keys())
    left = [await client.pttl(name) for name in names]
    assert names == [b"shop:evt_1", b"shop:evt_2"]
    assert 0 < left[0] <= 15_001
    assert 600_000_000 < left[1] <= 608_700_000


async def test_a_redis_that_is_full_refuses_claims(client: Redis) -> None:
    """Under ``noeviction`` a claim fails, and what is held can be given back."""
    claims = RedisClaims(client)
    await claims.claim("evt_1", "a", 60)
    await client.config_set("maxmemory", "1")

    with pytest.raises(Exception, match="maxmemory"):
        await claims.claim("evt_2", "a", 60)
    await claims.release("evt_1", "a")

    await client.config_set("maxmemory", "0")
    assert await claims.claim("evt_1", "b", 60) is Claim.MINE


async def test_a_redis_that_forgot_the_scripts_is_taught_them_again(
    client: Redis,
) -> None:
    """After a restart or ``SCRIPT FLUSH`` claims go on."""
    claims = RedisClaims(client)
    await claims.claim("evt_1", "a", 60)
    await client.script_flush()

    assert await claims.claim("evt_1", "b", 60) is Claim.BUSY


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_workers_that_die_lose_no_event() -> None:
    """A short run of ``benchmarks/webhook_claims.py``, judged by what handlers did."""
    verdict = await run(events=100, seconds=4, restarts=1, seed=3)

    assert verdict.never == []
    assert verdict.overlaps == []
    assert verdict.handlers >= 100


def test_the_redis_extra_is_not_asked_for_by_the_package() -> None:
    """Webhooks without Redis import none of it."""
    program = (
        "import sys, convergegate_async.webhooks; assert 'redis' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 -- our own program

    assert done.returncode == 0
