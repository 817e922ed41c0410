"""A factory that needs no `async with`: a fixture does not know the loop of its test.

A fixture of pytest-asyncio runs on the loop that its own scope says, which may not be
that of the test, and in strict mode only where it is marked. So it is opened by the
first call, on whichever loop that is made.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from convergegate_async.factory import CheckoutSessionFactory, FactoryOptions

P = ParamSpec("P")
T = TypeVar("T")


class _Life:
    """Of a factory, from its first call to the end of its loop."""

    def __init__(self, factory: CheckoutSessionFactory) -> None:
        self.factory = factory
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: AsyncGenerator[None] | None = None

    async def begin(self) -> None:
        """Open the factory here, unless it is open."""
        async with self._opening:
            if self._held is None:
                self._loop, self._held = asyncio.get_running_loop(), self._hold()
                await anext(self._held)

    async def _hold(self) -> AsyncGenerator[None]:
        # Loops close the asynchronous generators that were begun on them.
        await CheckoutSessionFactory.open(self.factory)
        try:
            yield
        finally:
            await self.factory.aclose(drain=0)

    def end(self) -> None:
        """Close the factory, if its loop still can; else the loop has, or will."""
        if self._loop is None or self._loop.is_closed() or self._loop.is_running():
            return
        if self._held is not None:
            self._loop.run_until_complete(self._held.aclose())


def _opened_first(
    call: Callable[Concatenate[CheckoutSessionFactory, P], Awaitable[T]],
) -> Callable[Concatenate["SelfOpeningFactory", P], Coroutine[Any, Any, T]]:
    @wraps(call)
    async def opened(
        self: "SelfOpeningFactory", /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        await self.life.begin()
        return await call(self, *args, **kwargs)

    return opened


class SelfOpeningFactory(CheckoutSessionFactory):
    """A factory that its first call opens, and that the end of its loop closes.

    Attributes:
        life: Shared with its views.
    """

    def __init__(
        self, api_key: str, base_url: str, **options: Unpack[FactoryOptions]
    ) -> None:
        super().__init__(api_key, base_url, **options)
        self.life: _Life = _Life(self)

    async def open(self) -> Self:
        """Open it before its first call, for what asks whether it is open."""
        if self is not self.life.factory:
            return await super().open()  # which refuses: it is a view
        await self.life.begin()
        return self

    create = _opened_first(CheckoutSessionFactory.create)
    retrieve = _opened_first(CheckoutSessionFactory.retrieve)
    pay = _opened_first(CheckoutSessionFactory.pay)
    wait = _opened_first(CheckoutSessionFactory.wait)
    refund = _opened_first(CheckoutSessionFactory.refund)
    retrieve_refund = _opened_first(CheckoutSessionFactory.retrieve_refund)
