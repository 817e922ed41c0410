"""How a text is encoded: found from its bytes, or refused with all its readings."""

import io
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async.bulk.tables.encodings import (
    ENCODINGS,
    ByteCensus,
    choose_encoding,
    find_encoding,
    take_census,
)
from convergegate_async.bulk.tables.formats import SourceError

POLISH = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"
POLISH_TEXTS = st.text(string.ascii_letters + POLISH + ' ;,"\n', max_size=40)
POLISH_BYTES = {*POLISH.encode("cp1250"), *POLISH.encode("iso8859-2")}
HEADER = "id;amount;currency\n"


def found(content: bytes, *, is_polish: bool = False) -> str:
    """Return the encoding that is found for *content*."""
    return find_encoding(take_census(io.BytesIO(content)), is_polish=is_polish)


def refusal(content: bytes, *, is_polish: bool = False) -> str:
    """Return why nothing is found for *content*."""
    with pytest.raises(SourceError) as caught:
        found(content, is_polish=is_polish)
    return str(caught.value)


class TestProperties:
    @given(POLISH_TEXTS, st.sampled_from([*ENCODINGS.keys() - {"cp1252"}]))
    @example("ÓŁ", "cp1250")
    @example("źŹ", "iso8859-2")
    def test_polish_is_read_right_where_it_is_meant(
        self, text: str, encoding: str
    ) -> None:
        """By any letters, and by however few."""
        content = (HEADER + text).encode(encoding)

        read = content.decode(found(content, is_polish=True))

        assert read.removeprefix("\ufeff") == HEADER + text

    @given(POLISH_TEXTS, st.sampled_from([*ENCODINGS.keys() - {"cp1252"}]))
    @example("ÓŁ", "cp1250")
    def test_polish_is_read_right_or_not_at_all(self, text: str, encoding: str) -> None:
        """Nobody has said that it is Polish: no letter becomes another."""
        content = (HEADER + text).encode(encoding)
        try:
            read = content.decode(found(content))
        except SourceError:
            return
        assert read.removeprefix("\ufeff") == HEADER + text

    @given(st.text(st.characters(codec="utf-8"), max_size=40), st.booleans())
    def test_utf_8_is_found(self, text: str, marked: bool) -> None:
        """Whatever the letters, unless they are by chance Polish elsewhere."""
        content = (HEADER + text).encode("utf-8-sig" if marked else "utf-8")
        try:
            encoding = found(content)
        except SourceError:
            assert {byte for byte in content if byte > 127} <= POLISH_BYTES
            return
        assert encoding == "utf-8"

    @given(st.binary(max_size=300), st.booleans())
    def test_no_content_is_a_crash(self, content: bytes, is_polish: bool) -> None:
        """An encoding is found, or else there is a SourceError."""
        try:
            encoding = found(content, is_polish=is_polish)
        except SourceError:
            return
        assert encoding in ENCODINGS

    @given(st.binary(max_size=30), st.integers(2**16 - 20, 2**16 + 2))
    def test_letters_are_whole_where_two_blocks_meet(
        self, content: bytes, filler: int
    ) -> None:
        """The count is the same wherever in the file they are."""
        far = take_census(io.BytesIO(b"a" * (filler - filler % 2) + content + b"a"))
        near = take_census(io.BytesIO(b"aa" + content + b"a"))

        if near.marked is None and content.count(0) < 8:
            assert far == near


