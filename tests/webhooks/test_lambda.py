"""Deliveries that come through AWS Lambda, in each of the shapes that it knows."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from harness.redis_server import REDIS_SERVER, running_redis
from hypothesis import example, given
from hypothesis import strategies as st
from readme import block
from scripted import ScriptedTransport, scripted_factory

from convergegate_async import (
    BadPayloadError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    NotFoundError,
    WebhookEvent,
    sign,
)
from convergegate_async._core.signatures import read_headers
from convergegate_async.sandbox import Sandbox
from convergegate_async.webhooks import WebhookReceiver, WebhookReply, WebhookVerifier
from convergegate_async.webhooks._lambda_events import unwrap

SECRET = "sk_test_vector_0000000000000001"
MIB = 2**20

Pairs = list[tuple[str, str]]
Event = dict[str, Any]


def single(headers: Pairs) -> dict[str, str]:
    """Tell headers once, the last of a name."""
    return dict(headers)


def several(headers: Pairs) -> dict[str, list[str]]:
    """Tell headers as lists."""
    return {name: [v for n, v in headers if n == name] for name, _ in headers}


def joined(headers: Pairs) -> dict[str, str]:
    """Tell headers in lower case, those of a name joined by commas."""
    lower = [(name.lower(), value) for name, value in headers]
    return {name: ",".join(values) for name, values in several(lower).items()}


# What API Gateway and the load balancer document, without what we do not read.
SHAPES: dict[str, Callable[[Pairs], Event]] = {
    "rest-api": lambda headers: {
        "resource": "/webhooks",
        "httpMethod": "POST",
        "headers": single(headers),
        "multiValueHeaders": several(headers),
        "requestContext": {"stage": "prod"},
    },
    "http-api": lambda headers: {
        "version": "2.0",
        "routeKey": "POST /webhooks",
        "headers": joined(headers),
        "requestContext": {"http": {"method": "POST"}},
    },
    "balancer": lambda headers: {
        "httpMethod": "POST",
        "headers": single([(name.lower(), value) for name, value in headers]),
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:…"}},
    },
    "balancer-lists": lambda headers: {
        "httpMethod": "POST",
        "multiValueHeaders": several([(n.lower(), v) for n, v in headers]),
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:…"}},
    },
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))


def wrapped(
    shape: Callable[[Pairs], Event], body: bytes, headers: Pairs, *, in_base64: bool
) -> Event:
    """Return the event of a delivery as Lambda hands it over: out of JSON."""
    text = b64encode(body).decode() if in_base64 else body.decode()
    event = {**shape(headers), "body": text, "isBase64Encoded": in_base64}
    return json.loads(json.dumps(event))  # type: ignore[no-any-return]  # it is one


def signed(event_id: str = "evt_1", size: int = 0) -> tuple[bytes, Pairs]:
    """Return the body of an event, of *size* bytes at least, and its headers."""
    event = {"id": event_id, "type": "session.completed", "data": {"note": "żółć"}}
    body = json.dumps(event, ensure_ascii=False).encode().ljust(size)
    headers = sign(body, secret=SECRET, timestamp=int(time.time()))
    return body, [("Host", "shop.example"), *headers.items()]


class Shop:
    """Handles events, and remembers them; fails with *error* if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.seen: list[str] = []

    async def __call__(self, event: WebhookEvent, _: CheckoutSessionFactory) -> None:
        """Note the event."""
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.seen.append(event.id)


@pytest.fixture
async def checkout() -> AsyncIterator[CheckoutSessionFactory]:
    """A factory that has nothing to ask: a request fails the test."""
    async with scripted_factory(ScriptedTransport()) as checkout:
        yield checkout


# -- unwrapping -----------------------------------------------------------------------

VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255))


@shapes
@given(body=st.binary() | st.text().map(str.encode), values=st.tuples(VALUES, VALUES))
@example(body=b"", values=("", ""))
@example(body=b"YQ==", values=("1", "a"))
@example(body=b'\xef\xbb\xbf{"a": "\\u0000\r\n"}', values=("1", "a"))
def test_a_delivery_comes_out_as_it_was_sent(
    shape: Callable[[Pairs], Event], body: bytes, values: tuple[str, str]
) -> None:
    """Every byte of the body and of both headers, whether wrapped as text or base64."""
    pairs = list(zip(("Sec-Timestamp", "sEC-sIGNATURE"), values, strict=True))
    events = [wrapped(shape, body, pairs, in_base64=True)]
    if body.decode(errors="replace").encode() == body:
        events.append(wrapped(shape, body, pairs, in_base64=False))

    for event in events:
        found = unwrap(event)

        assert not isinstance(found, BadPayloadError)
        assert found[0] == body
        assert read_headers(found[1]) == tuple(v.encode("latin-1") for v in values)


