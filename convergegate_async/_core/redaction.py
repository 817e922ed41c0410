"""What was sent is taken out of what is shown, however it is spelled there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

Hidden: TypeAlias = Iterable[tuple[str, str]]
"""Name and text of what was sent."""

_LONGEST_WORD = 5  # characters; a longer value is found within words, too
_LONGEST_SPELLING = 20  # characters for one of a value: %25F0%259F%25A7%25BE
_ESCAPES = (
    re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE),
    re.compile(r"(?:\\u[0-9a-f]{4})+|\\.", re.IGNORECASE),
)
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
# Such as req_3f2a91: words that are too long to be a short value, but for the first.
_LONG_WORDS = re.compile(
    rf"(?:(\w{{1,{_LONGEST_WORD}}})[.~-])?"
    rf"\w{{{_LONGEST_WORD + 1},}}(?:[.~-]\w{{{_LONGEST_WORD + 1},}})*",
    re.ASCII,
)
# Whole values of a form, up to ``&`` or its end, without a leading plus.
_VALUE = "=(?:%2b)?+([a-z0-9_.~-]{{{least},}}+)(?![^&])"
_PLAIN_VALUES = re.compile(_VALUE.format(least=1)).findall
_LONG_VALUES = re.compile(_VALUE.format(least=_LONGEST_WORD + 1)).findall


def is_free_of(identifier: str, form: bytes, hidden: Hidden) -> bool:
    """Tell by a plain look that *identifier* holds no value of a *form*, nor a hidden.

    It is right where it says so, and never says so of what is not plain: letters,
    digits and ``_.~-``, which stand in a form as they are. An identifier of those alone
    can hold only values of those alone, but for a leading plus; one of long words only
    long values, and a short one in the place of its first word.
    """
    folded, fields = identifier.lower(), form.decode().lower()
    words = _LONG_WORDS.fullmatch(identifier)
    if words is not None and (words[1] is None or words[1].lower() not in fields):
        values = _LONG_VALUES(fields)
    elif _PLAIN.fullmatch(identifier) is not None:
        values = _PLAIN_VALUES(fields)
    else:
        return False
    for value in values:
        if value in folded:
            return False
    for _, value in hidden:  # noqa: SIM110 -- two generators cost as much as the look
        if value.removeprefix("+").lower() in folded:
            return False
    return True


def redacted(text: str, hidden: Hidden, most: int) -> str:
    """Put ``[field]`` in the place of every value in *hidden*.

    It is found as it is, as in a form, percent-encoded, escaped as in JSON, and with
    any of these done twice; in upper or lower case. A short value, such as an amount of
    1, counts only as a word of its own.

    Args:
        text: What somebody else wrote.
        hidden: What was sent.
        most: How many characters of *text* are wanted; what comes later is left out,
            and not searched either.
    """
    names = _names(hidden)
    # A value that begins in what is wanted ends in what is searched.
    longest = max(map(len, names), default=0)
    window = text[: most + _LONGEST_SPELLING * longest]
    parts: list[str] = []
    end = 0
    for start, back, name in sorted(_found(window, names, most)):
        stop = -back
        if start >= max(end, most):
            break
        if stop <= end:  # within what was taken out
            continue
        if start >= end:  # else it only prolongs that
            parts += [window[end:start], f"[{name}]"]
        end = stop
    was_cut = len(text) > max(end, most)
    parts.append(text[end : max(end, most)])
    return "".join(parts) + ("…" if was_cut else "")


def _names(hidden: Hidden) -> dict[str, str]:
    """Return the name of each value, as it is searched."""
    return {
        _folded(spelling): name.partition("[")[0]
        for name, value in hidden
        for spelling in (value.removeprefix("+"), value)
        if spelling
    }


def _folded(text: str) -> str:
    """Return *text* with each letter in one of its cases, as long as it was.

    A plus may be the space of a form, and the other way round: both are spaces here.
    """
    if not text.isascii():
        text = "".join(map(_folded_letter, text))
    return text.lower().replace("+", " ")


def _folded_letter(letter: str) -> str:
    if letter in "\u0130\u0131":  # the Turkish i with and without its dot
        return "i"
    folded = letter.casefold()
    return folded if len(folded) == 1 else letter.lower()


def _found(
    text: str, names: Mapping[str, str], most: int, layers: int = 2
) -> Iterator[tuple[int, int, str]]:
    """Yield where a value begins, minus where it ends, and its name.

    Each value is looked for by itself, as `str` does it: one pattern of all of them
    would try each at every letter, for as long as letters repeat.

    Args:
        text: What is searched, as it is and without its escapes.
        names: What is searched for, and how it is called.
        most: Where values begin: before this character.
        layers: How many escapes may lie over each other.
    """
    folded = _folded(text)
    for value, name in names.items():
        size = len(value)
        start = folded.find(value, 0, most + size - 1)
        while start >= 0:
            stop = start + size
            if size <= _LONGEST_WORD and _is_in_word(text, start, stop):
                stop = start + 1
            else:
                yield start, -stop, name
            start = folded.find(value, stop, most + size - 1)
    for escape in _ESCAPES if layers else ():
        if escape.search(text) is not None:
            plainer, places = _unescaped(text, escape)
            for start, back, name in _found(plainer, names, most, layers - 1):
                yield places[start], -places[-back], name


def _is_in_word(text: str, start: int, stop: int) -> bool:
    """Tell whether a letter or digit stands before *start* or at *stop*."""
    beside = text[max(start - 1, 0) : start] + text[stop : stop + 1]
    return any(letter.isalnum() or letter == "_" for letter in beside)


def _unescaped(text: str, escape: re.Pattern[str]) -> tuple[str, list[int]]:
    """Return *text* without an escape, and where each character of it began."""
    characters: list[str] = []
    places: list[int] = []
    end = 0
    for found in escape.finditer(text):
        characters += text[end : found.start()]
        places += range(end, found.start())
        place = found.start()
        for character, width in _read(found[0]):
            characters.append(character)
            places.append(place)
            place += width
        end = found.end()
    characters += text[end:]
    places += range(end, len(text) + 1)
    return "".join(characters), places


def _read(escape: str) -> Iterator[tuple[str, int]]:
    """Yield each character that *escape* stands for, and how wide it is written."""
    if escape[0] == "%":
        octets = bytes.fromhex(escape.replace("%", ""))
        for character in octets.decode("utf-8", "surrogateescape"):
            yield character, 3 * len(character.encode("utf-8", "surrogateescape"))
    elif escape[1] in "uU" and len(escape) > len("\\u"):
        # Two bytes are six characters, so that each is three, as above.
        units = bytes.fromhex(re.sub(r"\\u", "", escape, flags=re.IGNORECASE))
        for character in units.decode("utf-16-be", "surrogatepass"):
            yield character, 3 * len(character.encode("utf-16-be", "surrogatepass"))
    else:
        yield escape[1], len(escape)
