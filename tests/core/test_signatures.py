import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from junk import JUNK, NAMES, SCALARS
from multidict import CIMultiDict, CIMultiDictProxy
from vectors import B1, NOW, S2, VECTORS, S

from convergegate_async import (
    BadPayloadError,
    BadSignatureError,
    EventType,
    SessionStatus,
    StaleWebhookError,
    WebhookError,
    WebhookEvent,
)
from convergegate_async._core.signatures import (
    Sign,
    check_age,
    check_signature,
    derive_webhook_key,
    read_event,
    read_headers,
    sign_base64,
    sign_hex,
)

KEY = sha256(S.encode()).digest()

READINGS: list[tuple[str, Sign]] = [
    ("raw", sign_hex),
    ("hex", sign_hex),
    ("raw", sign_base64),
    ("hex", sign_base64),
]

SECRETS = st.text(
    st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1
)
TIMESTAMPS = st.from_regex(rb"[0-9]{10}([0-9]{3})?", fullmatch=True)
BODIES = st.binary(max_size=100)
JUNK_HEADERS = (
    JUNK | st.dictionaries(SCALARS, JUNK) | st.lists(st.tuples(NAMES | JUNK, JUNK))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def expected_hex(key: bytes, message: bytes) -> bytes:
    """Compute the signature in the words of the provider, without our code."""
    return hmac.new(key, message, "sha256").hexdigest().encode()


def read(document: object) -> WebhookEvent | WebhookError:
    """Read the event that *document* spells."""
    return read_event(json.dumps(document).encode())


# -- the signature --------------------------------------------------------------------


@given(secret=SECRETS, timestamp=TIMESTAMPS, body=BODIES, data=st.data())
def test_only_the_right_signature_is_accepted(
    secret: str, timestamp: bytes, body: bytes, data: st.DataObject
) -> None:
    """What is no hex of the right HMAC, in lower or upper case, does not pass."""
    key = sha256(secret.encode()).digest()
    right = expected_hex(key, timestamp + body)
    candidate = data.draw(
        st.sampled_from([right, right.upper(), right + b" ", right[:-1], right + b"0"])
        | st.integers(0, 63).map(lambda n: right[:n] + b"0" + right[n + 1 :])
        | st.from_regex(rb"[0-9a-f]{64}", fullmatch=True)
        | st.binary()
    )

    refusal = check_signature([key], timestamp, candidate, body, sign_hex)

    assert (refusal is None) is (candidate.lower() == right)


@given(
    secrets=st.tuples(SECRETS, SECRETS),
    timestamps=st.tuples(TIMESTAMPS, TIMESTAMPS),
    bodies=st.tuples(BODIES, BODIES),
)
@example((S, S), (NOW, NOW), (B1, B1))
@example((S, S2), (NOW, NOW), (B1, B1))
@example((S, S), (NOW, b"1700000001"), (B1, B1))
@example((S, S), (NOW, NOW), (B1, B1 + b"\n"))
@example((S, S), (b"1700000000000", NOW), (B1, b"000" + B1))
def test_a_signature_is_good_for_what_was_signed(
    secrets: tuple[str, str],
    timestamps: tuple[bytes, bytes],
    bodies: tuple[bytes, bytes],
) -> None:
    """It passes for the same secret and bytes, wherever timestamp turns into body."""
    keys = [derive_webhook_key(secret, "raw") for secret in secrets]
    signature = sign_hex(keys[0], timestamps[0], bodies[0])
    same = secrets[0] == secrets[1]
    same &= timestamps[0] + bodies[0] == timestamps[1] + bodies[1]

    refusal = check_signature([keys[1]], timestamps[1], signature, bodies[1], sign_hex)

    assert (refusal is None) is same


@pytest.mark.parametrize(
    "chosen", READINGS, ids=["raw-hex", "hex-hex", "raw-base64", "hex-base64"]
)
@given(secret=SECRETS, timestamp=TIMESTAMPS, body=BODIES)
def test_never_more_than_one_reading_is_tried(
    chosen: tuple[str, Sign], secret: str, timestamp: bytes, body: bytes
) -> None:
    """Of the four ways to read the provider's text, the chosen one alone passes."""
    derivation, sign = chosen
    keys = [derive_webhook_key(secret, derivation)]
    signed = [
        (reading, reading[1](derive_webhook_key(secret, reading[0]), timestamp, body))
        for reading in READINGS
    ]

    accepted = [
        reading
        for reading, signature in signed
        if check_signature(keys, timestamp, signature, body, sign) is None
    ]

    assert accepted == [chosen]


@given(
    timestamp=TIMESTAMPS
    | st.text("0123456789+-_. e\n").map(str.encode)
    | st.text(st.characters(categories=["Nd"]), min_size=10, max_size=13).map(
        str.encode
    )
    | st.binary()
)
@example(b"1700000000\n")
@example(b" 170000000")
@example(b"+170000000")
@example(b"1_70000000")
@example(b"17000000000")
def test_a_timestamp_has_ten_or_thirteen_digits(timestamp: bytes) -> None:
    """Whatever else `int` takes is refused, even if it was signed."""
    signature = expected_hex(KEY, timestamp + B1)
    fits = timestamp.isdigit() and len(timestamp) in (10, 13)

    refusal = check_signature([KEY], timestamp, signature, B1, sign_hex)

    assert (refusal is None) is fits


@pytest.mark.parametrize("matching", [0, 4, 9, None])
def test_every_key_is_tried(matching: int | None) -> None:
    """Ten secrets cost ten signatures, wherever in their row the right one stands."""
    tried: list[bytes] = []

    def sign(key: bytes, timestamp: bytes, body: bytes) -> bytes:
        tried.append(key)
        return sign_base64(key, timestamp, body)

    keys = [sha256(b"%d" % number).digest() for number in range(10)]
    signature = sign_base64(KEY if matching is None else keys[matching], NOW, B1)

    refusal = check_signature(keys, NOW, signature, B1, sign)

    assert tried == keys
    assert (refusal is None) is (matching is not None)


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "signature"),
    [pytest.param(*row, id=name) for name, row in VECTORS.items()],
)
def test_a_vector_is_reproduced(
    secret: str, timestamp: bytes, body: bytes, signature: str
) -> None:
    """Our signature of every test vector is the published one."""
    signed = sign_hex(derive_webhook_key(secret, "raw"), timestamp, body)

    assert signed.decode() == signature


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "signature"),
    [pytest.param(*row, id=name) for name, row in VECTORS.items()],
)
def test_a_vector_passes(
    secret: str, timestamp: bytes, body: bytes, signature: str
) -> None:
    """The signature of every test vector is accepted, whatever its body means."""
    keys = [derive_webhook_key(secret, "raw")]

    refusal = check_signature(keys, timestamp, signature.encode(), body, sign_hex)

    assert refusal is None


