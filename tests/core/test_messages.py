import json
import tracemalloc
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from string import ascii_letters, digits

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from orders import an_order

from convergegate_async import (
    CallInfo,
    CheckoutSession,
    CheckoutSessionRequest,
    ConfigurationError,
    __version__,
)
from convergegate_async._core.echo import ECHO_FIELDS
from convergegate_async._core.messages import (
    READ_HEADERS,
    HttpRequest,
    HttpResponse,
    build_request,
    common_headers,
    parse_response,
    parse_retry_after,
)
from convergegate_async._core.operations import (
    Operation,
    create_checkout_session,
    retrieve_checkout_session,
)
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import Settings, read_settings
from convergegate_async._core.stray_answers import StrayCheck
from convergegate_async._core.verdicts import Finding, Ground, Verdict, judge_status

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110
KEY = "sk_test_BQokikJOvBiI2HlWgH4olfQ2"
SETTINGS = read_settings(Secret(KEY), "https://gateway.example/pay")
HEADER = SETTINGS.authorization.reveal()
CALL = CallInfo(idempotency_key="cg1-7", attempts=2, unknown_attempts=1, elapsed=0.5)
ORDER = an_order(metadata={"order": "A-17"})

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda children: st.lists(children) | st.dictionaries(TEXT, children),
    max_leaves=5,
)
ENVELOPES = st.fixed_dictionaries(
    {"error": st.dictionaries(st.sampled_from(["type", "message", "param"]), JSON)}
)
ANSWERS = st.fixed_dictionaries({"id": JSON}, optional={"metadata": JSON, "fees": JSON})
BODIES = (
    st.binary()
    | (JSON | ENVELOPES | ANSWERS).map(lambda value: json.dumps(value).encode())
    | st.just(b"[" * 100_000)
)


def create(request: CheckoutSessionRequest = ORDER) -> Operation[CheckoutSession]:
    """Describe the opening of a session."""
    return create_checkout_session(request, key="cg1-7", own_key=False, now=NOW)


LOOK = retrieve_checkout_session("s1")


def account(
    http_status: int, request_id: str | None, headers: Mapping[str, str]
) -> CallInfo:
    """Return what the answer tells of its call."""
    return attrs.evolve(
        CALL, http_status=http_status, request_id=request_id, headers=headers
    )


