"""What becomes of callers where one answer in a hundred is given twice, too late.

The second answer waits until its connection carries another request, and comes in front
of that one's own answer, which follows up to 5 ms later: the worst moment, as one that
comes to an idle connection is noticed before anything is sent. It is whole, or bare (an
id and a status), or a refusal. Customers buy different things, or all the same (twins).
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from weakref import WeakKeyDictionary

import attrs
from harness.faulty import Connection, an_order, answer, running_gateway, session_of
from harness.figures import table
from harness.workers import share

from convergegate_async import (
    ApiError,
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    RetryPolicy,
)

LATE_SHARE = 0.01
LONGEST_DELAY = 0.005  # seconds
POLICY = RetryPolicy(base_delay=0.001)
REFUSAL = {"error": {"type": "invalid_request_error", "message": "no"}}


class Second(StrEnum):
    """What the second answer looks like."""

    WHOLE = "whole"
    BARE = "bare"
    REFUSAL = "a late 4xx"


class Fate(StrEnum):
    """What a caller was told."""

    OWN = "own"
    ANOTHERS = "another's"
    UNKNOWN = "unknown"
    REFUSED = "refused, though opened"


@attrs.frozen
class Lateness:
    """What came of all calls, and how many second answers they met."""

    second: Second
    twins: bool
    met: int
    fates: Counter[str]

    @property
    def is_kept(self) -> bool:
        """Nobody has another's session, and what can be told apart was."""
        refused = 0 if self.second is Second.REFUSAL else self.fates[Fate.REFUSED]
        return self.fates[Fate.ANOTHERS] + refused == 0


class LateGateway:
    """Opens sessions, shows them, and says something again when it is too late."""

    def __init__(self, second: Second) -> None:
        self.met = 0
        self._second = second
        self._opened: dict[str, bytes] = {}
        self._held: WeakKeyDictionary[Connection, bytes] = WeakKeyDictionary()

    def reply(self, connection: Connection, key: bytes, form: dict[str, str]) -> None:
        """Answer, after what the connection still owes of the last request."""
        whole = self._answer(connection, key, form)
        late = self._held.pop(connection, None)
        if late is None:
            connection.say(whole)
        else:
            self.met += 1
            connection.say(late)
            delay = connection.gateway.dice.uniform(0, LONGEST_DELAY)
            asyncio.get_running_loop().call_later(delay, connection.say, whole)
        if key and connection.gateway.dice.random() < LATE_SHARE:
            self._held[connection] = self._again(key, whole)

    def _answer(
        self, connection: Connection, key: bytes, form: dict[str, str]
    ) -> bytes:
        if not key:
            session_id = connection.target.rpartition("/")[2]
            return self._opened.get(session_id) or answer(REFUSAL, "404 Not Found")
        return self._opened.setdefault(f"cs_{key.decode()}", session_of(key, form))

    def _again(self, key: bytes, whole: bytes) -> bytes:
        match self._second:
            case Second.WHOLE:
                return whole
            case Second.BARE:
                return answer({"id": f"cs_{key.decode()}", "status": "open"})
            case Second.REFUSAL:
                return answer(REFUSAL, "400 Bad Request")


async def be_late(
    second: Second, *, twins: bool, calls: int, concurrency: int = 32
) -> Lateness:
    """Make so many calls, each for another customer or all for *twins*."""
    late = LateGateway(second)
    fates: Counter[str] = Counter()
    async with (
        running_gateway(late.reply) as gateway,
        CheckoutSessionFactory("sk_test_x", gateway.base_url, retry=POLICY) as checkout,
    ):

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                order = an_order("1" if twins else str(number))
                fates[await _fate(checkout, order, f"order-{number}")] += 1

        await share(range(calls), work, concurrency)
    return Lateness(second, twins, late.met, fates)


async def _fate(
    checkout: CheckoutSessionFactory, order: CheckoutSessionRequest, key: str
) -> str:
    try:
        session = await checkout.create(order, idempotency_key=key)
    except ApiError:
        return Fate.REFUSED  # this gateway refuses nothing
    except CallError as error:
        return error.outcome
    return Fate.OWN if session.id == f"cs_{key}" else Fate.ANOTHERS


def line(result: Lateness) -> list[str]:
    """Return a line of the table."""
    customers = "all the same" if result.twins else "different"
    fates = [f"{result.fates[fate]:,}" for fate in Fate]
    return [result.second, customers, f"{result.met:,}", *fates]


def main() -> None:
    """Print a line for each shape, and each kind of customers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    options = parser.parse_args()
    results = [
        asyncio.run(be_late(second, twins=twins, calls=options.calls))
        for second in Second
        for twins in (False, True)
    ]
    head = ("second answer", "purchases", "met", *Fate)
    print(table(head, map(line, results), words=2))
    raise SystemExit(not all(result.is_kept for result in results))


if __name__ == "__main__":
    main()
