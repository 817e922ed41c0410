"""How what was measured is kept as JSON, and read back, of whom it may be.

What is read may be anybody's: a value that cannot be is a `ValueError`, a `TypeError`
or whatever Python raises where it is not even of the right shape.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import attrs

from convergegate_async.load.effort import Effort
from convergegate_async.load.recorder import (
    Failure,
    Interval,
    Measured,
    Recorder,
    Result,
)
from convergegate_async.load.report.facts import RunFacts
from convergegate_async.load.times import COARSE, FINE, Times

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)

_MOST = 2**53
"""What is more than this is no count, and no time, of any run."""
_MOST_TIMES = 10**9
"""Of one histogram: no plan has more iterations, and `compare` adds them up."""


def recorder_as_json(recorder: Recorder) -> dict[str, object]:
    """Return what was measured, for people and for `recorder_of`."""
    return {
        "total": _measured_as_json(recorder.total),
        "steps": {
            name: _measured_as_json(step) for name, step in recorder.steps.items()
        },
        "phases": {
            name: _times_as_json(times) for name, times in recorder.phases.items()
        },
        "lag": _times_as_json(recorder.lag),
        "ended": recorder.ended,
        "intervals": [
            {
                "start": part.start,
                "seconds": part.seconds,
                "counts": part.counts,
                "response": _times_as_json(part.response),
            }
            for part in recorder.intervals()
        ],
    }


def recorder_of(document: Any) -> Recorder:  # noqa: ANN401 -- JSON
    """Return what was measured."""
    recorder = Recorder()
    recorder.total = _measured_of(document["total"])
    for name, step in document["steps"].items():
        recorder.steps[name] = _measured_of(step)
    for name, times in document["phases"].items():
        recorder.phases[name] = _times_of(times)
    recorder.lag = _times_of(document["lag"])
    recorder.ended = _count(document["ended"])
    for part in document["intervals"]:
        interval = Interval(_count(part["start"]), _count(part["seconds"]))
        interval.counts = _counts_of(part["counts"])
        interval.response = _times_of(part["response"])
        recorder.add_interval(interval)
    return recorder


def _measured_as_json(measured: Measured) -> dict[str, object]:
    return {
        "counts": measured.counts,
        "errors": {
            name: attrs.asdict(failure) for name, failure in measured.errors.items()
        },
        "response": _times_as_json(measured.response),
        "service": _times_as_json(measured.service),
    }


def _measured_of(document: Any) -> Measured:  # noqa: ANN401 -- JSON
    measured = Measured()
    measured.counts = _counts_of(document["counts"])
    for name, failure in document["errors"].items():
        measured.errors[name] = Failure(
            _count(failure["count"]), text(failure["example"])
        )
    measured.response = _times_of(document["response"])
    measured.service = _times_of(document["service"])
    return measured


def _counts_of(document: Any) -> Counter[Result]:  # noqa: ANN401 -- JSON
    return Counter({Result(name): _count(count) for name, count in document.items()})


def _times_as_json(times: Times) -> dict[str, object]:
    """Return *times* for people (seconds by percentile) and for programs (hdr)."""
    found = times.percentiles(PERCENTILES)
    return {
        "count": len(times),
        "mean": times.mean,
        **{f"p{percentile:g}": found[percentile] for percentile in PERCENTILES},
        "max": times.longest,
        "beyond": times.beyond,
        "digits": times.digits,
        "hdr": times.encoded().decode(),
    }


def _times_of(document: Any) -> Times:  # noqa: ANN401 -- JSON
    digits, beyond = _count(document["digits"]), _count(document["beyond"])
    if digits not in {COARSE, FINE}:
        raise ValueError(digits)
    times = Times(digits, text(document["hdr"]).encode(), beyond)
    if len(times) > _MOST_TIMES:
        raise ValueError(len(times))
    return times


def facts_of(document: Any) -> RunFacts:  # noqa: ANN401 -- JSON
    """Return what was run."""
    started_at = datetime.fromisoformat(document["started_at"])
    if started_at.tzinfo is None:
        started_at = started_at.replace(tzinfo=UTC)
    return RunFacts(
        scenario=text(document["scenario"]),
        profile=text(document["profile"]),
        target=text(document["target"]),
        seconds=number(document["seconds"]),
        processes=_count(document["processes"]),
        max_in_flight=_count(document["max_in_flight"]),
        max_lag=number(document["max_lag"]),
        max_attempts=_count(document["max_attempts"]),
        seed=int(document["seed"]),
        started_at=started_at,
        environment={
            name: text(value) for name, value in document["environment"].items()
        },
        clock_offsets=tuple(
            (number(offset, -_MOST), number(margin))
            for offset, margin in document["clock_offsets"]
        ),
    )


def effort_of(document: Any) -> Effort:  # noqa: ANN401 -- JSON
    """Return what it cost."""
    return Effort(
        cpu=number(document["cpu"]),
        collections=_count(document["collections"]),
        longest_pause=number(document["longest_pause"]),
    )


def text(value: object) -> str:
    """Return what has to be a text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(value)
    return value


def number(value: object, least: float = 0) -> float:
    """Return what has to be a number, and one of a run's."""
    if not isinstance(value, int | float) or not least <= value <= _MOST:
        raise ValueError(value)
    return float(value)
