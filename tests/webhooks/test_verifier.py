import hmac
import json
import time
import traceback
from contextlib import suppress
from hashlib import sha256
from itertools import product
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from junk import JUNK, NAMES, SCALARS
from multidict import CIMultiDict, CIMultiDictProxy
from vectors import B1, OF_EVENTS, S2, VECTORS, WRONG_CONSTRUCTIONS, S

from convergegate_async import (
    BadPayloadError,
    BadSignatureError,
    ConfigurationError,
    EventType,
    StaleWebhookError,
    WebhookError,
    WebhookEvent,
)
from convergegate_async.webhooks import WebhookVerifier, sign

NOW = 1_700_000_000
DAY = 86_400
V1 = "37107eb9a99ce26b4a4722e89e81b9d968cc6069916feddf0ecf88c286b95c8b"
POLISH = '{"customer_firstname":"Zażółć","city":"Łódź"}'
LIMIT = 1_048_576

VERIFIER = WebhookVerifier(S)


def signature_of(timestamp: bytes, body: bytes, secret: str = S) -> str:
    """Sign in the words of the provider, without our code."""
    key = sha256(secret.encode()).digest()
    return hmac.new(key, timestamp + body, "sha256").hexdigest()


def headers_of(
    body: bytes, timestamp: int | str = NOW, secret: str = S
) -> dict[str, str]:
    """Return the headers of a delivery that is validly signed."""
    stamp = str(timestamp)
    return {
        "Sec-Timestamp": stamp,
        "Sec-Signature": signature_of(stamp.encode("latin-1"), body, secret),
    }


def verify(
    body: object,
    headers: object,
    now: float = NOW,
    verifier: WebhookVerifier = VERIFIER,
) -> WebhookEvent:
    """Verify what may be anything."""
    return verifier.verify(body, headers, now)  # type: ignore[arg-type]  # wrong types are the point


def refused(
    body: object, headers: object, verifier: WebhookVerifier = VERIFIER
) -> WebhookError:
    """Return the error of a delivery that is refused."""
    with pytest.raises(WebhookError) as caught:
        verify(body, headers, verifier=verifier)
    return caught.value


def frames_of_ours(error: BaseException) -> str:
    """Print the traceback of *error* below the test, with all its locals."""
    inner = error.__traceback__
    while inner is not None and not inner.tb_frame.f_globals["__name__"].startswith(
        "convergegate_async."
    ):
        inner = inner.tb_next
    assert inner is not None
    shown = traceback.TracebackException(type(error), error, inner, capture_locals=True)
    chain = [error, error.__cause__, error.__context__]
    return "\n".join([*shown.format(), *(repr((e, vars(e))) for e in chain if e)])


# -- totality -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries(
    {"id": st.text(min_size=1) | JSON, "type": st.sampled_from(EventType) | JSON},
    optional={"data": JSON, "created_at": JSON, "version": JSON},
)
BODIES = st.binary() | (JSON | EVENTS).map(lambda value: json.dumps(value).encode())


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bytes, object]:
    """Draw a body with headers that are right, nearly right, or anything."""
    body = draw(BODIES)
    right = headers_of(body)
    parts = st.sampled_from([*right.values()])
    pairs = st.lists(st.tuples(NAMES | JUNK, JUNK | parts))
    changes = st.dictionaries(st.sampled_from([*right]) | SCALARS, JUNK | parts)
    return body, draw(
        st.just(right)
        | pairs
        | pairs.map(lambda more: [*right.items(), *more])
        | changes
        | changes.map(lambda more: dict([*right.items(), *more.items()]))
        | JUNK
    )


@given(delivery=deliveries(), now=st.floats() | st.just(float(NOW)))
@example((b"[" * 100_000, headers_of(b"[" * 100_000)), NOW)
@example((b"", None), NOW)
def test_a_delivery_is_an_event_or_refused(
    delivery: tuple[bytes, object], now: float
) -> None:
    """Whatever is delivered whenever, there is no third way out of `verify`."""
    event = None

    with suppress(WebhookError):
        event = verify(*delivery, now)

    assert event is None or type(event) is WebhookEvent


@given(BODIES)
@example(b'{"id":"e","type":"t","data":' + b'{"a":' * 5_000)
@example(b'{"id":"e","type":"t","created_at":' + b"9" * 5_000 + b"}")
@example(b'{"id":"e\\ud800","type":"t"}')
def test_what_is_validly_signed_can_only_fail_by_its_body(body: bytes) -> None:
    """A right signature over any bytes is no `BadSignatureError`."""
    event = None

    with suppress(BadPayloadError):
        event = verify(body, headers_of(body))

    assert event is None or type(event) is WebhookEvent


