"""What stands between cells: said, found from the head, or refused."""

import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async.bulk.tables.delimiters import (
    DELIMITERS,
    choose_delimiter,
    find_delimiter,
    said_delimiter,
)
from convergegate_async.bulk.tables.formats import SourceError

CELLS = st.text(st.sampled_from('ab1,;\t"\r\n \x85\u2028'), max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Make a header of words, and rows of anything."""
    width = draw(st.integers(2, 5))
    row = st.lists(CELLS, min_size=width, max_size=width)
    return [[f"c{n}" for n in range(width)], *draw(st.lists(row, max_size=6))]


def quoted(cell: str, *, always: bool) -> str:
    """Return *cell* as CSV spells it."""
    needed = always or set(cell) & set('",;\t\r\n') or cell != cell.strip()
    return '"' + cell.replace('"', '""') + '"' if needed else cell


class TestProperties:
    @given(
        tables(),
        st.sampled_from([*DELIMITERS, "|"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.booleans(),
    )
    @example([["a", "b"], ["1,5;2", "x;y,z"]], ";", "\r\n", False)  # noqa: FBT003
    def test_it_is_found_whatever_is_quoted(
        self, table: list[list[str]], delimiter: str, end: str, always: bool
    ) -> None:
        """Other delimiters, quotes and line ends within quotes are of the cells."""
        lines = [delimiter.join(quoted(c, always=always) for c in row) for row in table]
        if delimiter == "|":
            lines.insert(0, "sep=|")

        assert find_delimiter("".join(line + end for line in lines)) == delimiter

    @given(st.text(st.sampled_from('ab,;\t"\n\r= '), max_size=60))
    def test_no_head_is_a_crash(self, head: str) -> None:
        """There is a delimiter, or a SourceError."""
        with suppress(SourceError):
            assert find_delimiter(head) in DELIMITERS


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        pytest.param("a,b\n1,2\n", ",", id="comma"),
        pytest.param("a;b\n1;2\n", ";", id="semicolon"),
        pytest.param("a\tb\n1\t2\n", "\t", id="tab"),
        pytest.param("id;amount;x\n1;49,99;\n2;1,50;y\n", ";", id="decimal commas"),
        pytest.param("a, b;c;d\n1,5;2;3\n", ";", id="more columns win"),
        pytest.param('"a";"b"\n"1,5";"2"\n', ";", id="all quoted"),
        pytest.param('a;b\n"x\ny,z";2\n"p\n\nq";3\n', ";", id="quoted line breaks"),
        pytest.param("\n;;\na;b;c\n;;\n1;2;3\n\n", ";", id="blank rows"),
        pytest.param("a;b;c\n1;2\n1;2;3\n1;2;3\n", ";", id="a short row"),
        pytest.param("a;b;c\n1;2\n1\n", ";", id="only short rows"),
        pytest.param("a;b;c\n", ";", id="a header alone"),
        pytest.param("id\nA-1\nA-2\n", ",", id="one column"),
        pytest.param('id\n"A;1"\n"B;2"\n', ",", id="one column, quoted"),
        pytest.param("", ",", id="nothing"),
        pytest.param("sep=;\na,b\n1,2\n", ";", id="said"),
        pytest.param('a;b\n"1;2\n', ";", id="an open quote"),
    ],
)
def test_the_head_tells_the_delimiter(head: str, delimiter: str) -> None:
    """It is that by which most rows are as wide as the header."""
    assert find_delimiter(head) == delimiter


@pytest.mark.parametrize(
    ("head", "names"),
    [
        pytest.param("a;b,c\n1;2,3\n", "2 cells by comma and by semicolon", id="two"),
        pytest.param("a;b\tc\n", "2 cells by semicolon and by tab", id="no rows"),
        pytest.param("a\tb;c,d\n", "by comma and by semicolon and by tab", id="three"),
    ],
)
def test_two_that_are_as_good_are_refused(head: str, names: str) -> None:
    """Both are named, and how to choose."""
    with pytest.raises(SourceError, match=names) as caught:
        find_delimiter(head)

    assert str(caught.value).endswith(": say which with --delimiter")


@pytest.mark.parametrize("mark", [",", ";", "\t", "a,"])
def test_a_header_without_end_is_no_trap(mark: str) -> None:
    """It takes as long as its length, whatever is in it."""
    began = time.process_time()

    find_delimiter(mark * (10 * 2**20 // len(mark)))

    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sep=;", ";"),
        ("sep=\t\r\n", "\t"),
        ("SEP=|\r", "|"),
        ('"sep=;"\n', ";"),
        ("sep=;;;;\r\n", ";"),
        ("sep=", None),
        ("sep=a\n", None),
        ("sep=;,\n", None),
        ("separator;x\n", None),
        (" sep=;\n", None),
    ],
)
def test_a_line_can_say_it(line: str, said: str | None) -> None:
    """As Excel writes and reads it, also where it was saved as a row."""
    assert said_delimiter(line) == said


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [(";", ";"), ("tab", "\t"), ("Semicolon", ";"), ("|", "|"), ("\t", "\t")],
)
def test_a_delimiter_has_a_name(name: str, delimiter: str) -> None:
    """A tab is hard to type in a shell."""
    assert choose_delimiter(name) == delimiter


@pytest.mark.parametrize("name", ["", ";;", "a", "1", '"', "\n", " ", "\0"])
def test_what_cells_are_made_of_is_no_delimiter(name: str) -> None:
    """Nor is more than one character."""
    with pytest.raises(SourceError, match="must be comma, semicolon, tab, or one"):
        choose_delimiter(name)
