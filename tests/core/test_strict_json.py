import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async._core.strict_json import (
    Decoder,
    decode_json,
    decode_plainly,
    fast_decoder,
    has_duplicate_key,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text("ab"), children),
    max_leaves=5,
)


def _quick(body: bytes) -> object:
    decode = fast_decoder()
    assert decode is not None, "the extra `dev` has msgspec"
    try:
        return decode(body)
    except RecursionError:
        raise ValueError from None


def _plain(body: bytes) -> object:
    try:
        return decode_plainly(body)
    except RecursionError:
        raise ValueError from None


DECODERS: dict[str, Decoder] = {
    "chosen": decode_json,
    "plain": _plain,
    "quick": _quick,
}
each_decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)


@given(JSON | st.integers(-(10**40), 10**40) | st.floats())
def test_both_parsers_read_alike(value: object) -> None:
    """With the extra `speed` and without it an answer is the same."""
    body = json.dumps(value).encode()

    assert _outcome(_quick, body) == _outcome(_plain, body)


@given(
    st.lists(
        st.sampled_from(
            [*b'[]{}":,\\u0 1e-.\t\n', *b"dDaf89", 0x7F, 0xC5, 0xBC, 0xED, 0xA0, 0x80]
        )
    ).map(bytes)
)
@example(b"1e999")
@example(b"9" * 5_000)
@example(b"18446744073709551616")
@example(b'"\\ud83d\\u0041"')
def test_both_parsers_refuse_alike(body: bytes) -> None:
    """What one of them would not read, the other would not either."""
    assert _outcome(_quick, body) == _outcome(_plain, body)


def _outcome(decode: Decoder, body: bytes) -> str:
    try:
        return repr(decode(body))
    except ValueError:
        return "refused"


def test_without_the_extra_there_is_no_fast_parser() -> None:
    """A module that is not installed is not an error."""
    assert fast_decoder("no_such_parser") is None


@each_decoder
@given(value=JSON, escaped=st.booleans())
@example(value={"\U0001f9fe": ["\U0001f9fe"]}, escaped=True)
def test_any_json_is_read_as_it_was_written(
    *,
    decode: Decoder,
    value: object,
    escaped: bool,
) -> None:
    """Escaped or in UTF-8, a document comes back as it is."""
    body = json.dumps(value, ensure_ascii=escaped).encode()

    assert decode(body) == value


@each_decoder
@given(
    st.binary()
    | st.text().map(lambda text: text.encode(errors="surrogatepass"))
    | st.lists(
        st.sampled_from([b"[", b"]", b"{", b'"', b":", b",", b"\\ud83d", b"1"])
    ).map(b"".join)
)
def test_no_bytes_fail_in_another_way_than_a_value_error(
    decode: Decoder, body: bytes
) -> None:
    """Whatever arrives, it is read or refused."""
    with suppress(ValueError):
        decode(body)


@each_decoder
@given(depth=st.integers(1, 5_000), inside=st.sampled_from([b"", b'"\\ud83d\\ude00"']))
@example(depth=100_000, inside=b"")
@example(depth=100_000, inside=b'"\\ud800"')
def test_no_depth_fails_in_another_way_than_a_value_error(
    decode: Decoder, depth: int, inside: bytes
) -> None:
    """However deep it is nested, and wherever the stack ends, no stack overflows."""
    with suppress(ValueError):
        decode(b"[" * depth + inside + b"]" * depth)


@each_decoder
@given(st.text(st.characters(categories=["Cs"]), min_size=1, max_size=1))
def test_no_lone_surrogate_gets_in(decode: Decoder, surrogate: str) -> None:
    """What could not be written again is not read, as a value or as a name."""
    body = json.dumps({surrogate: "x"}).encode()

    with pytest.raises(ValueError):  # noqa: PT011 -- each parser in its own words
        decode(body)


