"""How a process is killed with SIGKILL, at any moment or where it comes by a point."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL
from typing import Self

import attrs

from convergegate_async.sandbox import Fault, FaultKind

BEGUN = "begun"
"""What the process says before it touches the journal."""

REFUSED = 429
"""The one fault that proves that nothing was done: it may be sent again."""

_HOME = Path(__file__).parent.parent
_PATIENCE = 120.0  # seconds that a run may take
_ECHO = 0.02  # seconds in which the sandbox reads what a dead process has sent


@attrs.frozen
class Kill:
    """How a run ends.

    Attributes:
        point: The crash point; `None` for any moment.
        passes: How often the point is passed, this time included.
        seconds: From the begin of a run to its end, where there is no point.
    """

    point: StrEnum | None = None
    passes: int = 1
    seconds: float = 0.0

    def sooner(self) -> Self:
        """Return what ends a run that was over before, as this machine is fast.

        Raises:
            RuntimeError: The run never came by the point.
        """
        if self.point is not None:
            message = f"nothing ever came by {self.point.name}"
            raise RuntimeError(message)
        return attrs.evolve(self, seconds=self.seconds / 2)


def plan_kills(
    dice: random.Random, points: Iterable[tuple[StrEnum, int]], *, moments: int
) -> list[Kill]:
    """Return so many kills at random *moments*, and one for each of *points*.

    Args:
        dice: Say the moments, and which time a point is passed.
        points: With the most times that it is passed.
        moments: How many there are.
    """
    kills = [Kill(seconds=dice.uniform(0.05, 0.6)) for _ in range(moments)]
    kills += [Kill(point, passes=dice.randint(1, most)) for point, most in points]
    dice.shuffle(kills)
    return kills


def faults_of(operation: str) -> tuple[Fault, ...]:
    """Return what goes wrong with 5 % of the requests."""
    return tuple(
        attrs.evolve(fault, operation=operation, probability=0.05 / 6)
        for fault in (
            Fault(FaultKind.STATUS, status=REFUSED),
            Fault(FaultKind.STATUS, status=503),
            Fault(FaultKind.STATUS, status=500, work_done=True),
            Fault(FaultKind.RESET),
            Fault(FaultKind.LOST),
            Fault(FaultKind.TRUNCATE),
        )
    )


async def run_killed(
    program: str, arguments: Sequence[str], kill: Kill | None, *, key: str, url: str
) -> bool:
    """Run a module of the harness, and tell whether it was killed before it ended.

    Args:
        program: The module's name.
        arguments: Its own; where it has to die is added.
        kill: How it ends, if not by itself.
        key: The API key.
        url: The gateway's.

    Raises:
        RuntimeError: It ended otherwise.
    """
    if kill is not None and kill.point is not None:
        where = ("--point", kill.point.name, "--passes", str(kill.passes))
        arguments = (*arguments, *where)
    with _start(program, arguments, key=key, url=url) as process:
        try:
            await asyncio.to_thread(_wait_for_begin, process)
            if kill is not None and kill.point is None:
                await asyncio.sleep(kill.seconds)
                process.kill()
            code = await asyncio.to_thread(process.wait, _PATIENCE)
        finally:
            process.kill()
    if code not in (0, -SIGKILL):
        message = f"{program} ended with {code}"
        raise RuntimeError(message)
    await asyncio.sleep(_ECHO)
    return code == -SIGKILL


def _start(
    program: str, arguments: Sequence[str], *, key: str, url: str
) -> subprocess.Popen[str]:
    # Whoever is killed cannot write what of it was covered.
    inherited = os.environ.items()
    return subprocess.Popen(  # noqa: S603 -- our own module
        [sys.executable, "-m", f"harness.{program}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_HOME,
        env={
            **{name: word for name, word in inherited if "COVERAGE" not in name},
            "CONVERGEGATE_API_KEY": key,
            "CONVERGEGATE_BASE_URL": url,
        },
    )


def _wait_for_begin(process: subprocess.Popen[str]) -> None:
    """Wait until *process* says that it begins, and nothing else."""
    if process.stdout is None or process.stdout.readline().strip() != BEGUN:
        message = "the process ended before it began"
        raise RuntimeError(message)
