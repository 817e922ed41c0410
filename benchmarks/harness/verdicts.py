"""Kills where keys are honoured, and where they are not: the verdicts on both."""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterable
from concurrent.futures import ProcessPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Any, Protocol

import attrs

from harness.figures import table
from harness.killing import Kill

_MOST_SHOWN = 20


@attrs.define
class Verdict:
    """What became of the jobs of one mode.

    Attributes:
        honoured: Whether the jobs expected it of keys.
        runs: How many there were, those that were killed included.
        kills: How many runs ended so, by point.
        states: How many rows, or refunds, ended in each.
        odd: How many of the unknown are odd, as `Trial.odd` says.
        violations: What was broken.
        seconds: How long it took.
    """

    honoured: bool
    jobs: int = 0
    runs: int = 0
    kills: Counter[StrEnum | None] = attrs.field(factory=Counter)
    states: Counter[StrEnum] = attrs.field(factory=Counter)
    odd: int = 0
    violations: list[str] = attrs.field(factory=list)
    seconds: float = 0.0


class Work(Protocol):
    """How jobs are worked on and killed."""

    def __call__(
        self, kills: Iterable[Kill], *, rows: int, honoured: bool, seed: int
    ) -> Coroutine[Any, Any, Verdict]:
        """Work on one job after the other until each of *kills* has ended a run."""


class Plan(Protocol):
    """How jobs are to be killed."""

    def __call__(
        self, dice: random.Random, *, moments: int, points: int, rows: int
    ) -> list[Kill]:
        """Return so many kills at random *moments*, and so many in each point."""


@attrs.frozen(kw_only=True)
class Trial:
    """What is killed, and what is asked of it.

    Attributes:
        work: How jobs are worked on and killed.
        plan: How they are to be.
        points: In which they are, but for random moments.
        items: What ends in a state: rows, or refunds.
        odd: Which of them are odd.
        kills: How many there are, if nothing else is said, in both modes.
        rows: Of one job, in the same way.
    """

    work: Work
    plan: Plan
    points: type[StrEnum]
    items: str
    odd: str
    kills: int
    rows: int


def judge(trial: Trial, description: str | None) -> None:
    """Kill in both modes at once; print what came of it.

    Args:
        trial: What is killed.
        description: What ``--help`` says of it.

    Raises:
        SystemExit: It is over; with 1 if a promise was broken.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kills", type=int, default=trial.kills)
    parser.add_argument("--rows", type=int, default=trial.rows, help="of one job")
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()
    dice = random.Random(options.seed)  # noqa: S311 -- chance, not secrets
    points = options.kills // (4 * len(trial.points))  # half of the kills of each mode
    moments = options.kills // 2 - points * len(trial.points)
    tasks = [
        (
            trial.plan(dice, moments=moments, points=points, rows=options.rows),
            honoured,
        )
        for honoured in (True, False)
    ]
    work = partial(_verdict_on, trial.work, options.rows, options.seed)
    with ProcessPoolExecutor(len(tasks)) as pool:
        verdicts = list(pool.map(work, tasks))
    for verdict in verdicts:
        _show(verdict, trial)
    raise SystemExit(any(verdict.violations for verdict in verdicts))


def _verdict_on(
    work: Work, rows: int, seed: int, task: tuple[list[Kill], bool]
) -> Verdict:
    kills, honoured = task
    return asyncio.run(work(kills, rows=rows, honoured=honoured, seed=seed))


def _show(verdict: Verdict, trial: Trial) -> None:
    """Print what became of the jobs of one mode."""
    print(
        f"keys {'honoured' if verdict.honoured else 'ignored'}: "
        f"{verdict.kills.total():,} kills in {verdict.runs:,} runs of "
        f"{verdict.jobs:,} jobs, {verdict.states.total():,} {trial.items}, "
        f"{verdict.seconds:,.0f} s\n"
    )
    counts = [
        *(
            (f"killed at {point or 'a random moment'}", count)
            for point, count in verdict.kills.most_common()
        ),
        *(
            (f"{trial.items} {state}", count)
            for state, count in verdict.states.most_common()
        ),
        (f"of the unknown {trial.odd}", verdict.odd),
        ("violations", len(verdict.violations)),
    ]
    print(
        table(("what", "how often"), [(what, f"{often:,}") for what, often in counts])
    )
    print()
    for violation in verdict.violations[:_MOST_SHOWN]:
        print(f"- {violation}")
