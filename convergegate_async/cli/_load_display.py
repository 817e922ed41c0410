"""How a load test is watched: a picture on a terminal, lines elsewhere."""

from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from convergegate_async.load import LoadPlan, Progress, Result, Times
from convergegate_async.load.report.words import (
    NOTHING,
    spell_duration,
    spell_rate,
    spell_verdict,
)

from ._live_view import live_view
from ._streams import print_note, printable
from ._wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

LINE_EVERY = 5  # seconds, which are looks
_SPARKS = " ▁▂▃▄▅▆▇"
_WIDTH = 50  # of the bar, and of the sparkline: seconds
_SHOWN = (50.0, 95.0, 99.0)


class LoadDisplay:
    """Shows how far a load test is.

    Args:
        plan: What it is to be.
        target: What it loads, in a word.
    """

    def __init__(self, plan: LoadPlan, target: str) -> None:
        self._plan = plan
        self._title = printable(f"{plan.scenario_name}, {plan.profile}, at {target}")
        self._rates: deque[float] = deque(maxlen=_WIDTH)
        self._lines = 0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        print_note(self._title)
        self._live = live_view(_opening, transient=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show how far it is; called every second."""
        if progress.latest is not None:
            latest = progress.latest
            self._rates.append(latest.counts[Result.OK] / latest.seconds)
        if self._live is not None:
            self._live.update(self._draw(progress), refresh=True)
            return
        self._lines += 1
        if self._lines % LINE_EVERY == 0:
            print_note(self._line(progress))

    def _line(self, progress: Progress) -> str:
        found = progress.total.response.percentiles(_SHOWN)
        latency = ", ".join(f"p{p:g} {spell_duration(found[p])}" for p in _SHOWN)
        late = progress.lag.percentiles([99])[99]
        errors = progress.total.errors.total()
        return (
            f"{self._time(progress)}: {self._pace(progress)}, "
            f"{progress.in_flight:,} in flight, {latency}, {counted(errors, 'error')}, "
            f"sends late by {spell_duration(late)} (p99)"
        )

    def _time(self, progress: Progress) -> str:
        whole = self._plan.profile.duration
        elapsed = min(progress.elapsed, whole)
        return f"{_minutes(elapsed)} of {_minutes(whole)}"

    def _draw(self, progress: Progress) -> "RenderableType":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        whole = self._plan.profile.duration
        done = min(progress.elapsed, whole)
        left = f"{_minutes(whole - done)} left" if done < whole else "the last answers"
        dropped = progress.total.counts[Result.DROPPED]
        grid = Table.grid()
        for row in (
            ProgressBar(total=whole, completed=done, width=_WIDTH),
            Text(f"{self._time(progress)}, {left}", "dim"),
            Text(),
            Text(self._sparkline(), "cyan"),
            Text(self._pace(progress)),
            Text(f"{progress.in_flight:,} in flight, {dropped:,} dropped"),
            Text(),
            self._table(progress),
            Text(),
            *self._verdicts(progress),
            *self._errors(progress),
            self._lag(progress),
        ):
            grid.add_row(row)
        return grid

    @staticmethod
    def _pace(progress: Progress) -> str:
        """Tell what was planned in the last second, and what of it ended well."""
        latest = progress.latest
        if latest is None:
            return "just begun"
        ok, planned = latest.counts[Result.OK], latest.counts.total()
        return (
            f"{spell_rate(ok / latest.seconds)} ended ok of "
            f"{spell_rate(planned / latest.seconds)} planned"
        )

    def _sparkline(self) -> str:
        highest = max((self._plan.profile.peak, *self._rates))
        top = len(_SPARKS) - 1
        sparks = [_SPARKS[round(rate / highest * top)] for rate in self._rates]
        return "".join(sparks)

    def _table(self, progress: Progress) -> "RenderableType":
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("response time")
        for percentile in _SHOWN:
            table.add_column(f"p{percentile:g}", justify="right", min_width=9)
        if progress.latest is not None:
            table.add_row("last second", *_percentiles(progress.latest.response))
        table.add_row("so far", *_percentiles(progress.total.response))
        return table

    def _errors(self, progress: Progress) -> list["RenderableType"]:
        from rich.text import Text

        errors = progress.total.errors.most_common(5)
        return [Text(f"{count:,} {kind}", "red") for kind, count in errors]

    def _verdicts(self, progress: Progress) -> list["RenderableType"]:
        from rich.text import Text

        verdicts = [
            threshold.judge(progress, progress.elapsed)
            for threshold in self._plan.thresholds
        ]
        return [
            Text(
                f"{'✓' if one.is_kept else '✗'} {one.threshold.text:<24} "
                f"{spell_verdict(one)}",
                "green" if one.is_kept else "red",
            )
            for one in verdicts
        ]

    def _lag(self, progress: Progress) -> "RenderableType":
        from rich.text import Text

        late = progress.lag.percentiles([50, 99])
        return Text(
            f"sends late by {spell_duration(late[50])} (p50), "
            f"{spell_duration(late[99])} (p99)",
            "dim",
        )


def _opening() -> "RenderableType":
    from rich.text import Text

    return Text("opening connections", "dim")


def _percentiles(times: Times) -> list[str]:
    if not times:
        return [NOTHING] * len(_SHOWN)
    found = times.percentiles(_SHOWN)
    return [spell_duration(found[percentile]) for percentile in _SHOWN]


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
