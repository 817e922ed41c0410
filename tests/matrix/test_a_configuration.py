"""Group A: what the factory is built with, and where it may be used."""

import asyncio
import math
import os
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import authority
import pytest
from authority import Ends
from canaries import ENCODED, KEY, channels, leaked
from matrix import (
    OPERATIONS,
    SESSION_ANSWER,
    SESSION_ID,
    Observed,
    answer_to,
    call,
    expect_done,
    expect_unsent,
    gateway,
    observe,
)
from raw import Exchange, Handler, RawServer, http, says, tunnels
from resolvers import LeadsHere
from scripted import DONE, ScriptedTransport

from convergegate_async import (
    CheckoutSessionFactory,
    ConfigurationError,
    InvalidFieldError,
    NotSentError,
    PoolLimits,
    Timeouts,
)
from convergegate_async.factory import FactoryOptions

NOT_RUN = {
    "A5": "DESIGN knows no prefix that a key must have: there is nothing to warn of.",
}

URL = "https://gateway.example"
Misuse = Callable[[CheckoutSessionFactory, str], Awaitable[object]]


# -- what the constructor refuses -----------------------------------------------------

KEYS: dict[str, tuple[object, str]] = {
    "A1-empty": ("", "non-empty"),
    "A1-none": (None, "non-empty"),
    "A1-bytes": (KEY.encode(), "non-empty str"),
    "A2-newline": (f"{KEY}\n", "white space"),
    "A2-return": (f"{KEY}\r\n", "white space"),
    "A2-space-before": (f" {KEY}", "white space"),
    "A2-space-inside": (f"{KEY} {KEY}", "white space"),
    "A2-tab": (f"{KEY}\t", "white space"),
    "A3-colon": (f"{KEY}:", "colon"),
    "A4-accent": (f"{KEY}é", "ASCII"),
    "A4-full-width": (f"{KEY}１", "ASCII"),  # noqa: RUF001 -- the point of the row
    "A4-nul": (f"{KEY}\0", "printable"),
}


@pytest.mark.parametrize("fault", KEYS)
def test_a_key_that_cannot_be_right_is_refused(fault: str) -> None:
    """A refusal tells the rule and not the key, on no channel."""
    key, problem = KEYS[fault]

    with pytest.raises(ConfigurationError, match=problem) as caught:
        CheckoutSessionFactory(key, URL)  # type: ignore[arg-type]  # wrong on purpose

    del key
    assert leaked(channels(caught.value)) == []


ADDRESSES = {
    "A6-plain-http": ("http://gateway.example", "https"),
    "A6-upper-case": ("HTTP://gateway.example", "https"),
    "A6-looks-like-loopback": ("http://127.0.0.1.example", "https"),
    "A6-private-network": ("http://10.0.0.1", "https"),
    "A8-user": ("https://user@gateway.example", "user name"),
    "A8-password": ("https://user:password@gateway.example", "user name"),
    "A8-query": ("https://gateway.example/?a=b", "query"),
    "A8-fragment": ("https://gateway.example/#a", "fragment"),
    "A10-link-local": ("https://169.254.169.254", "host"),
    "A10-decimal": ("https://2130706433", "host"),
    "A10-hexadecimal": ("https://0x7f.1", "host"),
}


@pytest.mark.parametrize("fault", ADDRESSES)
def test_an_address_that_cannot_be_right_is_refused(fault: str) -> None:
    """The key goes over TLS, or to this machine, and to no address in disguise."""
    base_url, problem = ADDRESSES[fault]

    with pytest.raises(ConfigurationError, match=problem):
        CheckoutSessionFactory(KEY, base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        pytest.param("http://127.0.0.1:8080", id="A7-address"),
        pytest.param("http://localhost:8080", id="A7-name"),
        pytest.param("http://[::1]:8080", id="A7-version-6"),
    ],
)
def test_plain_http_reaches_this_machine(base_url: str) -> None:
    """Plain http to loopback needs no switch."""
    assert base_url in repr(CheckoutSessionFactory(KEY, base_url))