@given(
    event=st.fixed_dictionaries(
        {"id": st.text(min_size=1), "type": st.sampled_from(EventType)}
    ),
    timestamp=st.integers(10**9, 10**10 - 1) | st.integers(10**12, 10**13 - 1),
    reading=st.tuples(
        st.sampled_from(["raw", "hex"]), st.sampled_from(["hex", "base64"])
    ),
)
def test_what_sign_signs_is_verified(
    event: dict[str, str], timestamp: int, reading: tuple[Any, Any]
) -> None:
    """`sign` and `verify` agree on every event, at every time, in every reading."""
    body = json.dumps(event).encode()
    derivation, encoding = reading
    headers = sign(
        body,
        secret=S,
        timestamp=timestamp,
        key_derivation=derivation,
        signature_encoding=encoding,
    )
    verifier = WebhookVerifier(
        S,
        tolerance=None,
        oldest=1e11,
        key_derivation=derivation,
        signature_encoding=encoding,
    )

    verified = verifier.verify(body, headers)

    assert (verified.id, verified.type) == (event["id"], event["type"])


@given(st.binary(), st.text("0123456789abcdef", min_size=64, max_size=64))
@example(B1, V1[:-1] + "c")
def test_a_guessed_signature_does_not_pass(body: bytes, guess: str) -> None:
    """A signature in the right shape is refused before the body is looked at."""
    error = refused(body, {"Sec-Timestamp": str(NOW), "Sec-Signature": guess})

    assert type(error) is BadSignatureError


@given(
    canary=st.text("Q", min_size=9, max_size=20),
    where=st.sampled_from(["Sec-Timestamp", "Sec-Signature", "body", "signed"]),
)
def test_a_refusal_repeats_nothing_of_the_delivery(canary: str, where: str) -> None:
    """No part of what was delivered gets into the error's text, or its fields."""
    body = canary.encode() if where in {"body", "signed"} else B1
    headers = headers_of(B1 if where == "body" else body)
    if where in headers:
        headers[where] = canary

    error = refused(body, headers)

    assert canary not in repr((error, str(error), vars(error)))


# -- the test vectors -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "signature"),
    [pytest.param(*VECTORS[name], id=name) for name in OF_EVENTS],
)
def test_a_vector_of_an_event_is_that_event(
    secret: str, timestamp: bytes, body: bytes, signature: str
) -> None:
    """A vector whose body is a JSON object with id and type is an event."""
    headers = {"Sec-Timestamp": timestamp.decode(), "Sec-Signature": signature}

    event = verify(body, headers, verifier=WebhookVerifier(secret))

    assert event == WebhookEvent(id="evt_1", type="checkout.session.completed")


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        pytest.param(*row[2:], id=name)
        for name, row in VECTORS.items()
        if name not in OF_EVENTS
    ],
)
def test_a_vector_of_no_event_fails_by_its_body(body: bytes, signature: str) -> None:
    """A vector whose body is no event passes the signature and is answered 400."""
    error = refused(body, {"Sec-Timestamp": str(NOW), "Sec-Signature": signature})

    assert type(error) is BadPayloadError
    assert error.http_status == 400


@pytest.mark.parametrize(
    "signature",
    [pytest.param(text, id=name) for name, text in WRONG_CONSTRUCTIONS.items()],
)
def test_a_wrong_construction_is_a_bad_signature(signature: str) -> None:
    """V1 signed in any other way is refused, and answered 400."""
    error = refused(B1, {"Sec-Timestamp": str(NOW), "Sec-Signature": signature})

    assert type(error) is BadSignatureError
    assert error.http_status == 400


# -- the order of the checks ----------------------------------------------------------