def understand(
    operation: Operation[CheckoutSession],
    status: int,
    body: object = b"",
    headers: dict[str, str] | None = None,
) -> CheckoutSession | Finding:
    """Parse a response; a body that is not bytes is spelled as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers=headers or {}, body=content)
    return judged(operation, response, SETTINGS)


def judged(
    operation: Operation[CheckoutSession], response: HttpResponse, settings: Settings
) -> CheckoutSession | Finding:
    """Parse *response*, and judge whose answer it is."""
    result = parse_response(
        operation, response, settings=settings, account=account, now=NOW
    )
    if isinstance(result, Finding):
        return result
    strays = StrayCheck(settings.echo_fields)
    return strays.judge(operation, result, response.connection) or result


def refused(
    body: object,
    request: CheckoutSessionRequest = ORDER,
    headers: dict[str, str] | None = None,
) -> Finding:
    """Return what a 400 with *body* shows."""
    finding = understand(create(request), 400, body, headers)
    assert isinstance(finding, Finding)
    return finding


def unreadable(operation: Operation[CheckoutSession], body: object) -> Finding:
    """Return what a 200 with a useless *body* shows."""
    finding = understand(operation, 200, body)
    assert isinstance(finding, Finding)
    return finding


# -- requests -----------------------------------------------------------------------


def test_create_is_spelled_with_key_and_form() -> None:
    """What goes onto the wire is exactly this, and nothing about us but the version."""
    message = build_request(create(), SETTINGS)

    assert message == HttpRequest(
        method="POST",
        url="https://gateway.example/pay/v1/checkout/sessions",
        authorization=HEADER,
        idempotency_key="cg1-7",
        body=create().body,
    )
    assert message.headers == {
        "Authorization": "Basic " + b64encode(f"{KEY}:".encode()).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": "cg1-7",
    }


def test_retrieve_is_spelled_without_key_or_form() -> None:
    """A read sends neither a body nor what belongs to one."""
    message = build_request(LOOK, SETTINGS)

    assert message == HttpRequest(
        method="GET",
        url="https://gateway.example/pay/v1/checkout/sessions/s1",
        authorization=HEADER,
    )
    assert message.headers == {"Authorization": HEADER}


def test_a_post_without_fields_is_an_empty_form() -> None:
    """It has a body, and says so, or each way to the gateway would add its own."""
    expire = attrs.evolve(LOOK, endpoint=LOOK.endpoint._replace(method="POST"))

    message = build_request(expire, SETTINGS)

    assert message.body == b""
    assert message.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_the_repr_of_a_request_shows_only_its_method() -> None:
    """A message may be logged: key, address and form stay out of it."""
    message = build_request(create(), SETTINGS)

    shown = repr(message)

    assert shown == "HttpRequest(method='POST')"


def test_the_repr_of_a_response_shows_only_its_status() -> None:
    """What came back may be about the customer, so it stays out of logs."""
    response = HttpResponse(status=200, headers={"request-id": "canary"}, body=b"can")

    shown = repr(response)

    assert shown == "HttpResponse(status=200)"


# -- responses ----------------------------------------------------------------------


@given(
    operation=st.sampled_from([create(), LOOK]),
    status=st.integers(0, 999) | st.integers(200, 201),
    body=BODIES,
    headers=st.dictionaries(st.sampled_from(READ_HEADERS), st.text()),
)
@example(operation=LOOK, status=200, body=b"9" * 5_000, headers={})
@example(operation=LOOK, status=500, body=b'{"error":' * 100_000, headers={})
@example(operation=LOOK, status=400, body=b'{"error": "\\ud800"}', headers={})
@example(operation=LOOK, status=200, body=b'{"id": "s1"}', headers={"date": "\ud800"})
def test_any_response_is_an_answer_or_a_finding(
    operation: Operation[CheckoutSession],
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> None:
    """No byte of a response, at any status, is ever more than data."""
    result = understand(operation, status, body, headers)

    assert isinstance(result, CheckoutSession | Finding)


@given(
    operation=st.sampled_from([create(), LOOK]),
    status=st.integers(0, 199) | st.integers(300, 999),
    body=BODIES,
)
def test_the_status_alone_decides_what_is_proven(
    operation: Operation[CheckoutSession], status: int, body: bytes
) -> None:
    """However an error's body reads, it moves no verdict."""
    finding = understand(operation, status, body)

    assert isinstance(finding, Finding)
    assert (finding.verdict, finding.ground) == judge_status(
        status, writes=operation.endpoint.writes
    )
    assert (finding.http_status, finding.phase) == (status, "status")


@given(
    operation=st.sampled_from([create(), LOOK]),
    status=st.integers(200, 299),
    body=BODIES,
)
def test_a_success_that_cannot_be_read_is_unknown(
    operation: Operation[CheckoutSession], status: int, body: bytes
) -> None:
    """A 2xx was done, so a body that is no answer leaves us without the knowledge."""
    result = understand(operation, status, body)
    assume(isinstance(result, Finding))

    assert isinstance(result, Finding)
    assert (result.verdict, result.http_status) == (Verdict.UNKNOWN, status)
    assert result.phase in {"parse", "echo"}


