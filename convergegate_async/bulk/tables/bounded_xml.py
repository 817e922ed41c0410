"""The XML inside of workbooks: anybody may have made it, and all of it is bounded.

expat tells what is there as a stream, one element at a time, and is stopped where it
would have to remember more than any spreadsheet gives it to.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import IO, NoReturn, TypeAlias, TypeVar
from xml.parsers import expat

from .formats import SourceError

MAX_TEXT = 32_767
"""No spreadsheet has more characters in a cell."""

_MAX_TAG = 2**20  # bytes; expat begins it anew with each chunk until it ends
_MAX_NAMES, _MAX_DEPTH = 10_000, 100  # expat remembers each
_MAX_KEPT = 2**17
_CHUNK = 2**16
_TOO_LONG = f"holds a cell of more than {MAX_TEXT:,} characters"

_SPACES = (
    "http://schemas.openxmlformats.org/package/2006/relationships",
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",  # ISO's strict spelling
)

Attributes: TypeAlias = Mapping[str, str]


def refuse(reason: str) -> NoReturn:
    """Raise a `SourceError` about the workbook."""
    message = f"the workbook {reason}"
    raise SourceError(message)


class XmlReader:
    """Follows the elements of a document; those that extend it say what they mean.

    Attributes:
        begins: What to do where an element begins, by its name without the namespace.
        ends: And where it ends.
    """

    def __init__(self) -> None:
        self.begins: dict[str, Callable[[Attributes], None]] = {}
        self.ends: dict[str, Callable[[], None]] = {}
        self._depth = 0
        self._pieces: list[str] = []  # of the text that is read

    def read(self, file: IO[bytes], most: int) -> Iterator[None]:
        """Read the document in *file*, and pause after each chunk.

        Args:
            file: Its bytes.
            most: How many there may be.

        Raises:
            SourceError: It is larger, or holds what takes too much to read.
        """
        self._begins, self._ends = _known(self.begins), _known(self.ends)
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = _refuse_doctype
        done = 0
        while chunk := file.read(_CHUNK):
            done += len(chunk)
            if done > most:
                refuse(f"has a part of more than {most:,} bytes")
            parser.Parse(chunk)
            if done - parser.CurrentByteIndex > _MAX_TAG:
                refuse(f"holds a tag of more than {_MAX_TAG:,} bytes")
            if len(parser.intern) > _MAX_NAMES:
                refuse(f"has more than {_MAX_NAMES:,} names for its elements")
            if sum(map(len, self._pieces)) > MAX_TEXT:
                refuse(_TOO_LONG)
            yield
        parser.Parse(b"", True)  # noqa: FBT003 -- expat's word for the end
        yield

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            refuse(f"has elements within elements, {_MAX_DEPTH} deep")
        if begin := self._begins.get(name):
            begin(attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if end := self._ends.get(name):
            end()

    def _listen(self, _: object = None) -> None:
        """Add the text that comes to the one that is read."""
        self._parser.CharacterDataHandler = self._pieces.append

    def _pause(self) -> None:
        self._parser.CharacterDataHandler = None

    def _take_text(self) -> str:
        """Return what was read, and begin another text."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if len(text) > MAX_TEXT:
            refuse(_TOO_LONG)
        return text


Action = TypeVar("Action")


def _known(actions: Mapping[str, Action]) -> dict[str, Action]:
    """Return *actions* by names as expat tells them."""
    return {
        f"{space} {tag}": action for tag, action in actions.items() for space in _SPACES
    }


def _refuse_doctype(*_: object) -> None:
    refuse("defines entities, which no spreadsheet does")


class ElementList(XmlReader):
    """Keeps the elements of some names.

    Attributes:
        found: Their names and attributes, in order.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.found: list[tuple[str, Attributes]] = []
        self.begins.update((name, partial(self._keep, name)) for name in names)

    def _keep(self, name: str, attributes: Attributes) -> None:
        self.found.append((name, attributes))
        if len(self.found) > _MAX_KEPT:
            refuse(f"names more than {_MAX_KEPT:,} styles, sheets or parts")
