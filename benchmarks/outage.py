"""What callers feel of an outage, and how soon they are back to normal after it.

Calls start at a steady rate, whatever became of the earlier ones. For a while the
gateway refuses connections, or resets them once it has read a request, or takes
requests and says nothing.
"""

import argparse
import asyncio
import time
from collections import Counter
from enum import StrEnum, auto

import attrs
from harness.faulty import (
    Connection,
    FaultyGateway,
    an_order,
    reset,
    running_gateway,
    session_of,
)
from harness.figures import table

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    Timeouts,
)

DEADLINE = 1.5  # seconds
NORMAL = 0.5  # seconds that a healthy call may take on a noisy machine
WINDOW = 50  # calls in a row that have to be normal
HEAD = ("gateway", "longest call, s", "back to normal after, s", "calls during it")


class Trouble(StrEnum):
    """How the gateway is out."""

    REFUSES = auto()
    RESETS = auto()
    SILENT = auto()


class TroubledGateway:
    """Opens sessions, but for the time in which it is out."""

    def __init__(self, trouble: Trouble) -> None:
        self.is_out = False
        self._trouble = trouble

    def reply(self, connection: Connection, key: bytes, form: dict[str, str]) -> None:
        """Answer; or reset the connection, or say nothing."""
        if not self.is_out:
            connection.say(session_of(key, form))
        elif self._trouble is Trouble.RESETS:
            reset(connection.transport)

    async def turn(self, gateway: FaultyGateway) -> None:
        """Go out, or come back."""
        self.is_out = not self.is_out
        if self._trouble is Trouble.REFUSES:
            await (gateway.close() if self.is_out else gateway.open())


@attrs.frozen
class Outage:
    """What callers felt.

    Attributes:
        longest: Seconds that the longest call took.
        recovery: Seconds from the end of the outage to the start of the first of
            `WINDOW` normal calls in a row.
        outcomes: What the calls of the outage came to.
    """

    longest: float
    recovery: float
    outcomes: Counter[str]


async def suffer(
    trouble: Trouble,
    *,
    seconds: float,
    rate: float,
    calm: float = 3.0,
) -> Outage:
    """Go through an outage of so many *seconds* at *rate* calls a second."""
    troubled = TroubledGateway(trouble)
    calls: list[tuple[float, float, str]] = []
    timeouts = Timeouts(total=DEADLINE, attempt=1.0, connect=0.5)

    async def call(checkout: CheckoutSessionFactory) -> None:
        begun = time.perf_counter()
        try:
            await checkout.create(an_order("1"))
            outcome = "done"
        except CallError as error:
            outcome = error.outcome
        calls.append((begun, time.perf_counter() - begun, outcome))

    async with (
        running_gateway(troubled.reply) as gateway,
        CheckoutSessionFactory(
            "sk_test_x", gateway.base_url, timeouts=timeouts
        ) as checkout,
        asyncio.TaskGroup() as running,
    ):
        started = time.perf_counter()
        ended = started + calm + seconds
        number = 0
        while (now := time.perf_counter()) < ended + calm + 2 * DEADLINE:
            if troubled.is_out is not (started + calm <= now < ended):
                await troubled.turn(gateway)
            while started + number / rate <= now:
                running.create_task(call(checkout))
                number += 1
            await asyncio.sleep(0.001)
    calls.sort()
    return Outage(
        longest=max(taken for _, taken, _ in calls),
        recovery=_back_to_normal(calls, ended) - ended,
        outcomes=Counter(
            outcome for begun, _, outcome in calls if started + calm <= begun < ended
        ),
    )


def _back_to_normal(calls: list[tuple[float, float, str]], ended: float) -> float:
    after = [one for one in calls if one[0] >= ended]
    for first in range(len(after) - WINDOW):
        window = after[first : first + WINDOW]
        if all(outcome == "done" and taken <= NORMAL for _, taken, outcome in window):
            return window[0][0]
    return float("inf")


def line(trouble: Trouble, outage: Outage) -> list[str]:
    """Return a line of the table."""
    return [
        trouble,
        f"{outage.longest:.3f}",
        f"{outage.recovery:.2f}",
        ", ".join(f"{name} {count:,}" for name, count in outage.outcomes.items()),
    ]


def main() -> None:
    """Print a line for each kind of outage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=200.0)
    options = parser.parse_args()
    print(
        f"deadline {DEADLINE} s, {options.rate:.0f} calls/s, {options.seconds:.0f} s\n"
    )
    lines = [
        line(
            trouble,
            asyncio.run(suffer(trouble, seconds=options.seconds, rate=options.rate)),
        )
        for trouble in Trouble
    ]
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