@pytest.mark.parametrize(
    ("variable", "options"),
    [
        pytest.param("other, GATEWAY.", {}, id="A6-variable"),
        pytest.param("other", {"insecure_hosts": ["gateway"]}, id="A6-argument"),
    ],
)
async def test_plain_http_reaches_a_host_that_is_named(
    variable: str, options: FactoryOptions
) -> None:
    """A sandbox in the next container is called, named by variable or by argument."""
    async with (
        RawServer(gateway) as server,
        aiohttp.TCPConnector(resolver=LeadsHere()) as connector,
    ):
        factory = CheckoutSessionFactory.from_env(
            {"CONVERGEGATE_INSECURE_HOSTS": variable},
            api_key=KEY,
            base_url=server.base_url.replace("127.0.0.1", "gateway"),
            **options | {"connector": connector},
        )
        async with factory as checkout:
            await checkout.retrieve(SESSION_ID)

    assert b"\r\nHost: gateway:" in server.requests[0]


@pytest.mark.parametrize(
    ("key", "proxy"),
    [
        pytest.param("sk_live_x", None, id="A6-live-key"),
        pytest.param("sk_x", None, id="A6-key-of-unknown-kind"),
        pytest.param(KEY, "http://127.0.0.1:1", id="A6-proxy"),
    ],
)
def test_a_named_host_is_no_way_for_everything(key: str, proxy: str | None) -> None:
    """A live key goes by TLS, and nothing in plain goes by a proxy."""
    with pytest.raises(ConfigurationError, match=r"plain http .* (test keys|proxy)"):
        CheckoutSessionFactory(
            key, "http://gateway", insecure_hosts=["gateway"], proxy=proxy
        )


def test_a_named_host_needs_a_certificate_all_the_same() -> None:
    """To name a host opens plain http to it, and no TLS that trusts everybody."""
    with pytest.raises(ConfigurationError, match="ssl"):
        CheckoutSessionFactory(
            KEY, "https://gateway", insecure_hosts=["gateway"], ssl=blind_context()
        )


@pytest.mark.parametrize(
    ("base_url", "prefix"),
    [
        pytest.param(URL, "", id="A9-bare"),
        pytest.param(f"{URL}/", "", id="A9-slash"),
        pytest.param(f"{URL}/shop", "/shop", id="A9-prefix"),
        pytest.param(f"{URL}/shop/", "/shop", id="A9-prefix-slash"),
    ],
)
async def test_a_final_slash_makes_no_difference(base_url: str, prefix: str) -> None:
    """With or without it, the same address is called."""
    transport = ScriptedTransport(DONE)
    async with CheckoutSessionFactory(KEY, base_url, transport=transport) as checkout:
        await checkout.retrieve(SESSION_ID)

    assert transport.sent[0].url == f"{URL}{prefix}/v1/checkout/sessions/{SESSION_ID}"


def blind_context() -> ssl.SSLContext:
    """Return a context that trusts everybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def nameless_context() -> ssl.SSLContext:
    """Return a context that takes anybody's certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def lenient_context() -> ssl.SSLContext:
    """Return a context that does not insist on a certificate."""
    context = nameless_context()
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


CONTEXTS: dict[str, Callable[[], Any]] = {
    "A11-no-certificate": blind_context,
    "A11-no-host-name": nameless_context,
    "A11-optional": lenient_context,
    "A11-false": lambda: False,
}


@pytest.mark.parametrize("fault", CONTEXTS)
def test_tls_that_trusts_everybody_is_refused(fault: str) -> None:
    """What does not check certificate and host name is no protection."""
    with pytest.raises(ConfigurationError, match="ssl"):
        CheckoutSessionFactory(KEY, URL, ssl=CONTEXTS[fault]())


@pytest.mark.parametrize(
    "fault", ["A11-no-certificate", "A11-no-host-name", "A11-optional"]
)
def test_tls_to_this_machine_may_trust_everybody(fault: str) -> None:
    """A test server on loopback may have any certificate."""
    CheckoutSessionFactory(KEY, "https://127.0.0.1:8443", ssl=CONTEXTS[fault]())


