"""The mark of a journal: the number of its last commit, kept outside of the database.

SQLite opens a database whose WAL was lost or cut as if the lost commits had never been,
and a row that was sent would be sent again. The mark remembers that there was more.
"""

import os
import struct
import zlib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

import attrs

from .files import JournalFiles

_FIELDS = struct.Struct(">16sQQ")
_CHECK = struct.Struct(">I")


@attrs.frozen
class Mark:
    """What a mark says.

    Attributes:
        salt: The job's: which journal it belongs to.
        commit: The number of the last commit of which a row may have been sent.
        checkpointed: The number of the last commit that is whole in the file itself.
    """

    salt: bytes = attrs.field(repr=False)
    commit: int
    checkpointed: int

    def pack(self) -> bytes:
        """Return the 36 bytes of the file."""
        fields = _FIELDS.pack(self.salt, self.commit, self.checkpointed)
        return fields + _CHECK.pack(zlib.crc32(fields))

    @classmethod
    def unpack(cls, data: bytes) -> Self | None:
        """Return what *data* says; `None` if it is not what was written."""
        fields, check = data[: _FIELDS.size], data[_FIELDS.size :]
        if check != _CHECK.pack(zlib.crc32(fields)) or len(fields) != _FIELDS.size:
            return None
        return cls(*_FIELDS.unpack(fields))


class MarkFile:
    """The file of a mark: made whole, then only ever written in place.

    Every method may raise OSError: then nothing more may be sent.
    """

    def __init__(self, files: JournalFiles, mark: Mark) -> None:
        self._mark = mark
        self._descriptor = os.open(files.mark, os.O_RDWR | getattr(os, "O_BINARY", 0))

    @classmethod
    def create(cls, files: JournalFiles, mark: Mark) -> Self:
        """Put a mark there, in place of any other; it is durable on return."""
        folder, prefix = files.path.parent, f".{files.mark.name}-"
        # Temporary files are made with O_EXCL and mode 0600.
        with NamedTemporaryFile(dir=folder, prefix=prefix, delete=False) as file:
            try:
                file.write(mark.pack())
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                Path(file.name).unlink()
                raise
        Path(file.name).replace(files.mark)
        files.sync_folder()
        return cls(files, mark)

    def note_commit(self, number: int) -> None:
        """Say which commit is the last, before any of its rows is sent.

        A kill does not undo this, and a power cut may: the mark is then behind the
        database, which is no damage.
        """
        self._write(Mark(self._mark.salt, number, self._mark.checkpointed))

    def note_checkpoint(self, number: int) -> None:
        """Say that the file itself holds all up to a commit; durable on return.

        It has to be before the next commit, which begins the WAL anew.
        """
        self._write(Mark(self._mark.salt, commit=number, checkpointed=number))
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Leave the file as it is."""
        os.close(self._descriptor)

    def _write(self, mark: Mark) -> None:
        data = mark.pack()
        if hasattr(os, "pwrite"):
            written = os.pwrite(self._descriptor, data, 0)
        else:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            written = os.write(self._descriptor, data)
        if written != len(data):
            message = "the mark was written in part"
            raise OSError(message)
        self._mark = mark


def read_mark(path: Path) -> Mark | None:
    """Return what the mark at *path* says; `None` if it does not check.

    Raises:
        FileNotFoundError: There is none.
    """
    return Mark.unpack(path.read_bytes())
