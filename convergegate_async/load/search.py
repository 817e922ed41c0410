"""The highest rate that holds: found by halving, and believed after repeats only.

A run that fails by bad luck, or holds by good, is no answer. So every rate is decided
by the majority of several runs, and the one that is told has held again and again.
"""

import math
from collections.abc import Iterator

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.policy import is_duration

_MOST_TRIES = 3
"""Runs that decide a rate: two of three, or two of two."""
_CONFIDENCE = 0.95


@attrs.define
class Trial:
    """The runs at one rate.

    Attributes:
        rate: Iterations a second.
        runs: How many there were.
        held: How many of them held.
    """

    rate: float
    runs: int = 0
    held: int = 0

    @property
    def is_decided(self) -> bool:
        """Whether the runs that are left could not turn the majority."""
        return max(self.held, self.runs - self.held) > _MOST_TRIES // 2

    @property
    def has_held(self) -> bool:
        """Whether most of them did."""
        return 2 * self.held > self.runs

    @property
    def least_share(self) -> float:
        """The share of all such runs that hold, at least: with 95 % confidence."""
        return least_share(self.held, self.runs)


class Search:
    """Tells which rate to run next, and what is known at last.

    Climbs by doubling while rates hold, then halves the distance (by ratio) between the
    highest that held and the lowest that did not, then repeats both.

    Ask for rates until there is none::

        search = Search(start=50, ceiling=400)
        while (rate := search.next_rate()) is not None:
            search.note(rate, held=rate < 300)

    Args:
        start: The rate to begin with.
        floor, ceiling: No rate below or beyond is tried.
        precision: How close, as a share, the highest rate that holds and the lowest
            that does not have to be.
        repeats: How often the rate that is told has to hold; half as many may fail.

    Raises:
        ConfigurationError: One of them cannot be right.
    """

    def __init__(
        self,
        start: float,
        *,
        floor: float = 0.0,
        ceiling: float = 1e6,
        precision: float = 0.02,
        repeats: int = 5,
    ) -> None:
        if not is_duration(start) or start > ceiling:
            message = "a search begins with a rate above 0, and not beyond its ceiling"
            raise ConfigurationError(message)
        if not is_duration(precision) or type(repeats) is not int or repeats < 1:
            message = "a search needs a precision above 0, and a repeat or more"
            raise ConfigurationError(message)
        self._start = start
        self._floor = max(floor, start / 1_000)
        self._ceiling = ceiling
        self._precision = precision
        self._repeats = repeats
        self._tried: dict[float, Trial] = {}

    @property
    def tried(self) -> list[Trial]:
        """All rates that were tried, the lowest first."""
        return [self._tried[rate] for rate in sorted(self._tried)]

    @property
    def best(self) -> Trial | None:
        """The highest rate that held; `None` if there is none."""
        held = [one for one in self.tried if self._holds(one)]
        return held[-1] if held else None

    @property
    def worst(self) -> Trial | None:
        """The lowest rate above it that did not hold; `None` if none was tried."""
        floor = self.best.rate if self.best else 0.0
        failed = [one for one in self.tried if one.rate > floor and one.is_decided]
        return failed[0] if failed else None

    def next_rate(self) -> float | None:
        """Return the rate to run next; `None` if all is known that can be."""
        open_rates = [one.rate for one in self.tried if not one.is_decided]
        if open_rates:
            return open_rates[0]
        if not self._tried:
            return self._start
        best, worst = self.best, self.worst
        if best is None:
            lower = self.tried[0].rate / 2
            return lower if lower >= self._floor else None
        return self._beside(best, worst) or self._again(best, worst)

    def _beside(self, best: Trial, worst: Trial | None) -> float | None:
        """Return a rate between both, or beyond, unless they are near."""
        if worst is None:
            higher = min(2 * best.rate, self._ceiling)
            return higher if higher > best.rate else None
        between = _rounded(math.sqrt(best.rate * worst.rate))
        is_near = worst.rate / best.rate <= 1 + self._precision
        return None if is_near or between in self._tried else between

    def _again(self, best: Trial, worst: Trial | None) -> float | None:
        """Return which of both may have had luck, for better or worse."""
        if worst is not None and worst.runs < self._repeats:
            return worst.rate
        return best.rate if best.held < self._repeats else None

    def rates(self) -> Iterator[float]:
        """Yield the rates to run, for as long as something is to be learnt."""
        while (rate := self.next_rate()) is not None:
            yield rate

    def note(self, rate: float, *, held: bool) -> None:
        """Keep whether a run at that rate held."""
        one = self._tried.setdefault(rate, Trial(rate))
        one.runs += 1
        one.held += held

    def _holds(self, one: Trial) -> bool:
        may_fail = max(1, self._repeats // 2)
        return one.is_decided and one.has_held and one.runs - one.held <= may_fail


def least_share(held: int, runs: int) -> float:
    """Return the share of runs that hold at least, if *held* of *runs* did.

    With 95 % confidence, one-sided (Clopper and Pearson): were the share lower, so many
    would hold in less than one of twenty such series.
    """
    if not held:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _chance_of(held, runs, middle) < 1 - _CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def _chance_of(held: int, runs: int, share: float) -> float:
    """Return the chance that as many hold, or more."""
    return math.fsum(
        math.comb(runs, n) * share**n * (1 - share) ** (runs - n)
        for n in range(held, runs + 1)
    )


def _rounded(rate: float) -> float:
    """Return four digits of it: a rate that people can say."""
    return float(f"{rate:.4g}")
