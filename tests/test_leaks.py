"""Every error class of every call, over every channel: no canary anywhere.

The channels stand in `tests/support/canaries.py`, the causes in
`tests/support/causes.py`, the calls in the table of endpoints, the classes in `errors`:
a new one is covered, or named here as missing.
"""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
from canaries import (
    CHANNELS,
    KEY,
    PERSONAL,
    canary_arguments,
    channels,
    leaked,
    surroundings,
)
from causes import CALLS, GATEWAYS, INSTEAD, OPEN
from matrix import AMPLE, TWICE
from raw import RawServer
from scripted import StillRuntime

from convergegate_async import (
    CheckoutSessionFactory,
    Timeouts,
    WebhookVerifier,
    errors,
    sign,
)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("cause", GATEWAYS)
async def test_an_error_of_a_call_tells_nothing(cause: str, operation: str) -> None:
    """No channel of any error, and nothing told beside it, holds a canary."""
    usual, fault = GATEWAYS[cause]
    expected = INSTEAD.get((operation, cause), usual)
    loop = asyncio.get_running_loop()
    contexts: list[str] = []
    loop.set_exception_handler(lambda _, context: contexts.append(repr(context)))

    with surroundings() as heard:
        async with RawServer(fault) as server:
            address = server.base_url
            if cause == "NotSentError":
                await server.__aexit__(None, None, None)
            error = await failure_of(operation, address)
    heard["loop"] += contexts

    if expected is None:
        assert error is None
    else:
        assert isinstance(error, expected)
        assert leaked(channels(error)) == []
    assert heard["logs"]
    for channel, lines in heard.items():
        assert leaked("\n".join(lines)) == [], channel


async def failure_of(operation: str, address: str) -> BaseException | None:
    """Return what a call full of canaries raises."""
    checkout = CheckoutSessionFactory(
        KEY,
        address,
        retry=TWICE,
        timeouts=Timeouts(attempt=AMPLE, connect=AMPLE),
        runtime=StillRuntime().runtime(),
    )
    async with checkout:
        try:
            await getattr(checkout, operation)(
                **canary_arguments(operation), timeout=9.0
            )
        except errors.ConvergeGateError as error:
            return error
    return None


@pytest.mark.parametrize("operation", CALLS)
async def test_an_error_before_the_wire_tells_nothing(operation: str) -> None:
    """Nor does a factory that is not open, or an argument that cannot be right."""
    checkout = CheckoutSessionFactory(KEY, "https://gateway.example")
    arguments = canary_arguments(operation)
    wrong = {name: {"note": PERSONAL, "key": KEY} for name in arguments}
    found: list[BaseException] = []

    with surroundings() as heard:
        for given in (arguments, wrong):
            try:
                await getattr(checkout, operation)(**given)
            except errors.ConvergeGateError as error:
                found.append(error)

    assert [type(error) for error in found] == [
        errors.ConfigurationError,
        errors.InvalidFieldError,
    ]
    assert [leaked(channels(one)) for one in found] == [[], []]
    for channel, lines in heard.items():
        assert leaked("\n".join(lines)) == [], channel


# -- deliveries -----------------------------------------------------------------------

EVENT = json.dumps({"id": "e1", "type": "session.completed", "data": OPEN}).encode()
DELIVERIES: dict[type[errors.WebhookError], Callable[[], None]] = {
    errors.BadSignatureError: lambda: deliver(EVENT, key=f"{KEY}x"),
    errors.BadPayloadError: lambda: deliver(EVENT[:-1]),
    errors.StaleWebhookError: lambda: deliver(EVENT, now=1_700_009_999.0),
}


def deliver(body: bytes, key: str = KEY, now: float = 1_700_000_000.0) -> None:
    """Verify a delivery that *key* signed."""
    headers = sign(body, secret=key, timestamp=1_700_000_000)
    WebhookVerifier(KEY).verify(body, headers, now)


@pytest.mark.parametrize("kind", DELIVERIES)
def test_an_error_of_a_delivery_tells_nothing(kind: type[errors.WebhookError]) -> None:
    """Its body is the customer's, and the signature's key is the API key."""
    with surroundings() as heard, pytest.raises(kind) as caught:
        DELIVERIES[kind]()

    assert leaked(channels(caught.value)) == []
    for channel, lines in heard.items():
        assert leaked("\n".join(lines)) == [], channel


def test_a_body_that_was_parsed_before_tells_nothing() -> None:
    """Whoever hands over the parsed body is told so, without what is in it."""
    with pytest.raises(TypeError) as caught:
        deliver_parsed(OPEN)

    assert leaked(channels(caught.value)) == []


def deliver_parsed(body: object) -> None:
    """Verify what is no bytes."""
    WebhookVerifier(KEY).verify(body, {})  # type: ignore[arg-type]  # that is the point


# -- nothing is left out --------------------------------------------------------------


def descendants(kind: type[errors.ConvergeGateError]) -> Iterator[type]:
    """Yield what is made of *kind*, and what is made of that."""
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def test_no_error_class_is_left_out() -> None:
    """Each class that is raised is caused above; a new one is named here."""
    caused = {kind for kind, _ in GATEWAYS.values()} | set(DELIVERIES)
    before = {errors.ConfigurationError, errors.InvalidFieldError}
    abstract = {errors.CallError, errors.WebhookError}

    known = descendants(errors.ConvergeGateError)
    ours = {kind for kind in known if kind.__module__ == errors.__name__}

    assert ours == caused | before | abstract


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_is_heard(channel: str) -> None:
    """The search is no good if it does not find what is there."""
    error = ValueError(KEY)
    error.add_note(KEY)
    error.key = KEY  # type: ignore[attr-defined]  # for `vars`
    try:
        json.loads(f'"{KEY}')  # another's frame, with the text in its locals
    except ValueError as caught:
        error.__context__ = caught

    assert leaked(str(CHANNELS[channel](error))) + leaked(channels(error)) != []
