"""Whether "not sent" is ever said of a request that the gateway saw.

Calls are cancelled, cut by deadlines and broken at random moments; the server's own
count of keys is the judge. Any line but zero in *wrong* is a defect.
"""

import argparse
import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
from harness.faulty import (
    Connection,
    FaultyGateway,
    an_order,
    answer,
    reset,
    running_gateway,
    session_of,
)
from harness.workers import share

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    Outcome,
    PoolLimits,
    RetryPolicy,
)

POLICY = RetryPolicy(max_attempts=2, base_delay=0.001, budget=1_000_000)

_PATIENCE = 0.0005, 0.002, 0.005, 0.02, 0.05, 2.0
"""Seconds; the last of them lets a busy machine see faults, and not only deadlines."""


@attrs.frozen
class Proofs:
    """What came of all calls.

    Attributes:
        outcomes: How often each was reported; ``cancelled`` names cancelled calls.
        wrong: The keys of calls reported "not sent" that the server saw all the same.
        unsure: How many of the calls reported "unknown" the server never saw.
        seconds: How long it took.
    """

    outcomes: Counter[str]
    wrong: Sequence[str]
    unsure: int
    seconds: float


def go_wrong(connection: Connection, key: bytes, form: dict[str, str]) -> None:
    """Answer half of the requests, at random, and do something odd to the others."""
    gateway, whole = connection.gateway, session_of(key, form)
    match gateway.dice.randrange(18):
        case 0:
            reset(connection.transport)
        case 1:
            connection.transport.close()
        case 2:
            connection.say(whole[: gateway.dice.randrange(1, len(whole))])
            connection.transport.close()
        case 3:
            connection.say(b"\x16\x03\x01 not http\r\n\r\n")
            connection.transport.close()
        case 4:
            pass  # silence: the deadline ends it
        case 5:
            connection.say(answer({"error": {"message": "later"}}, "503 Busy"))
        case 6:
            connection.say(answer({"error": {"message": "no"}}, "400 Bad Request"))
        case 7:
            connection.say(whole + answer({"id": "stray"}))
        case 8:
            connection.say(whole)
            connection.transport.close()
        case _:
            connection.say(whole)


class _Doubts(logging.Handler):
    """Remembers the keys that warnings name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.keys: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the key that the message ends with."""
        self.keys.add(record.getMessage().rpartition(" ")[2])


@contextmanager
def _doubted() -> Iterator[set[str]]:
    """Yield the keys that warnings name, as they come."""
    doubts, logger = _Doubts(), logging.getLogger("convergegate_async")
    logger.addHandler(doubts)
    try:
        yield doubts.keys
    finally:
        logger.removeHandler(doubts)


async def prove(calls: int, *, concurrency: int = 32, seed: int = 17) -> Proofs:
    """Make so many calls that go wrong; compare the reports with what was seen."""
    outcomes: Counter[str] = Counter()
    denied: list[str] = []
    unknown: list[str] = []
    started = time.perf_counter()
    with _doubted() as doubted:
        async with (
            running_gateway(go_wrong, seed) as gateway,
            CheckoutSessionFactory(
                "sk_test_x", gateway.base_url, retry=POLICY, pool=PoolLimits(limit=24)
            ) as checkout,
        ):

            async def work(numbers: Iterator[int]) -> None:
                for number in numbers:
                    key = f"call-{number}"
                    outcome = await _call(checkout, key, gateway)
                    outcomes[outcome] += 1
                    if outcome == Outcome.NOT_SENT:
                        denied.append(key)
                    elif outcome == Outcome.UNKNOWN:
                        unknown.append(key)
                    elif outcome == "cancelled" and key not in doubted:
                        denied.append(key)  # no warning: provably not under way

            await share(range(calls), work, concurrency)
        seen = gateway.seen
    return Proofs(
        outcomes=outcomes,
        wrong=[key for key in denied if key.encode() in seen],
        unsure=sum(key.encode() not in seen for key in unknown),
        seconds=time.perf_counter() - started,
    )


async def _call(
    checkout: CheckoutSessionFactory, key: str, gateway: FaultyGateway
) -> str:
    """Make one call, often cut short; return the outcome that the caller saw."""
    patience = gateway.dice.choice(_PATIENCE)
    create = checkout.create(an_order(key), idempotency_key=key, timeout=patience)
    task = asyncio.create_task(create)
    if gateway.dice.random() < 1 / 3:
        asyncio.get_running_loop().call_later(
            gateway.dice.uniform(0, 0.02), task.cancel
        )
    try:
        await task
    except CallError as error:
        return error.outcome
    except asyncio.CancelledError:
        return "cancelled"
    return "done"


def main() -> None:
    """Print what was reported, and whether any of it was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    loops = asyncio.new_event_loop
    if options.uvloop:
        import uvloop  # noqa: PLC0415 -- only where it is asked for

        loops = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loops) as runner:
        proofs = runner.run(prove(options.calls))
    counts = proofs.outcomes.most_common()
    print(", ".join(f"{outcome} {count:,}" for outcome, count in counts))
    print(f"unknown, and never seen by the server: {proofs.unsure:,}")
    print(f"not sent, and seen by the server (wrong): {len(proofs.wrong)}")
    print(f"{proofs.seconds:.0f} s")
    raise SystemExit(bool(proofs.wrong))


if __name__ == "__main__":
    main()
