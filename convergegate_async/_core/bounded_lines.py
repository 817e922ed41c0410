"""Lines of a file of JSON, none of which takes more memory than it may."""

import codecs
from collections.abc import Callable, Iterator


def bounded_lines(
    readline: Callable[[int], bytes], most: int
) -> Iterator[bytes | None]:
    """Yield the lines that *readline* gives, without a byte order mark before them.

    Args:
        readline: That of a file of bytes.
        most: How many bytes a line has at most, with its end. Of a longer one nothing
            is kept: `None` stands in its place.
    """
    is_first = True
    while line := readline(most):
        is_whole = len(line) < most or line.endswith(b"\n")
        while line and len(line) == most and not line.endswith(b"\n"):
            line = readline(most)
        if is_first:
            line = line.removeprefix(codecs.BOM_UTF8)
        is_first = False
        yield line if is_whole else None
