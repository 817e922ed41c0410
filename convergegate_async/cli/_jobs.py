"""What the ``bulk`` commands do with a job's files, from first row to report."""

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from convergegate_async import CheckoutSessionFactory, PoolLimits
from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.bulk import (
    Job,
    JobHeader,
    Journal,
    OnUnknown,
    ResumeRules,
    RowOutcome,
    State,
    TableOptions,
    Tally,
    dead_letters,
    every_row,
    guess_format,
    new_header,
    read_table,
    reconcile,
    result_of,
    session_ids_in,
    write_dead_letters,
    write_results,
)
from convergegate_async.errors import ConfigurationError

from ._gateway import Gateway
from ._job_folder import JobFolder
from ._progress import Display
from ._until import on_interrupt

if TYPE_CHECKING:
    from convergegate_async.runners import Runner

T = TypeVar("T")

_MOST_LISTED = 20


class Ending(IntEnum):
    """What is left to do, as an exit code."""

    DONE = 0
    REJECTED = 4
    UNKNOWN = 5  # or not sent
    INTERRUPTED = 130


def begin(  # noqa: PLR0913 -- each is an option of the command
    folder: JobFolder,
    source: str,
    table_options: TableOptions,
    gateway: Gateway,
    *,
    on_unknown: str,
    keys_honoured: bool,
    dask: str | None,
    **settings: Any,  # noqa: ANN401 -- click has read them
) -> Ending:
    """Run a new job; return what is left to do."""
    file_format = settings["format"] or guess_format(source)
    if Path(source).resolve() == folder.letters(file_format).resolve():
        message = f"{source} would be written over: choose another name for the job"
        raise ConfigurationError(message)
    next(
        read_table(source, table_options, format=file_format), None
    )  # or it cannot be read at all
    runner = None if dask is None else _runner(dask, gateway)
    rules = ResumeRules(on_unknown=OnUnknown(on_unknown), keys_honoured=keys_honoured)
    options = {**attrs.asdict(table_options), **settings, "on_unknown": on_unknown}
    factory = _factory(rules, gateway, settings["concurrency"])
    header = new_header(
        factory,
        folder.job,
        keys_honoured=keys_honoured,
        source=str(Path(source).resolve()),
        options=options,
    )
    with Journal.create(folder.journal, header) as journal:
        return _run(folder, journal, rules, factory, runner)


def go_on(
    folder: JobFolder,
    gateway: Gateway,
    *,
    retries_failed: bool = False,
    on_unknown: str | None = None,
    dask: str | None = None,
) -> Ending:
    """Run a job again; return what is left to do."""
    runner = None if dask is None else _runner(dask, gateway)
    with Journal.open(folder.journal) as journal:
        header = journal.header
        options = json.loads(header.options)
        rules = ResumeRules(
            on_unknown=OnUnknown(on_unknown or options["on_unknown"]),
            keys_honoured=header.keys_honoured,
            retries_failed=retries_failed,
        )
        gateway = _of_job(gateway, header)
        factory = _factory(rules, gateway, options["concurrency"])
        return _run(folder, journal, rules, factory, runner)


def _run(
    folder: JobFolder,
    journal: Journal,
    rules: ResumeRules,
    factory: CheckoutSessionFactory,
    runner: "Runner | None",
) -> Ending:
    """Run the job once, tell what came of it, and return what is left to do."""
    options = json.loads(journal.header.options)
    table_options = _table_options(options)
    with asyncio.Runner() as loop:
        tally, interrupted = loop.run(_send(folder, journal, rules, factory, runner))
        counts = loop.run(journal.counts())
    letters = _write_letters(folder, journal, table_options, options["format"])
    _report(folder, tally, counts, letters)
    if interrupted:
        click.echo(
            f"Saved; go on with `convergegate bulk resume {folder.job}`.", err=True
        )
        return Ending.INTERRUPTED
    if tally.not_sent or counts[State.UNKNOWN]:
        return Ending.UNKNOWN
    is_whole = tally.is_complete and not counts[State.FAILED]
    return Ending.DONE if is_whole else Ending.REJECTED


async def _send(
    folder: JobFolder,
    journal: Journal,
    rules: ResumeRules,
    factory: CheckoutSessionFactory,
    runner: "Runner | None",
) -> tuple[Tally, bool]:
    """Send what is to be sent; return what was counted, and whether it was cut."""
    options = json.loads(journal.header.options)
    table_options, source, file_format = (
        _table_options(options),
        journal.header.source,
        options["format"],
    )
    total = journal.header.total
    if total is None:
        last = deque(read_table(source, table_options, format=file_format), maxlen=1)
        total = last[0].position if last else 0
        await journal.set_total(total)
    async with factory:
        job = Job(journal, factory, rules)
        rows = read_table(source, table_options, format=file_format)
        limits = {name: options[name] for name in ("concurrency", "maximum_rps")}
        outcomes = (
            job.run(rows, **limits)
            if runner is None
            else job.run_on(runner, rows, **limits)
        )
        with Display(folder.job, total, job.tally, options["maximum_rps"]) as display:
            ticking = asyncio.create_task(display.tick())
            try:
                interrupted = await _watch(job, outcomes)
            finally:
                ticking.cancel()
    return job.tally, interrupted


def _runner(address: str, gateway: Gateway) -> "Runner":
    from convergegate_async.runners import DaskRunner

    if gateway.api_key is not None:
        # Workers of this machine read the key where this process could have.
        os.environ[API_KEY_VARIABLE] = gateway.api_key
    return DaskRunner(address)


