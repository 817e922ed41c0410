"""Webhooks that a shop is handed by a listener, and those that are passed over."""

import asyncio
import json
from pathlib import Path

import pytest
from listeners import OK, REFUSED, Shop, a_body, deliver, listening
from programs import run, shell_needed
from raw import Exchange, RawServer

pytestmark = shell_needed


async def test_a_shop_is_handed_what_came(tmp_path: Path) -> None:
    """Byte for byte and verifiable, and its answer is the answer."""
    file = tmp_path / "events.jsonl"
    body = b"\n" + json.dumps(json.loads(a_body()), indent=2).encode()
    async with (
        Shop(OK, REFUSED) as shop,
        listening("--forward-to", shop.base_url, "--record", str(file)) as listener,
    ):
        statuses = [await deliver(listener.url, body) for _ in range(2)]
        await listener.end()

    assert statuses == [200, 500]
    assert shop.bodies == [body, body]
    assert len(file.read_bytes().splitlines()) == 2
    assert listener.out.count("--> session.completed session_1 [evt_1]\n") == 2
    assert "<-- 200 in " in listener.out
    assert "<-- 500 in " in listener.out


async def test_a_shop_that_is_down_is_told() -> None:
    """The gateway hears 502, and the screen why."""
    async with listening("--forward-to", "http://127.0.0.1:1/x?token=y") as listener:
        status = await deliver(listener.url, a_body())
        await listener.end()

    assert status == 502
    assert "ms: the shop cannot be reached\n" in listener.out
    assert "token" not in listener.out + listener.err


async def test_a_listener_ends_while_a_shop_is_slow() -> None:
    """Its end is not put off, and what was broken off is told."""
    came = asyncio.Event()

    async def shop_that_is_slow(exchange: Exchange) -> None:
        await exchange.read_request()
        came.set()
        await asyncio.Event().wait()

    async with (
        RawServer(shop_that_is_slow) as shop,
        listening("--forward-to", shop.base_url) as listener,
    ):
        sent = asyncio.create_task(deliver(listener.url, a_body()))
        await came.wait()
        code = await listener.end()

        assert (code, await sent) == (0, None)
    assert "<-- 499 in " in listener.out
    assert "Traceback" not in listener.err


@pytest.mark.parametrize(
    ("url", "key", "options", "advice"),
    [
        ("http://shop.invalid/", "sk_test_x", (), "is another machine: add --yes"),
        ("http://shop.invalid/", "sk_live_x", ("--yes",), "by https only"),
        ("shop", "sk_test_x", (), "--forward-to must be a plain http or https URL"),
        ("http://127.0.0.1:8123/", "sk_test_x", ("--port", "8123"), "leads back"),
    ],
)
async def test_a_webhook_leaves_this_machine_only_on_purpose(
    url: str, key: str, options: tuple[str, ...], advice: str, tmp_path: Path
) -> None:
    """As with `send`; and nothing was begun."""
    file = tmp_path / "events.jsonl"

    done = await run(
        *(None, "webhooks", "listen", "--record", str(file)),
        *("--forward-to", url, *options),
        environ={"CONVERGEGATE_API_KEY": key},
    )

    assert (done.code, done.out) == (2, "")
    assert advice in done.err
    assert not file.exists()


async def test_other_events_are_taken_and_passed_over(tmp_path: Path) -> None:
    """They are answered 200, and neither recorded, forwarded nor printed."""
    file = tmp_path / "events.jsonl"
    kinds = ("--events", "session.completed", "--events", "refund.failed")
    async with (
        Shop(OK, OK) as shop,
        listening(
            *kinds, "--record", str(file), "--forward-to", shop.base_url
        ) as listener,
    ):
        for number, kind in enumerate(
            ["session.completed", "session.created", "refund.failed", "new.word"]
        ):
            assert await deliver(listener.url, a_body(number, kind)) == 200
        assert await deliver(listener.url, a_body(9), key="sk_test_other") == 400
        await listener.end()

    wanted = [a_body(0), a_body(2, "refund.failed")]
    assert file.read_bytes().splitlines() == wanted
    assert shop.bodies == wanted
    assert "session.created" not in listener.out
    assert "new.word" not in listener.out
    assert "--> refused: the signature does not match" in listener.out