@pytest.mark.parametrize("missing", [{}, {"body": None}], ids=["absent", "null"])
@pytest.mark.parametrize("in_base64", [True, False])
def test_a_missing_body_is_an_empty_one(
    missing: dict[str, None], *, in_base64: bool
) -> None:
    """Gateways say nothing, or null, of a request without a body."""
    assert unwrap({**missing, "isBase64Encoded": in_base64}) == (b"", [])


@pytest.mark.parametrize(
    ("body", "in_base64"),
    [
        pytest.param("{}", True, id="text"),
        pytest.param("YQ", True, id="no-padding"),
        pytest.param("YQ==YQ==", True, id="padding-inside"),
        pytest.param("YQ==\n", True, id="newline"),
        pytest.param("YW-_", True, id="url-alphabet"),
        pytest.param("ż", True, id="no-ascii"),
        pytest.param("\ud800", False, id="surrogate"),
    ],
)
async def test_a_body_that_cannot_be_one_is_refused(
    body: str,
    checkout: CheckoutSessionFactory,
    caplog: pytest.LogCaptureFixture,
    *,
    in_base64: bool,
) -> None:
    """What is no base64, and text that no bytes spell, is a 400, and never a crash."""
    receiver = WebhookReceiver(WebhookVerifier(SECRET), Shop())
    event = {"body": body, "isBase64Encoded": in_base64}

    reply = await receiver.receive_lambda(event, checkout)

    assert reply == WebhookReply(400, "refused")
    (message,) = caplog.messages
    assert message.startswith("a webhook delivery was refused: the body is not valid")


# -- receiving ------------------------------------------------------------------------


@shapes
@pytest.mark.parametrize("in_base64", [True, False], ids=["base64", "text"])
async def test_a_delivery_is_acted_upon_once(
    shape: Callable[[Pairs], Event],
    checkout: CheckoutSessionFactory,
    *,
    in_base64: bool,
) -> None:
    """Whatever brings it, the handler sees an event once, and the answer is 200."""
    shop = Shop()
    receiver = WebhookReceiver(WebhookVerifier(SECRET), shop)
    event = wrapped(shape, *signed(), in_base64=in_base64)

    replies = [await receiver.receive_lambda(event, checkout) for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 200]
    assert shop.seen == ["evt_1"]


@shapes
async def test_two_signatures_are_refused(
    shape: Callable[[Pairs], Event],
    checkout: CheckoutSessionFactory,
) -> None:
    """A second one in front of the right one is seen wherever the shape tells of it.

    A balancer that tells the last value only has lost the first itself.
    """
    shop = Shop()
    receiver = WebhookReceiver(WebhookVerifier(SECRET), shop)
    body, headers = signed()
    event = wrapped(
        shape, body, [("Sec-Signature", "0" * 64), *headers], in_base64=False
    )

    reply = await receiver.receive_lambda(event, checkout)

    assert reply.status == (200 if shape is SHAPES["balancer"] else 400)


@shapes
async def test_a_body_that_was_changed_is_refused(
    shape: Callable[[Pairs], Event], checkout: CheckoutSessionFactory
) -> None:
    """One byte more than was signed is a 400, one more than 1 MiB a 413."""
    receiver = WebhookReceiver(WebhookVerifier(SECRET), Shop())
    body, headers = signed()
    changed = wrapped(shape, body + b" ", headers, in_base64=True)
    large = wrapped(shape, *signed(size=MIB + 1), in_base64=True)

    replies = [await receiver.receive_lambda(e, checkout) for e in (changed, large)]

    assert [reply.status for reply in replies] == [400, 413]


async def test_a_handler_that_fails_is_a_500(checkout: CheckoutSessionFactory) -> None:
    """The reply has the error, for the function to raise, and the event comes again."""
    shop = Shop(RuntimeError("the shop is on fire"))
    receiver = WebhookReceiver(WebhookVerifier(SECRET), shop)
    event = wrapped(SHAPES["http-api"], *signed(), in_base64=False)

    first = await receiver.receive_lambda(event, checkout)
    error, shop.error = shop.error, None
    second = await receiver.receive_lambda(event, checkout)

    assert (first.status, first.error) == (500, error)
    assert second.status == 200


