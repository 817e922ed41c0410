"""Orders to the journal's thread, and which of them are carried out together."""

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
        about: The one row that it reads and changes; `None` if it may be any.
        done_together: It was carried out with others, at once.
    """

    work: Callable[[], T]
    waiter: asyncio.Future[T]
    about: Intent | RowResult | None = None
    done_together: bool = False
    result: Any = None
    error: JournalError | None = None

    def carry_out(self) -> None:
        """Do it, in the thread."""
        if self.done_together:
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
    """Return the intents that can be carried out at once, before all *orders*.

    Workers order a result and an intent in turn. It ends at what may be about any row,
    or about one that has a result before it: so nobody sees that the order was changed.
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
