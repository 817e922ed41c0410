"""Group F: a healthy server, and a body that is not what it should be."""

import asyncio
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
import pytest
from canaries import PERSONAL
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matrix import (
    JUDGED,
    OPERATIONS,
    SESSION,
    SESSION_ID,
    Observed,
    call,
    expect_done,
    expect_unknown,
    expect_unknown_at_once,
    observe,
    sees,
)
from raw import Exchange, Handler, http, says
from scripted import ScriptedTransport, scripted_factory

from convergegate_async import (
    CallError,
    CheckoutSession,
    EventType,
    FailureKind,
    InvalidRequestError,
    OutcomeUnknownError,
    Refund,
    SessionStatus,
    WebhookVerifier,
    sign,
)
from convergegate_async._core.messages import BODY_LIMIT, HttpResponse

Expectation = Callable[[Observed, str], None]
CLOSE = b"Connection: close\r\n"
ID = json.dumps(SESSION_ID).encode()
MOST_SHOWN = 200  # characters
NOW = 1_700_000_000


# -- what a server may say -----------------------------------------------------------


def serves(body: bytes, status: str = "200 OK", kind: bytes = b"") -> Handler:
    """Answer with *body*, of the content type *kind* if there is one."""
    extra = CLOSE + (b"Content-Type: " + kind + b"\r\n" if kind else b"")
    return says(http(body, status, extra))


def tells(**fields: object) -> bytes:
    """Return an answer with our id and *fields*."""
    return json.dumps({"id": SESSION_ID, **fields}).encode()


async def declares_10_gb(exchange: Exchange) -> None:
    """Say a little more than is read of an answer, and leave the rest unsaid."""
    await exchange.read_request()
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    await exchange.write(bytes(BODY_LIMIT + 1))
    await exchange.read_request()


# -- what may be expected of it ------------------------------------------------------