@pytest.mark.parametrize(
    ("construction", "signature"),
    [
        pytest.param(
            expected_hex(KEY, NOW + b"." + B1),
            b"1eadd8023fe2f70e7d5b59b72938bfdcee494c6da9f5658be8ea044d71790920",
            id="dot-between",
        ),
        pytest.param(
            expected_hex(S.encode(), NOW + B1),
            b"d18af116ff739b93dc47d750f261f7f60580ae6357fb829cc552b95b18f7e2d3",
            id="key-not-hashed",
        ),
        pytest.param(
            expected_hex(KEY, B1 + NOW),
            b"d6c5a02a9671b3739ad155afaeb5923e44fa1cc8f4a0b3a8a2bb9f855963f378",
            id="body-first",
        ),
        pytest.param(
            expected_hex(KEY, B1),
            b"d13e184d2641d54080e8c00b823482315a96577687cb7fa8ed4d9c881bea702f",
            id="body-only",
        ),
        pytest.param(
            sha256(KEY + NOW + B1).hexdigest().encode(),
            b"307093fa17b11e4d3ce9ba4c08e8acda728e7990a44a52d7195880d980f524c2",
            id="plain-sha256",
        ),
        pytest.param(
            b64encode(hmac.digest(KEY, NOW + B1, "sha256")),
            b"NxB+uamc4mtKRyLonoG52WjMYGmRb+3fDs+Iwoa5XIs=",
            id="base64",
        ),
    ],
)
def test_a_wrong_construction_does_not_pass(
    construction: bytes, signature: bytes
) -> None:
    """What somebody might sign instead, over the very bytes of V1, is refused."""
    refusal = check_signature([KEY], NOW, signature, B1, sign_hex)

    assert construction == signature
    assert isinstance(refusal, BadSignatureError)


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        pytest.param(
            S,
            "2e1ec2612c5ad7c696cbe791407a5b9d58ce173779e1ccbd5e78cded6bcfe8eb",
            id="V1",
        ),
        pytest.param(
            S2,
            "46f45bf5ff7ea9123eea12047faf3b2da9c8305b8e77c0d03bda9ca0b9e0a56a",
            id="V11",
        ),
    ],
)
def test_a_vector_with_a_hex_key_is_reproduced(secret: str, signature: str) -> None:
    """With the digest's hex text as key, V1 and V11 have signatures of their own."""
    signed = sign_hex(derive_webhook_key(secret, "hex"), NOW, B1)

    assert signed.decode() == signature


