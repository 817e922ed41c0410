"""How the event loop has something done in the journal's thread."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Order(Protocol):
    """Has *work* done in the order of all orders, and durably if it writes."""

    def __call__(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """Return what is done once *work* is, with what it returned."""
