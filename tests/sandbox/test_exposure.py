"""What a stranger can do, with and without each option that opens something.

DESIGN: nothing is opened that was not named, and each name opens one thing only.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest
from matrix import AMPLE
from orders import an_order

from convergegate_async import SessionStatus
from convergegate_async.sandbox import Sandbox
from convergegate_async.sandbox._api import ROUTES
from convergegate_async.sandbox._control_api import CONTROL_ROUTES

OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "host": {"host": "0.0.0.0"},  # noqa: S104 -- the subject
    "allowed_hosts": {"allowed_hosts": ["gateway"]},
    "public_url": {"public_url": "https://pay.example"},
    "webhooks_to": {"webhooks_to": ["shop.example"]},
}
OPTIONS["all"] = {
    name: one for given in OPTIONS.values() for name, one in given.items()
}

LOCAL = {"localhost", "127.0.0.1", "[::1]"}
STRANGE = {
    *("evil.example", "localhost.evil.example", "192.0.2.1", "169.254.169.254"),
    *("0.0.0.0", "shop.example"),  # noqa: S104 -- a name that leads here
}
NAMED = {"allowed_hosts": "gateway", "public_url": "pay.example"}

READ = (
    "/",
    "/pay/{id}",
    "/health",
    "/openapi.json",
    "/sandbox/api/clock",
    "/v1/refunds/x",
)
KEY = "sk_test_sandbox"


def opened(option: str, names: Mapping[str, str]) -> set[str]:
    """Return those of *names* that an option opens."""
    return {name for one, name in names.items() if option in (one, "all")}


@attrs.frozen
class Stranger:
    """Whoever sends what he likes, by the name that he likes."""

    sandbox: Sandbox
    client: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: object = None
    ) -> tuple[int, Mapping[str, str]]:
        """Return status and headers of an answer."""
        async with self.client.request(
            method,
            f"http://127.0.0.1:{urlsplit(self.sandbox.base_url).port}{path}",
            headers=headers,
            data=body,
            allow_redirects=False,
        ) as answer:
            return answer.status, answer.headers


@pytest.mark.parametrize("option", OPTIONS)
async def test_only_names_that_were_given_are_answered(option: str) -> None:
    """Loopback names always; each other by the option that names it."""
    async with Sandbox(**OPTIONS[option]) as sandbox, aiohttp.ClientSession() as client:
        stranger = Stranger(sandbox, client)
        answered = {
            host: {
                (await stranger.ask("GET", path, {"Host": host}))[0] for path in READ
            }
            for host in LOCAL | STRANGE | {*NAMED.values()}
        }

    allowed = LOCAL | opened(option, NAMED)
    assert {host for host, got in answered.items() if got != {421}} == allowed
    assert not any(421 in answered[host] for host in allowed)


@pytest.mark.parametrize("option", OPTIONS)
async def test_only_its_own_pages_press_buttons(option: str) -> None:
    """A form of another origin is refused, whatever was opened, key or no key."""
    origins = ["https://evil.example", "null", "http://shop.example", "http://gateway"]
    async with Sandbox(**OPTIONS[option]) as sandbox, aiohttp.ClientSession() as client:
        stranger = Stranger(sandbox, client)
        session = sandbox.book.open_session(an_order(), sandbox.base_url)
        statuses = {
            (await stranger.ask("POST", path.format(id=session.id), headers, form))[0]
            for origin in origins
            for headers in (
                {"Origin": origin, "Host": "localhost"},
                {
                    "Origin": origin,
                    "Host": "localhost",
                    "Authorization": f"Bearer {KEY}",
                },
            )
            for path, form in (
                ("/pay/{id}", {"blik_code": "123456"}),
                ("/sandbox/reset", {}),
                ("/sandbox/clock", {"seconds": "90000"}),
                ("/sandbox/faults", {"kind": "lost"}),
                ("/sandbox/api/sessions/{id}/pay", {}),
                ("/sandbox/api/sessions/{id}/expire", {}),
                ("/sandbox/api/reset", {}),
            )
        }
        kept = sandbox.book.find_session(session.id)

    assert statuses <= {401, 403}
    assert kept is not None
    assert kept.status is SessionStatus.OPEN


@pytest.mark.parametrize("option", OPTIONS)
async def test_no_page_of_another_site_may_read(option: str) -> None:
    """No answer allows another origin, be it asked first or not."""
    async with Sandbox(**OPTIONS[option]) as sandbox, aiohttp.ClientSession() as client:
        stranger = Stranger(sandbox, client)
        asked = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "GET",
            "Authorization": f"Bearer {KEY}",
        }
        names = [
            name
            for method in ("GET", "OPTIONS")
            for path in READ
            for name in (await stranger.ask(method, path, asked))[1]
        ]

    assert [name for name in names if name.lower().startswith("access-control")] == []


@pytest.mark.parametrize("option", OPTIONS)
async def test_webhooks_go_to_this_machine_or_where_they_were_sent(option: str) -> None:
    """A name by which it is called, or seen, is none that it calls."""
    hosts = [*STRANGE, *NAMED.values(), "localhost"]
    async with Sandbox(frozen=True, **OPTIONS[option]) as sandbox:
        for host in hosts:
            url = f"http://{host}:1/hook"
            with suppress(ValueError):
                order = attrs.evolve(an_order(), notification_url=url)
                sandbox.book.open_session(order, sandbox.base_url)
        await sandbox.elapse(0)
        tried = {
            urlsplit(one.event.url).hostname
            for one in sandbox.deliveries
            if "not sent" not in one.note
        }

    assert tried == {"localhost"} | opened(option, {"webhooks_to": "shop.example"})


TAKING = sorted(
    {route.path for route in ROUTES if route.method == "POST"}
    | {route.path for route in CONTROL_ROUTES if route.method == "POST"}
    | {"/pay/{id}", "/sandbox/clock", "/sandbox/faults"}
)


@pytest.mark.parametrize("path", TAKING)
async def test_a_body_without_an_end_is_cut_off(path: str, sandbox: Sandbox) -> None:
    """It is answered, or hung up on, with and without the key."""
    session = sandbox.book.open_session(an_order(), sandbox.base_url)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**16)

    for headers in ({}, {"Authorization": f"Bearer {KEY}"}):
        async with aiohttp.ClientSession() as client, asyncio.timeout(AMPLE):
            with suppress(aiohttp.ClientError):
                status, _ = await Stranger(sandbox, client).ask(
                    "POST", path.format(id=session.id), headers, endless()
                )
                assert status in {200, 204, 401, 404, 413}


async def test_a_length_that_is_only_said_takes_no_memory() -> None:
    """Who announces a TiB and sends nothing is not waited for beyond the patience."""
    async with Sandbox(patience=0.3) as hasty, asyncio.timeout(AMPLE):
        port = urlsplit(hasty.base_url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /sandbox/api/faults HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer sk_test_sandbox\r\n"
            b"Content-Length: 1099511627776\r\n\r\nhalf"
        )
        answer = await reader.read()
        writer.close()

    assert answer[9:12] in {b"408", b"413"}


async def test_many_idle_connections_leave_room(sandbox: Sandbox) -> None:
    """Beside 500 that say nothing, or half a word, a shop is served as before."""
    port = urlsplit(sandbox.base_url).port
    writers = []
    for number in range(500):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        if number % 2:
            writer.write(b"POST /v1/refunds HTTP/1.1\r\nHost: localhost\r\n")
        writers.append(writer)

    async with sandbox.factory() as checkout:
        sessions = [await checkout.create(an_order()) for _ in range(10)]

    for writer in writers:
        writer.close()
    assert len({session.id for session in sessions}) == 10
