"""``convergegate bulk``: jobs that open a session for every row of a file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from convergegate_async.errors import ConfigurationError

from ._bulk_doubts import reconcile, resolve
from ._bulk_export import export
from ._bulk_forget import forget
from ._bulk_options import (
    directory_option,
    job_argument,
    max_outage_option,
    max_pause_option,
    require_name,
)
from ._bulk_sessions import refresh, refund
from ._gateway import Gateway, gateway_options
from ._invocation import output_option
from ._signals import cleaning_up
from ._streams import print_data, print_note, printable, stdin_bytes
from ._tables import format_of, table_of, table_options
from ._usage import ABOVE_ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergegate_async.bulk import JobPlan

_dask = click.option(
    "--dask",
    metavar="ADDRESS",
    help="Send from Dask workers: tcp://host:8786, or local:4 for four processes here.",
)
_source = click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False),
    help="Where the input is now, if it was moved; it has to hold the same rows.",
)


def _unused(
    _context: click.Context, _option: click.Parameter, path: Path | None
) -> Path | None:
    """Return the *path* of a file that can be made, before an input is read for it."""
    if path is not None and path.exists():
        message = f"cannot write {path}: File exists"
        raise ConfigurationError(message)
    if path is not None and not path.parent.is_dir():
        message = f"cannot write {path}: there is no folder {path.parent}"
        raise ConfigurationError(message)
    return path


_problems = click.option(
    "--problems",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_unused,
    help="A new file for all problems, in CSV: line, id, column, reason.",
)


@click.group()
def bulk() -> None:
    """Open a session for every row of a file; survive being killed on the way."""


bulk.add_command(forget)
bulk.add_command(refresh)
bulk.add_command(export)
bulk.add_command(refund)
bulk.add_command(reconcile)
bulk.add_command(resolve)


@bulk.command()
@click.argument("source")
@table_options
@_problems
@output_option("table", "json")
def check(source: str, problems: Path | None, output: str, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Read SOURCE (CSV, XLSX, JSONL, Parquet; - is stdin), and send nothing.

    It shows what the rows come to, three of them as they would be sent, and what is
    wrong. The exit code is 1 if anything is.
    """
    return _shown(source, options, problems, output)


@bulk.command()
@click.argument("source")
@click.option(
    "--job",
    required=True,
    callback=require_name,
    help="The job's name; idempotency keys derive from it.",
)
@table_options
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Most requests in progress at once.",
)
@click.option(
    "--maximum-rps",
    type=ABOVE_ZERO,
    help="Most requests started per second.",
)
@click.option(
    "--on-unknown",
    type=click.Choice(["report", "repeat"]),
    default="report",
    show_default=True,
    help="Rows whose outcome nobody knows: list them, or send them again.",
)
@click.option(
    "--keys-honoured",
    is_flag=True,
    help="Only if the provider has confirmed it: a repeated idempotency key returns "
    "the first session.",
)
@click.option(
    "--skip-validation",
    is_flag=True,
    help="Do not check all rows before sending; check each when its turn comes. Good "
    "ones are sent, bad ones go to JOB.failed.*, to be corrected.",
)
@click.option(
    "--confirm-above",
    multiple=True,
    metavar="CURRENCY=AMOUNT",
    help="Ask before more than that is asked of customers, such as PLN=10000.00; may "
    "be repeated.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: all is as it should be.")
