"""Lines of a file of JSON, none of which takes more memory than it may."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO


def bounded_lines(file: BinaryIO, most: int) -> Iterator[bytes | None]:
    """Yield the lines of *file*, without a byte order mark before the first.

    Args:
        file: Its bytes; left open.
        most: How many bytes a line has at most, with its end. Of a longer one nothing
            is kept: `None` stands in its place.
    """
    is_first = True
    while line := file.readline(most):
        is_whole = len(line) < most or line.endswith(b"\n")
        while line and len(line) == most and not line.endswith(b"\n"):
            line = file.readline(most)
        if is_first:
            line = line.removeprefix(codecs.BOM_UTF8)
        is_first = False
        yield line if is_whole else None
