"""How figures are formed and shown."""

import re
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path


def resident() -> int:
    """Return the resident bytes of this process, or 0 where they cannot be known."""
    return _memory("VmRSS")


def most_resident() -> int:
    """Return the most that `resident` ever was."""
    # Not ru_maxrss, which begins with that of the process that started this one.
    return _memory("VmHWM")


def _memory(name: str) -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
    return int(found[1]) * 1024 if found else 0


def spread(values: Iterable[float]) -> str:
    """Return the median of two values or more, and their p10 to p90."""
    values = list(values)
    low, *_, high = statistics.quantiles(values, n=10, method="inclusive")
    return f"{statistics.median(values):.2f} ({low:.2f} to {high:.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a Markdown table that reads as well in a terminal.

    Args:
        head: The names of the columns.
        rows: The lines, as texts.
        words: How many columns hold words; those after them hold figures.
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def aligned(cells: Sequence[str], filling: str = " ") -> str:
        padded = (
            cell.ljust(width, filling) if column < words else cell.rjust(width, filling)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = aligned([":"] * len(head), "-")
    return "\n".join((aligned(head), rule, *map(aligned, lines[1:])))


def versions(*names: str) -> str:
    """Return the installed versions of the distributions *names*."""
    return ", ".join(f"{name} {version(name)}" for name in names)