@given(status=st.integers(200, 299), extra=st.dictionaries(st.text("xyz"), JSON))
def test_an_answer_carries_how_it_came_about(
    status: int, extra: dict[str, object]
) -> None:
    """Status and request id join the account of the call, on any 2xx."""
    session = understand(LOOK, status, {"id": "s1", **extra}, {"request-id": "req_1"})

    assert isinstance(session, CheckoutSession)
    assert session.call == attrs.evolve(CALL, http_status=status, request_id="req_1")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"   ", id="spaces"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"s1"', id="text"),
        pytest.param(b"5", id="number"),
        pytest.param(b"<html>maintenance</html>", id="html"),
        pytest.param(b'{"id": "s1"', id="cut"),
        pytest.param(b'{"id": "s1"}{"id": "s1"}', id="two-documents"),
        pytest.param(b'{"id": "s1", "a": NaN}', id="NaN"),
        pytest.param(b'{"id": "s1", "a": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b'\xef\xbb\xbf{"id": "s1"}', id="byte-order-mark"),
        pytest.param('{"id": "s1"}'.encode("utf-16"), id="utf-16"),
        pytest.param(b'{"id": "s1", "a": ' + b"[" * 100_000, id="depth-bomb"),
        pytest.param(b'{"id": "s1", "a": ' + b"9" * 5_000 + b"}", id="5000-digits"),
    ],
)
@pytest.mark.parametrize("operation", [create(), LOOK], ids=["create", "retrieve"])
def test_a_success_that_is_no_object_may_be_asked_for_again(
    operation: Operation[CheckoutSession], body: bytes
) -> None:
    """Such a body says nothing at all, so a repeat under the key may tell more."""
    finding = unreadable(operation, body)

    assert finding == Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.AMBIGUOUS,
        reason="HTTP 200, but the answer is not a JSON object",
        phase="parse",
        http_status=200,
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="missing"),
        pytest.param({"id": None}, id="null"),
        pytest.param({"id": 5}, id="number"),
        pytest.param({"id": ""}, id="empty"),
        pytest.param({"id": "s" * 256}, id="long"),
        pytest.param({"id": "s\n1"}, id="newline"),
        pytest.param({"id": ["s1"]}, id="list"),
        pytest.param({"error": {"message": "no"}}, id="error-inside"),
    ],
)
@pytest.mark.parametrize("operation", [create(), LOOK], ids=["create", "retrieve"])
def test_a_success_without_a_usable_id_is_not_repeated(
    operation: Operation[CheckoutSession], body: object
) -> None:
    """Something was done that cannot be named, and a repeat would only add to it."""
    finding = unreadable(operation, body)

    assert finding == Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.NONE,
        reason="HTTP 200, but the answer has no usable id",
        phase="parse",
        http_status=200,
    )


def test_a_misread_field_does_not_lose_the_session() -> None:
    """The session exists, so it is returned with a note of what could not be read."""
    session = understand(LOOK, 200, {"id": "s1", "amount_total": "49.99"})

    assert isinstance(session, CheckoutSession)
    assert (session.amount_total, session.call.misread) == (None, ("amount_total",))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"customer_email": "jane@example.com"}, ["customer_email"]),
        ({"amount_sub_total": 1}, ["amount_subtotal"]),
        ({"metadata": {"order": "A-18"}}, ["metadata"]),
        (
            {"currency": "eur", "success_url": "https://x.example"},
            ["currency", "success_url"],
        ),
    ],
    ids=["email", "subtotal", "metadata", "two"],
)
def test_an_answer_to_another_request_is_not_believed(
    fields: dict[str, object], names: list[str]
) -> None:
    """A difference in what is repeated is Unknown, counted, and never repeated."""
    finding = unreadable(create(), {"id": "s1", **fields})

    assert finding == Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.NONE,
        reason="HTTP 200, but the answer is not to this request: "
        f"{', '.join(names)} differ",
        phase="echo",
        http_status=200,
        mistrusted=len(names),
    )


def test_an_answer_about_another_session_is_not_believed() -> None:
    """Who asked for one session does not get to see another."""
    finding = unreadable(LOOK, {"id": "s2"})

    assert (finding.phase, finding.ground) == ("echo", Ground.NONE)


@pytest.mark.parametrize(
    ("dropped", "reported"),
    [
        ("id", "s2"),
        ("customer_email", "jane@example.com"),
        ("currency", "eur"),
        ("amount_subtotal", 1),
        ("success_url", "https://x.example"),
        ("metadata", {"order": "A-18"}),
    ],
)
def test_a_field_can_be_taken_out_of_the_echo_check(
    dropped: str, reported: object
) -> None:
    """A gateway that rewrites a field is lived with by dropping just that field."""
    settings = attrs.evolve(SETTINGS, echo_fields=frozenset({*ECHO_FIELDS} - {dropped}))
    body = json.dumps({"id": "s1", dropped: reported}).encode()

    operation = LOOK if dropped == "id" else create()
    result = judged(operation, HttpResponse(status=200, body=body), settings)

    assert isinstance(result, CheckoutSession)