@pytest.mark.parametrize(
    ("derivation", "sign", "signature"),
    [
        pytest.param(
            "raw",
            sign_hex,
            "04c4a12d7f3fe5bf7f0d214bfc0f1bd93bd4c4c197f53fc0ca95bf0aa4065ddb",
            id="raw-hex",
        ),
        pytest.param(
            "raw",
            sign_base64,
            "BMShLX8/5b9/DSFL/A8b2TvUxMGX9T/AypW/CqQGXds=",
            id="raw-base64",
        ),
        pytest.param(
            "hex",
            sign_hex,
            "941cf44cb2b0fc1ed897ca0f5b5d545a1fa91d0efd326954fcc0381cf14362db",
            id="hex-hex",
        ),
        pytest.param(
            "hex",
            sign_base64,
            "lBz0TLKw/B7Yl8oPW11UWh+pHQ79MmlU/MA4HPFDYts=",
            id="hex-base64",
        ),
    ],
)
def test_the_independent_vector_is_reproduced(
    derivation: str, sign: Sign, signature: str
) -> None:
    """A vector that was made by others agrees in all four readings."""
    key = derive_webhook_key("sk_test_BQokikJOvBiI2HlWgH4olfQ2", derivation)
    body = (
        b'{"id":"evt_1","type":"session.completed","created_at":1534255857,'
        b'"data":{"session_id":"AW-kLcRRC5P8U68CYe0kVA","status":"completed"}}'
    )

    signed = sign(key, b"1534255857", body)

    assert signed.decode() == signature


@pytest.mark.parametrize(
    ("sign", "signature"),
    [
        pytest.param(sign_hex, b"3" * 63, id="hex-too-short"),
        pytest.param(sign_hex, b"3" * 64 + b"\n", id="hex-newline"),
        pytest.param(sign_hex, b"g" * 64, id="hex-letters"),
        pytest.param(sign_hex, b"N" * 43 + b"=", id="hex-is-base64"),
        pytest.param(sign_base64, b"N" * 43, id="base64-unpadded"),
        pytest.param(sign_base64, b"_" * 43 + b"=", id="base64-for-urls"),
        pytest.param(sign_base64, b"3" * 64, id="base64-is-hex"),
    ],
)
def test_a_signature_in_another_shape_is_reported(sign: Sign, signature: bytes) -> None:
    """A malformed signature is told from a wrong one: it shows a wrong encoding."""
    refusal = check_signature([KEY], NOW, signature, B1, sign)

    assert isinstance(refusal, BadSignatureError)
    assert refusal.reason == "the signature is malformed"


# -- the headers ----------------------------------------------------------------------


@given(JUNK_HEADERS)
@example(None)
@example({"Sec-Timestamp": ["1", ["2"]], "Sec-Signature": "a"})
@example([("Sec-Timestamp", "1", "2")])
@example(["ab"])
@example({"\ud800": "1"})
@example(dict)
def test_any_headers_are_read_or_refused(headers: object) -> None:
    """No mapping, no list and no junk makes the reading of headers fail otherwise."""
    result = read_headers(headers)

    match result:
        case (bytes(), bytes()):
            pass
        case _:
            assert isinstance(result, BadSignatureError)


