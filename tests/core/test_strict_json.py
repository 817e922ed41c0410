import json
import re
import tomllib
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async._core.strict_json import (
    FLOOR,
    MOST_DEPTH,
    NEWEST,
    Decoder,
    TooDeepError,
    decode_exactly,
    decode_json,
    decode_plainly,
    fast_decoder,
    has_duplicate_key,
    is_met,
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
    try:
        return msgspec.json.decode(body)  # whatever version of it is at hand
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


def _spaced(parts: list[bytes]) -> st.SearchStrategy[bytes]:
    """Join *parts* with any white space that JSON allows between them."""
    spaces = st.lists(
        st.sampled_from([b"", b"", b" ", b"  ", b"\t", b"\n", b"\r", b" \t"]),
        min_size=len(parts),
        max_size=len(parts),
    )
    return spaces.map(
        lambda between: b"".join(
            space + part for space, part in zip(between, parts, strict=True)
        )
    )


# Few names, some of them spelled in two ways, so that many come twice.
_NAMES = st.sampled_from(
    [b'"id"', b'"\\u0069d"', b'"status"', b'"amount"', b'"metadata"', b'"note"']
)
# Texts that look like members from outside.
_TEXTS = st.sampled_from(
    [
        b'"a"',
        b'"\\":"',
        b'"\\": \\""',
        b'" :"',
        b'"\\t:"',
        b'""',
        b'"id\\""',
        b'"\xc5\xbc"',
    ]
)
_SCALARS = st.sampled_from([b"1", b"null", b"-0.5e1"]) | _TEXTS


def _objects(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Spell objects of those values, duplicate names included."""
    members = st.lists(st.tuples(_NAMES, values), max_size=4)
    return members.flatmap(
        lambda pairs: _spaced(
            [b"{"]
            + [
                part
                for number, (name, value) in enumerate(pairs)
                for part in ([b","] if number else []) + [name, b":", value]
            ]
            + [b"}"]
        )
    )


def _arrays(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(values, max_size=3).map(
        lambda found: b"[" + b",".join(found) + b"]"
    )


OBJECTS = _objects(
    st.recursive(_SCALARS, lambda inner: _objects(inner) | _arrays(inner), max_leaves=4)
)


@given(body=OBJECTS, place=st.integers(0, 200), piece=st.binary(max_size=2))
def test_both_parsers_agree_on_texts_and_on_damaged_ones(
    body: bytes, place: int, piece: bytes
) -> None:
    """White space, escapes, names given twice, a byte too many: value or refusal."""
    for text in (body, body[:place] + piece + body[place + 1 :]):
        assert _outcome(_quick, text) == _outcome(_plain, text)


@given(body=OBJECTS)
@example(body=b'{"id": "a", "id"\t: "b"}')
@example(body=b'{"id": "a", "id"\n: "b"}')
@example(body=b'{"id": "a", "id"\r: "b"}')
@example(body=b'{"id": "a", "id"  : "b"}')
@example(body=b'{"id": "a", "id": "https://b"}')
@example(body=b'{"id": "a", "id": "://", "://": "://"}')
@example(body=b'{"id": "a", "url": "https://b"}')
def test_a_vital_name_given_twice_is_noticed_however_it_is_spelled(
    body: bytes,
) -> None:
    """The search that is spared most answers finds what the whole one would find."""
    members: list[tuple[str, object]] = []

    def outermost(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members[:] = pairs  # the outermost object is finished last
        return dict(pairs)

    document = json.loads(body, object_pairs_hook=outermost)

    names = [name for name, _ in members]
    twice = any(names.count(name) > 1 for name in ("id", "status", "amount"))
    assert has_duplicate_key(body, document) is twice


def test_without_the_extra_there_is_no_fast_parser() -> None:
    """A module that is not installed is not an error."""
    assert fast_decoder("no_such_parser") is None


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("__version__ = '0.18.6'", id="brought-by-another-package"),
        pytest.param("__version__ = '0.20.0'", id="just-too-old"),
        pytest.param("__version__ = '99.0'", id="nobody-has-met-it"),
        pytest.param("", id="nameless"),
        pytest.param("__version__ = None", id="no-version"),
        pytest.param("raise ImportError", id="broken"),
        pytest.param("raise RuntimeError", id="broken-otherwise"),
    ],
)
def test_what_is_merely_importable_decides_nothing(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parser whose version was not met, or that cannot be imported, is not used."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"parser_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)

    assert fast_decoder(name) is None


@pytest.mark.parametrize(
    ("version", "met"),
    [
        ("0.20.9", False),
        ("0.21.0", True),
        ("0.21.0rc1", True),
        (".".join(map(str, NEWEST)) + ".7", True),
        (f"{NEWEST[0]}.{NEWEST[1] + 1}.0", False),
        ("0.210.0", False),
        ("1.21.0", False),
        ("0", False),
        ("", False),
        ("unknown", False),
        (None, False),
        (21, False),
    ],
)
def test_versions_between_the_floor_and_the_newest_are_met(
    *, version: object, met: bool
) -> None:
    """Whole minors count, and what is no version is not met."""
    assert is_met(version) is met


def test_the_floor_is_the_one_that_is_declared() -> None:
    """What the extra `speed` asks for is what is used."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]

    (declared,) = re.findall(r"msgspec>=([\d.]+)", " ".join(extras["speed"]))
    assert declared == ".".join(map(str, FLOOR))


def test_the_parser_at_hand_is_used_if_it_is_met() -> None:
    """With the extra `speed` installed, answers are parsed by it."""
    assert (fast_decoder() is not None) is is_met(msgspec.__version__)


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


@given(st.integers(1, 2 * MOST_DEPTH), st.text('[]{}"\\\n'), st.integers(0, 200))
def test_files_are_read_to_a_depth_that_is_a_number(
    depth: int, text: str, beside: int
) -> None:
    """Brackets within texts, and lists beside one another, make nothing deeper."""
    value: object = text
    for _ in range(depth - 1):
        value = {text: value}
    document = [*([] for _ in range(beside)), value]
    body = json.dumps(document).encode()

    if depth <= MOST_DEPTH:
        assert decode_exactly(body) == document
    else:
        with pytest.raises(TooDeepError):
            decode_exactly(body)


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
