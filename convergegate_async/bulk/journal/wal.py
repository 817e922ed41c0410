"""Whether a WAL holds a commit: the one thing that SQLite does not tell.

The format is SQLite's, https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PAGE_SIZE = 4096
"""That of every journal."""

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682  # the last bit: checksums are of big-endian words
_WORD = 0xFFFFFFFF

Sum = tuple[int, int]


def holds_commit(path: Path) -> bool:
    """Tell whether SQLite would find a commit in the WAL at *path*."""
    try:
        with path.open("rb") as file:
            return any(pages > 0 for pages in _frames(file))
    except FileNotFoundError:
        return False


def _frames(file: BinaryIO) -> Iterator[int]:
    """Yield of each valid frame the pages of a database that it commits, or 0."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return
    magic, _version, page_size, _number, *salt, first, second = _HEADER.unpack(header)
    order = ">" if magic & 1 else "<"
    checked: Sum = _checksum(header[:24], order, (0, 0))
    if magic & ~1 != _MAGIC or page_size != PAGE_SIZE or checked != (first, second):
        return
    size = _FRAME.size + page_size
    while len(frame := file.read(size)) == size:
        _page, pages, *frame_salt, first, second = _FRAME.unpack_from(frame)
        checked = _checksum(frame[:8] + frame[_FRAME.size :], order, checked)
        if frame_salt != salt or checked != (first, second):
            return
        yield pages


def _checksum(data: bytes, order: str, start: Sum) -> Sum:
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    first, second = start
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second
