"""What ``bulk forget`` asks, does and tells."""

import asyncio
from collections.abc import Iterator

from convergegate_async.bulk import (
    JobFolder,
    JobHeader,
    Journal,
    RowCounts,
    files_to_forget,
    forget,
)

from ._check import settle
from ._streams import print_note
from ._wording import counted


def forget_links(folder: JobFolder, *, is_sure: bool) -> None:
    """Delete what a job holds of people, once somebody is sure, and tell what."""
    header, counts = _known(folder)
    doubts = [*_doubts(folder, header, counts)]
    settle(doubts, is_sure=is_sure, nothing="Nothing was deleted")
    done = forget(folder)
    print_note(f"{folder.job}: {counted(done.links, 'link')} deleted.")
    for path in done.files:
        print_note(f"{path} removed.")
    if header.source and not folder.is_input(header.source):
        print_note(f"{header.source} is yours, and stays as it is.")
        if counts.rejected:
            print_note(
                f"`bulk resume {folder.job}` and `bulk retry-failed {folder.job}` "
                "write rejected and invalid rows from it anew."
            )


def _known(folder: JobFolder) -> tuple[JobHeader, RowCounts]:
    with Journal.open(folder.journal) as journal:
        header = journal.header
        return header, RowCounts.of(asyncio.run(journal.counts()), header)


def _doubts(folder: JobFolder, header: JobHeader, counts: RowCounts) -> Iterator[str]:
    yield "all links to pay pages will be deleted, and no later export has them"
    files = files_to_forget(folder)
    if files:
        yield f"{', '.join(map(str, files))} will be removed"
    if not folder.is_input(header.source):
        return
    if counts.pending:
        yield f"{counted(counts.pending, 'row')} of {folder.input} were never sent"
    if counts.unknown:
        yield (
            f"{counted(counts.unknown, 'row')} may or may not have a session, which "
            f"cannot be found out without {folder.input}"
        )