# -- request ids --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"request-id": "req_1"}, "req_1", id="request-id"),
        pytest.param({"x-request-id": "req_2"}, "req_2", id="x-request-id"),
        pytest.param(
            {"request-id": "req_1", "x-request-id": "req_2"}, "req_1", id="both"
        ),
        pytest.param({"request-id": "", "x-request-id": "req_2"}, "req_2", id="empty"),
        pytest.param({"request-id": "a\x1b[2J\udc80"}, "a\ufffd[2J\ufffd", id="dirty"),
        pytest.param({"request-id": "r" * 201}, "r" * 199 + "\u2026", id="long"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_request_id_is_fit_to_be_quoted(
    status: int, headers: dict[str, str], shown: str | None
) -> None:
    """Either header names the answer, cut and cleaned."""
    result = understand(LOOK, status, {"id": "s1"}, headers)

    about = result.call if isinstance(result, CheckoutSession) else result
    assert about.request_id == shown


@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_request_id_does_not_show_the_key(status: int) -> None:
    """A server that sends the key back in a header does not get it into our errors."""
    finding = understand(create(), status, b"", {"request-id": f"req-{KEY}"})

    assert isinstance(finding, Finding)
    assert finding.request_id == "req-[api_key]"


# -- the error envelope -------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, {"id": "s1"}, id="answer"),
        pytest.param(200, b"<html>", id="unreadable"),
        pytest.param(200, {"id": ""}, id="without-id"),
        pytest.param(200, {"id": "s1", "currency": "eur"}, id="echo"),
        pytest.param(400, {}, id="refusal"),
    ],
)
@pytest.mark.parametrize(
    "quoted",
    [
        "req-canary@example.com-7",
        "req-CANARY%40example.com",
        r"req-canary\u0040example.com",
        "Jan%20Canary",
    ],
)
def test_a_request_id_does_not_show_what_was_sent(
    status: int, body: object, quoted: str
) -> None:
    """Whatever came of the request, its name at the gateway holds no customer."""
    request = attrs.evolve(
        ORDER, customer_email="canary@example.com", customer_firstname="Jan Canary"
    )

    outcome = understand(create(request), status, body, {"request-id": quoted})

    call = outcome if isinstance(outcome, Finding) else outcome.call
    assert call.request_id is not None
    assert "[customer_" in call.request_id
    assert "canary" not in call.request_id.lower()