DURATIONS = {
    "A19-zero": 0,
    "A19-negative": -1.0,
    "A19-nan": math.nan,
    "A19-infinite": math.inf,
    "A19-true": True,
    "A19-text": "10",
}


@pytest.mark.parametrize("name", ["total", "attempt", "connect"])
@pytest.mark.parametrize("fault", DURATIONS)
def test_a_policy_takes_only_a_duration(fault: str, name: str) -> None:
    """A deadline that is no finite number of seconds above 0 is refused."""
    with pytest.raises(ConfigurationError, match=f"Timeouts.{name}"):
        Timeouts(**{name: DURATIONS[fault]})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", DURATIONS)
async def test_a_call_takes_only_a_duration(fault: str, operation: str) -> None:
    """The deadline of one call is an argument, refused before anything is sent."""
    transport = ScriptedTransport()
    async with CheckoutSessionFactory(KEY, URL, transport=transport) as checkout:
        with pytest.raises(InvalidFieldError, match="timeout"):
            await call(checkout, operation, DURATIONS[fault])  # type: ignore[arg-type]  # wrong on purpose

    assert transport.sent == []


# -- TLS ------------------------------------------------------------------------------

REFUSED_ENDS: dict[str, Callable[[], Ends]] = {
    "A13-expired": authority.expired,
    "A13-self-signed": authority.self_signed,
    "A13-untrusted-authority": authority.untrusted,
    "A13-wrong-host": authority.misnamed,
    "A13-revoked": authority.revoked,
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", REFUSED_ENDS)
async def test_a_certificate_that_cannot_be_trusted(fault: str, operation: str) -> None:
    """Nothing is sent, and one handshake is enough to know."""
    ends = REFUSED_ENDS[fault]()

    observed = await observe(gateway, operation, tls=ends.server, ssl=ends.client)

    expect_unsent(observed, operation)
    assert "certificate" in str(observed.result)
    assert len(ends.hellos) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["A12-tls-1.1-only"])
async def test_a_protocol_that_is_too_old(fault: str, operation: str) -> None:
    """A server without TLS 1.2 is sent nothing."""
    del fault
    ends = authority.outdated()

    observed = await observe(gateway, operation, tls=ends.server, ssl=ends.client)

    expect_unsent(observed, operation)


# -- proxies --------------------------------------------------------------------------

