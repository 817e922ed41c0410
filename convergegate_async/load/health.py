"""Whether the generator kept up: if not, the run is invalid, and not slow."""

import attrs

from .effort import Effort
from .recorder import Recorder, Result

MAX_LAG = 0.010
"""Seconds by which one send of a hundred may be late, if nothing else is said."""


@attrs.frozen(kw_only=True)
class Health:
    """How the generator itself fared.

    Attributes:
        lag_p50: Seconds by which half of all sends were late, at most.
        lag_p99: Seconds by which 99 of 100 were, at most.
        lag_max: Seconds by which the latest was.
        cpu: Seconds of processor time in a second, of the busiest process. The last
            millisecond before a send is waited for awake, so it is rarely near 0.
        collections: Garbage collections.
        longest_pause: Seconds that the longest of them took.
        dropped: Planned iterations that were not sent, as too many were under way.
        max_lag: Seconds by which one send of a hundred might be late.
    """

    lag_p50: float
    lag_p99: float
    lag_max: float
    cpu: float
    collections: int
    longest_pause: float
    dropped: int
    max_lag: float = MAX_LAG

    @property
    def is_late(self) -> bool:
        """Whether sends came later than they may: it was the generator, then."""
        return self.lag_p99 > self.max_lag

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the run proves nothing about the target; empty if it does."""
        found = []
        if self.is_late:
            found.append(
                f"the generator could not keep up: of 100 sends one was "
                f"{self.lag_p99 * 1_000:,.0f} ms late or more "
                f"({self.max_lag * 1_000:,.0f} are allowed); lower the rate, or add "
                "processes"
            )
        if self.dropped:
            found.append(
                f"{self.dropped:,} planned sends were dropped, as too many were under "
                "way; raise the most in flight, or lower the rate"
            )
        return tuple(found)


def health_of(recorder: Recorder, effort: Effort, max_lag: float = MAX_LAG) -> Health:
    """Return how the generator fared."""
    late = recorder.lag.percentiles([50, 99])
    return Health(
        lag_p50=late[50],
        lag_p99=late[99],
        lag_max=recorder.lag.longest,
        cpu=effort.cpu,
        collections=effort.collections,
        longest_pause=effort.longest_pause,
        dropped=recorder.total.counts[Result.DROPPED],
        max_lag=max_lag,
    )
