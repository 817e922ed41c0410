"""Workbooks: which sheets one has, and their rows, out of the parts of its zip."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import BinaryIO
from xml.parsers import expat

import attrs

from .bounded_xml import Attributes, ElementList, refuse
from .formats import SourceError
from .sheet_rows import Cells, Numbers, SharedTexts, SheetRows

MAX_UNPACKED = 2**30
_MAX_SHEETS = 1_000
_MAX_SMALL = 2**24  # bytes of a part that is neither sheet nor texts

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    EOFError,
    LookupError,  # a part or an attribute that has to be there
    RuntimeError,  # a part with a password, or patched with another
    OSError,  # a part that is said to begin nowhere
    OverflowError,
    ValueError,
)
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # no others unpack bit by bit
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")


@attrs.frozen
class Sheet:
    """A sheet that is not hidden."""

    name: str
    part: str


class Workbook:
    """An XLSX file, opened.

    Attributes:
        sheets: Those that are not hidden, in order.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        if not {part.compress_type for part in archive.infolist()} <= _PACKED:
            refuse("is packed in a way that spreadsheets do not use")
        size = sum(part.file_size for part in archive.infolist())
        if size > MAX_UNPACKED:
            refuse(f"unpacks to {size:,} bytes, and {MAX_UNPACKED:,} are the most")
        (book,) = self._links("")["officeDocument"].values()
        links = self._links(book)
        elements = self._elements(book, "sheet", "workbookPr")
        named = links.get("worksheet", {})
        self.sheets: list[Sheet] = [
            Sheet(sheet["name"], named[_link_of(sheet)])
            for tag, sheet in elements
            if tag == "sheet"
            and sheet.get("state", "visible") == "visible"
            and _link_of(sheet) in named  # and no chart
        ]
        parts = {sheet.part for sheet in self.sheets}
        if len(parts) < len(self.sheets) or len(parts) > _MAX_SHEETS:
            refuse(f"has more than {_MAX_SHEETS:,} sheets, or one twice")
        formats = [
            code
            for part in links.get("styles", {}).values()
            for code in _formats(self._elements(part, "numFmt", "cellXfs", "xf"))
        ]
        properties = [found for tag, found in elements if tag == "workbookPr"]
        is_1904 = any(found.get("date1904") in {"1", "true"} for found in properties)
        self._numbers = Numbers(formats, is_1904=is_1904)
        self._texts = SharedTexts()
        self._text_parts = [*links.get("sharedStrings", {}).values()]

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, Cells]]:
        """Yield the rows of *sheet* that hold a value, as `SheetRows` gives them."""
        while self._text_parts:
            with self._archive.open(self._text_parts.pop()) as file:
                for _ in self._texts.read(file, MAX_UNPACKED):
                    pass
        rows = SheetRows(self._texts, self._numbers)
        with self._archive.open(sheet.part) as file:
            for _ in rows.read(file, MAX_UNPACKED):
                yield from rows.take()

    def _elements(self, part: str, *names: str) -> list[tuple[str, Attributes]]:
        reader = ElementList(*names)
        with self._archive.open(part) as file:
            for _ in reader.read(file, _MAX_SMALL):
                pass
        return reader.found

    def _links(self, part: str) -> dict[str, dict[str, str]]:
        """Return the parts that *part* names, by kind and by its name for them."""
        folder, name = posixpath.split(part)
        links: dict[str, dict[str, str]] = {}
        part = posixpath.join(folder, f"_rels/{name}.rels")
        for _, link in self._elements(part, "Relationship"):
            if link.get("TargetMode") != "External":
                path = posixpath.join("/", folder, link["Target"])
                kind = link["Type"].rpartition("/")[2]
                target = posixpath.normpath(path).lstrip("/")
                links.setdefault(kind, {})[link["Id"]] = target
        return links


def require_openpyxl() -> None:
    """Refuse what needs openpyxl where there is none.

    Raises:
        SourceError: It is not installed.
    """
    if find_spec("openpyxl") is None:
        message = "XLSX needs openpyxl: pip install openpyxl"
        raise SourceError(message)


@contextmanager
def opened_workbook(file: BinaryIO) -> Iterator[Workbook]:
    """Give the workbook in *file*.

    Raises:
        SourceError: It is none, or takes more than it may, which may show only while it
            is read; or openpyxl is not installed.
    """
    require_openpyxl()
    if file.read(len(_OLE)) == _OLE:
        refuse("is an old .xls, or has a password: save it as .xlsx without one")
    try:
        with zipfile.ZipFile(file) as archive:
            yield Workbook(archive)
    except _BROKEN:
        message = "the input cannot be read as XLSX"
    else:
        return
    raise SourceError(message)


def _link_of(sheet: Attributes) -> str:
    return next((value for key, value in sheet.items() if key.endswith(" id")), "")


def _formats(elements: list[tuple[str, Attributes]]) -> Iterator[str]:
    """Yield the number format of each style that cells name."""
    codes = dict(import_module("openpyxl.styles.numbers").BUILTIN_FORMATS)
    is_of_cells = False
    for tag, element in elements:
        if tag == "numFmt":
            codes[int(element["numFmtId"])] = element["formatCode"]
        elif tag == "cellXfs":
            is_of_cells = True
        elif tag == "xf" and is_of_cells:
            yield codes.get(int(element.get("numFmtId", "0")), "General")