SHAPES: dict[str, Callable[[Mapping[str, str]], object]] = {
    "dict": dict,
    "bytes": lambda pairs: {k.encode(): v.encode("latin-1") for k, v in pairs.items()},
    "lists": lambda pairs: {name: [value] for name, value in pairs.items()},
    "tuples": lambda pairs: {name: (value,) for name, value in pairs.items()},
    "pairs": lambda pairs: list(pairs.items()),
    "byte-pairs": lambda pairs: [
        (k.encode(), v.encode("latin-1")) for k, v in pairs.items()
    ],
    "iterator": lambda pairs: iter(pairs.items()),
    "twice-the-same": lambda pairs: [*pairs.items(), *pairs.items()],
    "ci-multidict": lambda pairs: CIMultiDictProxy(CIMultiDict(pairs)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@given(
    names=st.tuples(
        st.sampled_from(["Sec-Timestamp", "SEC-TIMESTAMP", "HTTP_SEC_TIMESTAMP"]),
        st.sampled_from(["sec-signature", "sEC_sIGNATURE", "HTTP_SEC_SIGNATURE"]),
    ),
    values=st.tuples(*[st.text(st.characters(max_codepoint=255))] * 2),
)
def test_headers_are_read_in_any_shape(
    shape: Callable[[Mapping[str, str]], object],
    names: tuple[str, str],
    values: tuple[str, str],
) -> None:
    """Whatever holds them, both values come out as the bytes that were on the wire."""
    others = {"Host": "shop.example", "Authorization": "as long as ours"}
    pairs = {**others, names[1]: values[1], names[0]: values[0]}

    found = read_headers(shape(pairs))

    assert found == tuple(value.encode("latin-1") for value in values)


@given(values=st.lists(st.binary(), min_size=2, unique=True))
@pytest.mark.parametrize("name", ["Sec-Timestamp", "Sec-Signature"])
def test_different_values_under_one_name_are_refused(
    name: str, values: list[bytes]
) -> None:
    """Nobody knows which of two values was signed, so not even the first one wins."""
    both = {"Sec-Timestamp": NOW, "Sec-Signature": b"a" * 64}

    found = read_headers({**both, name: values})

    assert isinstance(found, BadSignatureError)
    assert found.reason == f"there are several {name} headers"


@given(values=st.lists(st.binary(), min_size=2, max_size=3, unique=True))
@pytest.mark.parametrize("name", ["Sec-Timestamp", "Sec-Signature"])
def test_different_values_under_different_spellings_are_refused(
    name: str, values: list[bytes]
) -> None:
    """A header is one header, however a server or a sender spells its name."""
    both = {"Sec-Timestamp": NOW, "Sec-Signature": b"a" * 64}
    del both[name]
    under = name.replace("-", "_")
    spellings = zip((f"HTTP_{under.upper()}", under, name), values, strict=False)

    found = read_headers({**both, **dict(spellings)})

    assert isinstance(found, BadSignatureError)
    assert found.reason == f"there are several {name} headers"


@pytest.mark.parametrize("name", ["Sec-Timestamp", "Sec-Signature"])
def test_a_missing_header_is_named(name: str) -> None:
    """The refusal tells which header is not there, and what may have taken it."""
    both = {"Sec-Timestamp": NOW, "Sec-Signature": b"a" * 64}
    del both[name]

    found = read_headers(both)

    assert isinstance(found, BadSignatureError)
    assert (
        found.reason == f"there is no {name} header (some proxies strip Sec-* headers)"
    )


# -- the event ------------------------------------------------------------------------


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(["id", "type", "data", "created_at", "status", "version"]),
        JSON | st.dictionaries(st.sampled_from(["session_id", "status"]), JSON),
    ).map(lambda value: json.dumps(value).encode())
)
@example(b"[" * 100_000)
@example(b'{"id":"e","type":"t","data":' + b"[" * 100_000)
@example(b'{"id":"e","type":"t","created_at":' + b"9" * 5_000 + b"}")
@example(b'{"id":"e","type":"t","created_at":99999999999999}')
def test_any_body_is_an_event_or_refused(body: bytes) -> None:
    """No bytes make the reading of an event fail in any other way."""
    read = read_event(body)

    assert isinstance(read, WebhookEvent | BadPayloadError)


