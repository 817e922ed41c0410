"""Whatever was sent is taken out, in every spelling; the rest stays as it was."""

import json
import sys
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from orders import an_order

from convergegate_async._core.codec import encode_form
from convergegate_async._core.redaction import is_free_of, redacted

Spelling = Callable[[str], str]


def as_json(value: str) -> str:
    """Spell *value* as inside of a JSON text."""
    return json.dumps(value)[1:-1]


SPELLINGS: dict[str, Spelling] = {
    "plain": str,
    "form": quote_plus,
    "percent": lambda value: quote(value, safe=""),
    "percent-lower": lambda value: quote(value, safe="").lower(),
    "percent-all": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "url": quote,
    "json": as_json,
    "json-slashes": lambda value: as_json(value).replace("/", r"\/"),
    "json-unicode": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "json-all": lambda value: "".join(
        f"\\u{value.encode('utf-16-be')[n : n + 2].hex()}"
        for n in range(0, 2 * len(value.encode("utf-16-be")) // 2, 2)
    ),
}
VALUES = st.text(
    st.characters(exclude_categories=["C", "Z"], max_codepoint=0x1FAFF)
    | st.sampled_from(" +/\\\"'%&@\u0142\U0001f9fe"),
    min_size=6,
    max_size=12,
)


@pytest.mark.parametrize("inner", SPELLINGS)
@given(value=VALUES, outer=st.sampled_from(["plain", "percent", "form", "json"]))
@example(value="Jan Żółć-Nowak", outer="json")
@example(value=r"C:\new 100%41", outer="percent")
@example(value="+48 123 456", outer="plain")
def test_no_spelling_is_shown(inner: str, outer: str, value: str) -> None:
    """A value in any spelling, done once or twice, is its field's name in the text."""
    # A value of blanks alone (a plus is one) has no edge: it may begin with the text's.
    assume(value.strip(" +"))
    spelled = SPELLINGS[outer](SPELLINGS[inner](value))

    shown = redacted(f"no: {spelled}.", [("customer_firstname", value)], 9_000)

    assert shown == "no: [customer_firstname]."


@given(text=st.text("abc, .:%\\", max_size=60), value=st.text("XYZ789", min_size=6))
def test_what_holds_no_value_stays_as_it_was(text: str, value: str) -> None:
    """A text that has nothing to do with what was sent is not touched."""
    assert redacted(text, [("name", value)], 200) == text


PLAIN = "aAbB1_.~-"


@given(
    parts=st.lists(st.text(PLAIN, max_size=3)),
    values=st.lists(st.text(f"{PLAIN} +ż&=%", min_size=1, max_size=9), max_size=3),
    used=st.integers(0, 2),
)
@example(parts=["", ""], values=["+48"], used=0)
@example(parts=["a1b2", "1"], values=["x", "1"], used=1)
@example(parts=["a-", "-b"], values=["c-d"], used=0)
@example(parts=["a-", "-b"], values=["-"], used=0)
@example(parts=["x", "y"], values=["123456"], used=0)
def test_a_look_at_the_form_misses_nothing(
    parts: list[str], values: list[str], used: int
) -> None:
    """What is free of a form by its look is what the search would have let through."""
    value = values[used % len(values)] if values else ""
    text = value.removeprefix("+").swapcase().join(parts)
    form = urlencode([("name", one) for one in values]).encode()

    if is_free_of(text, form, ()):
        assert redacted(text, [("name", one) for one in values], 200) == text


@pytest.mark.parametrize(
    "identifier",
    [
        *(
            "req-3f2a91b",
            "Req_3f2a91b",
            "3f2a91b",
            "3f2a91b-c4d5e6f",
            "7-3f2a91b~c4d5e6f",
        ),
        *("r-7-3f2a91b", "3f2a91b-7", "3f2a91b---c4d5e6f", "-3f2a91b", "3f2a91b.", "7"),
    ],
)
@pytest.mark.parametrize("sign", ["", "+"])
def test_whichever_part_of_an_identifier_was_sent(identifier: str, sign: str) -> None:
    """A plain look passes over none that the search would find."""
    size = len(identifier)
    for part in {identifier[a:b] for a in range(size) for b in range(a + 1, size + 1)}:
        sent = [("name", f"{sign}{part.swapcase()}")]

        if is_free_of(identifier, urlencode(sent).encode(), ()):
            assert redacted(identifier, sent, 200) == identifier


@pytest.mark.parametrize("identifier", ["req_7", "3f2a-91", "AW-kLcRRC5P8U68CYe0kVA"])
def test_usual_identifiers_need_no_search(identifier: str) -> None:
    """They are plain, and hold nothing of an order."""
    assert is_free_of(identifier, encode_form(an_order()), [("api_key", "sk_test_x")])


@given(text=st.text(PLAIN), value=st.text(f"{PLAIN} +ż&=%", min_size=1))
@example(text="xSK_Test_Xy", value="sk_test_x")
def test_a_look_at_what_is_hidden_misses_nothing(text: str, value: str) -> None:
    """What is free of a hidden value by its look holds none that the search finds."""
    if is_free_of(text, b"", [("api_key", value)]):
        assert redacted(text, [("api_key", value)], 200) == text


@given(before=st.integers(150, 260), most=st.just(200))
def test_a_value_is_never_cut_in_two(before: int, most: int) -> None:
    """Where the text ends within a value, no half of the value is shown."""
    value = "canary@example.com"
    text = "-" * before + quote(value, safe="") + "-" * 500

    shown = redacted(text, [("customer_email", value)], most)

    assert "canary" not in shown
    assert shown.endswith("…")


def test_values_that_overlap_go_whole() -> None:
    """The second begins within the first: no half of it is shown."""
    hidden = [("customer_lastname", "Johnson"), ("success_url", "sonata-shop")]

    assert redacted("of Johnsonata-shop.", hidden, 200) == "of [customer_lastname]."


def test_a_value_behind_what_is_shown_is_left_out_with_it() -> None:
    """Escapes take room: without them it would still begin in there."""
    text = "%20" * 4 + "Johnson"

    assert redacted(text, [("customer_lastname", "Johnson")], 5) == "%20%2…"


def test_a_short_value_counts_as_a_word_only() -> None:
    """An amount of 1 does not eat every 1 of a message."""
    assert redacted("1 of 12", [("amount", "1")], 200) == "[amount] of 12"


def test_what_is_wanted_is_all_that_is_shown() -> None:
    """A long text ends where it is told to, also if nothing is hidden."""
    assert redacted("-" * 300, [], 200) == "-" * 200 + "…"


def test_cases_of_a_letter_are_one_letter() -> None:
    """Letters that only some alphabets have in two cases are found in either."""
    hidden = [("firstname", "\u0130brahim"), ("lastname", "Je\u017f\u017fen")]

    shown = redacted("ibrahim, IBRAHIM, \u0131brahim, JESSEN", hidden, 200)

    assert shown == "[firstname], [firstname], [firstname], [lastname]"


@pytest.mark.parametrize("size", [100, 10_000, 1_000_000])
@pytest.mark.parametrize("shape", ["{a}b", "b{a}", "{a}b{a}", "{a}%41", "{a} {a}"])
def test_letters_that_repeat_are_looked_at_once(shape: str, size: int) -> None:
    """A value is searched once in each reading of a text, however long both are."""
    value = shape.format(a="a" * size)
    looks = 0

    def count(_frame: object, event: str, called: object) -> None:
        nonlocal looks
        if event == "c_call" and getattr(called, "__name__", "") in {"find", "search"}:
            looks += 1

    sys.setprofile(count)
    try:
        shown = redacted("a" * size * 5, [("x", value), ("y", "ab" * size)], 100)
    finally:
        sys.setprofile(None)

    assert shown == "a" * 100 + "…"
    assert looks <= 2 * 7 + 2 * 3  # values in readings, and escapes