WORDS = ("type", "message", "param", "decline_code", "charge_id")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(WORDS, JSON)))
def test_only_texts_are_taken_out_of_an_error(error: dict[str, object]) -> None:
    """Whatever stands where a text belongs, it is left out."""
    finding = refused({"error": error})

    given = {word for word in WORDS if getattr(finding, word) is not None}
    assert given == {
        word for word, value in error.items() if value and type(value) is str
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("x" * 201)
@example("\x00\x1b[31m\u202e\u2028\u2029\x85\x7f")
def test_a_message_is_fit_to_be_printed(text: str) -> None:
    """At most 200 characters are kept, and none that moves or paints the cursor."""
    finding = refused({"error": {"message": text}})

    message = finding.message or ""
    assert len(message) <= 200
    assert not any(
        character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029"
        for character in message
    )


@pytest.mark.parametrize(
    ("length", "kept"), [(199, 199), (200, 200), (201, 199), (5_000, 199)]
)
def test_a_long_message_is_cut_with_a_mark(length: int, kept: int) -> None:
    """What fits is whole, and what does not ends in an ellipsis."""
    finding = refused({"error": {"message": "x" * length}})

    assert finding.message == "x" * kept + "\u2026" * (length > 200)


@pytest.mark.parametrize("part", ["{}", "[]", '{"a": 1}', "1"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_body_of_countless_parts_is_not_parsed(status: int, part: str) -> None:
    """One MiB of them would become 28 MiB of objects, of a refusal as of an answer."""
    body = f'{{"id": "s1", "fees": [{part}{f",{part}" * 50_000}]}}'.encode()
    understand(LOOK, status)  # what is made once is made
    tracemalloc.start()
    finding = understand(LOOK, status, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(finding, Finding)
    assert peak < 100_000
    if status == 200:
        assert (finding.verdict, finding.phase) == (Verdict.UNKNOWN, "parse")
        assert "50,000 commas" in finding.reason


def test_a_body_of_many_parts_is_parsed() -> None:
    """50,000 commas are no reason to lose a session."""
    session = understand(LOOK, 200, {"id": "s1", "fees": [0] * 50_000})

    assert isinstance(session, CheckoutSession)
    assert len(session.fees) == 50_000


def test_a_refusal_is_no_sign_of_mixed_up_answers() -> None:
    """Only the echo check mistrusts a connection."""
    finding = refused(b"")

    assert finding.mistrusted == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            {
                "error": {
                    "type": "voucher_error",
                    "message": "No such voucher found",
                    "param": "pin",
                    "decline_code": "account_restricted",
                    "charge_id": "ch_1",
                }
            },
            (
                *("voucher_error", "No such voucher found", "pin"),
                *("account_restricted", "ch_1"),
            ),
            id="whole",
        ),
        pytest.param(
            {"type": "api_error", "message": "sorry"},
            ("api_error", "sorry", None, None, None),
            id="without-envelope",
        ),
        pytest.param({"error": "sorry"}, (None, "sorry", None, None, None), id="text"),
        pytest.param({"error": {}}, (None,) * 5, id="empty-envelope"),
        pytest.param({"error": None}, (None,) * 5, id="null"),
        pytest.param({"error": ["sorry"]}, (None,) * 5, id="list-inside"),
        pytest.param({"error": 5}, (None,) * 5, id="number-inside"),
        pytest.param({"error": {"message": ""}}, (None,) * 5, id="empty-text"),
        pytest.param({"error": {"message": 5}}, (None,) * 5, id="number"),
        pytest.param({"error": {"message": {"a": "b"}}}, (None,) * 5, id="object"),
        pytest.param({}, (None,) * 5, id="empty-object"),
        pytest.param([{"error": "sorry"}], (None,) * 5, id="list"),
        pytest.param("sorry", (None,) * 5, id="bare-text"),
        pytest.param(b"", (None,) * 5, id="no-body"),
        pytest.param(b"<html>sorry</html>", (None,) * 5, id="html"),
        pytest.param(b'{"error": {"message": "so', (None,) * 5, id="cut"),
        pytest.param(b'{"error": "\\ud800"}', (None,) * 5, id="lone-surrogate"),
        pytest.param(b'{"error":' * 100_000, (None,) * 5, id="depth-bomb"),
    ],
)
def test_an_error_is_understood_as_far_as_it_goes(
    body: object, words: tuple[str | None, ...]
) -> None:
    """Every form of envelope gives what it has, and a broken one gives nothing."""
    finding = refused(body)

    assert tuple(getattr(finding, word) for word in WORDS) == words


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"error": {"message": "no"}}, "HTTP 400, no", id="message"),
        pytest.param({"error": {"type": "api_error"}}, "HTTP 400", id="no-message"),
        pytest.param(b"", "HTTP 400", id="no-body"),
    ],
)
def test_the_reason_is_the_status_and_the_gateways_words(
    body: object, reason: str
) -> None:
    """The reason can be read without looking the status up in a body."""
    finding = refused(body)

    assert finding.reason == reason


# -- what must not be shown ---------------------------------------------------------

PRINTABLE = st.characters(exclude_categories=["Cc", "Cs"])
NAMES = st.text(PRINTABLE, min_size=11, max_size=40).map("J{}".format)
LOCAL_PARTS = st.text("abcXYZ019.+_%'-", min_size=1, max_size=20).filter(
    lambda local: all(local.split("."))
)


@given(name=NAMES, word=st.sampled_from(WORDS))
def test_no_name_is_shown(name: str, word: str) -> None:
    """A name that the gateway repeats, in whichever word, is not handed on."""
    request = attrs.evolve(ORDER, customer_firstname=name)

    finding = refused({"error": {word: f"the value '{name}' is wrong"}}, request)

    assert name not in f"{getattr(finding, word)} {finding.reason}"


@given(
    st.text(
        st.characters(
            exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="<>[]"
        ),
        min_size=1,
        max_size=5,
    ).filter(str.strip)
)
@example("J.")
@example(".J")
@example("\u674e\u96f7")
@example("e\u0301")
@example("+")
@example("DOE")
def test_a_short_name_is_found_between_marks(name: str) -> None:
    """However short a name is, and whatever it ends in, its field stands in for it."""
    request = an_order(customer_firstname=name, customer_lastname="Kowalski")

    finding = refused({"error": {"message": f"<{name}>"}}, request)

    assert finding.message == "<[customer_firstname]>"


