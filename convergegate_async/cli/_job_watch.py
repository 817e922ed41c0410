"""A job at work, watched: its screen, Ctrl-C, and how it ended, said to a person."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TypeVar

import attrs

from convergegate_async.bulk import CANNOT_CONNECT, Job
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    PermissionDeniedError,
)

from ._progress import Display
from ._signals import on_interrupt
from ._streams import print_note

T = TypeVar("T")


class RunExitCode(IntEnum):
    """The exit code of a run: what is left to do."""

    DONE = 0
    CONFIGURATION = 3
    REJECTED = 4
    UNKNOWN = 5  # or not sent
    INTERRUPTED = 130


@attrs.frozen
class Ended:
    """How something that a job did came to its end.

    Attributes:
        interrupted: By Ctrl-C or SIGTERM.
        error: By this, as the gateway cannot be called any more.
    """

    interrupted: bool = False
    error: CallError | None = None


async def watched(name: str, job: Job, outcomes: AsyncIterator[object]) -> Ended:
    """Have a job do something, shown on the screen, and return how that ended."""
    with Display(name, job) as display:
        ticking = asyncio.create_task(display.tick())
        try:
            return Ended(interrupted=await _watch(job, outcomes))
        except (AuthenticationError, PermissionDeniedError):
            raise  # the key is wrong: what was done has little to tell
        except CallError as error:
            return Ended(error=error)
        finally:
            ticking.cancel()


async def _watch(job: Job, outcomes: AsyncIterator[object]) -> bool:
    """Follow the job; Ctrl-C drains it, a second one cuts it. Tell whether it came."""
    interrupts = 0
    task = asyncio.current_task()

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            print_note("Finishing what is under way; Ctrl-C again to cut it.")
            job.stop()
        elif task is not None and not task.cancelling():  # a third breaks off nothing
            task.cancel()

    on_interrupt(interrupt)
    try:
        async for _ in outcomes:
            pass  # the tally has counted it
    except asyncio.CancelledError:
        if not interrupts or task is None:
            raise
        task.uncancel()
    return bool(interrupts)


async def tallied(
    outcomes: AsyncIterator[T], codes: Counter[str], code_of: Callable[[T], str | None]
) -> AsyncIterator[T]:
    """Yield *outcomes*, and count in *codes* those that have a code."""
    async for outcome in outcomes:
        code = code_of(outcome)
        if code:
            codes[code] += 1
        yield outcome


def end_shown(job: Job, ended: Ended, how: str) -> RunExitCode | None:
    """Tell why a job ended before all was done, if it did, and how to go on.

    Args:
        job: It.
        ended: How it ended.
        how: What goes on with it.

    Returns:
        The exit code; `None` if it came to its end.
    """
    if ended.interrupted:
        print_note(f"Saved; go on with {how}.")
        return RunExitCode.INTERRUPTED
    if ended.error is None:
        return None
    return _tell_error(job, ended.error, f"go on with {how}")


def _tell_error(job: Job, end: CallError, go_on: str) -> RunExitCode:
    print_note(f"Error: {end}", "red")
    if end.failure in CANNOT_CONNECT and not job.is_answered:
        print_note(
            f"Nothing was sent in this run: see to that first, then {go_on}, which "
            f"calls {job.base_url}. Another address needs another job."
        )
        return RunExitCode.CONFIGURATION
    if end.retry_after is not None and end.retry_after > job.plan.max_pause:
        moment = datetime.now().astimezone() + timedelta(seconds=end.retry_after)
        print_note(
            f"The gateway asked for {end.retry_after:,.0f} s, which is more than "
            f"--max-pause: {go_on} from {moment:%Y-%m-%d %H:%M} on."
        )
    elif end.retry_after is not None:
        print_note(
            "The gateway asked for one pause after the other, which come to more than "
            f"--max-pause ({job.plan.max_pause:,.0f} s): {go_on} later."
        )
    else:
        print_note(
            f"Nothing got through for --max-outage ({job.plan.max_outage:,.0f} s); the "
            f"rest is left as it was: {go_on} once the gateway is back."
        )
    return RunExitCode.UNKNOWN
