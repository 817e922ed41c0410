"""What an encoding can hold of a text: a property over all that Python knows."""

import encodings.aliases
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.cli._streams import fit, fit_json, spell_in_ascii

NO_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}
"""Spellings of names and of programs, which no screen has."""


def is_a_charset(name: str) -> bool:
    """Tell whether a stream can have the encoding *name* on this machine."""
    try:
        encoded = "a".encode(name)
    except LookupError:  # of bytes, or of another system
        return False
    return bool(encoded) and name not in NO_CHARSETS


ENCODINGS = sorted(filter(is_a_charset, {*encodings.aliases.aliases.values()}))
TEXTS = st.text(st.characters() | st.sampled_from("Łó✓→·…\u202f\ud800\U0001f600%\\?"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(text=TEXTS, encoding=st.sampled_from(ENCODINGS))
def test_any_text_fits_any_encoding(text: str, encoding: str) -> None:
    """It can be encoded, a question mark is a question mark, and once is enough."""
    fitted = fit(text, encoding)

    assert fit(fitted, encoding) == fitted
    assert fitted.count("?") <= text.count("?")


@given(text=TEXTS, encoding=st.sampled_from(["ascii", "cp1250", "cp852", "utf-8"]))
def test_what_an_encoding_holds_stays_as_it_is(text: str, encoding: str) -> None:
    """Letter by letter: what can be written is, and all else is spelled in ASCII."""

    def expected(letter: str) -> str:
        try:
            letter.encode(encoding)
        except UnicodeEncodeError:
            return spell_in_ascii(letter)
        return letter

    fitted = fit(text, encoding)

    assert fitted == "".join(map(expected, text))
    assert all(map(str.isascii, map(spell_in_ascii, text)))


@given(value=JSON, encoding=st.sampled_from(ENCODINGS))
def test_json_says_the_same_in_any_encoding(value: object, encoding: str) -> None:
    """Who reads it back has what was written, whatever the stream can hold."""
    printed = fit(fit_json(value, encoding), encoding)

    assert json.loads(printed) == value


def test_there_are_encodings_to_try() -> None:
    """Those of Polish Windows are among them, and those that are wide or narrow."""
    assert {"ascii", "cp1250", "cp852", "utf_16", "iso2022_jp"} <= {*ENCODINGS}


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("✓ 1\u202f234.00 → … ·", "* 1 234.00 -> ... -"),
        ("Łukasz", "\\u0141ukasz"),
        ("\U0001f600", "\\ud83d\\ude00"),
    ],
)
def test_ascii_looks_alike_or_is_escaped(text: str, spelled: str) -> None:
    """Our own marks become plain ones, names the escapes of JSON."""
    assert fit(text, "ascii") == spelled