@given(local=LOCAL_PARTS, word=st.sampled_from(WORDS))
def test_no_e_mail_address_is_shown(local: str, word: str) -> None:
    """An address that the gateway repeats, in any letter case, is not handed on."""
    request = attrs.evolve(ORDER, customer_email=f"{local}@example.com")
    echoed = f"{local}@EXAMPLE.com".swapcase()

    finding = refused({"error": {word: f"unknown: {echoed}."}}, request)

    shown = f"{getattr(finding, word)} {finding.reason}"
    assert f"{local}@example.com".casefold() not in shown.casefold()


@given(word=st.sampled_from(WORDS), status=st.integers(300, 999))
def test_no_key_is_shown(word: str, status: int) -> None:
    """The API key that the gateway repeats is not handed on, whatever the status."""
    body = {"error": {word: f"invalid API key: {KEY}"}}

    finding = understand(LOOK, status, body)

    assert isinstance(finding, Finding)
    assert KEY not in "".join(map(str, finding))


@given(st.integers(0, 400))
def test_the_cut_does_not_save_a_value_from_being_taken_out(position: int) -> None:
    """Values are taken out first and the rest is cut then, so no half of one stays."""
    filler = "." * position

    finding = refused({"error": {"message": f"{filler} john@example.com {filler}"}})

    assert "john" not in (finding.message or "")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param("got john@example.com", "got [customer_email]", id="email"),
        pytest.param("got JOHN@Example.COM!", "got [customer_email]!", id="case"),
        pytest.param(
            "Mr. John Doe", "Mr. [customer_firstname] [customer_lastname]", id="name"
        ),
        pytest.param("phone +48123456789", "phone [customer_phone]", id="phone"),
        pytest.param("url https://shop.example/thanks", "url [success_url]", id="url"),
        pytest.param("order 'A-17'", "order '[metadata]'", id="metadata"),
        pytest.param("4999 is too much", "[amount] is too much", id="amount"),
        pytest.param(f"key {KEY}", "key [api_key]", id="key"),
        pytest.param("at most 499900", "at most 499900", id="part-of-a-number"),
        pytest.param("Johnson is not Doering", "Johnson is not Doering", id="part"),
        pytest.param("no such voucher", "no such voucher", id="none"),
    ],
)
def test_a_value_gives_way_to_the_name_of_its_field(message: str, shown: str) -> None:
    """What was sent is replaced as a whole word; other words stay readable."""
    finding = refused({"error": {"message": message}})

    assert finding.message == shown


def test_an_empty_value_is_not_found_everywhere() -> None:
    """Metadata may hold an empty text, which hides nothing and must not spoil words."""
    request = attrs.evolve(ORDER, metadata={"note": ""})

    finding = refused({"error": {"message": "no such voucher"}}, request)

    assert finding.message == "no such voucher"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f"Bearer_{KEY}", id="before"),
        pytest.param(f"{KEY}xyz is unknown", id="after"),
        pytest.param(f"key={KEY}%3A", id="escaped"),
    ],
)
def test_the_key_is_taken_out_of_the_middle_of_a_word(message: str) -> None:
    """No spelling around the API key lets it through."""
    finding = refused({"error": {"message": message}})

    assert KEY not in (finding.message or "")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("u003cjohn@example.comu003e", id="email-in-broken-escapes"),
        pytest.param("line 1\\njohn@example.com", id="email-after-escaped-newline"),
        pytest.param("customer_email_john@example.com_", id="email-in-underscores"),
    ],
)
def test_an_address_is_taken_out_of_the_middle_of_a_word(message: str) -> None:
    """No spelling around an e-mail address lets it through."""
    finding = refused({"error": {"message": message}})

    assert "john@example.com" not in (finding.message or "")


def test_a_phone_number_is_taken_out_of_the_middle_of_a_word() -> None:
    """No spelling around a phone number lets it through."""
    finding = refused({"error": {"message": "bad customer_phone+48123456789"}})

    assert "48123456789" not in (finding.message or "")


