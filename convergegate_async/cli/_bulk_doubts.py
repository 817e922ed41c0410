"""``convergegate bulk``: doubts that webhooks or a person end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._bulk_options import directory_option, job_argument
from ._gateway import Gateway, gateway_options
from ._streams import print_note, printable
from ._wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergegate_async.bulk import Reconciliation

UNKNOWN = 5  # exit code: there are rows that may or may not have a session


@click.command()
@job_argument
@click.option(
    "--events",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Webhook bodies, one JSON object a line.",
)
@directory_option
@gateway_options
def reconcile(gateway: Gateway, job: str, directory: Path, events: Path) -> int:
    """Find the sessions of unknown rows by the webhooks that announced them."""
    from convergegate_async.bulk import JobFolder

    from . import _jobs

    folder = JobFolder(job, directory)
    done = _jobs.reconcile_with_events(folder, gateway, events)
    for unused in done.unused:
        print_note(str(unused))
    if done.more:
        print_note(f"… and {done.more:,} more")
    for line in _undecided_in(done):
        print_note(line)
    reconciled = counted(done.reconciled, "row")
    print_note(f"{reconciled} reconciled, {done.unknown:,} still unknown.")
    return UNKNOWN if done.unknown else 0


def _undecided_in(done: "Reconciliation") -> "Iterator[str]":
    """Yield why rows are still unknown."""
    for row in done.undecided:
        yield printable(str(row))
    undecided = done.unmatched + done.ambiguous
    if more := undecided - len(done.undecided):
        yield f"… and {counted(more, 'more row')}"
    if not undecided:
        return
    why = []
    if done.unmatched:
        why.append(f"none fits {counted(done.unmatched, 'row')}")
    if done.ambiguous:
        why.append(f"{counted(done.ambiguous, 'row')} cannot be told apart")
    looked_for = f"Of {counted(done.sessions, 'session')} that no row had"
    yield f"{looked_for}, {'; '.join(why)}."
    if done.by_row_id:
        yield "Sessions were known by their row's id (--row-metadata)."
    elif done.ambiguous:
        yield (
            "Rows that look alike are told apart in jobs that `bulk run` was given "
            "--row-metadata NAME for."
        )


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
