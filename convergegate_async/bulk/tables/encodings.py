"""How the text of a table is encoded: found from all of its bytes, or else asked.

A byte order mark says it, and so do the zeros of UTF-16. What decodes as UTF-8 is
UTF-8. Else each byte is a character, and one encoding is told from another by which
bytes occur: in a wrong one, some are no letters.
"""

import codecs
import unicodedata
from typing import BinaryIO, TypeAlias

import attrs

from .formats import SourceError

ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "cp1250": "Windows-1250",
    "cp1252": "Windows-1252",
    "iso8859-2": "ISO 8859-2",
}
"""Those that are read, by their names in Python, and what people call them."""

_Readings: TypeAlias = dict[str, list[str]]

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_OF_SINGLE_BYTES = ("cp1250", "cp1252", "iso8859-2")

_POLISH = frozenset("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ")
_MARKS_OF_TEXT = frozenset("\u00a0\u00ad‘’‚“”„‹›«»–—…•·€£¥¤§°¨´¸×÷©®™¿¡")  # noqa: RUF001 -- no others
_LETTERS = frozenset({"Lu", "Ll", "Lo"})

_PART = "a part of another letter"

_ASCII = bytes(range(0x80))
_BLOCK = 2**16
_SLIPS = 20
"""UTF-8 with fewer slips than one in so many bytes is UTF-8 still."""


@attrs.frozen(kw_only=True)
class ByteCensus:
    """What all the bytes of a text tell of its encoding.

    Attributes:
        marked: The encoding that a byte order mark or zeros tell.
        high: The bytes that are not ASCII, each once and in their order.
        well_formed: How many such bytes there are that UTF-8 can decode.
        malformed: How many it cannot.
    """

    marked: str | None = None
    high: bytes = b""
    well_formed: int = 0
    malformed: int = 0


def choose_encoding(name: str) -> str:
    """Return Python's name of the encoding that is called *name*, however spelled.

    Raises:
        SourceError: It is none of `ENCODINGS`.
    """
    try:
        known = codecs.lookup(name).name.removesuffix("-sig")
    except (LookupError, ValueError):
        known = ""
    if known in ENCODINGS:
        return known
    message = f"the encoding must be one of {', '.join(ENCODINGS)}"
    raise SourceError(message)


def take_census(file: BinaryIO) -> ByteCensus:
    """Count the bytes of *file*, which can seek, and go back to where it was.

    Behind a byte order mark nothing is counted.
    """
    start = file.tell()
    try:
        return _count(file)
    finally:
        file.seek(start)


def find_encoding(census: ByteCensus, *, is_polish: bool) -> str:
    """Return the encoding in which the text that was counted makes sense.

    Args:
        census: What `take_census` saw.
        is_polish: Of several readings, the one with Polish letters is meant.

    Raises:
        SourceError: No encoding fits, or several do and give other characters; it
            shows one byte in each of them, and nothing else of the text.
    """
    if census.marked is not None or not census.high:
        return census.marked or "utf-8"
    readings = _readings(census.high)
    # UTF-8 spells Polish letters by bytes that are no Polish letters elsewhere, and
    # "ÓŁ" of Windows-1250 is by chance a letter of UTF-8.
    if not any(map(_POLISH.issuperset, readings.values())):
        if census.malformed * _SLIPS <= census.well_formed:
            return "utf-8"
        if census.malformed < census.well_formed:
            message = (
                f"{census.well_formed} bytes of the input are letters of UTF-8, and "
                f"{census.malformed} cannot be: say which encoding with --encoding"
            )
            raise SourceError(message)
    elif not census.malformed:
        readings["utf-8"] = [_PART] * len(census.high)
    if is_polish:
        readings = _polish(readings)
    if len(readings) == 1:
        return next(iter(readings))
    raise SourceError(_refusal(census.high, readings))


# -- bytes -------------------------------------------------------------------------


def _count(file: BinaryIO) -> ByteCensus:
    block = file.read(_BLOCK)
    for mark, encoding in _MARKS.items():
        if block.startswith(mark):
            return ByteCensus(marked=encoding)
    high: set[int] = set()
    size = even = odd = count = malformed = 0
    rest = b""
    while block:
        size += len(block)
        if 0 in block:
            even += block[::2].count(0)
            odd += block[1::2].count(0)
        if rest or not block.isascii():
            found = block.translate(None, _ASCII)
            high.update(found)
            count += len(found)
            misfits, rest = _misfits(rest + block)
            malformed += misfits
        block = file.read(_BLOCK)
    # Half of the characters of any table of orders are ASCII.
    if odd * 4 >= size > 0 and even * 8 <= odd:
        return ByteCensus(marked="utf-16-le")
    if even * 4 >= size > 0 and odd * 8 <= even:
        return ByteCensus(marked="utf-16-be")
    malformed += len(rest)
    return ByteCensus(
        high=bytes(sorted(high)), well_formed=count - malformed, malformed=malformed
    )


def _misfits(data: bytes) -> tuple[int, bytes]:
    """Return how many bytes are not of UTF-8, and what may begin one at the end."""
    try:
        _, used = codecs.utf_8_decode(data, "strict")
    except UnicodeDecodeError:
        text, used = codecs.utf_8_decode(data, "surrogateescape")
        return used - len(text.encode("utf-8", "ignore")), data[used:]
    return 0, data[used:]


# -- readings ----------------------------------------------------------------------


def _readings(high: bytes) -> _Readings:
    """Return what each of *high* is in every encoding where it makes another sense.

    All are letters and usual marks there, and nothing else.
    """
    readings: _Readings = {}
    for encoding in _OF_SINGLE_BYTES:
        chars = [*high.decode(encoding, "replace")]
        if all(map(_is_usual, chars)) and chars not in readings.values():
            readings[encoding] = chars
    return readings


def _is_usual(char: str) -> bool:
    return char in _MARKS_OF_TEXT or unicodedata.category(char) in _LETTERS


def _polish(readings: _Readings) -> _Readings:
    """Return the reading that is Polish where they differ, or else all of them.

    Letters alone come before letters and marks: "Ł" is a pound sign elsewhere.
    """
    places = _differing(readings)
    for alphabet in (_POLISH, _POLISH | _MARKS_OF_TEXT):
        fitting = {
            encoding: chars
            for encoding, chars in readings.items()
            if alphabet.issuperset(chars[place] for place in places)
        }
        if len(fitting) == 1:
            return fitting
    return readings


def _differing(readings: _Readings) -> list[int]:
    """Return the places where they differ, those where they differ most first."""
    variety = [len(set(chars)) for chars in zip(*readings.values(), strict=True)]
    places = [place for place, found in enumerate(variety) if found > 1]
    return sorted(places, key=variety.__getitem__, reverse=True)


def _refusal(high: bytes, readings: _Readings) -> str:
    if not readings:
        known = ", ".join(ENCODINGS[encoding] for encoding in _OF_SINGLE_BYTES)
        return f"the input is no text in UTF-8, UTF-16, {known}"
    place = _differing(readings)[0]
    each = " and ".join(
        f"{chars[place]} in {ENCODINGS[encoding]}"
        for encoding, chars in readings.items()
    )
    return f"byte 0x{high[place]:02X} of the input is {each}: say which with --encoding"