def test_a_value_echoed_as_a_form_is_taken_out() -> None:
    """A gateway that repeats the form itself repeats the same values."""
    form = "customer_email=john%40example.com&customer_phone=%2B48123456789"

    finding = refused({"error": {"message": f"cannot parse {form}"}})

    assert "48123456789" not in (finding.message or "")


def test_the_name_of_a_field_is_not_a_way_around() -> None:
    """A value that is also a metadata key is not put in by the replacement itself."""
    request = attrs.evolve(ORDER, metadata={"john@example.com": "vip"})

    finding = refused({"error": {"message": "unknown group vip"}}, request)

    assert "john@example.com" not in (finding.message or "")


# -- Retry-After --------------------------------------------------------------------

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 -- Hypothesis adds the zone
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


@given(st.text(), st.none() | st.text())
@example("Mon", "Mon")
@example("Sun, 06 Nov 1994 08:49:37 +9999", None)
@example("Mon, 01 Jan 0001 00:00:00 +1400", None)
def test_no_header_makes_the_wait_negative_or_fails(
    value: str, date: str | None
) -> None:
    """Whatever stands in the header, it is a wait of 0 or more, or none at all."""
    seconds = parse_retry_after(value, date, NOW)

    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**9 - 1))
def test_up_to_nine_digits_are_seconds(seconds: int) -> None:
    """A plain number is taken at its word."""
    parsed = parse_retry_after(str(seconds), None, NOW)

    assert parsed == seconds


@given(date=MOMENTS, until=MOMENTS)
def test_a_date_is_measured_against_the_answers_own(
    date: datetime, until: datetime
) -> None:
    """However wrong the clocks are, the wait is the gateway's own difference."""
    value, since = (format_datetime(moment, usegmt=True) for moment in (until, date))

    seconds = parse_retry_after(value, since, NOW)

    assert seconds == max(0.0, (until - date) / timedelta(seconds=1))


@given(until=MOMENTS)
def test_a_date_without_a_date_is_measured_against_now(until: datetime) -> None:
    """Where the answer has no date, the local clock has to do."""
    header = format_datetime(until, usegmt=True)

    seconds = parse_retry_after(header, None, NOW)

    assert seconds == max(0.0, until.timestamp() - NOW)


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        pytest.param("0", None, 0.0, id="0"),
        pytest.param("5", None, 5.0, id="5"),
        pytest.param("120", None, 120.0, id="120"),
        pytest.param(" \t7\t ", None, 7.0, id="trimmed"),
        pytest.param("007", None, 7.0, id="leading-zeros"),
        pytest.param("999999999", None, 999_999_999.0, id="nine-digits"),
        pytest.param("Sun, 06 Nov 1994 08:50:37 GMT", DATE, 60.0, id="imf-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:50:37 GMT", DATE, 60.0, id="rfc-850"),
        pytest.param("Sun Nov  6 08:50:37 1994", DATE, 60.0, id="asctime"),
        pytest.param(f"\t{DATE} ", f" {DATE}\t", 0.0, id="trimmed-date"),
        pytest.param("Sun, 06 Nov 1994 08:49:36 GMT", DATE, 0.0, id="past"),
        pytest.param("Sun, 06 Nov 1994 08:50:37 GMT", None, 60.0, id="no-date"),
        pytest.param("Sun, 06 Nov 1994 08:50:37 GMT", "soon", 60.0, id="broken-date"),
        pytest.param("Sun, 06 Nov 1994 08:50:37 GMT", "", 60.0, id="empty-date"),
        pytest.param(
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sun Nov  6 08:50:07 1994",
            30.0,
            id="asctime-date",
        ),
        pytest.param(
            "Tue, 06 Nov 2001 08:50:37 GMT",
            "Tue, 06 Nov 2001 08:50:30 GMT",
            7.0,
            id="skewed-clock",
        ),
        pytest.param(None, DATE, None, id="missing"),
        pytest.param("", None, None, id="empty"),
        pytest.param("  ", None, None, id="spaces"),
        pytest.param("-1", None, None, id="negative"),
        pytest.param("+1", None, None, id="plus"),
        pytest.param("1.5", None, None, id="fraction"),
        pytest.param("1e3", None, None, id="exponent"),
        pytest.param("0x10", None, None, id="hex"),
        pytest.param("nan", None, None, id="nan"),
        pytest.param("inf", None, None, id="inf"),
        pytest.param("\u0661\u0662", None, None, id="arabic-digits"),
        pytest.param("\uff15", None, None, id="full-width-digit"),
        pytest.param("\u00b2", None, None, id="superscript"),
        pytest.param("1234567890", None, None, id="ten-digits"),
        pytest.param("9" * 400, None, None, id="400-digits"),
        pytest.param("5, 7", None, None, id="two-headers"),
        pytest.param("5s", None, None, id="unit"),
        pytest.param("5\n", None, None, id="newline"),
        pytest.param("soon", None, None, id="soon"),
        pytest.param("Fri, 31 Dec 99999 23:59:59 GMT", None, None, id="year-99999"),
        pytest.param("Sun, 31 Feb 1994 08:49:37 GMT", None, None, id="february-31"),
        pytest.param("S\u00fcn, 06 Nov 1994 08:50:37 GMT", None, None, id="non-ASCII"),
    ],
)
def test_retry_after_is_read_as_the_standard_says(
    value: str | None, date: str | None, seconds: float | None
) -> None:
    """Seconds and the three forms of dates are read, and nothing that is unclear."""
    parsed = parse_retry_after(value, date, NOW)

    assert parsed == seconds


