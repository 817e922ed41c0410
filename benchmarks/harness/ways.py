"""The clients that are set side by side, each as a way to make one `create`."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Any

import aiohttp

from convergegate_async import CheckoutSessionFactory
from harness.calls import (
    FORM,
    KEY,
    PATH,
    by_factory,
    by_hand,
    floor,
    tuned,
    tuned_session,
)
from harness.stub import SESSION
from harness.workers import Call

Way = Callable[[str], AbstractAsyncContextManager[Call]]
"""Takes the gateway's address; a call can be made as long as it is entered."""


@asynccontextmanager
async def _floor(base_url: str) -> AsyncIterator[Call]:
    yield floor(base_url)


@asynccontextmanager
async def _tuned(base_url: str) -> AsyncIterator[Call]:
    async with tuned_session() as session:
        yield tuned(session, base_url)


@asynccontextmanager
async def _by_hand(base_url: str) -> AsyncIterator[Call]:
    async with aiohttp.ClientSession() as session:
        yield by_hand(session, base_url)


@asynccontextmanager
async def _factory(base_url: str) -> AsyncIterator[Call]:
    async with CheckoutSessionFactory(KEY, base_url) as checkout:
        yield by_factory(checkout)


def _stripe(http_client: str) -> Way:
    """Return stripe-python's `checkout.sessions.create` over its *http_client*."""

    @asynccontextmanager
    async def way(base_url: str) -> AsyncIterator[Call]:
        stripe: Any = import_module("stripe")
        stripe.enable_telemetry = False
        http = getattr(stripe, http_client)()
        client = stripe.StripeClient(
            KEY,
            base_addresses={"api": base_url},
            http_client=http,
            max_network_retries=0,
        )
        create = client.v1.checkout.sessions.create_async
        plain = {name: text for name, text in FORM.items() if "[" not in name}

        async def call() -> object:
            return await create(
                {**plain, "payment_method": ["blik"], "metadata": {"order": "A-17"}}
            )

        yield call
        await http.close_async()

    return way


def _openai(http_client: str) -> Way:
    """Return a generated client's way: one `post`, read into a pydantic model."""

    @asynccontextmanager
    async def way(base_url: str) -> AsyncIterator[Call]:
        openai, pydantic = import_module("openai"), import_module("pydantic")
        fields = {name: (type(value), value) for name, value in SESSION.items()}
        session = pydantic.create_model("Session", __base__=openai.BaseModel, **fields)
        async with openai.AsyncOpenAI(
            api_key=KEY,
            base_url=base_url,
            http_client=getattr(openai, http_client)(),
            max_retries=0,
        ) as client:

            async def call() -> object:
                headers = {"Idempotency-Key": uuid.uuid4().hex}
                return await client.post(
                    PATH,
                    body=dict(FORM),
                    cast_to=session,
                    options={"headers": headers},
                )

            yield call

    return way


@asynccontextmanager
async def _httpx(base_url: str) -> AsyncIterator[Call]:
    async with import_module("httpx").AsyncClient(auth=(KEY, "")) as client:

        async def call() -> object:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            answer = await client.post(
                base_url + PATH, data=dict(FORM), headers=headers
            )
            answer.raise_for_status()
            return answer.json()

        yield call


OWN: dict[str, Way] = {
    "asyncio floor": _floor,
    "aiohttp, tuned": _tuned,
    "aiohttp, by hand": _by_hand,
    "factory": _factory,
}
PEERS: dict[str, Way] = {
    "stripe, aiohttp": _stripe("AIOHTTPClient"),
    "openai, aiohttp": _openai("DefaultAioHttpClient"),
    "stripe, httpx": _stripe("HTTPXClient"),
    "openai, httpx": _openai("DefaultAsyncHttpxClient"),
    "httpx, by hand": _httpx,
}
