"""Users may mock our calls with aioresponses, by the bridge that ships."""

import asyncio
import inspect
import re
from collections.abc import Mapping

import aiohttp
import aioresponses.core
import pytest
from aioresponses import aioresponses as unbridged

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    NotSentError,
    OutcomeUnknownError,
    RetryPolicy,
    WebhookEvent,
    WebhookReply,
    WebhookVerifier,
)
from convergegate_async.sandbox import Sandbox, WebhookListener
from convergegate_async.testing import (
    ThreadedSandbox,
    checkout_request,
    mocked_aiohttp,
)

BASE_URL = "https://gateway.example"
SESSIONS = f"{BASE_URL}/v1/checkout/sessions"
SESSION = {"id": "AW-kLcRRC5P8U68CYe0kVA", "status": "open"}


def factory() -> CheckoutSessionFactory:
    """Return a factory that does not pause for long."""
    return CheckoutSessionFactory(
        "sk_test_x", BASE_URL, retry=RetryPolicy(base_delay=0.001)
    )


def test_the_bridge_is_still_needed() -> None:
    """When this fails, aioresponses knows aiohttp 3.14: take the bridge out."""
    source = inspect.getsource(aioresponses.core.RequestMatch._build_response)  # noqa: SLF001 -- only to look
    asked_for = inspect.signature(aiohttp.ClientResponse.__init__).parameters

    assert "stream_writer" in asked_for
    assert "stream_writer" not in source


async def test_a_create_can_be_mocked(order: CheckoutSessionRequest) -> None:
    """A mocked answer becomes a session, and the mock saw the form."""
    async with factory() as checkout:
        with mocked_aiohttp() as gateway:
            gateway.post(SESSIONS, payload=SESSION)
            session = await checkout.create(order)

    ((request,),) = gateway.requests.values()
    assert session.id == SESSION["id"]
    assert b"amount=4999" in request.kwargs["data"]


async def test_a_retry_can_be_mocked(order: CheckoutSessionRequest) -> None:
    """A 429 followed by an answer is one successful call of two attempts."""
    async with factory() as checkout:
        with mocked_aiohttp() as gateway:
            gateway.post(SESSIONS, status=429, headers={"Retry-After": "0"})
            gateway.post(SESSIONS, payload=SESSION)
            session = await checkout.create(order)

    assert session.call.attempts == 2


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        pytest.param(
            aiohttp.ClientConnectorError(
                None,  # type: ignore[arg-type]  # never looked at
                OSError(111, "refused"),
            ),
            NotSentError,
            id="refused",
        ),
        pytest.param(aiohttp.ServerDisconnectedError(), OutcomeUnknownError, id="lost"),
        pytest.param(TimeoutError(), OutcomeUnknownError, id="timeout"),
    ],
)
async def test_only_the_connect_phase_proves_a_mocked_call_unsent(
    broken: Exception, kind: type[CallError], order: CheckoutSessionRequest
) -> None:
    """Where a mock stands in for our marker, the exception's class has to prove it."""
    async with factory() as checkout:
        with mocked_aiohttp() as gateway:
            gateway.post(SESSIONS, exception=broken, repeat=True)
            with pytest.raises(kind) as caught:
                await checkout.create(order)

    assert caught.value.attempts == 3


async def test_without_the_bridge_the_error_names_what_was_raised(
    order: CheckoutSessionRequest,
) -> None:
    """Whoever forgot it reads that no connection failed: a `TypeError` was raised."""
    async with factory() as checkout:
        with unbridged() as gateway:
            gateway.post(SESSIONS, payload=SESSION, repeat=True)
            with pytest.raises(OutcomeUnknownError, match="unforeseen way: TypeError"):
                await checkout.create(order)


async def test_another_gateway_is_passed_through(order: CheckoutSessionRequest) -> None:
    """A sandbox is called, and what else is called is mocked."""
    async with Sandbox() as sandbox, sandbox.factory() as checkout, factory() as other:
        with mocked_aiohttp(passthrough=[sandbox.base_url]) as gateway:
            gateway.post(SESSIONS, payload=SESSION)
            mocked = await other.create(order)
            session = await checkout.create(order)

    assert mocked.id == SESSION["id"]
    assert session.id in sandbox.book.sessions


def test_the_bridge_is_taken_down() -> None:
    """What else of the process uses aioresponses has it as it was."""
    before = aioresponses.core.ClientResponse  # type: ignore[attr-defined]  # not exported
    with mocked_aiohttp():
        pass

    assert aioresponses.core.ClientResponse is before  # type: ignore[attr-defined]  # not exported


async def test_webhooks_of_a_sandbox_reach_their_shop() -> None:
    """A mock of whatever else is called does not take them, and says nothing of one."""
    taken: list[str] = []

    async def take(
        event: WebhookEvent, _body: bytes, _headers: Mapping[str, str]
    ) -> WebhookReply:
        taken.append(event.type)
        return WebhookReply(200, "")

    with ThreadedSandbox() as sandbox:
        verifier = WebhookVerifier(sandbox.api_key)
        async with (
            WebhookListener(verifier, lambda _: None, handler=take) as hooks,
            sandbox.factory() as checkout,
        ):
            request = checkout_request(notification_url=hooks.url)
            with mocked_aiohttp(passthrough=[sandbox.base_url]) as others:
                others.post(re.compile(".*"), status=503, repeat=True)
                await checkout.create(request)
                await asyncio.to_thread(sandbox.delivered, "session.created")

    assert taken == ["session.created"]


async def test_a_mock_for_a_factory_that_has_met_a_gateway() -> None:
    """Its answer repeats some of the request, as real ones do."""
    with ThreadedSandbox() as sandbox:
        async with sandbox.factory() as checkout:
            await checkout.create(checkout_request())
            with mocked_aiohttp() as gateway:
                answer = {"id": "s1", "customer_email": "john@example.com"}
                gateway.post(f"{sandbox.base_url}/v1/checkout/sessions", payload=answer)
                session = await checkout.create(checkout_request())

    assert session.id == "s1"
