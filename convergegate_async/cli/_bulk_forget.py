"""``convergegate bulk``: the end of what a job knows of people."""

from pathlib import Path

import click

from ._bulk_options import directory_option, job_argument


@click.command()
@job_argument
@click.option("--yes", is_flag=True, help="Ask nothing.")
@directory_option
def forget(job: str, directory: Path, *, yes: bool) -> None:
    """Delete what a job holds of people, and keep what became of its rows.

    Its links, JOB.failed.csv, and JOB.input, which is what stdin held. Row ids, session
    ids and statuses stay. The file that it was run with is yours, and stays, too.
    """
    from convergegate_async.bulk import JobFolder

    from . import _job_forget

    _job_forget.forget_links(JobFolder(job, directory), is_sure=yes)
