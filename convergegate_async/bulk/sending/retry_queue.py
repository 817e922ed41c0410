"""Rows that came back, and whose turn it is: a queue without a clock."""

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

FIRST_GAP = 16
_LAST_GAP = 2**20


class RetryQueue(Generic[T]):
    """What is taken up again, once so many others have had their turn.

    What comes back again and again lets twice as many others pass each time, so that a
    few rows that are always refused hold up nobody.
    """

    def __init__(self) -> None:
        self._turns = 0
        self._waiting: list[tuple[int, int, T]] = []
        self._number = 0  # heaps compare no items

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        return (item for *_, item in sorted(self._waiting, key=lambda one: one[:2]))

    def put(self, item: T, times: int) -> None:
        """Have *item* wait, which came back so many *times* before."""
        gap = min(FIRST_GAP * 2 ** min(times, 20), _LAST_GAP)
        self._number += 1
        heapq.heappush(self._waiting, (self._turns + gap, self._number, item))

    def take_due(self) -> T | None:
        """Return what has waited long enough, and count its turn or that of another."""
        self._turns += 1
        if self._waiting and self._waiting[0][0] <= self._turns:
            return self.take_next()
        return None

    def take_next(self) -> T | None:
        """Return what would be due next, if anything waits."""
        return heapq.heappop(self._waiting)[2] if self._waiting else None
