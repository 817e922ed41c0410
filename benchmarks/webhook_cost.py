"""Time of trusting a webhook of 1 KiB, beside the one HMAC that nobody can save.

All parts take turns in one process, round by round, and a part's time is the mean of
its round. Read the ratio, which is formed within a round: times depend on the day.
Goal: `verify` in 5 µs.
"""

import argparse
import hmac
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from platform import python_version

from harness.delivery import NOW, SECRET, delivery
from harness.figures import table
from multidict import CIMultiDict, CIMultiDictProxy

from convergegate_async._core.signatures import (
    check_signature,
    read_event,
    read_headers,
    sign_hex,
)
from convergegate_async.webhooks import WebhookVerifier

Part = Callable[[], object]


def parts() -> dict[str, Part]:
    """Return what is measured, the floor first."""
    body, headers = delivery()
    asgi = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    ours = CIMultiDictProxy(CIMultiDict(headers))
    timestamp = headers["Sec-Timestamp"].encode()
    signature = headers["Sec-Signature"].encode()
    key = sha256(SECRET.encode()).digest()
    message = timestamp + body
    verifier = WebhookVerifier(SECRET)
    return {
        "HMAC alone": lambda: hmac.digest(key, message, "sha256"),
        "reading the headers": lambda: read_headers(asgi),
        "checking the signature": lambda: check_signature(
            [key], timestamp, signature, body, sign_hex
        ),
        "json.loads alone": lambda: json.loads(body),
        "reading the event": lambda: read_event(body),
        "verify, ASGI headers": lambda: verifier.verify(body, asgi, NOW),
        "verify, aiohttp headers": lambda: verifier.verify(body, ours, NOW),
        "verify, dict of headers": lambda: verifier.verify(body, headers, NOW),
    }


def measure(part: Part, calls: int) -> float:
    """Return the microseconds of one call, over *calls* of them."""
    started = time.perf_counter_ns()
    for _ in range(calls):
        part()
    return (time.perf_counter_ns() - started) / calls / 1e3


def line(name: str, taken: Sequence[float], floor: Sequence[float]) -> list[str]:
    """Return a line of the table; the ratio is to the floor of the same round."""
    low, *_, high = statistics.quantiles(taken, n=10)
    ratio = statistics.median(
        mine / least for mine, least in zip(taken, floor, strict=True)
    )
    return [
        name,
        f"{statistics.median(taken):.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{ratio:.2f}",
    ]


def main() -> None:
    """Print a line for every part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    measured = parts()
    body, headers = delivery()
    for part in measured.values():
        measure(part, options.calls)
    rounds = [
        [measure(part, options.calls) for part in measured.values()]
        for _ in range(options.rounds)
    ]

    print(
        f"Python {python_version()} on {sys.platform}, "
        f"{len(body):,} bytes, {len(headers)} headers\n"
    )
    columns = list(zip(*rounds, strict=True))
    lines = [
        line(name, taken, floor=columns[0])
        for name, taken in zip(measured, columns, strict=True)
    ]
    print(table(("part", "median, µs", "p10 to p90", "ratio"), lines))


if __name__ == "__main__":
    main()
