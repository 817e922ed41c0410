"""What a run came to, and how it is kept in a file."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.load.health import Effort, Health, health_of
from convergegate_async.load.recorder import (
    Failure,
    Interval,
    Measured,
    Recorder,
    Result,
)
from convergegate_async.load.report.words import spell_verdict
from convergegate_async.load.thresholds import Threshold, Verdict
from convergegate_async.load.times import COARSE, FINE, Times

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
_FORMAT = 1
_MOST = 2**53
"""What is more than this is no count, and no time, of any run."""


class Status(StrEnum):
    """What a run proves, in a word."""

    PASSED = "passed"
    """Every threshold was kept."""
    FAILED = "failed"
    """One was not, or errors ended the run, or nothing ended well."""
    MEASURED = "measured"
    """There was no threshold to keep."""
    INVALID = "invalid"
    """The generator could not keep up: it says nothing about the target."""
    INCOMPLETE = "incomplete"
    """A part of it was lost with its worker."""
    CUT_SHORT = "cut short"
    """It was interrupted."""


EXIT_CODES: Mapping[Status, int] = {
    Status.PASSED: 0,
    Status.MEASURED: 0,
    Status.FAILED: 99,
    Status.INVALID: 98,
    Status.INCOMPLETE: 98,
    Status.CUT_SHORT: 130,
}

SYMBOLS: Mapping[Status, str] = {
    Status.PASSED: "✓",
    Status.MEASURED: "●",
    Status.FAILED: "✗",
    Status.INVALID: "⚠",
    Status.INCOMPLETE: "⚠",
    Status.CUT_SHORT: "⚠",
}
_CAVEATS: Mapping[Status, str] = {
    Status.INVALID: "the generator could not keep up: they say nothing of the target",
    Status.INCOMPLETE: "a part of the run was lost, and with it what was slow there",
    Status.CUT_SHORT: "the run ended before its time: they are those of a part of it",
}


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
    max_attempts: int
    seed: int
    started_at: datetime
    environment: Mapping[str, str]
    clock_offsets: tuple[tuple[float, float], ...] = ()


@attrs.frozen(kw_only=True)
class LoadReport:
    """What a run came to.

    Attributes:
        facts: What was run, where and when.
        recorder: What was measured.
        effort: What that cost the generator.
        seconds: From the first moment to the last answer.
        thresholds: What it had to keep.
        stopped: Why it ended early, if it did.
        interrupted: It was ended from outside.
        lost: Why parts of it are missing, a sentence each.
    """

    facts: RunFacts
    recorder: Recorder = attrs.field(repr=False)
    effort: Effort
    seconds: float
    thresholds: tuple[Threshold, ...] = ()
    stopped: str | None = None
    interrupted: bool = False
    lost: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[Result]:
        """How many iterations came to what."""
        return self.recorder.total.counts

    @property
    def planned(self) -> int:
        """How many iterations were planned."""
        return self.counts.total()

    @property
    def sent(self) -> int:
        """How many of them were sent."""
        return len(self.recorder.total.service)

    @property
    def health(self) -> Health:
        """How the generator itself fared."""
        return health_of(self.recorder, self.effort)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Whether each threshold was kept."""
        return tuple(one.judge(self.recorder, self.seconds) for one in self.thresholds)

    @property
    def status(self) -> Status:
        """What it proves: what makes it prove nothing wins over a broken threshold."""
        if self.interrupted:
            return Status.CUT_SHORT
        if self.lost:
            return Status.INCOMPLETE
        if self.health.problems:
            return Status.INVALID
        if self.stopped or not self.counts[Result.OK]:
            return Status.FAILED
        if not all(verdict.is_kept for verdict in self.verdicts):
            return Status.FAILED
        return Status.PASSED if self.thresholds else Status.MEASURED

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return EXIT_CODES[self.status]

    @property
    def headline(self) -> str:
        """Its status, and what the command line ends with."""
        return f"{self.status.upper()}, exit code {self.exit_code}"

    @property
    def title(self) -> str:
        """What was run, in a line."""
        return f"{self.facts.scenario}, {self.facts.profile}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why its status is what it is, a sentence or a threshold each."""
        broken = (
            f"{one.threshold.text} was not kept: {spell_verdict(one)}"
            for one in self.verdicts
            if not one.is_kept
        )
        nothing = () if self.counts[Result.OK] else ("nothing ended well",)
        stopped = () if self.stopped is None else (f"stopped early: {self.stopped}",)
        interrupted = ("it was interrupted",) if self.interrupted else ()
        return (
            *interrupted,
            *stopped,
            *self.lost,
            *self.health.problems,
            *nothing,
            *broken,
        )

    @property
    def caveat(self) -> str | None:
        """Why its figures are not to be quoted; `None` if they may be."""
        if self.status in _CAVEATS:
            return _CAVEATS[self.status]
        return None if self.stopped is None else _CAVEATS[Status.CUT_SHORT]

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The parts of the run in their order; where nothing was due one is empty."""
        found: list[Interval] = []
        for part in self.recorder.intervals():
            end = found[-1].start + found[-1].seconds if found else part.start
            if end < part.start:
                found.append(Interval(end, part.start - end))
            found.append(part)
        return tuple(found)

    def measured(self) -> Iterator[tuple[str | None, Measured]]:
        """Yield what was measured: of all (`None`), then of each step by its name."""
        yield None, self.recorder.total
        yield from self.recorder.steps.items()

    def to_json(self) -> str:
        """Return all of it as JSON, which `from_json` reads."""
        document = {
            "format": _FORMAT,
            "status": self.status,
            "exit_code": self.exit_code,
            "reasons": self.reasons,
            "verdicts": [
                {
                    "threshold": verdict.threshold.text,
                    "observed": verdict.observed,
                    "is_kept": verdict.is_kept,
                }
                for verdict in self.verdicts
            ],
            "facts": {
                **attrs.asdict(self.facts, recurse=False),
                "started_at": self.facts.started_at.isoformat(),
            },
            "planned": self.planned,
            "sent": self.sent,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "interrupted": self.interrupted,
            "lost": self.lost,
            "health": attrs.asdict(self.health),
            "effort": attrs.asdict(self.effort),
            "recorder": _recorder_as_json(self.recorder),
        }
        return json.dumps(document, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote.

        Raises:
            ConfigurationError: It is no report.
        """
        try:
            return cls._from_document(json.loads(text))
        except (
            *(ValueError, TypeError, AttributeError, LookupError),
            *(ArithmeticError, RecursionError),
        ) as error:
            message = "this is no report of a load test, or one of another version"
            raise ConfigurationError(message) from error

    @classmethod
    def _from_document(cls, document: Any) -> Self:  # noqa: ANN401 -- JSON
        if document["format"] != _FORMAT:
            raise ValueError(document["format"])
        stopped = document["stopped"]
        return cls(
            facts=_facts_of(document["facts"]),
            recorder=_recorder_of(document["recorder"]),
            effort=_effort_of(document["effort"]),
            seconds=_number(document["seconds"]),
            thresholds=tuple(
                Threshold.parse(verdict["threshold"])
                for verdict in document["verdicts"]
            ),
            stopped=None if stopped is None else _text(stopped),
            interrupted=bool(document["interrupted"]),
            lost=tuple(map(_text, document["lost"])),
        )


