"""How a job is watched: a bar on a terminal, a line every five seconds elsewhere."""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ._live_view import live_view
from ._streams import print_note

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from convergegate_async.bulk import Job

LINE_EVERY = 5.0  # seconds
DRAW_EVERY = 0.2
MINUTE = 60.0
_NOUNS = {"run": "rows", "refresh": "sessions", "refund": "refunds"}


class RecentRate:
    """How fast something has gone for a minute: what it does now, not what it did.

    Args:
        now: Monotonic seconds; nothing has gone yet.
    """

    def __init__(self, now: float) -> None:
        self._seen = deque([(now, 0)])

    def of(self, count: int, now: float) -> float:
        """Return how many a second have gone, where *count* have in all."""
        self._seen.append((now, count))
        while self._seen[0][0] < now - MINUTE <= self._seen[1][0]:
            self._seen.popleft()
        since, before = self._seen[0]
        return (count - before) / max(now - since, 1e-9)


class Display:
    """Shows how far a job is.

    Args:
        name: That of the job.
        job: What is shown.
    """

    def __init__(self, name: str, job: "Job") -> None:
        self._name = name
        self._job = job
        self._rate = RecentRate(time.monotonic())
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._live = live_view(self._draw)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.update(self._draw(), refresh=True)
            self._live.stop()

    async def tick(self) -> None:
        """Show how far the job is, again and again."""
        while True:
            await asyncio.sleep(LINE_EVERY if self._live is None else DRAW_EVERY)
            if self._live is None:
                print_note(self._line())
            else:
                self._live.update(self._draw(), refresh=True)

    def _pace(self) -> str:
        progress = self._job.progress
        # What an earlier run has done takes no time.
        gone = progress.done - self._job.tally.skipped
        rate = self._rate.of(gone, time.monotonic())
        total = progress.total
        left = (total - progress.done) / rate if total and rate else None
        minutes, seconds = divmod(round(left or 0), 60)
        eta = "-:--" if left is None else f"{minutes}:{seconds:02}"
        most = self._job.limits.maximum_rps
        limit = "no limit" if most is None else f"limit {most:g}"
        return f"{rate:,.0f} {_NOUNS[progress.doing]}/s ({limit}), {eta} left"

    def _line(self) -> str:
        parts = (self._progress(), self._counts(), self._pace(), self._held_back())
        return ", ".join(filter(None, parts))

    def _counts(self) -> str:
        progress = self._job.progress
        return str(progress.counts) if progress.doing == "run" else ""

    def _held_back(self) -> str:
        """Tell why it is slow, and when the next row is sent."""
        info = self._job.pace
        return "" if info is None else str(info)

    def _progress(self) -> str:
        progress = self._job.progress
        total = "?" if progress.total is None else f"{progress.total:,}"
        noun = _NOUNS[progress.doing]
        return f"{self._name}: {progress.done:,}/{total} {noun}"

    def _draw(self) -> "RenderableType":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        tally, progress = self._job.tally, self._job.progress
        codes = " · ".join(f"{n:,} {code}" for code, n in tally.codes.most_common(3))
        grid = Table.grid()
        grid.add_row(Text(self._progress(), "bold"))
        grid.add_row(
            ProgressBar(
                total=max(1, progress.total or progress.done),
                completed=progress.done,
                width=60,
            )
        )
        grid.add_row(Text(self._counts()))
        grid.add_row(Text(self._pace(), "dim"))
        grid.add_row(Text(self._held_back(), "yellow"))
        grid.add_row(Text(codes, "red"))
        return grid
