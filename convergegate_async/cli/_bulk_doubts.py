"""``convergegate bulk``: doubts that a person ends."""

from pathlib import Path

import click

from ._bulk_options import directory_option, job_argument
from ._gateway import Gateway, gateway_options


@click.command()
@job_argument
@click.argument("row_id", metavar="ROW")
@click.option("--session", "session_id", metavar="ID", help="The session that it has.")
@click.option(
    "--not-created",
    is_flag=True,
    help="It has none: `bulk retry-failed` may send it again.",
)
@directory_option
@gateway_options
def resolve(  # noqa: PLR0913 -- each is an option
    gateway: Gateway,
    job: str,
    row_id: str,
    session_id: str | None,
    directory: Path,
    *,
    not_created: bool,
) -> None:
    """Say what became of ROW, an id, of which nobody knows it.

    The session must be nobody else's, and agree with the row as it was sent. Who said
    so, and when, is kept in the journal.
    """
    from convergegate_async.bulk import JobFolder

    from . import _job_doubts

    if not_created is (session_id is not None):
        message = "say --session ID or --not-created, and not both"
        raise click.UsageError(message)
    folder = JobFolder(job, directory)
    if session_id is None:
        _job_doubts.as_not_created(folder, row_id)
    else:
        _job_doubts.by_session(folder, gateway, row_id, session_id)