def expect_unreadable(observed: Observed, operation: str) -> None:
    """The gateway did something, and what it said of it cannot be read."""
    expect_unknown(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert (observed.result.phase, observed.result.http_status) == ("parse", 200)


def expect_nameless(observed: Observed, operation: str) -> None:
    """What was done has no certain name, so that nothing is done on top of it."""
    expect_unknown_at_once(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert (observed.result.phase, observed.result.http_status) == ("parse", 200)


def expect_named(observed: Observed, operation: str) -> None:
    """What was made has an odd name; who asked for another one was not answered."""
    if operation in ("create", "refund"):
        expect_done(observed, operation)
        return
    expect_unknown_at_once(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.phase == "echo"


def expect_too_large(observed: Observed, operation: str) -> None:
    """It was given up on the way, and its connection is not used again."""
    expect_unknown(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert "larger" in observed.result.reason
    assert observed.connections == len(observed.requests) + observed.looks


def expect_foreign_metadata(observed: Observed, operation: str) -> None:
    """Metadata that was sent, and came back as another, is not an answer to us."""
    if operation != "create":  # nothing else here sends any
        expect_done(observed, operation)
        return
    expect_unknown_at_once(observed, operation)
    assert isinstance(observed.result, OutcomeUnknownError)
    assert observed.result.phase == "echo"
    assert "metadata" in observed.result.reason


def expect_rejected(observed: Observed, operation: str) -> None:
    """It is a plain no, in words that are short and fit to be printed."""
    del operation
    assert isinstance(observed.result, InvalidRequestError)
    assert len(observed.requests) == 1
    message = observed.result.message or ""
    assert len(message) <= MOST_SHOWN
    assert message.isprintable()


def expect_misread(*names: str) -> Expectation:
    """The answer came, and its call names the fields that could not be read."""

    def expect(observed: Observed, operation: str) -> None:
        del operation
        assert isinstance(observed.result, CheckoutSession | Refund)
        assert len(observed.requests) == 1
        wanted = {name for name in names if hasattr(observed.result, name)}
        assert set(observed.result.call.misread) == wanted

    return expect


def expect_reported(**fields: object) -> Expectation:
    """The answer came and holds *fields*; what it has no name for is in its `raw`."""

    def expect(observed: Observed, operation: str) -> None:
        del operation
        result = observed.result
        assert isinstance(result, CheckoutSession | Refund)
        assert result.call.misread == ()
        assert (len(observed.requests), observed.connections) == (1, 1)
        for name, value in fields.items():
            assert getattr(result, name, result.raw.get(name)) == value

    return expect


def expect_spelled(observed: Observed, operation: str) -> None:
    """Either spelling of a field is read into its one name."""
    expect_reported()(observed, operation)
    if isinstance(observed.result, CheckoutSession):
        assert observed.result.amount_subtotal == 4999
        assert observed.result.payment_method == ("blik",)
        assert observed.result.expires_at == datetime.fromtimestamp(5, UTC)


# -- the table -----------------------------------------------------------------------

TOO_LARGE = sees(FailureKind.TOO_LARGE)
DEEP = 100_000
LONG_URL = "https://pay.example/" + "x" * 10_000
PERSON = " ".join(PERSONAL)

BODIES: dict[str, tuple[bytes, Expectation]] = {
    "F1-empty": (b"", expect_unreadable),
    "F1-spaces": (b"  \r\n ", expect_unreadable),
    "F1-null": (b"null", expect_unreadable),
    "F1-list": (b"[" + SESSION + b"]", expect_unreadable),
    "F1-text": (b'"x"', expect_unreadable),
    "F1-number": (b"5", expect_unreadable),
    "F1-two-documents": (SESSION + SESSION, expect_unreadable),
    "F2-nan": (b'{"id": %b, "fees": [NaN]}' % ID, expect_unreadable),
    "F2-infinity": (b'{"id": %b, "fees": [-Infinity]}' % ID, expect_unreadable),
    "F3-deep": (b"[" * DEEP, expect_unreadable),
    "F3-deep-and-closed": (
        b'{"id": %b, "fees": %b%b}' % (ID, b"[" * DEEP, b"]" * DEEP),
        expect_unreadable,
    ),
    "F4-5000-digits": (b'{"id": %b, "x": %b}' % (ID, b"9" * 5_000), expect_unreadable),
    "F5-id-twice": (b'{"id": "other", "id": %b}' % ID, expect_nameless),
    "F5-same-id-twice": (b'{"id": %b, "id": %b}' % (ID, ID), expect_nameless),
    "F5-escaped-id-twice": (b'{"\\u0069d": "a", "id": %b}' % ID, expect_nameless),
    "F5-status-twice": (
        b'{"id": %b, "status": "open", "status": "completed"}' % ID,
        expect_nameless,
    ),
    "F5-amount-twice": (
        b'{"id": %b, "amount": 1, "amount": 1000}' % ID,
        expect_nameless,
    ),
    "F5-another-field-twice": (
        b'{"id": %b, "locale": "pl", "locale": "en"}' % ID,
        expect_done,
    ),
    "F5-id-of-a-fee-twice": (
        b'{"id": %b, "fees": [{"id": "a", "id": "b"}]}' % ID,
        expect_done,
    ),
    "F6-bom": (b"\xef\xbb\xbf" + SESSION, expect_unreadable),
    "F6-utf-16": (SESSION.decode().encode("utf-16"), expect_unreadable),
    "F6-latin-1": (b'{"id": %b, "locale": "\xf3"}' % ID, expect_unreadable),
    "F6-lone-surrogate": (b'{"id": %b, "locale": "\\ud800"}' % ID, expect_unreadable),
    "F6-utf-8": (
        b'{"id": %b, "locale": "%b"}' % (ID, "żółć".encode()),
        expect_reported(locale="żółć"),
    ),
    "F7-missing": (b'{"status": "open"}', expect_nameless),
    "F7-null": (tells(id=None), expect_nameless),
    "F7-number": (tells(id=5), expect_nameless),
    "F7-empty": (tells(id=""), expect_nameless),
    "F7-300-characters": (tells(id="x" * 300), expect_nameless),
    # An id in an answer is 1 to 255 printable characters of ASCII.
    "F7-none-as-text": (tells(id="None"), expect_named),
    "F7-slash": (tells(id="a/b"), expect_named),
    "F7-line-break": (tells(id="a\nb"), expect_nameless),
    "F8-text": (
        tells(amount_total="4999", amount="1000"),
        expect_misread("amount_total", "amount"),
    ),
    "F8-float": (
        tells(amount_total=4999.0, amount=1e3),
        expect_misread("amount_total", "amount"),
    ),
    "F8-bool": (
        tells(amount_total=True, amount=True),
        expect_misread("amount_total", "amount"),
    ),
    "F8-absent": (tells(), expect_reported(amount_total=None, amount=None)),
    "F9-new-field": (tells(colour="red"), expect_reported(colour="red")),
    "F9-new-status": (tells(status="frozen"), expect_reported(status="frozen")),
    "F10-metadata-list": (tells(metadata=["a"]), expect_misread("metadata")),
    "F10-metadata-null": (tells(metadata=None), expect_reported(metadata={})),
    "F10-metadata-missing": (tells(), expect_reported(metadata={})),
    "F10-metadata-foreign-key": (
        tells(metadata={"theirs": "x"}),
        expect_reported(metadata={"theirs": "x"}),
    ),
    "F10-metadata-of-another": (
        tells(metadata={"note": "another"}),
        expect_foreign_metadata,
    ),
    "F10-spelled-one-way": (
        tells(expires_at=5, amount_subtotal=4999, payment_method=["blik"]),
        expect_spelled,
    ),
    "F10-spelled-the-other-way": (
        tells(expire_at=5, amount_sub_total=4999, payment_method_types=["blik"]),
        expect_spelled,
    ),
    "F10-spelled-both-ways": (
        tells(
            expires_at=5,
            expire_at=5,
            amount_subtotal=4999,
            amount_sub_total=4999,
            payment_method=["blik"],
            payment_method_types=["blik"],
        ),
        expect_spelled,
    ),
    "F10-spelled-neither-way": (
        tells(),
        expect_reported(expires_at=None, amount_subtotal=None),
    ),
    "F10-both-and-unequal": (
        tells(
            expires_at=5,
            expire_at=6,
            amount_subtotal=4999,
            amount_sub_total=5000,
            payment_method=["blik"],
            payment_method_types=["card"],
        ),
        expect_misread("expires_at", "amount_subtotal", "payment_method"),
    ),
    "F11-http": (
        tells(url="http://a.example"),
        expect_reported(url="http://a.example"),
    ),
    "F11-javascript": (tells(url="javascript:1"), expect_reported(url="javascript:1")),
    "F11-another-host": (tells(url="//b.example"), expect_reported(url="//b.example")),
    "F11-10-kB": (tells(url=LONG_URL), expect_reported(url=LONG_URL)),
    "F13-1-MiB": (SESSION.ljust(BODY_LIMIT), expect_done),
    "F13-1-MiB-and-a-byte": (SESSION.ljust(BODY_LIMIT + 1), expect_too_large),
    "F14-error-in-a-200": (b'{"error": {"message": "no"}}', expect_nameless),
    "F15-zero": (tells(created_at=0, expires_at=0), expect_misread()),
    "F15-negative": (tells(created_at=-5), expect_misread()),
    "F15-milliseconds": (
        tells(created_at=1_000 * NOW),
        expect_misread("created_at"),
    ),
    "F15-far": (tells(created_at=10**30), expect_misread("created_at")),
    "F15-iso": (tells(created_at="2026-01-01T00:00:00Z"), expect_misread("created_at")),
    "F15-float": (tells(created_at=1.5), expect_misread("created_at")),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("body", BODIES)
async def test_a_body_that_is_not_as_it_should_be(body: str, operation: str) -> None:
    """Finding 12: what can be read is taken as it is, what cannot is not made up."""
    text, expect = BODIES[body]

    observed = await observe(serves(text), operation)

    expect(observed, operation)
    seen = TOO_LARGE if expect is expect_too_large else JUDGED
    seen.check(observed.attempts)


TYPES: dict[str, tuple[bytes, bytes, Expectation]] = {
    "F12-html": (b"<html>maintenance</html>", b"text/html", expect_unreadable),
    "F12-html-called-json": (b"<html>", b"application/json", expect_unreadable),
    "F12-json-called-text": (SESSION, b"text/plain", expect_done),
    "F12-json-without-type": (SESSION, b"", expect_done),
    "F12-problem-json": (SESSION, b"application/problem+json", expect_done),
    "F12-json-in-latin-2": (SESSION, b"application/json; charset=latin2", expect_done),
}


@pytest.mark.parametrize("operation", ["create", "retrieve"])
@pytest.mark.parametrize("kind", TYPES)
async def test_a_content_type_decides_nothing(kind: str, operation: str) -> None:
    """The bytes are JSON in UTF-8, or they are not; whatever they are called."""
    body, name, expect = TYPES[kind]

    observed = await observe(serves(body, kind=name), operation)

    expect(observed, operation)
    JUDGED.check(observed.attempts)


@pytest.mark.parametrize("operation", OPERATIONS, ids="F13-10-GB-{}".format)
async def test_a_body_is_read_up_to_a_limit(operation: str) -> None:
    """Finding 5: of 10 GB only the cap is read, and the connection is closed."""
    observed = await observe(declares_10_gb, operation)

    expect_too_large(observed, operation)
    TOO_LARGE.check(observed.attempts)


REFUSALS: dict[str, bytes] = {
    "F14-without-type": b'{"error": {"message": "no"}}',
    "F14-flat": b'{"message": "no"}',
    "F14-text": b'{"error": "no"}',
    "F14-list": b'{"error": ["no"]}',
    "F14-html": b"<html>" + b"<p>no</p>" * 500,
    "F14-html-in-message": b'{"error": {"message": "<b>no</b>"}}',
    "F14-long-message": b'{"error": {"message": "%b"}}' % (b"no " * 500),
    "F14-controls": rb'{"error": {"message": "a\r\nb\u001b[31m\u202e"}}',
    "F14-personal": json.dumps({"error": {"message": f"not {PERSON}"}}).encode(),
    "F14-empty": b"",
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_in_any_words(refusal: str) -> None:
    """A 400 is a no, however it is worded, and its words repeat nothing that we sent.

    Only what the very call has sent can be known as personal.
    """
    observed = await observe(serves(REFUSALS[refusal], "400 Bad Request"), "create")

    expect_rejected(observed, "create")
    JUDGED.check(observed.attempts)


@pytest.mark.parametrize("word", ["F9-new-event-type"])
def test_a_new_type_of_event_stays_a_text(word: str) -> None:
    """An event of a type that we do not know is an event all the same."""
    body = json.dumps({"id": "evt_1", "type": word, "colour": "red"}).encode()
    headers = sign(body, secret="sk_test_x", timestamp=NOW)

    event = WebhookVerifier("sk_test_x").verify(body, headers, now=NOW)

    assert (event.type, event.raw["colour"]) == (word, "red")
    assert not isinstance(event.type, EventType)


# Of F11, nothing flags an odd url: DESIGN names no flag, so the text is kept as it is.


# -- anything ------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
NAMES = sorted(attrs.fields_dict(CheckoutSession) | attrs.fields_dict(Refund))
LIKELY = st.dictionaries(
    st.sampled_from([*NAMES, "expire_at", "error", "message"]), ANY, max_size=9
)
NAMED = LIKELY.map(lambda fields: {**fields, "id": SESSION_ID})


@pytest.mark.parametrize("operation", OPERATIONS, ids="F16-{}".format)
@settings(max_examples=40, deadline=None)
@given(document=ANY | LIKELY | NAMED, status=st.sampled_from([200, 201, 400, 402, 503]))
@example(document={"id": SESSION_ID, "status": SessionStatus.OPEN}, status=200)
def test_any_document_is_an_answer_or_an_error(
    document: object, status: int, operation: str
) -> None:
    """Whatever JSON comes, nothing but our own nouns and errors come out."""
    answer = HttpResponse(status=status, body=json.dumps(document).encode())

    result = asyncio.run(_outcome(operation, answer))

    assert isinstance(result, CheckoutSession | Refund | CallError)
    if isinstance(result, CallError):
        assert str(pickle.loads(pickle.dumps(result))) == str(result)  # noqa: S301 -- our own


async def _outcome(
    operation: str, answer: HttpResponse
) -> CheckoutSession | Refund | CallError:
    """Return what comes of a call that gets no other answer than *answer*."""
    async with scripted_factory(ScriptedTransport(*[answer] * 50)) as checkout:
        try:
            return await call(checkout, operation, timeout=4)
        except CallError as error:
            return error
