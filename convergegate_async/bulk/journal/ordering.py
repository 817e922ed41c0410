"""How the event loop has something done in the journal's thread."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import attrs

from .records import JournalError

T = TypeVar("T")


class Order(Protocol):
    """Has *work* done in the order of all orders, and durably if it writes."""

    def __call__(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """Return what is done once *work* is, with what it returned."""


@attrs.define(eq=False)
class Ordered(Generic[T]):
    """Something that the thread is to do, and who waits for it."""

    work: Callable[[], T]
    waiter: asyncio.Future[T]
    result: Any = None
    error: JournalError | None = None

    def carry_out(self) -> None:
        """Do it, in the thread."""
        try:
            self.result = self.work()
        except JournalError as error:  # refused alone, without a change
            self.error = error

    def tell(self) -> None:
        """Wake the one who waits, in the loop's thread."""
        if self.waiter.done():
            return
        if self.error is None:
            self.waiter.set_result(self.result)
        else:
            self.waiter.set_exception(self.error)