@given(
    event=st.fixed_dictionaries({}, optional={"id": JSON, "type": JSON}),
    more=st.dictionaries(st.text(min_size=5), JSON),
)
@example(event={"id": "e1", "type": "session.completed"}, more={"weather": 1})
@example(event={"id": "e1", "type": ""}, more={})
def test_an_event_needs_an_id_and_a_type(
    event: dict[str, object], more: dict[str, object]
) -> None:
    """Both must be texts with something in them; all else may be anything."""
    assume("data" not in more)
    raw = {**more, **event}
    complete = all(
        isinstance(raw.get(name), str) and raw[name] for name in ("id", "type")
    )

    result = read(raw)

    assert isinstance(result, WebhookEvent) is complete
    if isinstance(result, WebhookEvent):
        assert result.raw == raw


@pytest.mark.parametrize("name", ["id", "type"])
def test_id_and_type_are_the_events_own(name: str) -> None:
    """An *id* inside of *data* is something else's, and does not stand in for it."""
    event = {"id": "evt_1", "type": "session.completed"}
    del event[name]

    result = read({**event, "data": {"session_id": "s1", name: "s1"}})

    assert isinstance(result, BadPayloadError)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("status", "completed", "delivered"),
        ("session_id", "s1", "s2"),
        ("refund_id", "r1", "r2"),
    ],
    ids=["status", "session_id", "refund_id"],
)
def test_what_is_documented_inside_of_data_is_read_there(
    name: str, inside: str, outside: str
) -> None:
    """A field that the envelope adds one day does not hide the one in *data*."""
    event = {"id": "evt_1", "type": "session.completed"}

    result = read({**event, name: outside, "data": {name: inside}})

    assert isinstance(result, WebhookEvent)
    assert getattr(result, name) == inside


def test_a_session_event_is_read() -> None:
    """The provider's sample comes out with every field in its place."""
    raw = {
        "id": "evt-id",
        "type": "session.completed",
        "version": "1",
        "created_at": 1534255857,
        "data": {"session_id": "AW-kLcRRC5P8U68CYe0kVA", "status": "completed"},
    }

    event = read(raw)

    assert event == WebhookEvent(
        id="evt-id",
        type=EventType.SESSION_COMPLETED,
        version="1",
        created_at=datetime(2018, 8, 14, 14, 10, 57, tzinfo=UTC),
        session_id="AW-kLcRRC5P8U68CYe0kVA",
        status=SessionStatus.COMPLETED,
        stale=False,
        raw=raw,
    )


def test_a_refund_event_is_read() -> None:
    """A refund event names the refund and its session."""
    data = {"session_id": "AW-kLcRRC5P8U68CYe0kVA", "refund_id": "kLcRRC5P8U68CYe0kVA"}

    event = read({"id": "evt-id", "type": "refund.succeeded", "data": data})

    assert event == WebhookEvent(
        id="evt-id",
        type=EventType.REFUND_SUCCEEDED,
        session_id="AW-kLcRRC5P8U68CYe0kVA",
        refund_id="kLcRRC5P8U68CYe0kVA",
    )


