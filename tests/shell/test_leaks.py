"""No secret and no personal data on any channel, for every fault of the sandbox."""

import asyncio
import logging
import pickle
import traceback
from contextlib import suppress

import pytest

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConfigurationError,
    RetryPolicy,
)
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

KEY = "sk_test_CANARYkey"
ENCODED = "c2tfdGVzdF9DQU5BUllrZXk6"  # by HTTP Basic
PERSONAL = ("canary@example.com", "Canaria", "Canarinen", "+48999888777", "CanaryNote")
CANARIES = (KEY, ENCODED, *PERSONAL, "canary%40example.com", "%2B48999888777")


@pytest.fixture
def canary() -> CheckoutSessionRequest:
    """A request made of words that must not show up anywhere."""
    email, first, last, phone, note = PERSONAL
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email=email,
        customer_firstname=first,
        customer_lastname=last,
        customer_phone=phone,
        success_url="https://shop.example/thanks",
        metadata={"note": note},
    )


def channels(error: BaseException) -> str:
    """Return all that an error tracker could see of *error*, locals included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain = [error, error.__cause__, error.__context__]
    texts = [*told.format(), pickle.dumps(error).decode("latin-1")]
    for link in chain:
        texts += [str(link), repr(link), repr(getattr(link, "args", ()))]
        texts += [repr(vars(link))] if link is not None else []
    return "\n".join(texts)


@pytest.mark.asyncio
@pytest.mark.parametrize("operation", ["create", "retrieve"])
@pytest.mark.parametrize(
    "kind", [kind for kind in FaultKind if not kind.concerns_webhooks]
)
async def test_an_error_tells_nothing_that_it_should_not(
    kind: FaultKind,
    operation: str,
    canary: CheckoutSessionRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Message, repr, chain, traceback locals, pickle and DEBUG logs hold no canary."""
    asyncio.get_running_loop().set_debug(True)
    policy = RetryPolicy(base_delay=0.001, max_attempts=2)
    text = ""
    with caplog.at_level(logging.DEBUG):
        async with (
            Sandbox(api_key=KEY, faults=[Fault(kind, status=400)]) as sandbox,
            sandbox.factory(retry=policy) as checkout,
        ):
            try:
                if operation == "create":
                    await checkout.create(canary, timeout=0.2)
                else:
                    await checkout.retrieve("abc", timeout=0.2)
            except CallError as error:
                text = channels(error)
    text += caplog.text

    assert [word for word in CANARIES if word in text] == []


async def test_a_cancellation_tells_nothing_either(
    canary: CheckoutSessionRequest,
) -> None:
    """The traceback of a cancelled call holds none of aiohttp's frames."""
    async with (
        Sandbox(api_key=KEY, faults=[Fault(FaultKind.STALL)]) as sandbox,
        sandbox.factory() as checkout,
    ):
        call = asyncio.create_task(checkout.create(canary))
        await asyncio.sleep(0.05)
        call.cancel()
        text = ""
        try:
            await call
        except asyncio.CancelledError as error:
            told = traceback.TracebackException.from_exception(
                error, capture_locals=True
            )
            text = "\n".join(told.format())

    assert "checkout.create" in text or "create" in text
    assert "aiohttp/client.py" not in text
    assert [word for word in CANARIES if word in text] == []


async def test_a_gateway_that_quotes_the_request_is_not_quoted(
    canary: CheckoutSessionRequest,
) -> None:
    """Values of the request in the gateway's message become their field's name."""
    async with Sandbox(api_key=KEY) as sandbox:
        wrong = CheckoutSessionFactory(f"{KEY}x", sandbox.base_url)
        async with wrong as checkout:
            with pytest.raises(CallError) as caught:
                await checkout.create(canary)

    assert KEY not in channels(caught.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}:x", f"{KEY}ż", f" {KEY}"])
def test_a_refused_key_is_not_shown(key: str) -> None:
    """The error about a malformed key does not hold it, not even in its locals."""
    environ = {
        "CONVERGEGATE_API_KEY": key,
        "CONVERGEGATE_BASE_URL": "https://gateway.example",
    }
    seen = ""
    try:
        CheckoutSessionFactory.from_env(environ)
    except ConfigurationError as error:
        inner = error.__traceback__.tb_next if error.__traceback__ else None
        told = traceback.TracebackException(
            type(error), error, inner, capture_locals=True
        )
        seen = "\n".join(told.format())

    assert "API key" in seen
    assert KEY not in seen


def test_a_factory_cannot_be_pickled() -> None:
    """What holds the key does not travel."""
    checkout = CheckoutSessionFactory(KEY, "https://gateway.example")

    with suppress(TypeError):
        assert KEY.encode() not in pickle.dumps(checkout)