NO_EVENT = b'{"id":"evt_1"}'
TOO_LARGE = b" " * (LIMIT + 1)


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        pytest.param(TOO_LARGE, {}, "larger than 1 MiB", id="size-headers"),
        pytest.param(
            TOO_LARGE, headers_of(B1), "larger than 1 MiB", id="size-signature"
        ),
        pytest.param(
            B1,
            {"Sec-Timestamp": "yesterday"},
            "there is no Sec-Signature header",
            id="headers-timestamp",
        ),
        pytest.param(
            B1,
            {"Sec-Timestamp": "yesterday", "Sec-Signature": "mine"},
            "the timestamp has neither",
            id="timestamp-signature",
        ),
        pytest.param(
            B1,
            {**headers_of(NO_EVENT), "Sec-Timestamp": "1600000000"},
            "the signature does not match",
            id="signature-age",
        ),
        pytest.param(
            NO_EVENT,
            headers_of(B1),
            "the signature does not match",
            id="signature-body",
        ),
        pytest.param(
            NO_EVENT, headers_of(NO_EVENT, 1_600_000_000), "has no id", id="body-age"
        ),
    ],
)
def test_the_first_check_that_fails_speaks(
    body: bytes, headers: dict[str, str], reason: str
) -> None:
    """Size, headers, timestamp, signature, body, age: nothing is read out of turn."""
    error = refused(body, headers)

    assert reason in error.reason


def test_a_parsed_body_is_refused_before_all_else() -> None:
    """The commonest mistake of an integration is not hidden by a missing header."""
    with pytest.raises(TypeError, match="raw bytes"):
        verify({"id": "evt_1"}, {})


# -- headers --------------------------------------------------------------------------

STAMP, SIGNATURE = headers_of(B1).items()
STAMP_BYTES, SIGNATURE_BYTES = (
    (name.encode(), value.encode()) for name, value in (STAMP, SIGNATURE)
)