DENIED = http(b"", "407 Proxy Authentication Required")
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["A14-environment-https", "A14-environment-http"])
async def test_the_environment_is_not_asked(
    fault: str, operation: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy or password that lies about takes neither the way nor the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login eve password eve\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    ends = authority.trusted() if fault == "A14-environment-https" else None
    async with RawServer(says(DENIED)) as proxy:
        for name in PROXY_VARIABLES:
            monkeypatch.setenv(name, proxy.base_url)
            monkeypatch.setenv(name.lower(), proxy.base_url)

        observed = await observe(
            says(SESSION_ANSWER),
            operation,
            tls=ends.server if ends else None,
            ssl=ends.client if ends else None,
        )

    expect_done(observed, operation)
    assert proxy.connections == 0
    assert f"Authorization: Basic {ENCODED}".encode() in observed.requests[0]


def expect_refused_by_proxy(observed: Observed, operation: str) -> None:
    """The proxy's no ends the call at once."""
    expect_unsent(observed, operation)
    assert isinstance(observed.result, NotSentError)
    assert observed.result.attempts == 1
    assert "the proxy refused" in str(observed.result)


PROXIES: dict[str, tuple[Handler, Callable[[Observed, str], None]]] = {
    "A14-explicit": (tunnels, expect_done),
    "A15-407": (says(DENIED), expect_refused_by_proxy),
    "A15-502": (says(http(b"", "502 Bad Gateway")), expect_refused_by_proxy),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", PROXIES)
async def test_a_proxy_of_one_s_own(fault: str, operation: str) -> None:
    """It is asked once, given nothing but the way, and believed if it refuses."""
    script, expect = PROXIES[fault]
    ends = authority.trusted()
    async with RawServer(script) as proxy:
        observed = await observe(
            gateway, operation, tls=ends.server, ssl=ends.client, proxy=proxy.base_url
        )

    expect(observed, operation)
    assert len(proxy.requests) == 1
    assert leaked(proxy.requests[0].decode()) == []


# -- where a factory may be used ------------------------------------------------------


async def use_unopened(checkout: CheckoutSessionFactory, operation: str) -> None:
    """Call before opening."""
    await call(checkout, operation)


async def use_closed(checkout: CheckoutSessionFactory, operation: str) -> None:
    """Call after closing."""
    await checkout.open()
    await checkout.aclose()
    await call(checkout, operation)


async def use_in_thread(checkout: CheckoutSessionFactory, operation: str) -> None:
    """Call from another thread, which has a loop of its own."""
    async with checkout:
        await asyncio.to_thread(lambda: asyncio.run(call(checkout, operation)))


async def use_in_fork(checkout: CheckoutSessionFactory, operation: str) -> None:
    """Call in a forked child; what it is answered comes back through a pipe."""
    async with checkout:
        inlet, outlet = os.pipe()
        with warnings.catch_warnings():
            # Newer Pythons warn of forking beside threads; this child only looks.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                call(checkout, operation).send(None)
            except BaseException as error:  # noqa: BLE001 -- the child must not live on
                os.write(outlet, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        os.close(outlet)
        await asyncio.to_thread(os.waitpid, child, 0)
        with os.fdopen(inlet) as answer:
            kind, _, message = answer.read().partition(": ")
    if kind == "ConfigurationError":
        raise ConfigurationError(message)
    raise AssertionError(kind)


MISUSES: dict[str, tuple[Misuse, str]] = {
    "A16-unopened": (use_unopened, "unopened"),
    "A16-closed": (use_closed, "closed"),
    "A17-other-thread": (use_in_thread, "another event loop"),
    "A20-fork": (use_in_fork, "before a fork"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", MISUSES)
async def test_a_factory_is_used_where_it_was_opened(
    fault: str, operation: str
) -> None:
    """Anywhere else it says so at once, and sends nothing."""
    misuse, problem = MISUSES[fault]
    async with RawServer(gateway) as server:
        checkout = CheckoutSessionFactory(KEY, server.base_url)
        with pytest.raises(ConfigurationError, match=problem):
            await misuse(checkout, operation)

    assert server.connections == 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["A17-other-loop"])
def test_a_factory_stays_on_its_loop(fault: str, operation: str) -> None:
    """A second loop of the same thread is refused, instead of hanging."""
    del fault
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        asyncio.Runner() as first,
        asyncio.Runner() as second,
    ):
        base_url = f"http://127.0.0.1:{server.getsockname()[1]}"
        checkout = first.run(CheckoutSessionFactory(KEY, base_url).open())
        with pytest.raises(ConfigurationError, match="another event loop"):
            second.run(call(checkout, operation))
        first.run(checkout.aclose())
        server.settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["A18-two-factories"])
async def test_two_factories_share_nothing(fault: str, operation: str) -> None:
    """Under one key each has its own connections, limit and end."""
    del fault

    async def slow(exchange: Exchange) -> None:
        while True:
            request = await exchange.read_request()
            await both.wait()
            await exchange.write(answer_to(request))

    both = asyncio.Barrier(2)
    only = PoolLimits(limit=1)
    async with (
        RawServer(slow) as server,
        CheckoutSessionFactory(KEY, server.base_url, pool=only) as one,
    ):
        async with CheckoutSessionFactory(KEY, server.base_url, pool=only) as two:
            # Neither is answered until both are there: they do not share a place.
            await asyncio.gather(call(one, operation), call(two, operation))
        both = asyncio.Barrier(1)
        await call(one, operation)

    assert server.connections == 2
    assert len(server.requests) == 3
