"""How many rows there are, where a bad one may be given several times."""

from .rows import Problem, Row


class RowCounter:
    """Counts the rows that are given, whatever file each is of and where in it.

    The problems of a row follow each other, and count as one.

    Attributes:
        count: How many rows there were: the number of the last one, from 1.
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
