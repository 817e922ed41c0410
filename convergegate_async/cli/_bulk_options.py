"""Options that ``bulk`` commands have in common."""

from pathlib import Path

import click

from ._usage import ABOVE_ZERO


def require_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """Return the *name* of a job, or of a batch, which is named by the same rule.

    Raises:
        click.BadParameter: It can be none.
    """
    from convergegate_async.bulk import JobFolder

    fault = JobFolder.name_fault(name)
    if fault is not None:
        raise click.BadParameter(fault)
    return name


directory_option = click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where jobs are kept. [default: here]",
)
job_argument = click.argument("job", callback=require_name)
max_pause_option = click.option(
    "--max-pause",
    type=ABOVE_ZERO,
    help="Most seconds, in a row, that a Retry-After may hold the job. [default: 300]",
)
max_outage_option = click.option(
    "--max-outage",
    type=ABOVE_ZERO,
    help="Most seconds that nothing gets through before the job ends. [default: 900]",
)
