"""Which rows, ids and numbers were met before, in little memory."""

from array import array
from collections import defaultdict

from .rows import Problem, Row


class Places:
    """Numbers the rows that are given, whatever file each is of and where in it.

    The problems of a row follow each other, and have one place.

    Attributes:
        count: The place of the last row, from 1.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self._last: Problem | None = None

    def take(self, row: Row | Problem) -> bool:
        """Count *row*, and say so, unless it is a further problem of the last one."""
        last, self._last = self._last, row if isinstance(row, Problem) else None
        is_same = (
            last is not None
            and self._last is not None
            and last.position == row.position
            and last.raw is row.raw  # or it is the row of another file
        )
        self.count += not is_same
        return not is_same


class Seen:
    """Remembers texts in some nine bytes each, where a `set` takes eighty.

    Two texts are taken for one with a chance of 1 in 370,000 for 10^7 of them, and
    with other ones in the next process.
    """

    def __init__(self) -> None:
        self._shelves: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))

    def before(self, text: str) -> bool:
        """Tell whether *text* was seen before; now it was."""
        mark = hash(text)
        shelf = self._shelves[mark % 2**16]
        if mark in shelf:
            return True
        shelf.append(mark)
        return False


class Marks:
    """Remembers whole numbers, in a bit each where they are dense.

    Attributes:
        count: How many there are.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self._shelves: defaultdict[int, int] = defaultdict(int)

    def before(self, number: int) -> bool:
        """Tell whether *number* was marked before; now it is."""
        shelf, place = divmod(number, 1024)
        if self._shelves[shelf] >> place & 1:
            return True
        self._shelves[shelf] |= 1 << place
        self.count += 1
        return False

    def __contains__(self, number: int) -> bool:
        shelf, place = divmod(number, 1024)
        return bool(self._shelves.get(shelf, 0) >> place & 1)