def environ_of(*headers: tuple[str, str]) -> dict[str, object]:
    """Return the environ that a WSGI server makes of a request with *headers*."""
    environ: dict[str, object] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers
    }
    setup_testing_defaults(environ)
    return environ


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(dict([STAMP, SIGNATURE]), id="dict"),
        pytest.param(dict([STAMP_BYTES, SIGNATURE_BYTES]), id="bytes"),
        pytest.param(dict([STAMP, SIGNATURE_BYTES]), id="mixed"),
        pytest.param({STAMP[0]: [STAMP[1]], SIGNATURE[0]: (SIGNATURE[1],)}, id="lists"),
        pytest.param([STAMP, SIGNATURE], id="pairs"),
        pytest.param((STAMP_BYTES, SIGNATURE_BYTES), id="byte-pairs"),
        pytest.param([list(STAMP), list(SIGNATURE)], id="lists-of-two"),
        pytest.param(CIMultiDict([STAMP, SIGNATURE]), id="multidict"),
        pytest.param(
            CIMultiDictProxy(CIMultiDict([STAMP, SIGNATURE])), id="multidict-proxy"
        ),
        pytest.param(
            {"sec-timestamp": STAMP[1], "sec-signature": SIGNATURE[1]}, id="lower-case"
        ),
        pytest.param(
            {"SEC-TIMESTAMP": STAMP[1], "SEC-SIGNATURE": SIGNATURE[1]}, id="upper-case"
        ),
        pytest.param(
            {"sEC-tIMESTAMP": STAMP[1], "SeC-sIgNaTuRe": SIGNATURE[1]}, id="mixed-case"
        ),
        pytest.param([STAMP, SIGNATURE, STAMP, SIGNATURE], id="twice-the-same"),
        pytest.param(
            CIMultiDict([SIGNATURE, SIGNATURE, STAMP, STAMP]), id="multidict-twice"
        ),
        pytest.param(
            [("Host", "shop.example"), SIGNATURE, ("X", None), STAMP], id="among-others"
        ),
        pytest.param(environ_of(STAMP, SIGNATURE), id="wsgi-environ"),
        pytest.param(
            {"sec_timestamp": STAMP[1], "SEC_SIGNATURE": SIGNATURE[1]}, id="underscores"
        ),
        pytest.param(
            [*environ_of(STAMP, SIGNATURE).items(), STAMP, SIGNATURE],
            id="both-spellings-the-same",
        ),
    ],
)
def test_headers_come_in_any_shape(headers: object) -> None:
    """Whatever a web framework hands over, the delivery is verified."""
    event = verify(B1, headers)

    assert event.id == "evt_1"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param(dict([STAMP]), id="no-signature"),
        pytest.param(dict([SIGNATURE]), id="no-timestamp"),
        pytest.param(dict([STAMP, ("Sec-Signature", "")]), id="empty-signature"),
        pytest.param(dict([SIGNATURE, ("Sec-Timestamp", "")]), id="empty-timestamp"),
        pytest.param(dict([STAMP, ("Sec-Signature", [])]), id="empty-list"),
        pytest.param(
            [STAMP, SIGNATURE, ("Sec-Signature", "0" * 64)], id="second-signature"
        ),
        pytest.param(
            [("Sec-Signature", "0" * 64), STAMP, SIGNATURE], id="first-signature"
        ),
        pytest.param(
            [STAMP, SIGNATURE, ("sec-timestamp", "1600000000")], id="second-timestamp"
        ),
        pytest.param(
            CIMultiDict([STAMP, SIGNATURE, ("SEC-SIGNATURE", V1.upper() + "0")]),
            id="multidict-differing",
        ),
        pytest.param(
            {STAMP[0]: STAMP[1], SIGNATURE[0]: [SIGNATURE[1], ""]}, id="list-differing"
        ),
        pytest.param(
            dict([STAMP, ("Sec-Signature", f"{SIGNATURE[1]}, {SIGNATURE[1]}")]),
            id="joined-by-a-proxy",
        ),
        pytest.param(dict([STAMP, ("Sec-Signature", None)]), id="None"),
        pytest.param(dict([SIGNATURE, ("Sec-Timestamp", NOW)]), id="int"),
        pytest.param(dict([STAMP, ("Sec-Signature", [[SIGNATURE[1]]])]), id="nested"),
        pytest.param(dict([STAMP, ("Sec-Signature", "\udce9")]), id="surrogate"),
        pytest.param(
            dict([STAMP, ("Sec-Signature", "\uff13" + V1[1:])]), id="full-width-digit"
        ),
        pytest.param(dict([STAMP, SIGNATURE, (7, "x")]), id="int-name"),
        pytest.param([(*STAMP, "x"), SIGNATURE], id="triple"),
        pytest.param(
            f"Sec-Timestamp: {STAMP[1]}\r\nSec-Signature: {SIGNATURE[1]}", id="text"
        ),
        pytest.param(
            [*environ_of(STAMP, SIGNATURE).items(), ("Sec-Signature", "0" * 64)],
            id="environ-differing",
        ),
        pytest.param(
            dict([STAMP, SIGNATURE, ("sec_timestamp", "1600000000")]),
            id="underscores-differing",
        ),
        pytest.param(
            environ_of(STAMP, ("Sec-Signature", f"{SIGNATURE[1]},{SIGNATURE[1]}")),
            id="joined-by-a-wsgi-server",
        ),
        pytest.param(
            dict([STAMP, ("HTTP_HTTP_SEC_SIGNATURE", SIGNATURE[1])]), id="http-twice"
        ),
        pytest.param(
            dict([STAMP, ("Http-Sec-Signature", SIGNATURE[1])]), id="http-as-a-header"
        ),
        pytest.param(None, id="no-headers"),
        pytest.param(7, id="a-number"),
    ],
)
def test_headers_that_leave_a_doubt_are_a_bad_signature(headers: object) -> None:
    """Missing, empty, unreadable or contradicting headers prove nothing."""
    error = refused(B1, headers)

    assert type(error) is BadSignatureError


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(V1.upper(), id="upper-case"),
        pytest.param(V1[:32] + V1[32:].upper(), id="mixed-case"),
    ],
)
def test_the_case_of_a_signature_does_not_matter(signature: str) -> None:
    """Hex is hex: upper-case digits mean the same."""
    event = verify(B1, {"Sec-Timestamp": str(NOW), "Sec-Signature": signature})

    assert event.id == "evt_1"


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(V1[:-1], id="63-characters"),
        pytest.param(V1 + "b", id="65-characters"),
        pytest.param(V1 + V1, id="twice"),
        pytest.param("g" + V1[1:], id="no-hex"),
        pytest.param("é" + V1[1:], id="latin-1"),
        pytest.param("sha256=" + V1, id="prefix"),
        pytest.param("0x" + V1, id="0x"),
        pytest.param(V1 + " ", id="trailing-space"),
        pytest.param(" " + V1, id="leading-space"),
        pytest.param(V1 + "\n", id="newline"),
        pytest.param(V1 + "\0", id="NUL"),
        pytest.param(f'"{V1}"', id="quoted"),
        pytest.param("a" * 1_000_000, id="1-MB"),
    ],
)
def test_a_malformed_signature_is_refused(signature: str) -> None:
    """Nothing is stripped, cut or repaired before the comparison."""
    error = refused(B1, {"Sec-Timestamp": str(NOW), "Sec-Signature": signature})

    assert type(error) is BadSignatureError
    assert error.reason == "the signature is malformed"


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param(" 1700000000", id="leading-space"),
        pytest.param("1700000000 ", id="trailing-space"),
        pytest.param("+1700000000", id="plus"),
        pytest.param("+170000000", id="plus-in-ten"),
        pytest.param("-1700000000", id="minus"),
        pytest.param("-1", id="minus-one"),
        pytest.param("1_700_000_000", id="underscores"),
        pytest.param("1_70000000", id="underscore-in-ten"),
        pytest.param("1700000000\n", id="newline"),
        pytest.param("1700000000.0", id="fraction"),
        pytest.param("1e9", id="exponent"),
        pytest.param("1700000e03", id="exponent-in-ten"),
        pytest.param("nan", id="nan"),
        pytest.param("inf", id="inf"),
        pytest.param("0x6553f100", id="hex"),
        pytest.param("170000000", id="9-digits"),
        pytest.param("17000000000", id="11-digits"),
        pytest.param("170000000000", id="12-digits"),
        pytest.param("17000000000000", id="14-digits"),
        pytest.param("1700000000000000", id="16-digits"),
        pytest.param("1" * 400, id="400-digits"),
        pytest.param("²" * 10, id="superscript"),
    ],
)
def test_a_timestamp_that_is_not_plain_digits_is_refused(timestamp: str) -> None:
    """Even validly signed: `int` would take most of these."""
    error = refused(B1, headers_of(B1, timestamp))

    assert type(error) is BadSignatureError
    assert error.reason == "the timestamp has neither 10 nor 13 digits"


