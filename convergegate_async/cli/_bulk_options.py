"""Options that ``bulk`` commands have in common."""

from collections.abc import Callable
from pathlib import Path

import click

from ._usage import as_usage


def named(what: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """Return what refuses a value that can be no name of *what*."""

    def require(_context: click.Context, _option: click.Parameter, name: str) -> str:
        from convergegate_async.bulk.jobs.folder import require_name

        with as_usage():
            require_name(name, f"{what}'s name")
        return name

    return require


directory_option = click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where jobs are kept. [default: here]",
)
job_argument = click.argument("job", callback=named("a job"))
