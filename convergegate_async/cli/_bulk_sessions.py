"""``convergegate bulk``: what became of the sessions once the links are out."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._bulk_options import directory_option, job_argument
from ._durations import parse_duration, parse_moment
from ._gateway import Gateway, gateway_options

if TYPE_CHECKING:
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
    type=click.FloatRange(0, min_open=True),
    help="Most looks started per second. [default: the job's]",
)
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