@pytest.mark.parametrize(
    "zero", ["\u0660", "\u0966", "\uff10"], ids=["arabic", "hindi", "full-width"]
)
def test_digits_of_other_scripts_are_refused(zero: str) -> None:
    """No header can hold them; a framework that hands them over changed something."""
    digits = "".join(chr(ord(zero) + int(digit)) for digit in str(NOW))
    headers = {
        "Sec-Timestamp": digits,
        "Sec-Signature": signature_of(digits.encode(), B1),
    }

    error = refused(B1, headers)

    assert type(error) is BadSignatureError


# -- age ------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1, 1_000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize("offset", [-300, -299, -1, 0, 1, 299, 300])
def test_a_delivery_within_the_tolerance_is_fresh(offset: int, unit: int) -> None:
    """Up to 300 seconds to both sides, the limit included, nothing is stale."""
    event = verify(B1, headers_of(B1, NOW * unit), NOW + offset)

    assert event.stale is False


@pytest.mark.parametrize("unit", [1, 1_000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize("offset", [-302_400, -301, 301, 302_400])
def test_a_delivery_outside_of_the_tolerance_is_stale(offset: int, unit: int) -> None:
    """Beyond 300 seconds, to either side, the event comes inside of the refusal."""
    with pytest.raises(StaleWebhookError) as caught:
        verify(B1, headers_of(B1, NOW * unit), NOW + offset)

    assert caught.value.event == WebhookEvent(
        id="evt_1", type="checkout.session.completed", stale=True
    )


def test_a_stale_event_keeps_what_it_says() -> None:
    """The event of a `StaleWebhookError` is the whole event, with its raw form."""
    with pytest.raises(StaleWebhookError) as caught:
        verify(B1, headers_of(B1), NOW + 301)

    assert caught.value.event is not None
    assert caught.value.event.raw == json.loads(B1)


@pytest.mark.parametrize("tolerance", [300, None])
@pytest.mark.parametrize("unit", [1, 1_000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize(
    "offset",
    [-(10**9), -302_401, 302_401, *(days * DAY for days in (4, 30, 400)), 10**9],
)
def test_a_delivery_from_far_away_is_no_event(
    offset: int, unit: int, tolerance: float | None
) -> None:
    """Beyond 3.5 days, to either side, a valid signature yields nothing to confirm."""
    verifier = WebhookVerifier(S, tolerance=tolerance)

    with pytest.raises(StaleWebhookError) as caught:
        verify(B1, headers_of(B1, NOW * unit), NOW + offset, verifier)

    assert caught.value.event is None
    assert caught.value.http_status == 400


@pytest.mark.parametrize("offset", [-302_400, -301, 0, 301, 302_400])
def test_without_tolerance_what_is_not_too_old_is_fresh(offset: int) -> None:
    """With ``tolerance=None`` a delivery of the last 3.5 days is as good as new."""
    verifier = WebhookVerifier(S, tolerance=None)

    event = verify(B1, headers_of(B1), NOW + offset, verifier)

    assert event.stale is False


@pytest.mark.parametrize(
    ("offset", "kept"), [(600, True), (601, False), (-600, True), (-601, False)]
)
def test_what_is_too_old_may_be_chosen(offset: int, *, kept: bool) -> None:
    """*oldest* is how far away an event may have been signed to be one at all."""
    verifier = WebhookVerifier(S, oldest=600)

    with pytest.raises(StaleWebhookError) as caught:
        verify(B1, headers_of(B1), NOW + offset, verifier)

    assert (caught.value.event is not None) is kept


@pytest.mark.parametrize(
    ("offset", "stale"), [(0.5, False), (0.51, True), (-0.5, False), (-0.51, True)]
)
def test_the_tolerance_may_be_chosen(offset: float, *, stale: bool) -> None:
    """Half a second is a tolerance too."""
    verifier = WebhookVerifier(S, tolerance=0.5)
    kind: type[WebhookError] | None = None

    try:
        verify(B1, headers_of(B1), NOW + offset, verifier)
    except WebhookError as error:
        kind = type(error)

    assert kind is (StaleWebhookError if stale else None)


def test_the_clock_is_the_machines() -> None:
    """Without *now*, a delivery of this second is fresh."""
    event = VERIFIER.verify(B1, headers_of(B1, int(time.time())))

    assert event.stale is False


def test_the_clock_does_not_stand_still() -> None:
    """Without *now*, a delivery of 2023 is too old."""
    with pytest.raises(StaleWebhookError):
        VERIFIER.verify(B1, headers_of(B1))


# -- bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(B1, id="bytes"),
        pytest.param(bytearray(B1), id="bytearray"),
        pytest.param(memoryview(B1), id="memoryview"),
        pytest.param(memoryview(bytearray(b"." + B1))[1:], id="slice"),
    ],
)
def test_raw_bytes_come_in_any_kind(body: bytes | bytearray | memoryview) -> None:
    """All that is bytes-like is verified, without a copy by the caller."""
    event = VERIFIER.verify(body, headers_of(B1), NOW)

    assert event.raw == json.loads(B1)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(B1.decode(), id="str"),
        pytest.param(json.loads(B1), id="dict"),
        pytest.param(None, id="None"),
        pytest.param(list(B1), id="list"),
        pytest.param(len(B1), id="int"),
        pytest.param(WebhookEvent(id="evt_1", type="x"), id="event"),
    ],
)
def test_what_is_not_raw_bytes_is_a_type_error(body: object) -> None:
    """A body that was parsed or decoded is a mistake of the program and named so."""
    with pytest.raises(TypeError) as caught:
        verify(body, headers_of(B1))

    assert not isinstance(caught.value, WebhookError)


