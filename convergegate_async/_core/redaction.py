"""What was sent is taken out of what is shown, however it is spelled there."""

import re
from collections.abc import Iterable, Iterator
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
# Whole values of a form, up to ``&`` or its end, without a leading plus.
_PLAIN_VALUES = re.compile(r"=(?:%2b)?+([a-z0-9_.~-]++)(?![^&])").findall


def is_free_of(identifier: str, form: bytes, hidden: Hidden) -> bool:
    """Tell by a plain look that *identifier* holds no value of a *form*, nor a hidden.

    It is right where it says so, and never says so of what is not plain: letters,
    digits and ``_.~-``, which stand in a form as they are. An identifier of those alone
    can hold only values of those alone, but for a leading plus.
    """
    if _PLAIN.fullmatch(identifier) is None:
        return False
    folded = identifier.lower()
    for value in _PLAIN_VALUES(form.decode().lower()):
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
    if not names:
        return text
    # A value that begins in what is wanted ends in what is searched.
    window = text[: most + _LONGEST_SPELLING * max(map(len, names))]
    pattern = _pattern(names)
    labels = {value.lower(): name for value, name in names.items()}
    parts: list[str] = []
    end = 0
    for start, stop, value in sorted(_found(window, pattern)):
        if start >= max(end, most):
            break
        if stop <= end:  # within what was taken out
            continue
        if start >= end:  # else it only prolongs that
            label = labels.get(value.lower().replace("+", " "), "value")
            parts += [window[end:start], f"[{label}]"]
        end = stop
    was_cut = len(text) > max(end, most)
    parts.append(text[end : max(end, most)])
    return "".join(parts) + ("…" if was_cut else "")


def _names(hidden: Hidden) -> dict[str, str]:
    """Return the name of each value that is searched.

    A plus may be the space of a form, and the other way round: both are spaces here.
    """
    return {
        spelling.replace("+", " "): name.partition("[")[0]
        for name, value in hidden
        for spelling in (value.removeprefix("+"), value)
        if spelling
    }


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile(
        "|".join(
            re.escape(value).replace(r"\ ", "[ +]")
            if len(value) > _LONGEST_WORD
            else rf"(?<!\w){re.escape(value)}(?!\w)".replace(r"\ ", "[ +]")
            for value in sorted(names, key=len, reverse=True)
        ),
        re.IGNORECASE,
    )


def _found(
    text: str, pattern: re.Pattern[str], layers: int = 2
) -> Iterator[tuple[int, int, str]]:
    """Yield where a value begins and ends in *text*, and what stands there.

    Args:
        text: What is searched, as it is and without its escapes.
        pattern: What is searched for.
        layers: How many escapes may lie over each other.
    """
    for hit in pattern.finditer(text):
        yield hit.start(), hit.end(), hit[0]
    for escape in _ESCAPES if layers else ():
        if escape.search(text) is not None:
            plainer, places = _unescaped(text, escape)
            for start, end, value in _found(plainer, pattern, layers - 1):
                yield places[start], places[end], value


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
