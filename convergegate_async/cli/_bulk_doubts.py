"""``convergegate bulk``: doubts that a person ends."""

from typing import Any

import click

from ._bulk_options import directory_option, job_argument
from ._gateway import Gateway, gateway_options


def _require_text(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Return *value*, which no journal holds if its bytes were no text.

    Raises:
        click.BadParameter: They were none.
    """
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        message = "its bytes are not in the encoding of this terminal, and no text"
        raise click.BadParameter(message) from None
    return value


@click.command()
@job_argument
@click.argument("row_id", metavar="ROW", callback=_require_text)
@click.option(
    "--session",
    "session_id",
    metavar="ID",
    callback=_require_text,
    help="The session that it has.",
)
@click.option(
    "--batch",
    metavar="NAME",
    callback=_require_text,
    help="It is about the refund of that batch.",
)
@click.option(
    "--refund",
    "refund_id",
    metavar="ID",
    callback=_require_text,
    help="The refund, which was made.",
)
@click.option(
    "--not-created",
    is_flag=True,
    help="It has none, or the refund was not made: `bulk retry-failed`, or another "
    "batch, may send it again.",
)
@directory_option
@gateway_options
def resolve(gateway: Gateway, job: str, row_id: str, **options: Any) -> None:  # noqa: ANN401 -- click has read them
    """Say what became of ROW, an id, of which nobody knows it, or of a refund of it.

    The session must be no other row's of this job, and agree with the row as it was
    sent; a refund must be of that amount. Who said so, and when, is kept in the
    journal.
    """
    from convergegate_async.bulk import JobFolder

    from . import _job_doubts

    folder, batch = JobFolder(job, options["directory"]), options["batch"]
    name, other = ("session", "refund") if batch is None else ("refund", "session")
    found, not_created = options[f"{name}_id"], options["not_created"]
    if options[f"{other}_id"] is not None or not_created is (found is not None):
        of = "" if batch is None else "of a batch "
        message = f"{of}say --{name} ID or --not-created, and not both"
        raise click.UsageError(message)
    if batch is None and found is None:
        _job_doubts.as_not_created(folder, row_id)
    elif batch is None:
        _job_doubts.by_session(folder, gateway, row_id, found)
    elif found is None:
        _job_doubts.refund_as_not_created(folder, row_id, batch)
    else:
        _job_doubts.refund_by_id(folder, gateway, row_id, batch, found)