def test_one_mebibyte_is_not_too_large() -> None:
    """A body of just the limit is read as any other."""
    body = B1 + b" " * (LIMIT - len(B1))

    event = verify(body, headers_of(body))

    assert event.id == "evt_1"


def test_more_than_one_mebibyte_is_too_large() -> None:
    """One byte more is answered 413, validly signed or not."""
    body = B1 + b" " * (LIMIT + 1 - len(B1))

    error = refused(body, headers_of(body))

    assert type(error) is BadPayloadError
    assert error.http_status == 413


# -- secrets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secrets",
    [
        pytest.param(S, id="alone"),
        pytest.param([S], id="list"),
        pytest.param([S2, S], id="new-first"),
        pytest.param((S, S2), id="old-first"),
        pytest.param(iter([S2, S]), id="iterator"),
        pytest.param({S2, S}, id="set"),
    ],
)
def test_any_of_the_secrets_may_have_signed(secrets: Any) -> None:  # noqa: ANN401 -- any iterable
    """While a key is rotated, deliveries of either key are events."""
    verifier = WebhookVerifier(secrets)

    event = verify(B1, headers_of(B1), verifier=verifier)

    assert event.id == "evt_1"


@pytest.mark.parametrize("signer", range(10))
def test_each_of_ten_secrets_may_have_signed(signer: int) -> None:
    """The place of a secret in the row does not matter."""
    secrets = [f"sk_test_{number}" for number in range(10)]
    headers = headers_of(B1, secret=secrets[signer])

    event = verify(B1, headers, verifier=WebhookVerifier(secrets))

    assert event.id == "evt_1"


