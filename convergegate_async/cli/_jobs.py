"""What the ``bulk`` commands do, from the first row to the report on stderr."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from convergegate_async import CheckoutSessionFactory, PoolLimits
from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.bulk import (
    CANNOT_CONNECT,
    DamagedJournalError,
    Job,
    JobFolder,
    JobHeader,
    JobPlan,
    Journal,
    JournalError,
    Mistake,
    OnUnknown,
    Reconciliation,
    RowCounts,
    SourceError,
    Tally,
    move_source,
    plan_of,
    reconcile,
    session_ids_in,
    write_off,
)
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    ConfigurationError,
    PermissionDeniedError,
)

from ._gateway import PROXY_VARIABLE, Gateway
from ._progress import Display
from ._signals import on_interrupt
from ._streams import print_note
from ._wording import counted

if TYPE_CHECKING:
    from convergegate_async.runners import Runner

T = TypeVar("T")

_MOST_LISTED = 20


class RunExitCode(IntEnum):
    """The exit code of a run: what is left to do."""

    DONE = 0
    CONFIGURATION = 3
    REJECTED = 4
    UNKNOWN = 5  # or not sent
    INTERRUPTED = 130


def begin(
    folder: JobFolder,
    plan: JobPlan,
    gateway: Gateway,
    *,
    total: int | None,
    dask: str | None,
) -> RunExitCode:
    """Run a new job; return what is left to do."""
    runner = None if dask is None else _runner(dask, gateway)

    async def run() -> RunExitCode:
        factory = factory_for(gateway, plan)
        async with await Job.begin(folder, plan, factory, total=total) as job, factory:
            return await _run(folder, job, runner)

    return asyncio.run(run())


def go_on(  # noqa: PLR0913 -- each is an option
    folder: JobFolder,
    gateway: Gateway,
    *,
    retries_failed: bool = False,
    on_unknown: str | None = None,
    dask: str | None = None,
    max_pause: float | None = None,
    max_outage: float | None = None,
    source: str | None = None,
) -> RunExitCode:
    """Run a job again; return what is left to do."""
    runner = None if dask is None else _runner(dask, gateway)

    async def run() -> RunExitCode:
        with Journal.open(folder.journal) as journal:
            begun = plan_of(journal.header)
            factory = factory_for(of_job(gateway, journal.header), begun)
            if source is not None:
                print_note(
                    f"Comparing {source} with what was sent."
                )  # a minute of 10^6
                await move_source(journal, factory, folder, source)
            plan = plan_of(
                journal.header,
                None if on_unknown is None else OnUnknown(on_unknown),
                retries_failed=retries_failed,
                max_pause=max_pause,
                max_outage=max_outage,
            )
            _require_source(plan)
            job = Job(journal, factory, plan, folder)
            async with factory, job:
                return await _run(folder, job, runner)

    return asyncio.run(run())


def _require_source(plan: JobPlan) -> None:
    if plan.source and not Path(plan.source).exists():
        message = (
            f"the input of the job, {plan.source}, is not there any more: put it back, "
            "or say where it is by --source"
        )
        raise ConfigurationError(message)


def write_off_rows(folder: JobFolder) -> RunExitCode:
    """Make a damaged journal sound, without sending; return what is left to do."""
    counts = write_off(folder)
    sentences = [f"{folder.job}: {counts}."]
    if counts.unknown:
        sentences.append(
            f"{counts.unknown:,} may have a session, and will not be sent again: "
            f"`convergegate bulk reconcile {folder.job} --events FILE` may find them."
        )
    print_note(" ".join(sentences))
    return RunExitCode.UNKNOWN if counts.unknown else RunExitCode.DONE


async def _run(folder: JobFolder, job: Job, runner: "Runner | None") -> RunExitCode:
    """Run the job once, report what came of it, and return what is left to do."""
    total = job.total
    outcomes = job.run() if runner is None else job.run_on(runner)
    try:
        ended = await watched(folder.job, job, outcomes)
    except SourceError:
        _report(folder, job, await job.counts())
        raise
    counts = await job.counts()
    _report(folder, job, counts)
    is_kept = await _keep_dead_letters(folder, job, counts)
    if total is not None and (added := (job.total or 0) - total) > 0:
        print_note(
            f"The input has grown by {counted(added, 'row')}: nobody was shown what "
            "they come to."
        )
    code = end_shown(job, ended, f"`convergegate bulk resume {folder.job}`")
    if code is None:
        code = _left_to_do(folder, job, counts)
    return code or (RunExitCode.DONE if is_kept else RunExitCode.CONFIGURATION)


async def _keep_dead_letters(folder: JobFolder, job: Job, counts: RowCounts) -> bool:
    """Write the rows that came to no session, and tell where, or why that failed."""
    try:
        path = await job.write_dead_letters()
    except JournalError:
        raise
    except ConfigurationError as error:
        print_note(f"Error: {error}", "red")
        print_note(
            "Rejected and invalid rows are not written: see to that, then "
            f"`convergegate bulk resume {folder.job}` writes them."
        )
        return False
    if path is not None:
        print_note(
            "Rejected and invalid rows, to be corrected and run as a new job with the "
            f"same options for its columns: {path}"
        )
        if counts.rejected > job.tally.invalid:
            print_note(
                "Or, and never both, what the gateway rejected is sent again as it is: "
                f"`convergegate bulk retry-failed {folder.job}`."
            )
    return True


def _left_to_do(folder: JobFolder, job: Job, counts: RowCounts) -> RunExitCode:
    """Return what a run has left to do that has gone over the whole input."""
    if job.tally.not_sent:
        return RunExitCode.UNKNOWN
    if counts.pending:
        print_note(
            f"{counted(counts.pending, 'row')} left the input before they were sent: "
            f"put it back as it was, then `convergegate bulk resume {folder.job}`."
        )
        return RunExitCode.UNKNOWN
    if counts.unknown:
        return RunExitCode.UNKNOWN
    is_whole = job.tally.is_complete and not counts.rejected
    return RunExitCode.DONE if is_whole else RunExitCode.REJECTED


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


def _runner(address: str, gateway: Gateway) -> "Runner":
    from convergegate_async.runners import DaskRunner

    if gateway.proxy is not None or gateway.trust is not None:
        message = f"Dask workers call by no --proxy ({PROXY_VARIABLE}) or --ca-file"
        raise ConfigurationError(message)
    if gateway.api_key is not None:
        # Workers of this machine read the key where this process could have.
        os.environ[API_KEY_VARIABLE] = gateway.api_key
    return DaskRunner(address)


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


def verify(folder: JobFolder) -> list[str]:
    """Return what is wrong with a job, in words."""

    async def look(journal: Journal) -> list[str]:
        problems = await journal.check()
        counts, total = await journal.counts(), journal.header.total
        if total is not None and sum(counts.values()) > total:
            problems.append("the journal holds more rows than the input had")
        return problems

    try:
        with Journal.read(folder.journal) as journal:
            return asyncio.run(look(journal))
    except DamagedJournalError as error:
        return [str(error)]


def reconcile_with_events(
    folder: JobFolder, gateway: Gateway, events: Path
) -> Reconciliation:
    """Reconcile unknown rows with webhooks; return what came of it."""

    async def look(journal: Journal) -> Reconciliation:
        plan = plan_of(journal.header)
        async with factory_for(of_job(gateway, journal.header), plan) as factory:
            return await reconcile(
                journal,
                factory,
                plan.rows(),
                session_ids_in(events),
                plan.table.row_metadata,
            )

    with Journal.open(folder.journal) as journal:
        return asyncio.run(look(journal))


@asynccontextmanager
async def open_job(
    folder: JobFolder,
    gateway: Gateway,
    max_pause: float | None = None,
    max_outage: float | None = None,
) -> AsyncIterator[Job]:
    """Go on with a job as it was begun, at the gateway that it was begun with."""
    with Journal.open(folder.journal) as journal:
        plan = plan_of(journal.header, max_pause=max_pause, max_outage=max_outage)
        factory = factory_for(of_job(gateway, journal.header), plan)
        job = Job(journal, factory, plan, folder)
        async with factory, job:
            yield job


def factory_for(gateway: Gateway, plan: JobPlan) -> CheckoutSessionFactory:
    limit = max(PoolLimits().limit, plan.concurrency)
    return gateway.factory(pool=PoolLimits(limit=limit))


def of_job(gateway: Gateway, header: JobHeader) -> Gateway:
    """Return the gateway that the job was begun with, unless another is asked for."""
    return attrs.evolve(gateway, base_url=gateway.base_url or header.base_url)


def _report(folder: JobFolder, job: Job, counts: RowCounts) -> None:
    tally = job.tally
    print_note(f"{folder.job}: {counts}")
    if tally.skipped:  # else this was all
        print_note(f"In this run: {_in_this_run(tally)}")
    codes = tally.codes + Counter({"Invalid": tally.invalid})
    for code, count in codes.most_common():
        print_note(f"  {count:>9,} {code}")
    if tally.changed:
        listed = ", ".join(tally.changed[:_MOST_LISTED])
        print_note(f"Changed since they were sent, and left alone: {listed}")
    if tally.repeated:
        repeated = Mistake(
            columns=(),
            reason="has the id of an earlier row: not sent, and in no file",
            count=len(tally.repeated),
            lines=tuple(tally.repeated[:_MOST_LISTED]),
        )
        print_note(
            f"{repeated}. Another order needs an id of its own, then `convergegate "
            f"bulk resume {folder.job}`."
        )
    if counts.unknown:
        print_note(
            f"{counted(counts.unknown, 'row')} may or may not have a session: "
            f"`convergegate bulk export {folder.job}` lists them, "
            f"`bulk reconcile {folder.job} --events FILE` may find out, and "
            f"`bulk resolve {folder.job} ROW` is for what you find out yourself."
        )


def _in_this_run(tally: Tally) -> str:
    by_name = {
        "created": tally.created,
        "rejected": tally.rejected,
        "unknown": tally.unknown,
        "pending": tally.not_sent,
    }
    words = [f"{name} {count:,}" for name, count in by_name.items() if count]
    words = words or ["nothing was left to send"]
    if tally.invalid:  # those of earlier runs, too: no journal knows them
        words.append(f"invalid {tally.invalid:,}")
    return ", ".join(words)
