"""What the event loop has done in the journal's thread, and what of it together."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import attrs

from .records import Intent, JournalError, RowResult

T = TypeVar("T")


class Order(Protocol):
    """Has *work* done in the order of all orders, and durably if it writes."""

    def __call__(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """Return what is done once *work* is, with what it returned."""


@attrs.define(eq=False)
class Ordered(Generic[T]):
    """Something that the thread is to do, and who waits for it.

    Attributes:
        about: The row that alone is read and changed; `None` if others may be.
        is_done: Done together with others.
    """

    work: Callable[[], T]
    waiter: asyncio.Future[T]
    about: Intent | RowResult | None = None
    is_done: bool = False
    result: Any = None
    error: JournalError | None = None

    def carry_out(self) -> None:
        """Do it, in the thread."""
        if self.is_done:
            return
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


def first_intents(
    orders: Iterable[Ordered[object]],
) -> list[tuple[Ordered[object], Intent]]:
    """Return the intents that may as well be carried out before the rest of *orders*.

    Between them are results of other rows, as workers order one of each in turn, and
    nothing else: so that nobody sees another order than that of *orders*.
    """
    found: list[tuple[Ordered[object], Intent]] = []
    completed: set[str] = set()
    for order in orders:
        about = order.about
        if about is None or about.row_id in completed:
            break
        if isinstance(about, Intent):
            found.append((order, about))
        else:
            completed.add(about.row_id)
    return found
