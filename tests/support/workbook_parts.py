"""Workbooks as XML in a zip, also such as no spreadsheet would write."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

DATE, TIME, MOMENT, ZEROS = 1, 2, 3, 4
"""Styles of cells: a day, a time of day, both, and a number with zeros in front."""

_STYLES = f"""<styleSheet xmlns="{MAIN}">
<numFmts><numFmt numFmtId="164" formatCode="DD\\.MM\\.YYYY\\ HH:MM"/>
<numFmt numFmtId="165" formatCode="00000000"/></numFmts>
<cellStyleXfs><xf numFmtId="22"/></cellStyleXfs>
<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="20"/><xf numFmtId="164"/>
<xf numFmtId="165"/></cellXfs></styleSheet>"""


def text(words: str) -> str:
    """Return a cell that holds a text."""
    return f'<c t="inlineStr"><is><t xml:space="preserve">{words}</t></is></c>'


def number(value: object, style: int = 0) -> str:
    """Return a cell that holds a number."""
    return f'<c s="{style}"><v>{value}</v></c>'


def row(*cells: str) -> str:
    """Return a row of *cells*."""
    return f"<row>{''.join(cells)}</row>"


def write_workbook(  # noqa: PLR0913 -- each is one thing that may be odd
    path: Path,
    sheets: Mapping[str, str | Iterable[bytes]],
    *,
    hidden: Iterable[str] = (),
    shared: str = "",
    properties: str = "",
    prolog: str = "",
) -> str:
    """Write a workbook to *path*, and return it.

    Args:
        path: A new file.
        sheets: The rows of each, by name.
        hidden: Names of those that are hidden.
        shared: Texts that cells name by number.
        properties: Attributes of the workbook.
        prolog: What precedes the element of each sheet and of the texts.
    """
    hidden = set(hidden)
    named = [*enumerate(sheets, 1)]
    entries = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="s{n}" '
        f'state="{"hidden" if name in hidden else "visible"}"/>'
        for n, name in named
    )
    parts: dict[str, str] = {
        "_rels/.rels": _links(("book", "officeDocument", "/xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{_OFFICE}">'
        f"<workbookPr {properties}/><sheets>{entries}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _links(
            *((f"s{n}", "worksheet", f"worksheets/sheet{n}.xml") for n, _ in named),
            ("styles", "styles", "styles.xml"),
            ("texts", "sharedStrings", "sharedStrings.xml"),
        ),
        "xl/styles.xml": _STYLES,
        "xl/sharedStrings.xml": f'{prolog}<sst xmlns="{MAIN}">{shared}</sst>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        for n, name in named:
            rows = sheets[name]
            with archive.open(f"xl/worksheets/sheet{n}.xml", "w") as file:
                file.write(f'{prolog}<worksheet xmlns="{MAIN}"><sheetData>'.encode())
                file.writelines([rows.encode()] if isinstance(rows, str) else rows)
                file.write(b"</sheetData></worksheet>")
    return str(path)


def _links(*links: tuple[str, str, str]) -> str:
    """Return a part that names others: their names there, kinds and paths."""
    elements = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, kind, target in links
    )
    return f'<Relationships xmlns="{_PACKAGE}">{elements}</Relationships>'
