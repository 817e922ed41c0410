"""What a run is to be: one value, which travels to whoever drives a part of it."""

from collections.abc import Iterable, Iterator
from itertools import islice

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.policy import RetryPolicy, Timeouts, is_duration

from .health import MAX_LAG
from .profiles import Profile, Trace
from .scenarios import Scenario, scenario_named
from .thresholds import Threshold

MAX_IN_FLIGHT = 2_000

_ONCE = RetryPolicy(max_attempts=1)
_PATIENCE = Timeouts()


def _parsed(thresholds: Iterable[Threshold | str]) -> tuple[Threshold, ...]:
    return tuple(
        one if isinstance(one, Threshold) else Threshold.parse(one)
        for one in thresholds
    )


@attrs.frozen(kw_only=True)
class LoadPlan:
    """What a run is to be.

    Run it against a gateway of yours::

        profile = Profile.constant(rate=20, duration=0.5)
        plan = LoadPlan(profile=profile, thresholds=["error_rate<1%"])
        report = await run_load(plan, target)

    Attributes:
        profile: When iterations are due.
        scenario: What each does, or its name: ``create``, ``create-retrieve``,
            ``create-pay-webhook``, ``module:name``, or a mix such as
            ``create=8,create-retrieve=2``.
        thresholds: What the run has to keep, such as ``p99<300ms``.
        abort_on: Of the same form: one that is not kept ends the run; they are looked
            at every second.
        max_in_flight: How many iterations may be under way at once, in all; what is due
            beyond that is dropped, and makes the run invalid.
        max_errors: So many errors end the run.
        max_lag: Seconds by which one send of a hundred may be late; beyond that the run
            is invalid.
        cold: Connections are not opened beforehand.
        retry: Whether calls try again: not, so that each is measured as it is.
        timeouts: How long calls wait.
        seed: Of what a mix chooses.

    Raises:
        ConfigurationError: A threshold or a limit cannot be right.
    """

    profile: Profile | Trace
    scenario: Scenario | str = "create"
    thresholds: tuple[Threshold, ...] = attrs.field(default=(), converter=_parsed)
    abort_on: tuple[Threshold, ...] = attrs.field(default=(), converter=_parsed)
    max_in_flight: int = MAX_IN_FLIGHT
    max_errors: int | None = None
    max_lag: float = MAX_LAG
    cold: bool = False
    retry: RetryPolicy = _ONCE
    timeouts: Timeouts = _PATIENCE
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        for name in ("max_in_flight", "max_errors"):
            count: object = getattr(self, name)
            if count is not None and (type(count) is not int or count < 1):
                message = f"{name} must be a whole number above 0"
                raise ConfigurationError(message)
        if not is_duration(self.max_lag):
            message = "max_lag must be a number of seconds above 0"
            raise ConfigurationError(message)

    @property
    def scenario_name(self) -> str:
        """What the scenario is called."""
        if isinstance(self.scenario, str):
            return self.scenario
        return getattr(self.scenario, "__qualname__", type(self.scenario).__name__)

    def scenario_for(self, api_key: str) -> Scenario:
        """Return what each iteration does.

        Args:
            api_key: The key that webhooks are signed with.

        Raises:
            ConfigurationError: There is none of that name.
        """
        if isinstance(self.scenario, str):
            return scenario_named(self.scenario, api_key=api_key, seed=self.seed)
        return self.scenario

    def share_size(self, part: int, parts: int) -> int | None:
        """Return how many iterations fall to a part; `None` if chance decides."""
        count = self.profile.count()
        return None if count is None else len(range(part, count, parts))

    def share(self, part: int, parts: int) -> Iterator[tuple[int, int]]:
        """Yield the numbers of a part's iterations, and when each of them is due.

        Args:
            part: Which one, from 0.
            parts: Of how many: each takes every so many-th, so all are driven alike.
        """
        return islice(enumerate(self.profile.due_times()), part, None, parts)
