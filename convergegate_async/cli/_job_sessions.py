"""What ``bulk`` does once the links are out: sessions are looked at."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import attrs

from convergegate_async.bulk import Job, JobFolder, JournalInUseError, SessionSeen

from ._gateway import Gateway
from ._job_status import lines_of
from ._job_watch import RunExitCode, end_shown, tallied, watched
from ._jobs import open_job
from ._signals import on_interrupt
from ._streams import print_note
from ._wording import counted

_FINAL = frozenset({"completed", "expired"})


@attrs.frozen
class Rhythm:
    """How often sessions are looked at, and until when.

    Attributes:
        pause: Seconds between two looks.
        until: No look begins later; until all are final if `None`.
    """

    pause: float
    until: datetime | None = None

    def goes_on(self, now: datetime) -> bool:
        """Tell whether there is another look after the pause."""
        return self.until is None or now + timedelta(seconds=self.pause) <= self.until


def refresh(  # noqa: PLR0913 -- each is an option of the command
    folder: JobFolder,
    gateway: Gateway,
    rhythm: Rhythm | None,
    *,
    final: bool,
    maximum_rps: float | None,
    max_pause: float | None,
    max_outage: float | None,
) -> RunExitCode:
    """Look at the sessions of a job, once or in a rhythm; return what is left to do.

    Between two looks nobody is kept out of the journal. Whoever has it open when a
    look is due, but for the first, is left alone: the next look comes in its time.
    """
    opened = partial(open_job, folder, gateway, max_pause, max_outage)

    async def look() -> RunExitCode:
        code: RunExitCode | None = None
        while True:
            try:
                async with opened() as job:
                    code, is_over = await _refresh(
                        folder, job, maximum_rps, final=final
                    )
            except JournalInUseError as error:
                if code is None:
                    raise
                print_note(f"Not looked at: {error}")
                code, is_over = RunExitCode.UNKNOWN, False
            has_ended = code not in {RunExitCode.DONE, RunExitCode.UNKNOWN}
            now = datetime.now().astimezone()
            if has_ended or is_over or rhythm is None or not rhythm.goes_on(now):
                return code
            print_note(
                f"Next look at {now + timedelta(seconds=rhythm.pause):%H:%M:%S}."
            )
            if await _is_interrupted_within(rhythm.pause):
                return RunExitCode.INTERRUPTED

    return asyncio.run(look())


async def _is_interrupted_within(seconds: float) -> bool:
    stop = asyncio.Event()
    on_interrupt(stop.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()


async def _refresh(
    folder: JobFolder, job: Job, maximum_rps: float | None, *, final: bool
) -> tuple[RunExitCode, bool]:
    """Look once; return what is left to do, and whether all sessions are final."""
    codes: Counter[str] = Counter()
    seen = job.refresh(final=final, maximum_rps=maximum_rps)
    looks = tallied(seen, codes, _code_of)
    ended = await watched(folder.job, job, looks)
    sessions = await job.sessions()
    _report(folder, job, codes)
    for line in lines_of(sessions):
        print_note(line)
    code = end_shown(job, ended, f"`convergegate bulk refresh {folder.job}`")
    if code is None:
        code = RunExitCode.UNKNOWN if codes else RunExitCode.DONE
    return code, all(one.status in _FINAL for one in sessions)


def _code_of(seen: SessionSeen) -> str | None:
    return None if seen.error is None else type(seen.error).__name__


def _report(folder: JobFolder, job: Job, codes: Counter[str]) -> None:
    done = job.progress.done
    print_note(f"{folder.job}: {counted(done - codes.total(), 'session')} looked at")
    for code, count in codes.most_common():
        print_note(f"  {count:>9,} {code}")
