"""Reports of load tests that were never run: queues in front of targets that freeze."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from convergegate_async.load.effort import Effort
from convergegate_async.load.recorder import Iteration, Recorder, Result
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.facts import RunFacts
from convergegate_async.load.thresholds import Threshold

SECOND = 1_000_000_000
HOSTILE = "</script></svg><img src=x onerror=alert(1)> & \"'\x00\x1b[2J\ud800]]>"
"""What no page, and no XML, may take for its own."""

ERRORS = {
    Result.REJECTED: ("CardDeclinedError 402", "the bank refused"),
    Result.NOT_SENT: ("NotSentError", "no connection could be opened"),
    Result.UNKNOWN: ("OutcomeUnknownError", "the connection broke after it was sent"),
    Result.FAILED: ("KeyError", "'url'"),
}


def latencies(
    chance: random.Random,
    count: int,
    rate: float,
    *,
    typical: float = 0.012,
    freezes: float = 0.0,
) -> Iterator[tuple[float, float]]:
    """Yield when each of *count* is due, and how long it takes, in seconds.

    Args:
        chance: What is left to it.
        count: How many.
        rate: How many are due in a second.
        typical: What half of them take at most, while nothing is frozen.
        freezes: How often in a second the target stands still for one, on average.
    """
    frozen_until = 0.0
    next_freeze = chance.expovariate(freezes) if freezes else float("inf")
    for number in range(count):
        due = number / rate
        while next_freeze <= due:
            frozen_until = next_freeze + 1.0
            next_freeze = frozen_until + chance.expovariate(freezes)
        waits = max(0.0, frozen_until - due)
        yield due, waits + typical * chance.lognormvariate(0, 0.5)


def recorder_of(
    timed: Iterable[tuple[float, float]],
    chance: random.Random,
    *,
    lag: float = 0.0002,
    errors: float = 0.0,
    example: str | None = None,
) -> Recorder:
    """Return what a generator that is so late would have recorded of a scenario."""
    recorder = Recorder()
    for due, takes in timed:
        result = Result.OK
        if chance.random() < errors:
            result = chance.choice(list(ERRORS))
        kind, words = ERRORS.get(result, (None, ""))
        late = min(takes, chance.expovariate(1 / lag)) if lag else 0.0
        begun, sent = int(due * SECOND), int((due + late) * SECOND)
        ended = int((due + takes) * SECOND)
        recorder.record(
            Iteration(
                due=begun,
                sent=sent,
                ended=ended,
                result=result,
                error=kind,
                example=words if example is None else example,
            )
        )
        first = sent + int((ended - sent) * 0.7)
        for name, start, end in (("create", begun, first), ("retrieve", first, ended)):
            recorder.step(name).count(result if name == "retrieve" else Result.OK, None)
            recorder.step(name).record(end - start, end - max(start, sent))
        parts = {"pool_wait": 0.02, "first_byte": 0.9, "body": 0.08}
        for name, part in parts.items():
            recorder.phase(name).record(int((ended - sent) * part))
        if chance.random() < 0.02:
            recorder.phase("connect").record(int(chance.expovariate(500) * SECOND))
    return recorder


def facts_of(**changes: object) -> RunFacts:
    """Return the facts of some run."""
    known: dict[str, object] = {
        "scenario": "create-retrieve",
        "profile": "200 requests a second for 60 s",
        "target": "sandbox",
        "seconds": 60.0,
        "processes": 2,
        "max_in_flight": 2_000,
        "max_lag": 0.01,
        "max_attempts": 1,
        "seed": 7,
        "started_at": datetime(2026, 11, 28, 12, 30, tzinfo=UTC),
        "environment": {"convergegate_async": "0.1", "python": "3.11.7"},
        "clock_offsets": ((0.0, 0.0), (0.000_12, 0.000_04)),
    }
    return RunFacts(**{**known, **changes})  # type: ignore[arg-type]


def report_of(  # noqa: PLR0913 -- each is another way to be
    seconds: int = 20,
    rate: float = 50.0,
    *,
    seed: int = 1,
    typical: float = 0.012,
    freezes: float = 0.0,
    lag: float = 0.0002,
    errors: float = 0.0,
    example: str | None = None,
    thresholds: Iterable[str] = (),
    **changes: object,
) -> LoadReport:
    """Return what such a run would have come to."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    timed = latencies(
        chance, int(seconds * rate), rate, typical=typical, freezes=freezes
    )
    recorder = recorder_of(timed, chance, lag=lag, errors=errors, example=example)
    known: dict[str, object] = {
        "facts": facts_of(seconds=float(seconds)),
        "recorder": recorder,
        "effort": Effort(cpu=0.43, collections=12, longest_pause=0.0031),
        "seconds": max(float(seconds), recorder.ended / SECOND),
        "thresholds": tuple(map(Threshold.parse, thresholds)),
    }
    return LoadReport(**{**known, **changes})  # type: ignore[arg-type]
