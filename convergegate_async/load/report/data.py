"""What a run came to, and how it is kept in a file."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Self

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.load.effort import Effort
from convergegate_async.load.health import Health, health_of
from convergegate_async.load.recorder import Interval, Measured, Recorder, Result
from convergegate_async.load.report.facts import RunFacts
from convergegate_async.load.report.stored import (
    effort_of,
    facts_of,
    number,
    recorder_as_json,
    recorder_of,
    text,
)
from convergegate_async.load.report.words import spell_verdict
from convergegate_async.load.thresholds import Threshold, Verdict

_FORMAT = 1


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
    Status.INVALID: "sends were late or dropped, so they say nothing of the target",
    Status.INCOMPLETE: "a part of the run was lost, and with it what was slow there",
    Status.CUT_SHORT: "the run ended before its time, so they are of a part of it",
}


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
        return health_of(self.recorder, self.effort, self.facts.max_lag)

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
        broken = (self._broken(one) for one in self.verdicts if not one.is_kept)
        nothing = () if self.counts[Result.OK] else ("nothing ended well",)
        stopped = () if self.stopped is None else (f"stopped early: {self.stopped}",)
        return (*stopped, *self.lost, *self.health.problems, *nothing, *broken)

    def _broken(self, verdict: Verdict) -> str:
        threshold, steps = verdict.threshold, self.recorder.steps
        why = f"{threshold.text} was not kept: {spell_verdict(verdict)}"
        if threshold.step is None or threshold.step in steps:
            return why
        return f"{why}; the steps of the scenario are {', '.join(steps) or 'none'}"

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
            "recorder": recorder_as_json(self.recorder),
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
            facts=facts_of(document["facts"]),
            recorder=recorder_of(document["recorder"]),
            effort=effort_of(document["effort"]),
            seconds=number(document["seconds"]),
            thresholds=tuple(
                Threshold.parse(verdict["threshold"])
                for verdict in document["verdicts"]
            ),
            stopped=None if stopped is None else text(stopped),
            interrupted=bool(document["interrupted"]),
            lost=tuple(map(text, document["lost"])),
        )
