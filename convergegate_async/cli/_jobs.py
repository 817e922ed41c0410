"""What the ``bulk`` commands do, from the first row to the report on stderr."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from convergegate_async import CheckoutSessionFactory, PoolLimits
from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.bulk import (
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
from convergegate_async.errors import ConfigurationError

from ._gateway import PROXY_VARIABLE, Gateway
from ._job_watch import RunExitCode, end_shown, watched
from ._streams import print_note
from ._wording import counted

if TYPE_CHECKING:
    from convergegate_async.runners import Runner

_MOST_LISTED = 20


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


def _runner(address: str, gateway: Gateway) -> "Runner":
    from convergegate_async.runners import DaskRunner

    if gateway.proxy is not None or gateway.trust is not None:
        message = f"Dask workers call by no --proxy ({PROXY_VARIABLE}) or --ca-file"
        raise ConfigurationError(message)
    if gateway.api_key is not None:
        # Workers of this machine read the key where this process could have.
        os.environ[API_KEY_VARIABLE] = gateway.api_key
    return DaskRunner(address)


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
