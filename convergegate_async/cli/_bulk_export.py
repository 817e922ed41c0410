"""``convergegate bulk export``: what became of the rows, beside all that they say."""

from pathlib import Path
from typing import Any

import click

from convergegate_async.errors import ConfigurationError

from ._bulk_options import directory_option, job_argument
from ._signals import cleaning_up
from ._streams import print_note, printable
from ._tables import checked_by_table, format_option
from ._usage import as_usage
from ._wording import counted


@click.command()
@job_argument
@click.option(
    "--output", default="-", help="A file, or - for stdout.", show_default=True
)
@format_option("csv", "jsonl", "parquet", "xlsx")
@click.option(
    "--order",
    type=click.Choice(["input", "completion"]),
    default="input",
    show_default=True,
    help="Order of the rows; by completion they are those that came to an end, without "
    "the columns of the input.",
)
@click.option(
    "--without-input",
    is_flag=True,
    help="Do not read the input again: the rows that were sent, without its columns.",
)
@click.option(
    "--refunds", is_flag=True, help="The refunds of the job, one a row, and no rows."
)
@click.option("--bom", is_flag=True, help="Begin CSV with the mark that Excel needs.")
@click.option(
    "--delimiter",
    metavar="SIGN",
    callback=checked_by_table,
    help="What stands between the cells of CSV: comma, semicolon, tab or another "
    "character. [default: as in the input]",
)
@click.option(
    "--decimal",
    type=click.Choice([",", "."]),
    help="The decimal mark in CSV. [default: as in the input; else a comma beside "
    "semicolons]",
)
@directory_option
def export(job: str, directory: Path, output: str, **options: Any) -> None:  # noqa: ANN401 -- click has read them
    """Write what became of each row, beside all columns of the input.

    Our columns begin with cg_, and are passed over where an export is read as input.
    Rows that were sent and are not in the input any more come last. Refunds are a table
    of their own.
    """
    from convergegate_async.bulk import JobFolder, guess_format
    from convergegate_async.bulk import export as write

    if options["format"] is None:
        with as_usage():
            guess_format(output)

    by_completion = options.pop("order") == "completion"
    if options["refunds"] and by_completion:
        message = "refunds are in the order in which they were planned: no --order"
        raise click.UsageError(message)
    with_input = not options.pop("without_input")
    folder = JobFolder(job, directory)
    try:
        with cleaning_up():
            written = write(
                *(folder, output),
                by_completion=by_completion,
                with_input=with_input,
                **options,
            )
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}"
        raise ConfigurationError(message) from None
    noun = "refund" if options["refunds"] else "row"
    print_note(f"{counted(written.rows, noun)} written.")
    if written.unread is not None:
        print_note(f"Without the columns of the input: {printable(written.unread)}.")
    if written.gone:
        print_note(
            f"{counted(written.gone, 'row')} of them, at the end: sent, and not in the "
            "input any more."
        )
    if written.missing:
        print_note(
            f"{counted(written.missing, 'row')} more left the input before they were "
            "sent."
        )
    if written.unknown_currencies:
        listed = ", ".join(written.unknown_currencies)
        print_note(
            f"Without amounts in {printable(listed)}: ISO 4217 knows no such currency, "
            "or no minor unit of it."
        )
