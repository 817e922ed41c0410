"""Options that ``bulk`` commands have in common."""

from pathlib import Path

import click

directory_option = click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where jobs are kept. [default: here]",
)
job_argument = click.argument("job")