@each_decoder
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="spaces"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param("{}".encode("utf-16-le"), id="utf-16-le"),
        pytest.param("{}".encode("utf-32"), id="utf-32"),
        pytest.param('"\u017c"'.encode("iso-8859-2"), id="latin-2"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate-in-utf-8"),
        pytest.param(b'"\\ud800"', id="lone-surrogate"),
        pytest.param(b'{"\\uDFFF": 1}', id="lone-surrogate-name"),
        pytest.param(b'["\\ude00\\ud83d"]', id="surrogates-swapped"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"1e999", id="beyond-a-float"),
        pytest.param(b'{"a": -Infinity}', id="minus-Infinity"),
        pytest.param(b"{}{}", id="two-documents"),
        pytest.param(b"{} x", id="trailing-bytes"),
        pytest.param(b"{}\0", id="trailing-NUL"),
        pytest.param(b'{"a": 1', id="cut"),
        pytest.param(b'"a', id="cut-text"),
        pytest.param(b"{'a': 1}", id="single-quotes"),
        pytest.param(b"[1,]", id="trailing-comma"),
        pytest.param(b"01", id="leading-zero"),
        pytest.param(b'"\n"', id="raw-newline"),
        pytest.param(b"9" * 5_000, id="5000-digits"),
        pytest.param(b"[" * 100_000, id="depth-bomb"),
        pytest.param(b'{"a":' * 100_000, id="depth-bomb-of-objects"),
        pytest.param(b"<html>", id="html"),
    ],
)
def test_what_is_not_strict_json_is_refused(decode: Decoder, body: bytes) -> None:
    """One document in UTF-8 without a mark is read, and nothing that is nearly one."""
    with pytest.raises(ValueError):  # noqa: PT011 -- each fault has words of its own
        decode(body)


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        pytest.param(b'{"id": "a", "id": "b"}', True, id="id"),
        pytest.param(b'{"id": "a", "\\u0069d": "b"}', True, id="id-escaped"),
        pytest.param(b'{"status": 1, "id": "a", "status": 2}', True, id="status"),
        pytest.param(b'{"id": "a", "amount": 1, "amount": 1}', True, id="amount"),
        pytest.param(b'{"id": "a", "refunds": [{"id": "b"}]}', False, id="nested"),
        pytest.param(b'{"refunds": [{"id": 1, "id": 2}], "id": 3}', False, id="inner"),
        pytest.param(b'{"id": "a", "note": 1, "note": 2}', False, id="not-vital"),
        pytest.param(b'{"id" : "a", "id":"b", "c": 1}', True, id="spaced"),
        pytest.param(
            b'{"amount_sub_total": 1, "amount_sub_total": 2}', True, id="subtotal"
        ),
        pytest.param(b'{"id": "a", "metadata": {"id": "b"}}', False, id="metadata"),
        pytest.param(b'{"id": "\\u017c"}', False, id="escape"),
        pytest.param(b'{"id": "a", "amount": 1, "amount_total": 1}', False, id="none"),
    ],
)
def test_a_vital_name_given_twice_is_noticed(*, body: bytes, twice: bool) -> None:
    """Of an answer with two ids nobody knows which one is meant."""
    document = json.loads(body)

    noticed = has_duplicate_key(body, document)

    assert noticed is twice


@given(depth=st.integers(900, 5_000))
def test_no_depth_fails_the_search_for_names(depth: int) -> None:
    """Where nobody can tell whether a name comes twice, it is taken to."""
    nested = b"[" * depth + b'{"id": 1}' + b"]" * depth
    body = b'{"id": "a", "refunds": ' + nested + b"}"

    assert has_duplicate_key(body, {"id": "a", "refunds": []}) in (True, False)


@each_decoder
@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b' {"a": [1, null, true]} \r\n', {"a": [1, None, True]}, id="ws"),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="surrogate-pair"),
        pytest.param(b'"\\\\ud800"', "\\ud800", id="escaped-backslash"),
        pytest.param(b'{"a": 1, "a": 2}', {"a": 2}, id="twice"),
        pytest.param(b"12.5", 12.5, id="float"),
        pytest.param(b"null", None, id="null"),
    ],
)
def test_what_is_strict_json_is_read(
    decode: Decoder, body: bytes, value: object
) -> None:
    """Strictness does not refuse what the standard allows."""
    read = decode(body)

    assert read == value
