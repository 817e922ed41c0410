from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async import InvalidFieldError, derive_key
from convergegate_async._core.idempotency import fresh_key
from convergegate_async.models import rules

PRINTABLE = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
)


@given(namespace=PRINTABLE, identifier=PRINTABLE)
def test_a_derived_key_is_the_documented_digest(
    namespace: str, identifier: str
) -> None:
    """Anybody can compute the key: 128 bits of SHA-256 over NUL-separated parts."""
    digest = sha256(b"cg1\0" + namespace.encode() + b"\0" + identifier.encode())

    key = derive_key(namespace, identifier)

    assert key == "cg1-" + digest.hexdigest()[:32]


@given(
    one=st.tuples(st.text("ab:-\u2028", min_size=1), st.text("ab:-", min_size=1)),
    other=st.tuples(st.text("ab:-\u2028", min_size=1), st.text("ab:-", min_size=1)),
)
@example(one=("a", "bc"), other=("ab", "c"))
@example(one=("order", "1:2"), other=("order:1", "2"))
@example(one=("a", "b"), other=("b", "a"))
def test_two_purchases_share_a_key_only_if_they_are_one(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    """No two pairs of namespace and identifier have the same key."""
    keys = derive_key(*one), derive_key(*other)

    same = keys[0] == keys[1]

    assert same is (one == other)


@given(namespace=PRINTABLE, identifier=PRINTABLE | st.integers())
def test_a_derived_key_fits_a_header(namespace: str, identifier: str | int) -> None:
    """Whatever it is derived from, a key passes the rule for keys."""
    key = derive_key(namespace, identifier)

    checked = rules.idempotency_key("idempotency_key", key)

    assert checked == key


@given(st.integers())
def test_a_number_and_its_digits_are_one_purchase(number: int) -> None:
    """An order number gives the same key as an int and as a text."""
    key = derive_key("order", number)

    written_out = derive_key("order", str(number))

    assert key == written_out


@given(st.binary(min_size=16, max_size=16))
def test_a_fresh_key_is_the_dice_in_hex(dice: bytes) -> None:
    """A fresh key holds all 128 bits that were rolled."""
    key = fresh_key(dice)

    rolled = bytes.fromhex(key.removeprefix("cg1-"))

    assert rolled == dice


@given(st.binary(min_size=16, max_size=16))
def test_a_fresh_key_fits_a_header(dice: bytes) -> None:
    """Whatever was rolled, the key passes the rule for keys."""
    key = fresh_key(dice)

    checked = rules.idempotency_key("idempotency_key", key)

    assert checked == key


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param("", id="empty"),
        pytest.param("canary\0", id="NUL"),
        pytest.param("canary\n", id="newline"),
        pytest.param("canary\ud800", id="lone-surrogate"),
        pytest.param("canary" * 400, id="too-long"),
        pytest.param(True, id="bool"),
        pytest.param(1.5, id="float"),
        pytest.param(None, id="None"),
        pytest.param(b"canary", id="bytes"),
    ],
)
def test_an_unusable_identifier_is_refused(identifier: object) -> None:
    """What has no one spelling cannot name a purchase."""
    with pytest.raises(InvalidFieldError) as caught:
        derive_key("order", identifier)  # type: ignore[arg-type]  # wrong types are the point

    assert caught.value.field == "identifier"


@pytest.mark.parametrize(
    "namespace",
    [
        pytest.param("", id="empty"),
        pytest.param("or\0der", id="NUL"),
        pytest.param(7, id="int"),
        pytest.param(None, id="None"),
    ],
)
def test_an_unusable_namespace_is_refused(namespace: object) -> None:
    """A namespace is a text; a number would be an identifier in the wrong place."""
    with pytest.raises(InvalidFieldError) as caught:
        derive_key(namespace, "A-17")  # type: ignore[arg-type]  # wrong types are the point

    assert caught.value.field == "namespace"


def test_a_refused_identifier_is_not_shown() -> None:
    """An identifier may be personal data, so its refusal keeps it to itself."""
    with pytest.raises(InvalidFieldError) as caught:
        derive_key("order", "canary\0")

    assert "canary" not in repr(caught.value)


def test_a_flag_is_no_number() -> None:
    """A bool is an int to Python, and would make all orders one purchase."""
    with pytest.raises(InvalidFieldError) as caught:
        derive_key("order", identifier=True)

    assert str(caught.value) == "identifier must be a str or an int"


def test_a_derived_key_never_changes() -> None:
    """Journals outlive releases, so this very key is kept for ever."""
    key = derive_key("order", "A-17")

    assert key == "cg1-095acb04731cd910c19f5aec5c89781a"