def _recorder_as_json(recorder: Recorder) -> dict[str, object]:
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


def _recorder_of(document: Any) -> Recorder:  # noqa: ANN401 -- JSON
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
            _count(failure["count"]), _text(failure["example"])
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
    return Times(digits, _text(document["hdr"]).encode(), beyond)


def _facts_of(document: Any) -> RunFacts:  # noqa: ANN401 -- JSON
    started_at = datetime.fromisoformat(document["started_at"])
    if started_at.tzinfo is None:
        started_at = started_at.replace(tzinfo=UTC)
    return RunFacts(
        scenario=_text(document["scenario"]),
        profile=_text(document["profile"]),
        target=_text(document["target"]),
        seconds=_number(document["seconds"]),
        processes=_count(document["processes"]),
        max_in_flight=_count(document["max_in_flight"]),
        max_attempts=_count(document["max_attempts"]),
        seed=int(document["seed"]),
        started_at=started_at,
        environment={
            name: _text(value) for name, value in document["environment"].items()
        },
        clock_offsets=tuple(
            (_number(offset, -_MOST), _number(margin))
            for offset, margin in document["clock_offsets"]
        ),
    )


def _effort_of(document: Any) -> Effort:  # noqa: ANN401 -- JSON
    return Effort(
        cpu=_number(document["cpu"]),
        collections=_count(document["collections"]),
        longest_pause=_number(document["longest_pause"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(value)
    return value


def _number(value: object, least: float = 0) -> float:
    if not isinstance(value, int | float) or not least <= value <= _MOST:
        raise ValueError(value)
    return float(value)
