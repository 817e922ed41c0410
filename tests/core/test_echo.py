from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import CheckoutSession, Refund, RefundReason
from convergegate_async._core.echo import (
    ECHO_FIELDS,
    compare,
    differing_fields,
)
from convergegate_async._core.endpoints import CREATE_ECHO

SENT: dict[str, object] = {
    "id": "s1",
    "customer_email": "john@example.com",
    "currency": "pln",
    "amount_subtotal": 4999,
    "success_url": "https://shop.example/thanks",
    "cancel_url": "https://shop.example/cart",
    "notification_url": "https://shop.example/hook",
    "metadata": {"order": "A-17"},
}
OTHER: dict[str, object] = {
    "id": "s2",
    "customer_email": "jane@example.com",
    "currency": "eur",
    "amount_subtotal": 5000,
    "success_url": "https://shop.example/other",
    "cancel_url": "https://shop.example/other",
    "notification_url": "https://shop.example/other",
    "metadata": {"order": "A-18"},
}


NAMES = st.sets(st.sampled_from(list(SENT)))
REFUND: dict[str, object] = {
    "session_id": "s1",
    "amount": 1000,
    "reason": RefundReason.DUPLICATED,
    "metadata": {"order": "A-17"},
}
OTHER_REFUND: dict[str, object] = {
    "session_id": "s2",
    "amount": 1001,
    "reason": RefundReason.FRAUDULENT,
    "metadata": {"order": "A-18"},
}


def session(reported: Mapping[str, object]) -> CheckoutSession:
    """Build the answer that says what is *reported*."""
    return CheckoutSession(**{"id": "s1", **reported})  # type: ignore[arg-type]  # the names vary


# -- which fields differ ------------------------------------------------------------


@given(NAMES)
def test_exactly_the_fields_that_differ_are_named(others: set[str]) -> None:
    """Every field is compared on its own, whatever the rest of the answer says."""
    reported = {name: (OTHER if name in others else SENT)[name] for name in SENT}

    names = differing_fields(SENT, session(reported), ECHO_FIELDS)

    assert set(names) == others


@given(NAMES)
def test_only_the_chosen_fields_are_compared(chosen: set[str]) -> None:
    """What the caller took out of the check may be anything."""
    answer = session(OTHER)

    names = differing_fields(SENT, answer, chosen)

    assert set(names) == chosen


@given(NAMES)
def test_what_the_answer_leaves_out_is_no_difference(missing: set[str]) -> None:
    """The gateway's own samples miss fields, so silence proves nothing."""
    reported = {
        name: value for name, value in SENT.items() if name not in missing - {"id"}
    }

    names = differing_fields(SENT, session(reported), ECHO_FIELDS)

    assert names == ()


@given(NAMES)
def test_what_was_not_sent_is_no_difference(unsent: set[str]) -> None:
    """What the gateway fills in by itself is not ours to compare."""
    sent = {name: None if name in unsent else value for name, value in SENT.items()}
    reported = {name: (OTHER if name in unsent else SENT)[name] for name in SENT}

    names = differing_fields(sent, session(reported), ECHO_FIELDS)

    assert names == ()


@given(st.sets(st.sampled_from(list(REFUND))))
def test_exactly_the_fields_of_a_refund_that_differ_are_named(others: set[str]) -> None:
    """What a refund repeats of the request is compared as strictly."""
    reported: dict[str, Any] = {
        name: (OTHER_REFUND if name in others else REFUND)[name] for name in REFUND
    }

    names = differing_fields(REFUND, Refund(id="r1", **reported), ECHO_FIELDS)

    assert set(names) == others


@given(
    sent=st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz")),
    reported=st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz")),
)
def test_metadata_differs_only_in_a_key_that_came_back(
    sent: dict[str, str], reported: dict[str, str]
) -> None:
    """A key that is missing, or that the gateway added, is no difference."""
    names = differing_fields(
        {"metadata": sent}, session({"metadata": reported}), ECHO_FIELDS
    )

    changed = any(reported[key] != sent[key] for key in sent if key in reported)
    assert names == (("metadata",) if changed else ())


# -- table: what is the same in another spelling -------------------------------------


