"""A loop is closed under a call: what a collector then ends raises nothing."""

import asyncio
import gc
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, CoroutineType
from typing import Any, TypeAlias

import pytest
from canaries import KEY, leaked
from matrix import AMPLE, OPERATIONS, call, captured_logs
from raw import Handler, RawServer, http, says

import convergegate_async
from convergegate_async import CheckoutSessionFactory, PoolLimits, RetryPolicy, Timeouts

PACKAGE = str(Path(convergegate_async.__file__).parent)
BUSY = http(b"", "429 Too Many Requests", b"Retry-After: 9\r\n")
POINTS: dict[str, tuple[Handler, tuple[str, ...]]] = {
    "head": (says(stays=True), ("read",)),
    "body": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", stays=True),
        ("read_body",),
    ),
    "slot": (says(stays=True), ("read", "acquire")),
    "pause": (says(BUSY, stays=True), ("_sleep",)),
}
"""Where calls wait: what the server does, and for each a function under way then."""

Coroutine: TypeAlias = "CoroutineType[Any, Any, Any]"


def coroutines_of(task: "asyncio.Task[object]") -> list[Coroutine]:
    """Return the coroutines that *task* consists of, the outermost first."""
    found: list[Coroutine] = []
    coroutine: object = task.get_coro()
    while isinstance(coroutine, CoroutineType):
        found.append(coroutine)
        coroutine = coroutine.cr_await
    return found


@contextmanager
def unraisable() -> Iterator[list[tuple[bool, str]]]:
    """Collect what is raised where nobody can catch it, and whether it is ours."""
    raised: list[tuple[bool, str]] = []

    def note(what: "sys.UnraisableHookArgs") -> None:
        shown = traceback.TracebackException(
            what.exc_type,
            what.exc_value or what.exc_type(),
            what.exc_traceback,
            capture_locals=True,
        )
        raised.append((_is_ours(what.object), "".join(shown.format())))

    before, sys.unraisablehook = sys.unraisablehook, note
    try:
        yield raised
    finally:
        sys.unraisablehook = before


async def start(
    operation: str, point: str
) -> "tuple[RawServer, CheckoutSessionFactory, list[asyncio.Task[object]]]":
    """Make calls that wait at *point*, and leave all of it as it is."""
    fault, functions = POINTS[point]
    server = await RawServer(fault).__aenter__()
    checkout = await CheckoutSessionFactory(
        KEY,
        server.base_url,
        pool=PoolLimits(limit=1),
        retry=RetryPolicy(max_attempts=2),
        timeouts=Timeouts(attempt=AMPLE, connect=AMPLE),
    ).open()
    calls: list[asyncio.Task[object]] = []
    for function in functions:
        calls.append(asyncio.create_task(call(checkout, operation)))
        while function not in [one.__name__ for one in coroutines_of(calls[-1])]:
            assert not calls[-1].done()
            await asyncio.sleep(0.001)
    return server, checkout, calls


def collect(operation: str, point: str, place: int) -> int:
    """Close the loop of a call, end our coroutine at *place*, then all the others.

    Returns:
        How many there are.
    """
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(start(operation, point))
    loop.close()
    parts = [one for task in held[2] for one in coroutines_of(task) if _is_ours(one)]
    parts[place].close()
    count = len(parts)
    del held, parts, loop
    gc.collect()
    return count


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("point", POINTS)
def test_a_closed_loop_leaves_nothing_to_raise(point: str, operation: str) -> None:
    """In whichever order a collector ends them, our coroutines raise nothing at all.

    aiohttp's and those of the test's server may; what they show holds no canary.
    """
    with captured_logs() as log, unraisable() as raised:
        count = collect(operation, point, 0)
        for place in range(1, count):
            collect(operation, point, place)

    assert count
    assert [text for is_ours, text in raised if is_ours] == []
    assert leaked("\n".join(text for _, text in raised)) == []
    assert leaked(log.getvalue()) == []


def _is_ours(thing: object) -> bool:
    code = getattr(thing, "cr_code", None) or getattr(thing, "__code__", None)
    return isinstance(code, CodeType) and PACKAGE in code.co_filename
