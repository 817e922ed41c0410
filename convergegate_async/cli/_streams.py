"""The standard streams as a command meets them: missing, full, left, of few characters.

All that a command prints goes through these streams, its own texts through `print_data`
and `print_note`. What an encoding lacks is spelled in ASCII. Nothing printed makes a
command fail on its way: stdout remembers that it was lost, and `exit_code_after` tells
what that means once the work is done.
"""

import codecs
import errno
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import RenderableType

_LAST_STANDARD = 2
_SPELLING = "convergegate.ascii"  # the name of our error handler among the codecs'
_IN_ASCII = {
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
    "\N{MIDDLE DOT}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{CHECK MARK}": "*",
    "\N{BALLOT X}": "x",
    "\N{MICRO SIGN}": "u",
    "\N{EN DASH}": "-",
    **dict(zip("▁▂▃▄▅▆▇", "__..::|", strict=True)),  # a line of bars
}


class OutputLost(Exception):  # noqa: N818 -- what happened, and no fault of the command
    """Nobody will read what goes to stdout. Raised once: what follows is dropped."""


def spell_in_ascii(text: str) -> str:
    r"""Return *text* without the characters that a stream lacks.

    Our own typography has plain look-alikes; all else becomes ``\u`` escapes, those of
    JSON, so that nothing is left out or mistaken.
    """
    return "".join(_IN_ASCII.get(letter) or _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def fit(text: str, encoding: str) -> str:
    """Return *text* as *encoding* can hold it."""
    return text.encode(encoding, _SPELLING).decode(encoding)


def fit_json(value: object, encoding: str) -> str:
    r"""Return *value* as JSON, all in ASCII if *encoding* lacks any of its letters."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def _spell_failed(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return spell_in_ascii(error.object[error.start : error.end]), error.end


codecs.register_error(_SPELLING, _spell_failed)


class _Guarded(io.RawIOBase):
    """A stream's bytes on their way out, and why they do not arrive.

    Args:
        stream: `None` where the process was started without it.
        tells: Whether a loss is an `OutputLost` where it happens.
    """

    def __init__(self, stream: TextIO | None, *, tells: bool) -> None:
        binary = None if stream is None else stream.buffer
        self._raw = getattr(binary, "raw", binary)  # a buffer would keep what failed
        self._tells = tells
        self.loss: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw is not None and self._raw.isatty()

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation
        return int(self._raw.fileno())

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.loss is None:
            try:
                return self._write(data)
            except OSError as error:
                self.loss = error
            except KeyboardInterrupt:
                # What was left would be tried again at the end of the process.
                self.loss = InterruptedError(errno.EINTR, "interrupted")
                raise
            if self._tells:
                raise OutputLost
        return memoryview(data).nbytes

    def _write(self, data: "ReadableBuffer") -> int:
        if self._raw is None:
            raise OSError(errno.EBADF, "there is none")
        written = self._raw.write(data)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, "its reader does not keep up")
        return int(written)


class StandardStream(io.TextIOWrapper):
    """Stands in the place of `sys.stdout` or `sys.stderr`, and outlives its loss."""

    def __init__(self, stream: TextIO | None, *, tells: bool) -> None:
        self._guarded = _Guarded(stream, tells=tells)
        super().__init__(
            io.BufferedWriter(self._guarded),
            encoding="utf-8" if stream is None else stream.encoding,
            errors=_SPELLING,
            line_buffering=True,
        )

    @property
    def loss(self) -> OSError | None:
        """Why what was written has not arrived, if it has not."""
        return self._guarded.loss


def hold_standard_descriptors() -> None:
    """Open the null device where the process was started without one of 0, 1 and 2.

    A journal or a socket would get the number of what is missing, and a worker's event
    loop aborts where it does.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD:
        os.set_inheritable(number, True)  # noqa: FBT003 -- its only argument
    os.close(number)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Put streams that outlive their loss in the place of stdout and stderr."""
    before = sys.stdout, sys.stderr
    sys.stdout = StandardStream(before[0], tells=True)
    sys.stderr = StandardStream(before[1], tells=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def loss_of(stream: TextIO) -> OSError | None:
    """Return why what went to *stream* has not arrived, if it has not."""
    return stream.loss if isinstance(stream, StandardStream) else None


def exit_code_after(code: int, loss: OSError | None) -> int:
    """Return the exit code of a command that was to exit with *code*.

    A reader that has enough, such as ``head``, is no failure. Any other *loss* of
    stdout is one, but takes nothing away from a code that says more.
    """
    is_failure = loss is not None and not isinstance(loss, BrokenPipeError)
    return code or int(is_failure)


def printable(text: str) -> str:
    """Return *text* of the gateway's without what would steer a terminal."""
    return "".join(letter if _is_shown(letter) else "\ufffd" for letter in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def print_data(text: str, colour: str | None = None) -> None:
    """Print what the command was asked for to stdout."""
    with suppress(OutputLost):
        _echo(text, colour, sys.stdout)


def print_drawing(drawing: "RenderableType") -> None:
    """Print what rich draws to stdout.

    Raises:
        ImportError: There is no rich.
    """
    from rich.console import Console

    with suppress(OutputLost):
        Console().print(drawing)


def print_json(value: object) -> None:
    """Print *value* as JSON to stdout."""
    print_data(fit_json(value, sys.stdout.encoding))


def print_note(text: str, colour: str | None = None) -> None:
    """Print what is not data to stderr."""
    _echo(text, colour, sys.stderr)


def _echo(text: str, colour: str | None, stream: TextIO) -> None:
    # The stream is named, or click writes UTF-8 where ASCII was asked for.
    is_plain = "NO_COLOR" in os.environ
    click.secho(text, fg=colour, file=stream, color=False if is_plain else None)


def stdin_bytes(purpose: str) -> BinaryIO:
    """Return stdin, which holds *purpose*.

    Raises:
        click.UsageError: The process was started without one.
    """
    # Typed as always there, and yet `None` under a service or after ``<&-``.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        message = f"there is no stdin to read {purpose} from"
        raise click.UsageError(message)
    return stdin.buffer
