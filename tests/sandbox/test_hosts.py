"""Whom the sandbox answers to: by default nobody but this machine, by its own names."""

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest
from matrix import AMPLE
from orders import an_order

from convergegate_async import (
    CheckoutSessionRequest,
    ConfigurationError,
    SessionStatus,
)
from convergegate_async.sandbox import Sandbox, WebhookListener
from convergegate_async.webhooks import WebhookVerifier

MIB = 2**20
PLACES = [
    *("/", "/pay/x", "/v1/checkout/sessions/x", "/nothing", "/sandbox/reset"),
    *("/health",),
]


async def ask(
    sandbox: Sandbox,
    method: str,
    path: str,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Return status and text of an answer to a request with *headers* as they are."""
    async with (
        aiohttp.ClientSession() as client,
        client.request(
            method,
            f"{sandbox.base_url}{path}",
            headers=headers,
            data=form,
            allow_redirects=False,
        ) as answer,
    ):
        return answer.status, await answer.text()


def port_of(sandbox: Sandbox) -> int:
    """Return where it listens."""
    return urlsplit(sandbox.base_url).port or 0


# -- by which names -------------------------------------------------------------------


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.0.2.1",
        "0.0.0.0",  # noqa: S104 -- a name that leads here
        "me@localhost",
        "",
    ],
)
async def test_a_name_that_was_led_here_reads_nothing(
    host: str, path: str, sandbox: Sandbox
) -> None:
    """DNS rebinding: a request by another's name is a 421, and not even noted."""
    status, text = await ask(sandbox, "GET", path, {"Host": host})

    assert status == HTTPStatus.MISDIRECTED_REQUEST
    assert "does not answer to this host name" in text
    assert "Sessions" not in text
    assert not sandbox.seen


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
async def test_this_machine_has_several_names(host: str, sandbox: Sandbox) -> None:
    """Loopback names and addresses are the sandbox's own, with any port."""
    for port in ("", f":{port_of(sandbox)}", ":1"):
        status, _ = await ask(sandbox, "GET", "/", {"Host": f"{host}{port}"})

        assert status == 200


async def test_further_names_are_the_owner_s_to_give() -> None:
    """What is named by *allowed_hosts* and *public_url* is answered, and no more."""
    async with Sandbox(
        allowed_hosts=["gateway", "Sandbox_1"], public_url="https://pay.example/"
    ) as sandbox:
        statuses = {
            host: (await ask(sandbox, "GET", "/", {"Host": host}))[0]
            for host in (
                *("gateway:8080", "GATEWAY", "sandbox_1", "pay.example", "localhost"),
                *("gateway.evil.example", "example", "other"),
            )
        }

    assert [host for host, status in statuses.items() if status == 200] == [
        *("gateway:8080", "GATEWAY", "sandbox_1", "pay.example", "localhost")
    ]


async def test_another_address_is_the_owner_s_to_open() -> None:
    """With *host* it listens there, and answers to that address, but to no name."""
    async with Sandbox(host="127.0.0.2") as there, Sandbox(host="0.0.0.0") as wide:  # noqa: S104 -- the subject
        assert urlsplit(there.base_url).hostname == "127.0.0.2"
        assert urlsplit(wide.base_url).hostname == "127.0.0.1"
        async with wide.factory() as checkout:
            await checkout.create(an_order())
        status, _ = await ask(wide, "GET", "/", {"Host": "evil.example"})

    assert status == HTTPStatus.MISDIRECTED_REQUEST


async def test_its_own_factory_reaches_it_at_any_address() -> None:
    """A sandbox that listens for other machines is still called by plain http."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only picks a route
        except OSError:
            pytest.skip("this machine has no address but loopback")
        host = probe.getsockname()[0]

    async with Sandbox(host=host) as sandbox, sandbox.factory() as checkout:
        await checkout.create(an_order())

    assert sandbox.count("create") == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"allowed_hosts": ["*"]}, "allowed_hosts must be host names"),
        ({"allowed_hosts": ["shop:8080"]}, "allowed_hosts must be host names"),
        ({"webhooks_to": ["http://shop"]}, "webhooks_to must be host names"),
        ({"host": ""}, "host must be host names"),
        ({"public_url": "pay.example"}, "the public URL must be"),
        ({"public_url": "https://pay.example/sandbox"}, "the public URL must be"),
    ],
)
def test_a_name_that_cannot_be_right_is_refused(
    options: dict[str, object], problem: str
) -> None:
    """The error tells which, when the sandbox is built."""
    with pytest.raises(ConfigurationError, match=problem):
        Sandbox(**options)  # type: ignore[arg-type]  # some are wrong


# -- its own pages --------------------------------------------------------------------


PAGES = [
    # origin, Host header, public URL
    pytest.param("http://localhost:{port}", "localhost:{port}", None, id="localhost"),
    pytest.param("http://127.0.0.1:{port}", "127.0.0.1:{port}", None, id="address"),
    pytest.param("http://[::1]:{port}", "[::1]:{port}", None, id="ipv6"),
    pytest.param("http://localhost", "localhost:80", None, id="port-80"),
    pytest.param("http://localhost:80", "localhost", None, id="no-port"),
    pytest.param("https://localhost:8443", "localhost:8443", None, id="proxy-by-port"),
    pytest.param(
        "https://pay.example", "pay.example", "https://pay.example", id="proxy"
    ),
    pytest.param(
        "https://pay.example:8443",
        "127.0.0.1:{port}",
        "https://pay.example:8443",
        id="proxy-that-names-itself",
    ),
]


@pytest.mark.parametrize(("origin", "host", "public_url"), PAGES)
async def test_a_page_may_press_its_buttons_by_whatever_name_it_was_opened(
    origin: str, host: str, public_url: str | None, order: CheckoutSessionRequest
) -> None:
    """The pay form and every button of the status page work there."""
    async with Sandbox(public_url=public_url) as sandbox:
        session = sandbox.book.open_session(order, sandbox.base_url)
        port = port_of(sandbox)
        headers = {"Origin": origin.format(port=port), "Host": host.format(port=port)}

        statuses = [
            (await ask(sandbox, "POST", path, headers, form))[0]
            for path, form in (
                (f"/pay/{session.id}", {"blik_code": "123456"}),
                ("/sandbox/clock", {"seconds": "60"}),
                ("/sandbox/faults", {"kind": "lost"}),
                ("/sandbox/reset", {}),
            )
        ]

    assert statuses == [303] * 4
    assert session.payments == 1


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:1", "localhost:{port}"),
        ("https://localhost", "localhost"),
        ("https://localhost", "localhost:80"),
        ("https://127.0.0.1", "127.0.0.1"),
        ("http://localhost:{port}", "127.0.0.1:{port}"),
        ("http://gateway:1", "gateway:{port}"),
        ("http://pay.example", "127.0.0.1:{port}"),
        ("https://evil.example", "127.0.0.1:{port}"),
        ("https://evil.example", "pay.example"),
        ("null", "localhost:{port}"),
    ],
)
async def test_a_page_of_another_origin_may_not(
    origin: str, host: str, order: CheckoutSessionRequest
) -> None:
    """Another port, name or scheme is another site, be it on this machine, too."""
    async with Sandbox(
        allowed_hosts=["gateway"], public_url="https://pay.example"
    ) as sandbox:
        session = sandbox.book.open_session(order, sandbox.base_url)
        port = port_of(sandbox)
        headers = {"Origin": origin.format(port=port), "Host": host.format(port=port)}

        status, _ = await ask(
            sandbox,
            "POST",
            f"/pay/{session.id}",
            headers,
            {"blik_code": "123456"},
        )

    assert status == 403
    assert session.status is SessionStatus.OPEN


async def test_pay_links_lead_to_where_browsers_see_it() -> None:
    """Behind a proxy a session's URL is the proxy's, also of a book that was kept."""
    async with (
        Sandbox(public_url="https://pay.example/") as sandbox,
        sandbox.factory() as checkout,
    ):
        session = await checkout.create(an_order())

    assert session.url == f"https://pay.example/pay/{session.id}"


# -- where webhooks go ----------------------------------------------------------------


async def test_webhooks_go_where_the_owner_says_and_nowhere_else() -> None:
    """A host that is named is tried; another is not, and the note says how."""
    async with Sandbox(webhooks_to=["shop.invalid"]) as sandbox:
        for host in ("shop.invalid", "other.invalid", "shop.invalid.other.invalid"):
            request = attrs.evolve(
                an_order(), notification_url=f"https://{host.upper()}/hook"
            )
            sandbox.book.open_session(request, sandbox.base_url)
        sandbox.advance(0)
        async with asyncio.timeout(AMPLE):
            while not any(one.note for one in sandbox.deliveries[:1]):  # noqa: ASYNC110 -- it tells no other way
                await asyncio.sleep(0.01)
            tried, *others = sandbox.deliveries

    assert (tried.attempt > 0, "not sent" in tried.note) == (True, False)
    assert [one.attempt for one in others] == [0, 0]
    assert all("on another machine (see --webhooks-to" in one.note for one in others)


# -- what strangers can fill ----------------------------------------------------------


async def test_a_request_without_the_key_leaves_nothing_big(sandbox: Sandbox) -> None:
    """150 bodies of 1 MiB, with keys and paths of any length, are not kept."""
    body = bytes(MIB - 1)
    path = "/v1/checkout/sessions/" + "x" * 4_000
    async with aiohttp.ClientSession() as client:
        for number in range(150):
            async with client.post(
                f"{sandbox.base_url}{path if number % 2 else path[:21]}",
                data=io.BytesIO(body),
                headers={"Idempotency-Key": "k" * 4_000},
            ) as answer:
                assert answer.status == 401

    assert len(sandbox.seen) == 150
    assert not any(seen.body or seen.idempotency_key for seen in sandbox.seen)
    assert max(len(seen.path) for seen in sandbox.seen) <= 500


async def test_with_the_key_the_newest_bodies_are_kept(sandbox: Sandbox) -> None:
    """All bodies together take 16 MiB; every request stays in the journal."""
    body = "note=" + "x" * (MIB - 10)
    token = base64.b64encode(f"{sandbox.api_key}:".encode()).decode()
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Basic {token}"}
    ) as client:
        for _ in range(20):
            async with client.post(
                f"{sandbox.base_url}/v1/checkout/sessions",
                data=io.BytesIO(body.encode()),
            ) as answer:
                assert answer.status == 400

    kept = [len(seen.body) for seen in sandbox.seen]
    assert kept == [0] * 4 + [len(body)] * 16
    sandbox.reset()
    assert not sandbox.seen


async def test_a_body_that_is_too_big_is_refused_as_all_is(sandbox: Sandbox) -> None:
    """More than a MiB is a 413, in the gateway's error form."""
    async with (
        aiohttp.ClientSession() as client,
        client.post(
            f"{sandbox.base_url}/v1/refunds",
            data=io.BytesIO(bytes(MIB + 1)),
            headers={"Authorization": f"Bearer {sandbox.api_key}"},
        ) as answer,
    ):
        error = (await answer.json())["error"]

    assert answer.status == 413
    assert error["message"] == "the body is too big"


# -- half a request -------------------------------------------------------------------


HEAD = "{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
HALVES = {
    "nothing": "",
    "head": HEAD.format(method="GET", path="/"),
    "call": HEAD.format(method="POST", path="/v1/checkout/sessions")
    + "Authorization: Bearer sk_test_sandbox\r\nContent-Length: 10\r\n\r\nhalf",
    "order": HEAD.format(method="POST", path="/sandbox/api/faults")
    + "Authorization: Bearer sk_test_sandbox\r\nContent-Length: 10\r\n\r\nhalf",
    "form": HEAD.format(method="POST", path="/sandbox/clock")
    + "Content-Length: 10\r\n\r\nhalf",
    "stranger": HEAD.format(method="POST", path="/v1/checkout/sessions")
    + "Content-Length: 10\r\n\r\nhalf",
}


@asynccontextmanager
async def half_sent(url: str, half: str) -> AsyncIterator[asyncio.StreamReader]:
    """Send no more than *half* of a request."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(half.encode())
    try:
        yield reader
    finally:
        writer.close()


@pytest.mark.parametrize("half", HALVES)
async def test_half_a_request_is_not_held_for_ever(half: str) -> None:
    """The connection is closed when the patience is over, with a 408 for a body."""
    async with (
        Sandbox(patience=0.3) as sandbox,
        half_sent(sandbox.base_url, HALVES[half]) as reader,
        asyncio.timeout(AMPLE),
    ):
        answer = await reader.read()

    status = {"nothing": b"", "head": b"", "stranger": b"401"}.get(half, b"408")
    assert answer[9:12] == status


async def test_a_listener_holds_no_half_either() -> None:
    """`webhooks listen` reads a delivery's body within its patience, too."""
    listener = WebhookListener(WebhookVerifier("sk_test_x"), print, patience=0.3)
    half = HEAD.format(method="POST", path="/") + "Content-Length: 10\r\n\r\nhalf"
    async with (
        listener,
        half_sent(listener.url, half) as reader,
        asyncio.timeout(AMPLE),
    ):
        answer = await reader.read()

    assert answer[9:12] == b"408"
