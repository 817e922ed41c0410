"""Links have an end: a journal goes on without them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .connection import Writer
from .files import JournalFiles
from .records import failure


@contextmanager
def forgotten_links(path: Path) -> Iterator[int]:
    """Delete all links from the journal at *path*, and keep out others meanwhile.

    After a kill, at any moment, the journal is sound and may hold links still: to do
    it again finishes it. It takes room on the disk for three journals.

    Yields:
        How many links there were.

    Raises:
        JournalError: It is refused, see `Journal.open`, or cannot be written.
    """
    files = JournalFiles(path)
    files.admit()
    try:
        with closing(Writer.open(files)) as writer:
            with writer.transaction():
                sql = "UPDATE rows SET url = NULL WHERE url IS NOT NULL"
                links = writer.execute(sql).rowcount
                writer.execute("DELETE FROM heads")
            writer.rewrite()
            yield links
    except (sqlite3.Error, OSError) as error:
        raise failure(path, error, "forget again") from None