def test_a_secret_that_was_taken_out_is_refused() -> None:
    """After the rotation the old key signs nothing any more."""
    error = refused(B1, headers_of(B1), WebhookVerifier([S2, "sk_test_3"]))

    assert type(error) is BadSignatureError


@pytest.mark.parametrize(
    "secrets",
    [
        pytest.param([], id="none"),
        pytest.param("", id="empty"),
        pytest.param([S, ""], id="one-empty"),
        pytest.param("sk_CANARY\n", id="newline"),
        pytest.param(["sk_test", "sk_CANARY "], id="trailing-space"),
        pytest.param(" sk_CANARY", id="leading-space"),
        pytest.param("sk_ CANARY", id="space-inside"),
        pytest.param("sk_CANARY\u00a0", id="no-break-space"),
        pytest.param("sk_CANARY\udce9", id="lone-surrogate"),
        pytest.param(b"sk_CANARY", id="bytes"),
        pytest.param([b"sk_CANARY"], id="bytes-inside"),
        pytest.param(["sk_CANARY", None], id="None-inside"),
        pytest.param([["sk_CANARY"]], id="nested"),
        pytest.param(None, id="None"),
        pytest.param(7, id="int"),
    ],
)
def test_secrets_that_cannot_be_right_are_refused(secrets: Any) -> None:  # noqa: ANN401 -- wrong types are the point
    """A variable that was not set, or read with its newline, is refused at once."""
    with pytest.raises(ConfigurationError) as caught:
        WebhookVerifier(secrets)

    assert "CANARY" not in frames_of_ours(caught.value)


NO_DURATIONS = pytest.mark.parametrize(
    "seconds",
    [0, 0.0, -1, -300.0, float("nan"), float("inf"), True, "300", b"300", (), object()],
    ids=lambda value: f"{type(value).__name__}-{value}"[:12],
)


@NO_DURATIONS
def test_a_tolerance_that_cannot_be_right_is_refused(seconds: Any) -> None:  # noqa: ANN401 -- wrong types are the point
    """0 is a mistake and not "off", and no refusal shows the secret."""
    with pytest.raises(ConfigurationError) as caught:
        WebhookVerifier("sk_CANARY", tolerance=seconds)

    assert "tolerance" in str(caught.value)
    assert "CANARY" not in frames_of_ours(caught.value)


@NO_DURATIONS
def test_an_oldest_that_cannot_be_right_is_refused(seconds: Any) -> None:  # noqa: ANN401 -- wrong types are the point
    """There is no way to say "for ever": every replay would run the handler."""
    with pytest.raises(ConfigurationError) as caught:
        WebhookVerifier("sk_CANARY", oldest=seconds)

    assert "oldest" in str(caught.value)
    assert "CANARY" not in frames_of_ours(caught.value)


@given(tolerance=st.none() | st.floats(0.001, 1e9), oldest=st.floats(0.001, 1e9))
@example(tolerance=302_401.0, oldest=302_400.0)
@example(tolerance=600.0, oldest=600.0)
def test_the_oldest_is_not_below_the_tolerance(
    tolerance: float | None, oldest: float
) -> None:
    """A verifier whose fresh deliveries would be too old is a slip, and refused."""
    built = True
    try:
        WebhookVerifier(S, tolerance=tolerance, oldest=oldest)
    except ConfigurationError:
        built = False

    assert built is (tolerance is None or tolerance <= oldest)


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param({"key_derivation": "both"}, id="derivation"),
        pytest.param({"key_derivation": "RAW"}, id="derivation-case"),
        pytest.param({"key_derivation": None}, id="derivation-None"),
        pytest.param({"key_derivation": ["raw", "hex"]}, id="derivation-list"),
        pytest.param({"signature_encoding": "auto"}, id="encoding"),
        pytest.param({"signature_encoding": "raw"}, id="encoding-of-the-key"),
        pytest.param({"signature_encoding": None}, id="encoding-None"),
        pytest.param({"signature_encoding": ["hex"]}, id="encoding-list"),
    ],
)
def test_a_reading_that_does_not_exist_is_refused(choices: dict[str, Any]) -> None:
    """Nobody can have several readings tried, and no refusal shows the secret."""
    with pytest.raises(ConfigurationError) as caught:
        WebhookVerifier("sk_CANARY", **choices)

    assert "CANARY" not in frames_of_ours(caught.value)


