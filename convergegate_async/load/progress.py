"""How far a run has come: what is shown while it is on, and what may end it early."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import attrs

from .plan import LoadPlan
from .recorder import Interval, Recorder, Snapshot
from .times import COARSE, NANOSECONDS, Times

INTERRUPTED = "it was interrupted"
TOO_MANY_ERRORS = "as many errors as were allowed"


@attrs.frozen(kw_only=True)
class Progress:
    """How far a run, or a part of it, has come; it is quickly made, and sent.

    Attributes:
        elapsed: Seconds since its beginning.
        in_flight: Iterations that are under way.
        total: What became of all iterations that are over.
        steps: What became of the steps of the scenario, by name.
        lag: How much later than due iterations were sent.
        latest: The last whole second, or longer part of a long run.
    """

    elapsed: float
    in_flight: int
    total: Snapshot
    steps: Mapping[str, Snapshot]
    lag: Times
    latest: Interval | None


def progress_of(recorder: Recorder, elapsed: float, in_flight: int) -> Progress:
    """Return how far a part has come; look at it, and do not keep it."""
    return Progress(
        elapsed=elapsed,
        in_flight=in_flight,
        total=recorder.total.snapshot(),
        steps={name: step.snapshot() for name, step in recorder.steps.items()},
        lag=recorder.lag,
        latest=recorder.latest(int(elapsed * NANOSECONDS)),
    )


def merged(parts: Iterable[Progress]) -> Progress:
    """Return how far a run has come whose *parts* are driven side by side."""
    total, steps, lag = Snapshot(), defaultdict[str, Snapshot](Snapshot), Times(COARSE)
    latest: Interval | None = None
    elapsed, in_flight = 0.0, 0
    for part in parts:
        elapsed = max(elapsed, part.elapsed)
        in_flight += part.in_flight
        total.add(part.total)
        lag.add(part.lag)
        for name, step in part.steps.items():
            steps[name].add(step)
        if part.latest is not None:
            latest = latest or Interval(part.latest.start, part.latest.seconds)
            latest.add(part.latest)
    return Progress(
        elapsed=elapsed,
        in_flight=in_flight,
        total=total,
        steps=dict(steps),
        lag=lag,
        latest=latest,
    )


def why_end(plan: LoadPlan, progress: Progress) -> str | None:
    """Return why a run shall not go on; `None` if it shall."""
    for threshold in plan.abort_on:
        verdict = threshold.judge(progress, progress.elapsed)
        if verdict.observed is not None and not verdict.is_kept:
            return f"{threshold.text} was not kept"
    if plan.max_errors and progress.total.errors.total() >= plan.max_errors:
        return TOO_MANY_ERRORS
    return None
