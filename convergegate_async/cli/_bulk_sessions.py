"""``convergegate bulk``: what became of the sessions once the links are out."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ._bulk_options import (
    directory_option,
    job_argument,
    max_outage_option,
    max_pause_option,
    require_name,
)
from ._durations import parse_duration, parse_moment
from ._gateway import Gateway, gateway_options
from ._tables import checked_by_table
from ._usage import ABOVE_ZERO

if TYPE_CHECKING:
    from convergegate_async.bulk import TableSpelling

    from ._job_sessions import Rhythm


@click.command()
@job_argument
@click.option(
    "--all", "final", is_flag=True, help="Completed and expired sessions, too."
)
@click.option(
    "--every",
    "pause",
    metavar="TIME",
    help="Again and again, such as 10m, until all are final.",
)
@click.option(
    "--until", metavar="TIME", help="The end of --every: 18:00, or 2026-12-01T18:00."
)
@click.option(
    "--maximum-rps",
    type=ABOVE_ZERO,
    help="Most looks started per second. [default: the job's]",
)
@max_pause_option
@max_outage_option
@directory_option
@gateway_options
def refresh(gateway: Gateway, job: str, directory: Path, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Look at the sessions of a job that are neither completed nor expired.

    Their status and amounts are what `bulk status` and `bulk export` show.
    """
    from convergegate_async.bulk import JobFolder

    from . import _job_sessions

    return _job_sessions.refresh(
        JobFolder(job, directory),
        gateway,
        _rhythm(options["pause"], options["until"]),
        final=options["final"],
        maximum_rps=options["maximum_rps"],
        max_pause=options["max_pause"],
        max_outage=options["max_outage"],
    )


def _rhythm(pause: str | None, until: str | None) -> "Rhythm | None":

    from ._job_sessions import Rhythm

    if pause is None:
        if until is not None:
            message = "--until is the end of --every: say how often, as in --every 10m"
            raise click.UsageError(message)
        return None
    now = datetime.now().astimezone()
    end = None if until is None else parse_moment(until, now)
    return Rhythm(parse_duration(pause), end)


_SPELLED = ("id_column", "amount_unit", "decimal", "delimiter", "encoding")
"""Options that say how --rows is spelled."""


@click.command()
@job_argument
@click.option(
    "--batch",
    required=True,
    callback=require_name,
    help="The batch's name; idempotency keys derive from it.",
)
@click.option(
    "--rows",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A table of what to pay back: the ids of rows, and amounts if not --full; - "
    "is a CSV on stdin.",
)
@click.option(
    "--where",
    metavar="status=WORD",
    help="All rows whose session had that status when it was last looked at.",
)
@click.option("--full", is_flag=True, help="All that is left of each session.")
@click.option(
    "--amount-column",
    metavar="COLUMN",
    help="The column of the amounts, in --rows or else in the job's input.",
)
@click.option("--id-column", help="Of --rows. [default: as of the job]")
@click.option(
    "--amount-unit",
    type=click.Choice(["minor", "major"]),
    help="Of --rows: minor is 4999, major is 49.99. [default: as of the job]",
)
@click.option(
    "--decimal",
    type=click.Choice([",", "."]),
    help="The decimal mark in --rows. [default: found]",
)
@click.option(
    "--delimiter",
    metavar="SIGN",
    callback=checked_by_table,
    help="Between the cells of --rows. [default: found]",
)
@click.option(
    "--encoding",
    metavar="NAME",
    callback=checked_by_table,
    help="Of --rows. [default: found]",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what the batch comes to, and send nothing."
)
@click.option(
    "--expect-sum",
    multiple=True,
    metavar="CURRENCY=AMOUNT",
    help="What it comes to, as --dry-run shows it; once for each currency.",
)
@click.option(
    "--maximum-rps",
    type=ABOVE_ZERO,
    help="Most refunds started per second. [default: the job's]",
)
@max_pause_option
@max_outage_option
@directory_option
@gateway_options
def refund(gateway: Gateway, job: str, directory: Path, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Pay sessions of a job back, each once in a batch.

    The same batch name goes on after a kill, and never repeats what was sent. All
    batches together pay back no more than a session's amount. A refund in doubt is left
    alone until the gateway shows so much more paid back.
    """
    from convergegate_async.bulk import JobFolder, RefundSelection

    from . import _check, _job_refunds

    if (options["rows"] is None) is (options["where"] is None):
        message = "say what to pay back: either --rows FILE or --where status=completed"
        raise click.UsageError(message)
    if options["full"] is (options["amount_column"] is not None):
        message = "say how much: either --full or --amount-column COLUMN"
        raise click.UsageError(message)
    folder, batch = JobFolder(job, directory), options["batch"]
    # It is read twice: to be shown, and to be written down.
    with _check.readable(options["rows"] or "") as rows:
        selection = RefundSelection(
            rows=rows or None,
            status=_status_in(options["where"]),
            amount_column=options["amount_column"],
            table=cast(
                "TableSpelling",
                {name: options[name] for name in _SPELLED if options[name]},
            ),
        )
        if options["dry_run"]:
            return _job_refunds.dry_run(folder, batch, selection)
        if not options["expect_sum"]:
            message = "it sends only with --expect-sum, as --dry-run shows it"
            raise click.UsageError(message)
        return _job_refunds.refund(
            folder,
            gateway,
            batch,
            selection,
            expect_sum=_job_refunds.read_sums(options["expect_sum"]),
            maximum_rps=options["maximum_rps"],
            max_pause=options["max_pause"],
            max_outage=options["max_outage"],
        )


def _status_in(where: str | None) -> str | None:
    if where is None:
        return None
    name, _, word = where.partition("=")
    if name.strip() != "status" or not word:
        message = f"{where}: must be status=WORD, such as status=completed"
        raise click.BadParameter(message, param_hint="--where")
    return word.strip()
