"""A proxy that asks for a password: it is told, and nobody else."""

import gc
import warnings

import authority
import pytest
from canaries import KEY, PROXY_PASSWORD, PROXY_WORD, leaked
from matrix import SESSION_ID, gateway, observe
from raw import RawServer, tunnels

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    FailureKind,
    NotSentError,
)
from convergegate_async._core.secret import Secret
from convergegate_async._transport import AiohttpTransport
from convergegate_async.policy import PoolLimits, Timeouts


def with_password(address: str) -> str:
    """Return the address of a proxy with a user and a password in it."""
    return address.replace("://", f"://canary:{PROXY_PASSWORD}@")


async def test_the_proxy_alone_is_told_its_password() -> None:
    """It stands in the CONNECT, and in nothing that the gateway or a log is sent."""
    ends = authority.trusted()
    async with RawServer(tunnels) as proxy:
        observed = await observe(
            gateway,
            "create",
            tls=ends.server,
            ssl=ends.client,
            proxy=with_password(proxy.base_url),
        )

    assert isinstance(observed.result, CheckoutSession)
    assert f"Proxy-Authorization: Basic {PROXY_WORD}".encode() in proxy.requests[0]
    assert b"Proxy-Authorization" not in b"".join(observed.requests)


async def test_the_password_is_in_no_attribute() -> None:
    """Neither the transport, aiohttp's session nor its pool shows it, nor a warning."""
    ends = authority.trusted()
    async with RawServer(tunnels) as proxy, RawServer(gateway, ends.server) as server:
        transport = AiohttpTransport(
            timeouts=Timeouts(),
            pool=PoolLimits(),
            proxy=Secret(with_password(proxy.base_url)),
            ssl=ends.client,
        )
        async with CheckoutSessionFactory(
            KEY, server.base_url, transport=transport
        ) as checkout:
            await checkout.retrieve(SESSION_ID)
            generation = transport._generation  # noqa: SLF001 -- all that it holds
            assert generation is not None
            held = [transport, generation.session, generation.session.connector]
            shown = [f"{one!r} {vars(one)}" for one in held]
    with warnings.catch_warnings(record=True) as told:
        del transport, generation, held
        gc.collect()

    assert leaked("\n".join([*shown, *(str(one.message) for one in told)])) == []


@pytest.mark.parametrize(
    "address", ["http://a:CANARYproxy@[", "http://%3A:b@127.0.0.1"]
)
async def test_a_proxy_that_cannot_be_named_is_sent_nothing(address: str) -> None:
    """An address or a user that is none ends the call, and is not shown."""
    transport = AiohttpTransport(
        timeouts=Timeouts(), pool=PoolLimits(), proxy=Secret(address)
    )
    async with CheckoutSessionFactory(
        KEY, "https://gateway.example", transport=transport
    ) as checkout:
        with pytest.raises(NotSentError) as caught:
            await checkout.retrieve("s1")

    assert caught.value.failure is FailureKind.ADDRESS
    assert caught.value.attempts == 1
    assert leaked(str(caught.value)) == []
