"""The files of a job: all in one folder, under one name."""

import os
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import attrs

from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.errors import ConfigurationError

from .progress_file import draft_of

DEAD_LETTER_FORMATS = ("csv", "jsonl", "parquet")
"""Those of dead letters; those of a workbook are CSV."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def require_name(name: str, what: str) -> None:
    """Refuse what is no name.

    Raises:
        ConfigurationError: It is none; *what* says whose it was to be.
    """
    fault = JobFolder.name_fault(name)
    if fault is not None:
        message = f"{what} {fault}"
        raise ConfigurationError(message)


def files_of(journal: Path) -> set[Path]:
    """Return the files, as whole paths, of the job that has *journal*."""
    files = JournalFiles(journal)
    database = (files.path, files.wal, files.shm, files.mark)
    progress = journal.with_suffix(".progress")
    letters = [journal.with_suffix(f".failed.{kind}") for kind in DEAD_LETTER_FORMATS]
    others = (journal.with_suffix(".input"), progress, draft_of(progress), *letters)
    return {path.resolve() for path in (*database, *others)}


@attrs.frozen
class JobFolder:
    """Where a job keeps what it knows.

    Go on with a job of that name, if there is one::

        folder = JobFolder("march", Path("jobs"))
        if folder.journal.exists():
            async with await Job.resume(folder, checkout) as job:
                ...
    """

    job: str
    directory: Path = Path()

    def __attrs_post_init__(self) -> None:
        require_name(self.job, "a job's name")

    @staticmethod
    def name_fault(name: str) -> str | None:
        """Return why *name* can be none, of a job or a batch; `None` if it can."""
        if _NAME.fullmatch(name):
            return None
        return "must be 1 to 64 letters, digits or any of . _ -"

    @property
    def journal(self) -> Path:
        """What became of each row."""
        return self.directory / f"{self.job}.journal"

    def dead_letters(self, file_format: str) -> Path:
        """Return where rejected rows go, as input for another job."""
        return self.directory / f"{self.job}.failed.{file_format}"

    @property
    def input(self) -> Path:
        """What stdin held, if the rows were read from there: nobody else's file."""
        return self.directory / f"{self.job}.input"

    @property
    def progress(self) -> Path:
        """How far a process is that works on the job."""
        return self.directory / f"{self.job}.progress"

    def own_files(self) -> set[Path]:
        """Return the files, as whole paths, that the job writes over or removes."""
        return files_of(self.journal) - {self.input.resolve()}

    def is_input(self, source: str) -> bool:
        """Tell whether *source* is what stdin held, wherever the folder was then."""
        return Path(source).name == self.input.name

    def require_no_input(self, source: str) -> None:
        """Refuse a file of the user's that would be taken for what stdin held.

        Raises:
            ConfigurationError: It is called so, itself or by a link.
        """
        path = Path(source)
        if self.is_input(source) or self.is_input(str(path.resolve())):
            message = (
                f"{source} would be taken for what stdin held, and removed by `bulk "
                "forget`: choose another name for it"
            )
            raise ConfigurationError(message)

    def require_new(self) -> None:
        """Refuse a name that was used.

        Raises:
            ConfigurationError: There is a job of that name.
        """
        if self.journal.exists():
            message = (
                f"there is a job {self.job} already: go on with "
                f"`convergegate bulk resume {self.job}`; under another name its rows "
                "would be sent a second time"
            )
            raise ConfigurationError(message)

    def spool(self, stream: BinaryIO) -> str:
        """Keep *stream* in a file, so that the job can be resumed; return its path.

        Raises:
            ConfigurationError: There is such a file.
        """
        path = self.input
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            message = (
                f"{path} is there, and no journal: a run was killed while it read its "
                "rows, and sent none, or the journal is gone; move the file and run "
                "again, or choose another name for the job"
            )
            raise ConfigurationError(message) from None
        with ExitStack() as mess:
            mess.callback(path.unlink)
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(stream, file)
            mess.pop_all()
        return str(path)