@pytest.mark.parametrize(
    ("field", "sent", "reported", "differs"),
    [
        ("customer_email", "John@Example.com", "john@example.COM", False),
        ("customer_email", "stra\u00dfe@example.com", "STRASSE@example.com", False),
        ("customer_email", "john@example.com", "john@example.co", True),
        ("customer_email", "john@example.com", "john@example.com ", True),
        ("currency", "pln", "PLN", False),
        ("currency", "pln", "usd", True),
        ("id", "AbC", "abc", True),
        ("amount_subtotal", 4999, 4999, False),
        ("amount_subtotal", 4999, 499900, True),
        ("amount_subtotal", 4999, 0, True),
        ("success_url", "https://shop.example", "https://shop.example/", False),
        ("success_url", "https://shop.example/", "https://shop.example", False),
        ("success_url", "HTTPS://Shop.Example/a", "https://shop.example/a", False),
        ("success_url", "https://shop.example?a=1", "https://shop.example/?a=1", False),
        ("success_url", "https://shop.example/A", "https://shop.example/a", True),
        ("success_url", "https://shop.example/a", "https://shop.example/a/", True),
        ("success_url", "https://shop.example/?A", "https://shop.example/?a", True),
        ("success_url", "https://shop.example/#A", "https://shop.example/#a", True),
        ("success_url", "https://shop.example/", "http://shop.example/", True),
        ("success_url", "https://shop.example/", "https://shop.example:1/", True),
        ("success_url", "https://shop.example/", "https://[shop.example/", True),
        ("success_url", "https://shop.example:443/", "https://shop.example/", False),
        ("success_url", "http://shop.example/", "http://shop.example:80", False),
        ("success_url", "http://shop.example:443/", "http://shop.example/", True),
        ("success_url", "https://shop.example:/a", "https://shop.example/a", False),
        ("success_url", "https://a.example/%c5%bc", "https://a.example/%C5%BC", False),
        (
            "success_url",
            "https://a.example/ż?ż#ż",
            "https://a.example/%C5%BC?ż#ż",
            False,
        ),
        ("success_url", "https://a.example/{id}", "https://a.example/%7Bid%7D", False),
        (
            "success_url",
            "https://a.example/?{id}",
            "https://a.example/?%7Bid%7D",
            False,
        ),
        ("success_url", "https://a.example/%7Eme", "https://a.example/~me", False),
        (
            "success_url",
            "https://a.example/?a=x,y",
            "https://a.example/?a=x%2Cy",
            False,
        ),
        ("success_url", "https://a.example/a%2Fb", "https://a.example/a/b", True),
        ("success_url", "https://a.example/?a%26b", "https://a.example/?a&b", True),
        ("success_url", "https://a.example/?a+b", "https://a.example/?a%2Bb", True),
        ("success_url", "https://a.example/100%", "https://a.example/100%", False),
        ("success_url", "https://a.example/a/./b/../c", "https://a.example/a/c", False),
        ("success_url", "https://a.example/../a", "https://a.example/a", False),
        ("success_url", "https://a.example/a/..", "https://a.example/", False),
        ("success_url", "https://a.example/a/.", "https://a.example/a/", False),
        ("success_url", "https://a.example/%2e%2E/a", "https://a.example/a", False),
        ("success_url", "https://a.example//a", "https://a.example/a", True),
        ("success_url", "https://a.example/a.b", "https://a.example/a.c", True),
        ("success_url", "https://żółw.example", "https://xn--w-uga1v8h.example", False),
        ("success_url", "https://ŻÓŁW.example", "https://xn--w-uga1v8h.example", False),
        ("success_url", "https://żółw.example", "https://zolw.example", True),
        ("success_url", "https://faß.example", "https://xn--fa-hia.example", False),
        ("success_url", "https://faß.example", "https://fass.example", False),
        ("success_url", "https://xn--\u017c.example", "https://xn--z.example", True),
        ("success_url", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]:443/", False),
        ("success_url", "https://[::1]/", "https://[::2]/", True),
        ("success_url", "https://a:B@a.example", "https://a:B@A.example/", False),
        ("success_url", "https://a:B@a.example", "https://a:b@a.example/", True),
        ("success_url", "https://a.example:99999", "https://a.example:99998", True),
        ("success_url", "https://a.example/", "\ud800", True),
        ("customer_email", "a@żółw.example", "a@xn--w-uga1v8h.example", False),
        ("customer_email", "a@żółw.example", "b@żółw.example", True),
        ("customer_email", "a@a.example", "a", True),
        ("cancel_url", "https://Shop.Example", "https://shop.example/", False),
        ("notification_url", "https://Shop.Example", "https://shop.example/", False),
        ("metadata", {"a": "x"}, {}, False),
        ("metadata", {"a": "x"}, {"b": "y"}, False),
        ("metadata", {"a": "x"}, {"a": "x", "b": "y"}, False),
        ("metadata", {"a": "x", "b": "y"}, {"a": "x", "b": "z"}, True),
        ("metadata", {"a": "x"}, {"a": "X"}, True),
        ("metadata", {}, {"a": "x"}, False),
    ],
    ids=ascii,
)
def test_only_another_meaning_is_a_difference(
    field: str, sent: object, reported: object, *, differs: bool
) -> None:
    """Letter case and an empty path count only where they change what is meant."""
    names = differing_fields({field: sent}, session({field: reported}), ECHO_FIELDS)

    assert names == ((field,) if differs else ())


