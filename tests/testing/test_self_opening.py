"""A factory that its first call opens, and that closes with its loop."""

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from convergegate_async import CheckoutSessionFactory, ConfigurationError
from convergegate_async.testing import ThreadedSandbox, checkout_request
from convergegate_async.testing._self_opening import SelfOpeningFactory


@pytest.fixture(scope="module")
def threaded() -> Iterator[ThreadedSandbox]:
    """A gateway on a thread."""
    with ThreadedSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def factory(threaded: ThreadedSandbox) -> SelfOpeningFactory:
    """A factory that nobody has opened."""
    return SelfOpeningFactory(threaded.api_key, threaded.base_url)


def test_each_call_opens_it() -> None:
    """No endpoint that was added was forgotten."""
    calls = {
        name
        for name, member in vars(CheckoutSessionFactory).items()
        if inspect.iscoroutinefunction(member) and not name.startswith("_")
    }

    assert calls - {"aclose"} <= set(vars(SelfOpeningFactory))


def test_the_end_of_its_loop_closes_it(factory: SelfOpeningFactory) -> None:
    """Without a word of the test, and without a warning."""
    asyncio.run(factory.create(checkout_request()))

    assert "closed" in repr(factory)
    factory.life.end()  # nothing is left to do


def test_it_is_closed_on_a_loop_that_goes_on(factory: SelfOpeningFactory) -> None:
    """A session's loop serves more tests: what this one opened is closed now."""
    with asyncio.Runner() as runner:
        runner.run(factory.create(checkout_request()))
        factory.life.end()

        assert "closed" in repr(factory)


def test_one_that_was_not_called_leaves_nothing(factory: SelfOpeningFactory) -> None:
    """It was never opened."""
    factory.life.end()

    assert "unopened" in repr(factory)


async def test_it_is_left_to_a_loop_that_runs(factory: SelfOpeningFactory) -> None:
    """Nobody can wait for it there."""
    await factory.create(checkout_request())

    factory.life.end()

    assert "open," in repr(factory)


async def test_first_calls_open_it_once(factory: SelfOpeningFactory) -> None:
    """Views share what was opened, whichever was called first."""
    view = factory.with_options()

    await asyncio.gather(
        *(one.create(checkout_request()) for one in (view, factory, view))
    )

    with pytest.raises(ConfigurationError, match="a view is not opened"):
        await view.open()
    assert await factory.open() is factory
