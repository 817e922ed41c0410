"""What each layer of a `create` costs, and all of our own work: all but aiohttp.

All parts take turns in one process, round by round. The whole is `create` over a
transport that answers at once; what is left when its parts are taken away is the
account of the call, its deadline and its way through the factory. Retry is the
difference between sending with it and a bare attempt. Read the ratios to the whole.
Goals: the whole 20 µs, retry 1 µs, encoding and decoding together 10 µs.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from platform import python_version
from urllib.parse import urlencode

import aiohttp
import msgspec
import tenacity
from harness.calls import FORM, KEY, order
from harness.delivery import NOW, SECRET, delivery
from harness.figures import spread, table, versions
from harness.instant import InstantTransport
from harness.stub import BODY
from harness.workers import Call as AwaitedCall

from convergegate_async import CheckoutSession, CheckoutSessionFactory
from convergegate_async._core.codec import encode_form, structure
from convergegate_async._core.idempotency import fresh_key
from convergegate_async._core.messages import build_request
from convergegate_async._core.operations import create_checkout_session
from convergegate_async._core.strict_json import decode_json
from convergegate_async.factory._call import Call
from convergegate_async.factory._caller import Caller
from convergegate_async.models import CallInfo
from convergegate_async.webhooks import WebhookVerifier

Part = Callable[[int], Awaitable[float]]
"""Takes how many calls to make, returns the CPU microseconds of each."""
Round = dict[str, float]

WHOLE = "create, all our own work"
REQUEST, KEY_ROLLED = "  request object of 13 fields", "  idempotency key"
ENCODED, DECODED = "  form", "  answer of 24 fields"
SENT, TRIED = "sending with retry", "sending once"
RETRY, BOTH, REST = "  retry, on success", "  form and answer together", "  the rest"


def plain(work: Callable[[], object]) -> Part:
    """Return the part that is a plain function."""

    async def part(calls: int) -> float:
        started = time.process_time_ns()
        for _ in range(calls):
            work()
        return (time.process_time_ns() - started) / calls / 1e3

    return part


def awaited(work: AwaitedCall) -> Part:
    """Return the part that is awaited, and never waits."""

    async def part(calls: int) -> float:
        started = time.process_time_ns()
        for _ in range(calls):
            await work()
        return (time.process_time_ns() - started) / calls / 1e3

    return part


def encoding() -> dict[str, Part]:
    """Return ways to write the form, ours first."""
    request, form = order(), dict(FORM)
    return {
        ENCODED: plain(lambda: encode_form(request)),
        "form by urlencode": plain(lambda: urlencode(form).encode()),
        "form by aiohttp.FormData": plain(lambda: _by_aiohttp(form)),
    }


def _by_aiohttp(form: dict[str, str]) -> object:
    return aiohttp.FormData(form)()


def decoding() -> dict[str, Part]:
    """Return ways to read the answer, ours first."""
    call = CallInfo()
    return {
        DECODED: plain(lambda: structure(CheckoutSession, _read(BODY), call)),
        "answer, decoded only": plain(lambda: decode_json(BODY)),
        "answer by msgspec": plain(lambda: msgspec.json.decode(BODY)),
        "answer by json": plain(lambda: json.loads(BODY)),
    }


def _read(body: bytes) -> dict[str, object]:
    raw = decode_json(body)
    if not isinstance(raw, dict):
        raise TypeError
    return raw


def retrying(caller: Caller) -> dict[str, Part]:
    """Return an attempt with our retry around it and without, and with tenacity's."""
    key = fresh_key(os.urandom(16))
    operation = create_checkout_session(
        order(), key=key, own_key=False, now=time.time()
    )
    # There is no public way to send without the factory around it.
    request = build_request(operation, caller.settings)
    call = Call(operation, request, 0.0, float("inf"), None)
    shared = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3))

    async def nothing() -> None:
        """Succeed."""

    return {
        SENT: awaited(lambda: caller._send(call)),  # noqa: SLF001
        TRIED: awaited(lambda: caller._attempt(call)),  # noqa: SLF001
        "tenacity, shared": awaited(lambda: shared(nothing)),
        "tenacity, .copy() per call": awaited(lambda: shared.copy()(nothing)),
    }


def parts(checkout: CheckoutSessionFactory) -> dict[str, Part]:
    """Return what is measured, the whole first."""
    body, headers = delivery()
    verifier = WebhookVerifier(SECRET)
    return {
        WHOLE: awaited(lambda: checkout.create(order())),
        REQUEST: plain(order),
        KEY_ROLLED: plain(lambda: fresh_key(os.urandom(16))),
        **encoding(),
        **decoding(),
        **retrying(checkout._caller),  # noqa: SLF001
        "webhook of 1 KiB": plain(lambda: verifier.verify(body, headers, NOW)),
    }


def reckoned(taken: Round) -> Round:
    """Return a round in the order of the table, with what follows from it."""
    serialization = taken[ENCODED] + taken[DECODED]
    retry = taken.pop(SENT) - taken.pop(TRIED)
    own = (taken[REQUEST], taken[KEY_ROLLED], serialization, retry)
    ordered = {
        WHOLE: taken[WHOLE],
        REQUEST: taken[REQUEST],
        KEY_ROLLED: taken[KEY_ROLLED],
        ENCODED: taken[ENCODED],
        DECODED: taken[DECODED],
        BOTH: serialization,
        RETRY: retry,
        REST: taken[WHOLE] - sum(own),
    }
    return ordered | {name: took for name, took in taken.items() if name not in ordered}


async def compare(rounds: int, calls: int) -> list[Round]:
    """Return what every part took, round by round."""
    async with CheckoutSessionFactory(
        KEY, "https://gateway.example", transport=InstantTransport()
    ) as checkout:
        measured = parts(checkout)
        for part in measured.values():
            await part(calls)
        return [
            reckoned({name: await part(calls) for name, part in measured.items()})
            for _ in range(rounds)
        ]


def main() -> None:
    """Print a line for every part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="2 at least")
    parser.add_argument("--calls", type=int, default=500, help="calls of a round")
    parser.add_argument("--quick", action="store_true", help="see that it works")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls = 3, 50
    rounds = asyncio.run(compare(options.rounds, options.calls))
    names = ("attrs", "cattrs", "tenacity", "aiohttp", "msgspec")
    print(f"Python {python_version()}, {versions(*names)}")
    print(f"{options.rounds} rounds of {options.calls:,} calls\n")
    lines = (
        [
            name,
            spread(taken[name] for taken in rounds),
            spread(taken[name] / taken[WHOLE] for taken in rounds),
        ]
        for name in rounds[0]
    )
    print(table(("part", "CPU, µs (p10 to p90)", "to the whole"), lines))


if __name__ == "__main__":
    main()
