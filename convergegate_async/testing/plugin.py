"""The pytest plugin: its fixtures import what they need when they are asked for.

pytest imports this module in every project of an environment that has the package, so
it imports nothing but pytest.
"""

# ruff: noqa: PLC0415 -- that is the point

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aioresponses import aioresponses

    from convergegate_async import CheckoutSessionFactory, EventType
    from convergegate_async.sandbox import Delivery

    from . import Advance, Delivered, FailNext, ThreadedSandbox


@pytest.fixture(scope="session")
def convergegate_server() -> "Iterator[ThreadedSandbox]":
    """The gateway of all tests, on a thread. Define your own for other options."""
    from . import ThreadedSandbox

    with ThreadedSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def convergegate_sandbox(convergegate_server: "ThreadedSandbox") -> "ThreadedSandbox":
    """A gateway that knows nothing of other tests."""
    convergegate_server.reset()
    return convergegate_server


@pytest.fixture
def checkout(
    convergegate_sandbox: "ThreadedSandbox",
) -> "Iterator[CheckoutSessionFactory]":
    """A factory on that gateway, opened by its first call on the loop of that call."""
    from ._self_opening import SelfOpeningFactory

    sandbox = convergegate_sandbox
    factory = SelfOpeningFactory(
        sandbox.api_key, sandbox.base_url, runtime=sandbox.runtime()
    )
    yield factory
    factory.life.end()


@pytest.fixture
def fail_next(convergegate_sandbox: "ThreadedSandbox") -> "FailNext":
    """Lets the next request meet a fault: `ThreadedSandbox.fail_next`."""
    return convergegate_sandbox.fail_next


@pytest.fixture
def advance(convergegate_sandbox: "ThreadedSandbox") -> "Advance":
    """Lets time pass, and is awaited: `ThreadedSandbox.advance`."""
    from asyncio import sleep

    async def advance(seconds: float) -> None:
        await sleep(0)  # calls in tasks that were just created begin before
        await convergegate_sandbox.elapse(seconds)

    return advance


@pytest.fixture
def delivered(convergegate_sandbox: "ThreadedSandbox") -> "Delivered":
    """Returns an event's webhook, and is awaited: `ThreadedSandbox.delivered`."""
    from ._threaded import acknowledged, check_event

    async def delivered(
        event: "EventType | str", session_id: str | None = None
    ) -> "Delivery":
        check_event(event)
        await convergegate_sandbox.elapse(0)
        return acknowledged(event, session_id, convergegate_sandbox.deliveries())

    return delivered


@pytest.fixture
def mocked_aiohttp(request: pytest.FixtureRequest) -> "Iterator[aioresponses]":
    """What answers in the place of a gateway: needs aioresponses, and sends nothing.

    In a test that asks for `checkout` or `convergegate_sandbox` as well, the sandbox is
    called all the same.
    """
    from . import mocked_aiohttp

    called = []
    if "convergegate_sandbox" in request.fixturenames:
        called.append(request.getfixturevalue("convergegate_sandbox").base_url)
    with mocked_aiohttp(passthrough=called) as gateway:
        yield gateway