@click.option(
    "--dry-run", is_flag=True, help="As `bulk check`: read all rows, and send nothing."
)
@_problems
@max_pause_option
@max_outage_option
@_dask
@directory_option
@gateway_options
def run(gateway: Gateway, source: str, job: str, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Open a session for every row of SOURCE (CSV, XLSX, JSONL, Parquet; - is stdin).

    All rows are checked before the first is sent. The journal, JOB.journal, knows what
    became of each: after a kill, `bulk resume JOB` goes on where it was.
    """
    from convergegate_async.bulk import (
        JobFolder,
        JobPlan,
        Limits,
        OnUnknown,
        ResumeRules,
    )

    from . import _check, _jobs

    _check.read_limits(options["confirm_above"])  # a slip in one is told at once
    if options["dry_run"]:
        return _shown(source, options, options["problems"], "table")
    if options["confirm_above"] and options["skip_validation"]:
        message = "--confirm-above needs the sum that --skip-validation does not know"
        raise click.UsageError(message)
    if options["problems"] and options["skip_validation"]:
        message = "--problems keeps what --skip-validation does not look for"
        raise click.UsageError(message)
    table = table_of(options)
    if options["dask"] and not options["keys_honoured"]:
        message = "--dask sends a lost worker's rows again: it needs --keys-honoured"
        raise click.UsageError(message)
    folder = JobFolder(job, options["directory"])
    folder.require_new()
    is_piped = source == "-"
    if not is_piped:
        folder.require_no_input(source)
    plan = JobPlan(
        source=source,
        format=format_of(source, options),
        table=table,
        rules=ResumeRules(
            on_unknown=OnUnknown(options["on_unknown"]),
            keys_honoured=options["keys_honoured"],
        ),
        concurrency=options["concurrency"],
        maximum_rps=options["maximum_rps"],
        max_pause=options["max_pause"] or Limits().max_pause,
        max_outage=options["max_outage"] or Limits().max_outage,
    )
    with cleaning_up():
        if is_piped:
            plan = attrs.evolve(plan, source=folder.spool(stdin_bytes("the rows")))
        try:
            plan, total = _settled(plan, options)
            return _jobs.begin(folder, plan, gateway, total=total, dask=options["dask"])
        finally:
            if is_piped and not folder.journal.exists():
                Path(plan.source).unlink()  # there is no job that could need it


@bulk.command()
@job_argument
@max_pause_option
@max_outage_option
@_dask
@_source
@directory_option
@gateway_options
@click.option(
    "--on-unknown",
    type=click.Choice(["report", "repeat"]),
    help="Replaces the job's own choice for this run.",
)
@click.option(
    "--after-damage",
    is_flag=True,
    help="The journal lost something: send nothing, and mark every unfinished row as "
    "unknown; `bulk reconcile` may find its session.",
)
def resume(
    gateway: Gateway,
    job: str,
    directory: Path,
    *,
    after_damage: bool,
    **options: Any,  # noqa: ANN401 -- click has read them
) -> int:
    """Go on with a job that was interrupted or killed."""
    from convergegate_async.bulk import JobFolder

    from . import _jobs

    folder = JobFolder(job, directory)
    if after_damage:
        given = sorted(name for name, value in options.items() if value is not None)
        if given:
            listed = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            message = f"--after-damage sends nothing: leave out {listed}"
            raise click.UsageError(message)
        return _jobs.write_off_rows(folder)
    return _jobs.go_on(folder, gateway, **options)


@bulk.command("retry-failed")
@job_argument
@max_pause_option
@max_outage_option
@_dask
@_source
@directory_option
@gateway_options
def retry_failed(gateway: Gateway, job: str, directory: Path, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Send the rows again that the gateway rejected."""
    from convergegate_async.bulk import JobFolder

    from . import _jobs

    folder = JobFolder(job, directory)
    return _jobs.go_on(folder, gateway, retries_failed=True, **options)


@bulk.command()
@job_argument
@directory_option
@output_option("table", "json")
def status(job: str, directory: Path, output: str) -> None:
    """Show how far a job has come."""
    from convergegate_async.bulk import JobFolder

    from ._job_status import status_of

    known = status_of(JobFolder(job, directory))
    if output == "json":
        print_data(json.dumps(known.as_object()))
        return
    for line in known.lines():
        print_data(line)
    if "damaged" in known.facts:
        end = "none of its rows is sent any more, nor paid back"
        print_note(f"Its journal lost something: {end}.")


@bulk.command()
@job_argument
@directory_option
def verify(job: str, directory: Path) -> int:
    """Check that a job's journal is sound."""
    from convergegate_async.bulk import JobFolder

    from . import _jobs

    problems = _jobs.verify(JobFolder(job, directory))
    for problem in problems:
        print_data(problem)
    if not problems:
        print_note("The journal is sound.")
    return int(bool(problems))


def _shown(
    source: str, options: "Mapping[str, Any]", problems: Path | None, output: str
) -> int:
    """Show what the input comes to; return the exit code."""
    from convergegate_async.bulk import JobPlan

    from . import _check

    with _check.readable(source) as path:
        plan = JobPlan(
            source=path, format=format_of(source, options), table=table_of(options)
        )
        finding = plan.find()
        found = _check.checked(attrs.evolve(plan, table=finding.options), problems)
    doubts = [
        *finding.doubts,
        *_check.ruined_in(found, options["id_column"]),
        *_check.sent_in(found),
    ]
    _check.show_check(found, finding, doubts, output)
    _check.settle(doubts, is_sure=True)
    return int(bool(found.mistakes))


def _settled(
    plan: "JobPlan", options: "Mapping[str, Any]"
) -> "tuple[JobPlan, int | None]":
    """Tell what the input comes to; return how it is read, and how many rows it has.

    Raises:
        click.exceptions.Exit: It has mistakes, or something in it is not as it should
            be.
    """
    from . import _check

    limits = _check.read_limits(options["confirm_above"])
    is_sure = options["yes"]
    finding = plan.find()
    plan = attrs.evolve(plan, table=finding.options)
    if finding.read_as:
        print_note(printable(str(finding)))
    if options["skip_validation"]:
        _check.settle(finding.doubts, is_sure=is_sure)
        return plan, None
    found = _check.checked(plan, options["problems"])
    for line in (*_check.sums_in(found), *_check.mistakes_in(found)):
        print_note(line)
    if found.mistakes:
        _check.settle(finding.doubts, is_sure=True)  # what may have caused them
        print_note(f"Nothing was sent: {plan.source} has mistakes.")
        if found.amounts:
            print_note(
                "With --skip-validation the other rows are sent, and those that cannot "
                f"be go to JOB.failed.{plan.dead_letter_format}, to be corrected."
            )
        raise click.exceptions.Exit(1)
    doubts = (
        *finding.doubts,
        *_check.ruined_in(found, plan.table.id_column),
        *_check.sent_in(found),
        *_check.sums_above(found, limits),
    )
    _check.settle(doubts, is_sure=is_sure)
    return plan, found.total
