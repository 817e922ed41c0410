"""A proxy that asks for a password: it is told, and nobody else."""

import gc
import warnings
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import authority
import pytest
from canaries import ENCODED, KEY, PROXY_PASSWORD, PROXY_WORD, channels, leaked
from matrix import SESSION_ID, gateway, observe
from raw import RawServer, tunnels
from resolvers import LeadsHere

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    ConfigurationError,
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
    with warnings.catch_warnings(record=True) as warned:
        del transport, generation, held
        gc.collect()

    assert leaked("\n".join([*shown, *(str(one.message) for one in warned)])) == []


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


# -- the environment's ----------------------------------------------------------------

HOST = "gateway.example"


@pytest.fixture
async def proxy() -> AsyncIterator[RawServer]:
    """A proxy that leads to this machine, whatever is asked for."""
    async with RawServer(tunnels) as server:
        yield server


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a password lie about for everything."""
    path = tmp_path / "netrc"
    path.write_text("default login eve password eve\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


async def look(at: str, environ: Mapping[str, str], **options: Any) -> bytes:  # noqa: ANN401 -- the factory's
    """Make one call to *at*, and return the request that the gateway saw."""
    ends = authority.serving(HOST) if at.startswith("https") else None
    async with (
        RawServer(gateway, ends.server if ends else None) as server,
        aiohttp.TCPConnector(
            resolver=LeadsHere(), ssl=ends.client if ends else True
        ) as connector,
        CheckoutSessionFactory.from_env(
            environ,
            api_key=KEY,
            base_url=f"{at}:{server.base_url.rpartition(':')[2]}",
            connector=connector,
            **options,
        ) as checkout,
    ):
        await checkout.retrieve(SESSION_ID)
    [request] = server.requests
    assert f"\r\nAuthorization: Basic {ENCODED}\r\n".encode() in request
    return request


@pytest.mark.usefixtures("netrc")
async def test_the_environment_s_proxy_is_asked_for_the_way(proxy: RawServer) -> None:
    """It is sent a CONNECT and its password; the key goes through it, and is ours."""
    environ = {"HTTPS_PROXY": with_password(proxy.base_url)}

    seen = await look(f"https://{HOST}", environ, trust_env=True)

    assert proxy.requests[0].startswith(f"CONNECT {HOST}:".encode())
    assert f"Proxy-Authorization: Basic {PROXY_WORD}".encode() in proxy.requests[0]
    assert leaked(seen.decode().replace(ENCODED, "")) == []
    assert len(proxy.requests) == 1


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize(
    ("at", "options", "no_proxy"),
    [
        pytest.param(f"https://{HOST}", {"trust_env": True}, "example", id="no-proxy"),
        pytest.param(f"https://{HOST}", {"trust_env": False}, "", id="not-trusted"),
        pytest.param(f"https://{HOST}", {}, "", id="by-default"),
        pytest.param("http://127.0.0.1", {"trust_env": True}, "", id="this-machine"),
        pytest.param(
            "http://gateway",
            {"trust_env": True, "insecure_hosts": ["gateway"]},
            "",
            id="plain-http",
        ),
    ],
)
async def test_the_environment_s_proxy_is_not_asked(
    proxy: RawServer, at: str, options: dict[str, Any], no_proxy: str
) -> None:
    """What NO_PROXY names, this machine and plain http are called directly."""
    environ = {
        **dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), proxy.base_url),
        "NO_PROXY": no_proxy,
    }

    await look(at, environ, **options)

    assert proxy.connections == 0


async def test_a_proxy_that_is_given_wins(proxy: RawServer) -> None:
    """The argument is what the owner wants here, whatever the environment says."""
    environ = {"HTTPS_PROXY": "no URL", "NO_PROXY": "*"}

    await look(f"https://{HOST}", environ, trust_env=True, proxy=proxy.base_url)

    assert len(proxy.requests) == 1


async def test_the_constructor_reads_the_process_s_environment(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read once, when the factory is built: a change later means nothing."""
    ends = authority.serving(HOST)
    monkeypatch.setenv("https_proxy", proxy.base_url)
    monkeypatch.setenv("no_proxy", "")
    async with RawServer(gateway, ends.server) as server:
        base_url = server.base_url.replace("127.0.0.1", HOST)
        checkout = CheckoutSessionFactory(
            KEY, base_url, trust_env=True, ssl=ends.client
        )
        monkeypatch.delenv("https_proxy")
        async with checkout:
            await checkout.retrieve(SESSION_ID)

    assert (len(proxy.requests), len(server.requests)) == (1, 1)


@pytest.mark.parametrize("name", ["proxy", "HTTPS_PROXY"])
def test_a_proxy_that_is_refused_is_not_shown(name: str) -> None:
    """Neither an argument nor a variable is in an error, or in a frame of ours."""
    value = f"socks5://canary:{PROXY_PASSWORD}@proxy.example"
    with pytest.raises(ConfigurationError, match="http or https URL") as caught:
        CheckoutSessionFactory.from_env(
            {name: value},
            api_key=KEY,
            base_url=f"https://{HOST}",
            proxy=value if name == "proxy" else None,
            trust_env=True,
        )

    assert leaked(channels(caught.value)) == []


def test_trust_is_a_yes_or_a_no() -> None:
    """A word such as "no" would be a yes."""
    with pytest.raises(ConfigurationError, match="trust_env must be a bool"):
        CheckoutSessionFactory(KEY, f"https://{HOST}", trust_env="no")  # type: ignore[arg-type]  # wrong on purpose