def test_a_new_word_stays_a_text() -> None:
    """A type and a status that the gateway adds tomorrow are data, not errors."""
    event = read(
        {"id": "e1", "type": "session.disputed", "data": {"status": "disputed"}}
    )

    assert event == WebhookEvent(id="e1", type="session.disputed", status="disputed")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"created_at": "2018-08-14"}, id="created_at"),
        pytest.param({"created_at": 10**20}, id="created_at-beyond"),
        pytest.param({"version": 1}, id="version"),
        pytest.param({"data": {"session_id": 7}}, id="session_id"),
        pytest.param({"data": {"refund_id": ["r1"]}}, id="refund_id"),
        pytest.param({"data": {"status": None}}, id="status"),
        pytest.param({"data": "s1"}, id="data"),
        pytest.param({"data": {"session_id": ""}}, id="empty"),
    ],
)
def test_what_cannot_be_read_is_left_out(fields: dict[str, object]) -> None:
    """An event with a field of the wrong type is an event without that field."""
    event = read({"id": "e1", "type": "session.created", **fields})

    assert event == WebhookEvent(id="e1", type=EventType.SESSION_CREATED)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b'[{"id":"e1","type":"t"}]', id="array"),
        pytest.param(b'"id type"', id="text"),
        pytest.param(b"000" + B1, id="digits-before"),
        pytest.param(B1 + b"0", id="digit-behind"),
        pytest.param(B1 + B1, id="two"),
        pytest.param(b"\xef\xbb\xbf" + B1, id="byte-order-mark"),
        pytest.param(B1.decode().encode("utf-16"), id="utf-16"),
        pytest.param(b'{"id":"e\xff","type":"t"}', id="latin-1"),
        pytest.param(b'{"id":"e\\ud800","type":"t"}', id="lone-surrogate"),
        pytest.param(b'{"id":"e1","type":"t","n":NaN}', id="NaN"),
        pytest.param(b"{'id':'e1','type':'t'}", id="python"),
    ],
)
def test_a_body_that_is_no_strict_json_object_is_refused(body: bytes) -> None:
    """What two readers could read differently is no event, and is answered 400."""
    refusal = read_event(body)

    assert isinstance(refusal, BadPayloadError)
    assert refusal.http_status == 400


# -- the age --------------------------------------------------------------------------

EVENT = WebhookEvent(id="e1", type=EventType.SESSION_COMPLETED)


@given(
    signed=st.integers(1_000_000_000, 9_999_999_999),
    offset=st.integers(-3_000, 3_000) | st.integers(-(10**9), 10**9),
    tolerance=st.none() | st.integers(1, 1_000),
    oldest=st.integers(1_000, 2_000),
    milliseconds=st.booleans(),
)
@example(
    signed=1_700_000_000, offset=300, tolerance=300, oldest=1_000, milliseconds=False
)
@example(
    signed=1_700_000_000, offset=-301, tolerance=300, oldest=1_000, milliseconds=True
)
@example(
    signed=1_700_000_000, offset=1_000, tolerance=None, oldest=1_000, milliseconds=False
)
@example(
    signed=1_700_000_000, offset=-1_001, tolerance=None, oldest=1_000, milliseconds=True
)
def test_age_counts_in_both_directions(
    *, signed: int, offset: int, tolerance: int | None, oldest: int, milliseconds: bool
) -> None:
    """Fresh within the tolerance, an event within the oldest, beyond it nothing."""
    timestamp = b"%d" % (signed * 1_000 if milliseconds else signed)

    refusal = check_age(EVENT, timestamp, signed + offset, tolerance, oldest)

    fresh = abs(offset) <= (oldest if tolerance is None else tolerance)
    assert (refusal is None) is fresh
    if isinstance(refusal, StaleWebhookError):
        assert (refusal.event is not None) is (abs(offset) <= oldest)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("tolerance", [300, None])
def test_a_time_that_is_none_makes_nothing_fresh(
    now: float, tolerance: float | None
) -> None:
    """What cannot be compared is refused, and not let through."""
    refusal = check_age(EVENT, NOW, now, tolerance, 302_400)

    assert isinstance(refusal, StaleWebhookError)
    assert refusal.event is None


@pytest.mark.parametrize(
    ("now", "stale"),
    [(1_700_000_300.5, False), (1_700_000_300.501, True), (1_700_000_300.6, True)],
    ids=["at-the-limit", "a-millisecond-later", "a-tenth-later"],
)
def test_milliseconds_count(now: float, *, stale: bool) -> None:
    """Thirteen digits are not rounded to seconds."""
    refusal = check_age(EVENT, b"1700000000500", now, 300, 302_400)

    assert (refusal is not None) is stale


def test_a_stale_delivery_brings_its_event_along() -> None:
    """The event comes with the refusal, marked, so that it can be confirmed."""
    refusal = check_age(EVENT, NOW, 1_700_000_301, 300, 302_400)

    assert isinstance(refusal, StaleWebhookError)
    assert refusal.event == WebhookEvent(
        id="e1", type=EventType.SESSION_COMPLETED, stale=True
    )