PIECES = (*"aż/.%{}?#&=+:@;,'[]\\", "%2e", "%2F", "/..", "%c5%bc")
ADDRESS = st.lists(st.sampled_from(PIECES), max_size=12).map(
    lambda pieces: f"https://a.example/{''.join(pieces)}"
)


@given(ADDRESS)
def test_any_address_is_the_one_that_a_browser_makes_of_it(address: str) -> None:
    """Whoever stores an address in its normal form has changed nothing."""
    with_escapes = quote(address, safe="%:/?#[]@!$&'()*+,;=")

    names = differing_fields(
        {"success_url": address}, session({"success_url": with_escapes}), ECHO_FIELDS
    )

    assert names == ()


@given(st.text(), st.text())
def test_no_text_breaks_the_comparison(sent: str, reported: str) -> None:
    """Whatever the gateway reports is the same or another address or e-mail."""
    for field in ("success_url", "customer_email"):
        names = differing_fields({field: sent}, session({field: reported}), [field])

        assert names in {(), (field,)}


def test_an_empty_metadata_value_is_no_difference() -> None:
    """What comes back empty was not repeated, inside metadata as anywhere else."""
    answer = session({"metadata": {"order": ""}})

    names = differing_fields({"metadata": {"order": "A-17"}}, answer, ECHO_FIELDS)

    assert names == ()


def test_an_answer_that_has_nothing_to_repeat_is_not_compared() -> None:
    """An endpoint that expects nothing of its answer gets it."""
    assert differing_fields({}, session({}), ECHO_FIELDS) == ()


def test_the_tables_leave_no_field_out() -> None:
    """Every field that is compared is compared here."""
    names = set(SENT) | set(REFUND)

    assert names == set(ECHO_FIELDS)


@given(NAMES, NAMES)
def test_what_is_whole_at_a_glance_differs_in_nothing(
    others: set[str], missing: set[str]
) -> None:
    """The glance passes what the comparison passes, field by field, and no more."""
    request = SimpleNamespace(**SENT, amount=SENT["amount_subtotal"])
    reported = {
        name: (OTHER if name in others else SENT)[name]
        for name in SENT
        if name not in missing - {"id"}
    }
    answer = session(reported)
    expected = CREATE_ECHO.expected_of(request)

    is_whole = CREATE_ECHO.is_whole(request, answer)

    assert is_whole == (not (others | missing) - {"id"})
    if is_whole:
        assert compare(expected, answer, ECHO_FIELDS) == ((), True)


# -- whether any field comes back ---------------------------------------------------


@given(NAMES, NAMES, NAMES)
def test_an_answer_repeats_what_it_has_of_the_chosen_fields(
    named: set[str], others: set[str], chosen: set[str]
) -> None:
    """One that tells purchases apart is enough, right or wrong.

    Metadata counts where a key of ours is in it.
    """
    opened = {name: value for name, value in SENT.items() if name != "id"}
    reported = {name: (OTHER if name in others else SENT)[name] for name in named}

    _, repeats = compare(opened, session(reported), chosen)

    telling = {"customer_email", "amount_subtotal", "metadata"}
    assert repeats == bool(named & chosen & telling)
