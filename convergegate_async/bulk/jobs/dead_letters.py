"""Rows that came to no session, gathered while they go by."""

import pickle
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from convergegate_async.bulk.journal.records import JournalRow, RowResult
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.bulk.tables.writers import DeadLetter, write_dead_letters
from convergegate_async.errors import ConfigurationError

from .folder import JobFolder
from .job_plan import JobPlan
from .row_results import INVALID, reason_of


class DeadLetters:
    """Dead letters in a nameless file, which come out in the order of the input.

    Attributes:
        close: Forgets them all; done by itself when nobody has them any more.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- see `close`
        self.close: Callable[[], object] = weakref.finalize(self, self._file.close)
        self._places: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[DeadLetter]:
        for _, offset in sorted(self._places):
            self._file.seek(offset)
            yield pickle.load(self._file)  # noqa: S301 -- our own, and nobody else's

    def add_problem(self, index: int, problem: Problem) -> None:
        """Take in a row that cannot be sent, by the first of its problems."""
        self._add(index, problem, INVALID, reason_of(problem))

    def add_failed(self, index: int, row: Row, known: JournalRow | RowResult) -> None:
        """Take in a row that the gateway rejected, in this run or an earlier one."""
        self._add(index, row, known.code or "", known.message or "")

    def write(self, folder: JobFolder, plan: JobPlan) -> Path | None:
        """Write them beside the journal; return where they are, if there are any.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        path = folder.dead_letters(plan.dead_letter_format)
        try:
            return self._written(path, plan)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror}"
        raise ConfigurationError(message)

    def _written(self, path: Path, plan: JobPlan) -> Path | None:
        if not self._places:
            path.unlink(missing_ok=True)  # of an earlier run: to send it would be wrong
            return None
        if path.is_symlink():  # `forget` would leave what it stands for
            path.unlink()
        write_dead_letters(
            str(path),
            self,
            format=plan.dead_letter_format,
            delimiter=plan.table.delimiter or ",",
            encoding=plan.table.encoding or "utf-8",
        )
        return path

    def _add(self, index: int, row: Row | Problem, code: str, message: str) -> None:
        letter = DeadLetter(line=row.line, code=code, message=message, raw=row.raw)
        self._file.seek(0, 2)
        self._places.append((index, self._file.tell()))
        pickle.dump(letter, self._file)