async def test_nothing_is_put_off_until_the_function_is_frozen(
    checkout: CheckoutSessionFactory,
) -> None:
    """Also with *answer_first* the handler has run, and failed, before the answer."""
    shop = Shop()
    receiver = WebhookReceiver(WebhookVerifier(SECRET), shop, answer_first=True)
    event = wrapped(SHAPES["http-api"], *signed(), in_base64=False)

    reply = await receiver.receive_lambda(event, checkout)

    assert reply == WebhookReply(200, "done")
    assert shop.seen == ["evt_1"]


# -- totality -------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters())
JUNK = st.recursive(
    SCALARS | st.floats() | st.binary() | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner),
    max_leaves=8,
)
HEADERS = JUNK | st.dictionaries(
    st.sampled_from(["Sec-Timestamp", "sec-signature", "HTTP_SEC_SIGNATURE"]) | SCALARS,
    JUNK | st.lists(st.text()),
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "body": JUNK | st.text() | st.just("YQ=="),
        "isBase64Encoded": st.booleans() | JUNK,
        "headers": HEADERS,
        "multiValueHeaders": HEADERS,
    },
)


@given(event=EVENTS | JUNK)
@example(event={"Records": [{"eventSource": "aws:sqs", "body": "{}"}]})
@example(event={"headers": None, "multiValueHeaders": None})
@example(event={"body": {"id": "evt_1"}, "isBase64Encoded": True})
def test_any_event_is_refused_or_a_type_error(event: Any) -> None:  # noqa: ANN401 -- wrong types are the point
    """A `TypeError` is for what is no event, or was parsed; all else has an answer."""
    shop = Shop()
    receiver = WebhookReceiver(WebhookVerifier(SECRET), shop)
    body = event.get("body") if isinstance(event, dict) else event

    async def receive() -> WebhookReply:
        async with scripted_factory(ScriptedTransport()) as checkout:
            return await receiver.receive_lambda(event, checkout)

    try:
        reply = asyncio.run(receive())
    except TypeError:
        assert not isinstance(event, dict) or not isinstance(body, str | bytes | None)
    else:
        assert reply == WebhookReply(400, "refused")
    assert shop.seen == []


# -- answering ------------------------------------------------------------------------


@shapes
@given(status=st.integers(200, 599), text=st.text())
def test_the_answer_has_the_shape_of_the_event(
    shape: Callable[[Pairs], Event], status: int, text: str
) -> None:
    """Headers are lists where they came as lists: a balancer refuses all else."""
    event = shape(signed()[1])

    answer = WebhookReply(status, text).to_lambda(event)

    place = "multiValueHeaders" if "multiValueHeaders" in event else "headers"
    assert json.loads(json.dumps(answer)) == answer
    assert set(answer) == {"statusCode", place, "body", "isBase64Encoded"}
    assert (answer["statusCode"], answer["body"]) == (status, text)
    assert answer["isBase64Encoded"] is False


# -- the README's function ------------------------------------------------------------


@pytest.mark.redis
@pytest.mark.skipif(REDIS_SERVER is None, reason="needs redis-server")
@pytest.mark.parametrize("shape", ["rest-api", "http-api"])
async def test_the_function_of_the_readme_is_one(
    shape: str,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Invoked three times, with a loop of its own each, it handles an event once.

    An event that its handler fails on is raised, which Lambda reports.
    """
    async with sandbox.factory() as checkout:
        session = await checkout.create(order)
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    monkeypatch.setenv("CONVERGEGATE_BASE_URL", sandbox.base_url)

    def event(event_id: str, session_id: str) -> Event:
        payload = {"id": event_id, "type": "x", "data": {"session_id": session_id}}
        body = json.dumps(payload).encode()
        headers = sign(body, secret=sandbox.api_key, timestamp=int(time.time()))
        return wrapped(SHAPES[shape], body, [*headers.items()], in_base64=True)

    known, unknown = event("evt_1", session.id), event("evt_2", "unknown")
    with running_redis() as socket:
        monkeypatch.setenv("REDIS_URL", f"unix://{socket}")
        names: dict[str, Any] = {}
        exec(block("receive_lambda"), names)  # noqa: S102 -- our own README
        handler = names["handler"]
        answers = [await asyncio.to_thread(handler, known, None) for _ in range(3)]
        with pytest.raises(NotFoundError):
            await asyncio.to_thread(handler, unknown, None)

    assert [answer["statusCode"] for answer in answers] == [200, 200, 200]
    assert [answer["body"] for answer in answers] == ["done", *["already handled"] * 2]
    assert sandbox.count("retrieve") == 2
