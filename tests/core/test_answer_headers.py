"""What a caller sees of the head of an answer."""

import copy
import pickle
import sys

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async import CallInfo
from convergegate_async._core.answer_headers import MOST_HEADERS, Headers, kept_headers

NAMES = st.sampled_from(["Date", "X-Trace", "x-trace", "Set-Cookie", "Vary"])
PAIRS = st.lists(st.tuples(NAMES, st.text(max_size=9) | st.just("x" * 9_000)))


@given(PAIRS)
@example([("A", "x" * MOST_HEADERS), ("B", "2")])
def test_what_is_kept_is_bounded_and_holds_no_cookie(
    pairs: list[tuple[str, str]],
) -> None:
    """One that is too long does not hide those after it."""
    kept = kept_headers(pairs)

    size = sum(len(name) + len(value) for name, value in kept.items())
    assert size <= MOST_HEADERS
    assert "set-cookie" not in kept
    assert all(name.islower() for name in kept)
    if sum(len(name) + len(value) + 2 for name, value in pairs) <= MOST_HEADERS:
        wanted = [one for one in pairs if one[0] != "Set-Cookie"]
        assert {name.lower() for name, _ in wanted} == kept.keys()
        assert all(value in kept[name.lower()] for name, value in wanted)


def test_names_are_found_in_any_case_and_joined() -> None:
    """As RFC 9110 reads a field that comes twice."""
    headers = Headers([("Vary", "a"), ("X-Trace", "7"), ("vary", "b")].__iter__)

    assert headers["VARY"] == "a, b"
    assert headers.get("x-trace") == "7"
    assert "Date" not in headers
    assert [*headers] == ["vary", "x-trace"]
    assert repr(headers) == "<Headers: vary, x-trace>"


def test_they_do_not_travel() -> None:
    """An answer that is pickled for a queue does not take the gateway's head along."""
    call = CallInfo(attempts=2, headers=Headers([("X-Trace", "7")].__iter__))

    assert pickle.loads(pickle.dumps(call)).headers == {}  # noqa: S301 -- we have just written it
    assert copy.deepcopy(call) == call
    assert attrs.evolve(call, attempts=3).headers["x-trace"] == "7"
    assert "X-Trace" not in repr(call)
    assert hash(call) == hash(attrs.evolve(call))


def test_what_was_left_out_is_let_go_of() -> None:
    """Once somebody has looked: cookies and what did not fit stay in no answer."""
    came = frozenset([("Set-Cookie", "canary"), ("X-Trace", "7")])
    headers = Headers(came.__iter__)
    holders = sys.getrefcount(came)

    assert headers["x-trace"] == "7"

    assert sys.getrefcount(came) < holders
    assert dict(headers) == {"x-trace": "7"}