READINGS = list(product(["raw", "hex"], ["hex", "base64"]))


@pytest.mark.parametrize("chosen", READINGS, ids="-".join)
@pytest.mark.parametrize("signed", READINGS, ids="-".join)
def test_one_reading_is_tried(signed: tuple[Any, Any], chosen: tuple[Any, Any]) -> None:
    """A delivery that is signed in another reading than the chosen one is refused."""
    verifier = WebhookVerifier(
        S, key_derivation=chosen[0], signature_encoding=chosen[1]
    )
    headers = sign(
        B1,
        secret=S,
        timestamp=NOW,
        key_derivation=signed[0],
        signature_encoding=signed[1],
    )
    verified = False

    with suppress(BadSignatureError):
        verified = verify(B1, headers, verifier=verifier).id == "evt_1"

    assert verified is (signed == chosen)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(B1, {}, id="no-headers"),
        pytest.param(B1, {**headers_of(B1), "Sec-Signature": "0" * 64}, id="mismatch"),
        pytest.param(NO_EVENT, headers_of(NO_EVENT), id="no-event"),
        pytest.param(B1, headers_of(B1, 1_600_000_000), id="stale"),
        pytest.param(TOO_LARGE, headers_of(B1), id="too-large"),
    ],
)
def test_a_refusal_shows_neither_secret_nor_key_nor_signature(
    body: bytes, headers: dict[str, str]
) -> None:
    """Traceback locals hold nothing with which a delivery could be forged."""
    key = sha256(S.encode())
    stamp = headers.get("Sec-Timestamp", str(NOW)).encode()
    forged = signature_of(stamp, body) not in headers.values()
    canaries = [S, key.hexdigest(), repr(key.digest())[2:-1]]
    canaries += [signature_of(stamp, body)] if forged else []

    shown = frames_of_ours(refused(body, headers))

    assert "verify" in shown
    assert [canary for canary in canaries if canary in shown] == []


def test_a_verifier_does_not_show_its_secret() -> None:
    """What a debugger prints of a verifier holds dots in the place of keys."""
    shown = repr((VERIFIER, vars(VERIFIER)))

    assert "Secret(•••)" in shown
    assert S not in shown
    assert repr(sha256(S.encode()).digest())[2:-1] not in shown


# -- sign -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "timestamp"),
    [(B1, NOW), (b"", NOW), (POLISH.encode(), NOW), (B1, NOW * 1_000)],
    ids=["V1", "V2", "V3", "V9"],
)
def test_sign_returns_both_headers(body: bytes, timestamp: int) -> None:
    """A delivery of one's own is signed as the gateway would sign it."""
    headers = sign(body, secret=S, timestamp=timestamp)

    assert headers == headers_of(body, timestamp)


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param({"secret": ""}, id="secret-empty"),
        pytest.param({"secret": "sk_CANARY\n"}, id="secret-newline"),
        pytest.param({"secret": "sk_CANARY\udce9"}, id="secret-surrogate"),
        pytest.param({"secret": b"sk_CANARY"}, id="secret-bytes"),
        pytest.param({"key_derivation": "both"}, id="derivation"),
        pytest.param({"signature_encoding": ["hex"]}, id="encoding"),
    ],
)
def test_what_cannot_verify_cannot_sign(mistake: dict[str, Any]) -> None:
    """`sign` refuses the secrets and readings that `WebhookVerifier` refuses."""
    with pytest.raises(ConfigurationError) as caught:
        sign(B1, **{"secret": "sk_CANARY", "timestamp": NOW, **mistake})

    assert "CANARY" not in frames_of_ours(caught.value)


@pytest.mark.parametrize("timestamp", [1_700_000_000.0, "1700000000", True, None])
def test_a_timestamp_to_sign_is_an_int(timestamp: Any) -> None:  # noqa: ANN401 -- wrong types are the point
    """What would be spelled otherwise than in digits is a `TypeError`."""
    with pytest.raises(TypeError, match="timestamp"):
        sign(B1, secret=S, timestamp=timestamp)


def test_a_mistake_in_signing_does_not_show_the_secret() -> None:
    """A body that is no bytes is a `TypeError`, and its traceback holds no secret."""
    with pytest.raises(TypeError) as caught:
        sign("{}", secret="sk_CANARY", timestamp=NOW)  # type: ignore[arg-type]  # the mistake is the point

    assert "CANARY" not in frames_of_ours(caught.value)