async def _watch(job: Job, outcomes: AsyncIterator[RowOutcome]) -> bool:
    """Follow the job; Ctrl-C drains it, a second one cuts it. Tell whether it came."""
    interrupts = 0
    task = asyncio.current_task()

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            click.echo("Finishing what is under way; Ctrl-C again to cut it.", err=True)
            job.stop()
        elif task is not None:
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


def status(folder: JobFolder) -> dict[str, Any]:
    """Return how many rows are in which state."""

    async def look(journal: Journal) -> dict[str, Any]:
        counts = await journal.counts()
        total = journal.header.total
        met = sum(counts.values())
        return {
            "job": journal.header.job,
            "gateway": journal.header.base_url,
            "mode": "live" if journal.header.live else "test",
            "rows": total,
            "created": counts.get(State.DONE, 0),
            "rejected": counts.get(State.FAILED, 0),
            "unknown": counts.get(State.UNKNOWN, 0),
            "interrupted": counts.get(State.SENT, 0),
            "pending": None if total is None else total - met,
        }

    with Journal.open(folder.journal) as journal:
        return asyncio.run(look(journal))


def verify(folder: JobFolder) -> list[str]:
    """Return what is wrong with a job, in words."""

    async def look(journal: Journal) -> list[str]:
        problems = await journal.check()
        counts, total = await journal.counts(), journal.header.total
        if total is not None and sum(counts.values()) > total:
            problems.append("the journal holds more rows than the input had")
        return problems

    with Journal.open(folder.journal) as journal:
        return asyncio.run(look(journal))


def export(folder: JobFolder, *, output: str, format: str | None, order: str) -> int:  # noqa: A002 -- the option's name
    """Write what became of each row; return how many were written."""
    with Journal.open(folder.journal) as journal, asyncio.Runner() as loop:
        rows = every_row(journal, by_completion=order == "completion")
        job = journal.header.job
        results = (result_of(row, job) for row in _drawn(loop, rows))
        try:
            return write_results(output, results, format=format)
        except OSError as error:
            message = f"{output} cannot be written: {error.strerror}"
            raise ConfigurationError(message) from None


def _drawn(loop: asyncio.Runner, items: AsyncIterator[T]) -> Iterator[T]:
    """Yield *items* where nobody can await."""
    while (item := loop.run(_next(items))) is not None:
        yield item


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)


def reconcile_with_events(
    folder: JobFolder, gateway: Gateway, events: Path
) -> tuple[int, int]:
    """Reconcile unknown rows with webhooks; return how many were, and are not."""

    async def look(journal: Journal) -> tuple[int, int]:
        header = journal.header
        options = json.loads(header.options)
        factory = _factory(ResumeRules(), _of_job(gateway, header), 1)
        rows = read_table(
            header.source, _table_options(options), format=options["format"]
        )
        async with factory:
            return await reconcile(
                journal, factory, rows, session_ids_in(events), options["row_metadata"]
            )

    with Journal.open(folder.journal) as journal:
        return asyncio.run(look(journal))


def _factory(
    rules: ResumeRules, gateway: Gateway, concurrency: int
) -> CheckoutSessionFactory:
    limit = max(PoolLimits().limit, concurrency)
    return gateway.factory(retry=rules.policy(), pool=PoolLimits(limit=limit))


def _of_job(gateway: Gateway, header: JobHeader) -> Gateway:
    """Return the gateway that the job was begun with, unless another is asked for."""
    return attrs.evolve(gateway, base_url=gateway.base_url or header.base_url)


def _table_options(options: dict[str, Any]) -> TableOptions:
    names = [field.name for field in attrs.fields(TableOptions)]
    return TableOptions(**{name: options[name] for name in names})


def _write_letters(
    folder: JobFolder,
    journal: Journal,
    table_options: TableOptions,
    file_format: str | None,
) -> Path | None:
    """Write the rows that came to nothing, if any, as input for another job."""
    file_format = file_format or guess_format(journal.header.source)
    path = folder.letters(file_format)
    rows = read_table(journal.header.source, table_options, format=file_format)
    with asyncio.Runner() as loop:
        letters = _drawn(loop, dead_letters(journal, rows))
        first = next(letters, None)
        if first is None:
            path.unlink(missing_ok=True)  # of an earlier run: to send it would be wrong
            return None
        write_dead_letters(str(path), chain([first], letters), format=file_format)
    return path


def _report(
    folder: JobFolder, tally: Tally, counts: dict[State, int], letters: Path | None
) -> None:
    counted = (
        ("created", tally.created),
        ("rejected", tally.rejected),
        ("unknown", tally.unknown),
        ("not sent", tally.not_sent),
        ("done before", tally.skipped),
        ("changed", len(tally.changed)),
        ("invalid", tally.invalid),
    )
    words = ", ".join(f"{name} {count:,}" for name, count in counted if count)
    click.echo(f"{folder.job}: {words or 'nothing to do'}", err=True)
    for code, count in tally.codes.most_common():
        click.echo(f"  {count:>9,} {code}", err=True)
    if tally.changed:
        listed = ", ".join(tally.changed[:_MOST_LISTED])
        click.echo(f"Changed since they were sent, and left alone: {listed}", err=True)
    if unknown := counts[State.UNKNOWN]:
        click.echo(
            f"Of {unknown:,} rows nobody knows whether they have a session: "
            f"`convergegate bulk export {folder.job}` lists them, "
            f"`bulk reconcile {folder.job} --events FILE` may find out.",
            err=True,
        )
    if letters is not None:
        click.echo(f"Rows without a session, as input again: {letters}", err=True)