class TestFinding:
    @pytest.mark.parametrize(
        ("text", "encoding", "expected"),
        [
            pytest.param("Żółw", "utf-8", "utf-8", id="UTF-8"),
            pytest.param("Żółw", "utf-8-sig", "utf-8", id="UTF-8 with mark"),
            pytest.param("Żółw", "utf-16", "utf-16-le", id="UTF-16 with mark"),
            pytest.param("Żółw", "utf-16-le", "utf-16-le", id="UTF-16 LE"),
            pytest.param("Żółw", "utf-16-be", "utf-16-be", id="UTF-16 BE"),
            pytest.param("\ufeffŻółw", "utf-16-be", "utf-16-be", id="BE with mark"),
            pytest.param("zażółć gęślą", "cp1250", "cp1250", id="Windows-1250"),
            pytest.param("zażółć gęślą", "iso8859-2", "iso8859-2", id="ISO 8859-2"),
            pytest.param("Łódź: „2 €” …", "cp1250", "cp1250", id="marks of Windows"),
            pytest.param("«Łąka»", "cp1250", "cp1250", id="guillemets"),
            pytest.param("Łąka Müller", "cp1250", "cp1250", id="and German"),
            pytest.param("Łąka\u00a0Müller", "iso8859-2", "iso8859-2", id="and ISO"),
            pytest.param("Łukasz", "iso8859-2", "cp1250", id="the same in both"),
            pytest.param("Müller", "cp1252", "cp1250", id="the same in all"),
            pytest.param("plain", "ascii", "utf-8", id="ASCII"),
            pytest.param("D\0e", "ascii", "utf-8", id="a NUL is not UTF-16"),
        ],
    )
    def test_each_encoding_is_found(
        self, text: str, encoding: str, expected: str
    ) -> None:
        """It reads the bytes as what was written."""
        content = (HEADER + text).encode(encoding)

        assert found(content, is_polish=True) == expected
        assert content.decode(expected).removeprefix("\ufeff").endswith(text[1:])

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [("ÿ", "cp1252"), ("ƒ", "cp1252"), ("ą€", "cp1250")],
        ids=["ÿ", "ƒ", "ą"],
    )
    def test_what_only_one_can_be_needs_no_language(
        self, text: str, encoding: str
    ) -> None:
        """The others have a sign in its place, or nothing."""
        content = (HEADER + text).encode(encoding)

        assert content.decode(found(content)) == HEADER + text

    @pytest.mark.parametrize(
        ("content", "is_polish", "reason"),
        [
            pytest.param(
                "Łąka".encode("cp1250"),
                False,
                "byte 0xB9 of the input is ą in Windows-1250 and š in ISO 8859-2: "
                "say which with --encoding",
                id="Polish or Slovak",
            ),
            pytest.param(
                "Crème".encode("cp1252"),
                True,
                "byte 0xE8 of the input is č in Windows-1250 and è in Windows-1252: "
                "say which with --encoding",
                id="no Polish letter in either",
            ),
            pytest.param(
                "Łukasz".encode("cp1250"),
                False,
                "byte 0xA3 of the input is Ł in Windows-1250 and £ in Windows-1252: "
                "say which with --encoding",
                id="Polish or pounds",
            ),
            pytest.param(
                "PÓŁTORAK".encode("cp1250"),
                False,
                "byte 0xA3 of the input is Ł in Windows-1250 and £ in Windows-1252 and "
                "a part of another letter in UTF-8: say which with --encoding",
                id="by chance a letter of UTF-8",
            ),
            pytest.param(
                "żółw".encode() + "żółw".encode("cp1250"),
                True,
                "6 bytes of the input are letters of UTF-8, and 3 cannot be: say which "
                "encoding with --encoding",
                id="two halves",
            ),
            pytest.param(
                b"\x81\x90\xff",
                True,
                "the input is no text in UTF-8, UTF-16, Windows-1250, Windows-1252, "
                "ISO 8859-2",
                id="no text",
            ),
        ],
    )
    def test_what_can_be_read_in_two_ways_is_refused_with_both(
        self, content: bytes, reason: str, *, is_polish: bool
    ) -> None:
        """One byte is shown, and nothing of what is around it."""
        assert refusal(HEADER.encode() + content, is_polish=is_polish) == reason

    def test_a_slip_in_utf_8_is_a_problem_of_its_row(self) -> None:
        """A mark in the wrong bytes makes no Latin of all the others."""
        content = "zażółć gęślą jaźń\n".encode() * 10 + b"\xb9"

        assert found(content, is_polish=True) == "utf-8"

    def test_a_letter_that_is_cut_off_is_malformed(self) -> None:
        """It is no letter of UTF-8 when nothing follows."""
        census = take_census(io.BytesIO(b"a\xc5"))

        assert census == ByteCensus(high=b"\xc5", well_formed=0, malformed=1)

    def test_the_file_stays_where_it_was(self) -> None:
        """Whoever counts does not read, and counts from where the table begins."""
        file = io.BytesIO(b"\xb9\xb9" + HEADER.encode())
        file.seek(2)

        census = take_census(file)

        assert census == ByteCensus()
        assert file.read() == HEADER.encode()


class TestNames:
    @pytest.mark.parametrize(
        ("name", "encoding"),
        [
            ("UTF8", "utf-8"),
            ("utf-8-sig", "utf-8"),
            ("UTF-16", "utf-16"),
            ("utf-16le", "utf-16-le"),
            ("Windows-1250", "cp1250"),
            ("cp1252", "cp1252"),
            ("ISO-8859-2", "iso8859-2"),
            ("latin2", "iso8859-2"),
        ],
    )
    def test_an_encoding_has_many_names(self, name: str, encoding: str) -> None:
        """Those that Python knows."""
        assert choose_encoding(name) == encoding

    @pytest.mark.parametrize("name", ["", "utf-7", "rot13", "cp12500", "\0", "ą" * 99])
    def test_another_encoding_is_refused(self, name: str) -> None:
        """Those that are read are told."""
        with pytest.raises(SourceError, match="must be one of utf-8, utf-16, utf-16-l"):
            choose_encoding(name)
