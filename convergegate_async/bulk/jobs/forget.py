"""Personal data of a job has an end: links, dead letters, and what stdin held."""

from pathlib import Path

import attrs

from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.bulk.journal.forgetting import forgotten_links
from convergegate_async.errors import ConfigurationError

from .folder import DEAD_LETTER_FORMATS, JobFolder
from .progress_file import draft_of, is_foreign


@attrs.frozen
class Forgotten:
    """What is there no more of a job.

    Attributes:
        links: How many links the journal had.
        files: Those that were removed.
    """

    links: int
    files: tuple[Path, ...]


def files_to_forget(folder: JobFolder) -> tuple[Path, ...]:
    """Return the files of a job that `forget` would remove."""
    letters = map(folder.dead_letters, DEAD_LETTER_FORMATS)
    # Half a note is not known for ours and stays: it has nothing of people.
    notes = (folder.progress, draft_of(folder.progress))
    ours = (path for path in notes if not is_foreign(path))
    return tuple(path for path in (folder.input, *letters, *ours) if path.exists())


def forget(folder: JobFolder) -> Forgotten:
    """Delete the links of a job, its dead letters, and its input if that was stdin.

    What became of each row stays, with row ids and session ids: the job can be looked
    at, refreshed and reconciled as before. A file that it was begun with is the user's,
    and is left alone. Should this be ended by a kill, do it again.

    Args:
        folder: Where the job's files are, and its name.

    Raises:
        JournalError: There is no such job, another process works on it, or its journal
            is refused or cannot be written.
        ConfigurationError: A file cannot be removed.
    """
    with forgotten_links(folder.journal) as links:
        files = files_to_forget(folder)
        for path in files:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                message = f"cannot remove {path}: {error.strerror}"
                raise ConfigurationError(message) from None
        JournalFiles(folder.journal).sync_folder()
    return Forgotten(links, files)
