"""What was run, where and when."""

from collections.abc import Mapping
from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class RunFacts:
    """What was run, where and when.

    Attributes:
        scenario: Its name.
        profile: In words.
        target: The address that was called, or ``sandbox``.
        seconds: How long the profile was to take.
        processes: That drove it.
        max_in_flight: How many iterations might be under way at once.
        max_lag: Seconds by which one send of a hundred might be late.
        max_attempts: How often a call was tried.
        seed: Of what was left to chance.
        started_at: When it began.
        environment: Versions and machine, by name.
        clock_offsets: Seconds by which each worker's clock was ahead, and how far off
            that may be.
    """

    scenario: str
    profile: str
    target: str
    seconds: float
    processes: int
    max_in_flight: int
    max_lag: float
    max_attempts: int
    seed: int
    started_at: datetime
    environment: Mapping[str, str]
    clock_offsets: tuple[tuple[float, float], ...] = ()