@pytest.mark.parametrize("status", [400, 409, 425, 429, 500, 503])
def test_a_hint_is_read_from_any_refusal(status: int) -> None:
    """Whatever the status, a hint is on the finding, measured against the answer."""
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT", "date": DATE}

    finding = understand(create(), status, b"", headers)

    assert isinstance(finding, Finding)
    assert finding.retry_after == 60.0


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            f"bad header Authorization: {SETTINGS.authorization.reveal()}", id="header"
        ),
        pytest.param(f"token {SETTINGS.authorization.reveal()[6:]}!", id="token"),
    ],
)
def test_the_header_is_not_quoted(message: str) -> None:
    """A gateway that sends the authorisation back does not get it into our errors."""
    finding = refused({"error": {"message": message}})

    assert (
        SETTINGS.authorization.reveal()[6:] not in f"{finding.message}{finding.reason}"
    )


def test_a_value_that_is_cut_in_two_is_not_shown() -> None:
    """Of a message that is too long, no half of a value is left at the end."""
    name = "Wolfeschlegelsteinhausen"
    request = attrs.evolve(ORDER, customer_firstname=name)
    message = ("x" * 7 + " " + name) * 40_000

    finding = refused({"error": {"message": message}}, request)

    assert len(finding.message or "") <= 200
    assert "Wolf" not in (finding.message or "")


# -- who calls ----------------------------------------------------------------------

TOKEN = "!#$%&'*+-.^_`|~" + digits + ascii_letters
PRODUCT = f"{TOKEN}/"
TOKENS = st.text(TOKEN, min_size=1, max_size=49)


@given(name=TOKENS, version=st.none() | TOKENS)
def test_an_app_is_a_product_behind_ours(name: str, version: str | None) -> None:
    """Whatever RFC 9110 takes for a product is added, and nothing else changes."""
    app = name if version is None else f"{name}/{version}"

    headers = common_headers(app)

    ours = common_headers(None)
    agent = f"convergegate-async/{__version__} {app}"
    assert headers == ours | {"User-Agent": agent}
    assert ours["User-Agent"] == f"convergegate-async/{__version__}"


@given(
    name=TOKENS,
    fault=st.characters(exclude_characters=PRODUCT),
    rest=st.text(max_size=10),
)
def test_an_app_with_any_other_character_is_refused(
    name: str, fault: str, rest: str
) -> None:
    """Nothing that could end a header, or begin another product, gets into one."""
    with pytest.raises(ConfigurationError, match=r"^app_info must"):
        common_headers(name + fault + rest)


@pytest.mark.parametrize(
    "app",
    [
        "",
        "/",
        "shop/",
        "/1",
        "a/b/c",
        "shop 1",
        "shop/1\n",
        "a" * 101,
        5,
        b"a",
        ("a", "1"),
    ],
    ids=repr,
)
def test_an_app_that_is_no_product_is_refused(app: object) -> None:
    """An empty, long, double or mistyped name is a mistake that the factory tells."""
    with pytest.raises(ConfigurationError, match=r"^app_info must"):
        common_headers(app)
