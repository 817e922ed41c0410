"""What `--debug` tells: all of a call but what is nobody else's business."""

import re

import attrs
import pytest
from canaries import BLIK_CODE, CANARIES, KEY, PERSONAL, SESSION_ID, leaked
from matrix import gateway
from orders import ORDER_FIELDS
from programs import Done, run, shell_needed
from raw import RawServer

from convergegate_async import CheckoutSessionRequest, RefundRequest
from convergegate_async.cli._debug import masked
from convergegate_async.sandbox import Fault, Sandbox

pytestmark = shell_needed

EMAIL, FIRST, LAST, PHONE, NOTE = PERSONAL
NEW = (
    *("create", "--amount", "4999", "--currency", "pln", "--customer-email", EMAIL),
    *("--customer-firstname", FIRST, "--customer-lastname", LAST),
    *("--customer-phone", PHONE, "--success-url", f"https://shop.example/{FIRST}"),
    *("--metadata", f"{NOTE}={NOTE}", "--idempotency-key", "order-17"),
    *("--extra", f"{NOTE}={NOTE}", "--extra", f"__class__[{NOTE}]={NOTE}"),
)
CALLS = {
    "create": NEW,
    "get": ("get", SESSION_ID),
    "pay": ("pay", SESSION_ID),
    "wait": ("wait", SESSION_ID),
    "refund": ("refund", SESSION_ID, "--full", "--metadata", f"note={NOTE}"),
    "refund-status": ("refund-status", SESSION_ID),
}


async def debugged(base_url: str, *words: str) -> Done:
    """Run a command with `--debug`, under a key that must not show up."""
    environ = {"CONVERGEGATE_API_KEY": KEY, "CONVERGEGATE_BASE_URL": base_url}
    return await run(
        None,
        *(*words, "--debug", "--timeout", "20", "--output", "id"),
        stdin=BLIK_CODE,
        environ=environ,
    )


@pytest.mark.parametrize("command", CALLS)
async def test_what_is_told_is_what_is_sent(command: str) -> None:
    """Method, address and every header but the key, letter by letter."""
    async with RawServer(gateway) as server:
        done = await debugged(server.base_url, *CALLS[command])

    assert done.code == 0, done.err
    head = server.requests[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    lines = [line[2:] for line in done.err.splitlines() if line.startswith("> ")]
    headers = [line for line in lines[1:] if ": " in line]
    assert lines[0] == f"{method} {server.base_url}{target}"
    assert "Authorization: Basic [api_key]" in headers
    assert {*headers} - {"Authorization: Basic [api_key]"} <= {*head}
    sent = {line for line in head[1:] if not line.startswith(("Host", "Content-Len"))}
    assert len(sent) == len(headers)


@pytest.mark.parametrize("command", CALLS)
async def test_nothing_that_is_told_is_secret_or_personal(command: str) -> None:
    """Neither the key, nor the code, nor a word of the customer or the metadata."""
    async with RawServer(gateway) as server:
        done = await debugged(server.base_url, *CALLS[command])

    assert b"\r\n\r\n" in server.requests[0]
    assert leaked(done.err) == []
    assert "attempt 1: done, HTTP 200" in done.err


async def test_each_attempt_and_each_pause_is_told() -> None:
    """Number, outcome, failure, status, request id, phases; and the call at the end."""
    faults = [
        Fault("lost", operation="create", times=1),
        Fault("status", operation="create", status=503, retry_after=1, times=1),
    ]
    async with Sandbox(faults=faults) as sandbox:
        done = await run(sandbox, *NEW, "--debug", "--output", "id")

    [session_id] = sandbox.book.sessions
    lines = [line for line in done.err.splitlines() if line.startswith("* ")]
    lines = [re.sub(r"[\d,]+\.\d ms", "N ms", line) for line in lines]
    assert (done.code, done.out) == (0, f"{session_id}\n")
    assert len(lines) == 6
    one, pause, two, other, three, end = lines
    assert re.match(
        r"\* create, attempt 1: unknown, (disconnected|broken) "
        r"\(pool wait N ms, connect N ms\)",
        one,
    )
    assert pause == "* pause of N ms"
    assert two.startswith(
        "* create, attempt 2: unknown, HTTP 503, to be repeated after 1 s, request id"
    )
    assert other == pause
    assert three.startswith("* create, attempt 3: done, HTTP 200, request id req_")
    assert three.endswith("connect N ms, first byte N ms, body N ms)")
    assert end == (
        "* create: done after 3 attempts in N ms, 2 of unknown outcome, "
        "idempotency key order-17"
    )


async def test_a_generated_key_is_told_as_it_is_sent(sandbox: Sandbox) -> None:
    """What is told before the call is what the gateway sees, and the error names."""
    words = [word for word in NEW if word not in {"--idempotency-key", "order-17"}]

    done = await run(sandbox, *words, "--debug")

    key = sandbox.seen[0].idempotency_key
    assert f"> Idempotency-Key: {key}\n" in done.err
    assert key is not None
    assert key in done.out


async def test_what_was_not_sent_is_told_as_such() -> None:
    """The failure's kind stands beside the sentence of the error."""
    done = await debugged("http://127.0.0.1:1", "get", SESSION_ID)

    assert done.code == 5
    assert "attempt 1: not sent, connect" in done.err
    assert "* pause of" in done.err
    assert "Error: retrieve was not sent" in done.err


async def test_looks_are_told_by_their_own_names(sandbox: Sandbox) -> None:
    """After the code come the looks of the wait, each with its number."""
    async with sandbox.factory() as checkout:
        session = await checkout.create(CheckoutSessionRequest(**ORDER_FIELDS))

    done = await run(sandbox, "pay", session.id, "--debug", stdin="012345")

    assert done.code == 0
    assert "> blik_code=[blik_code]\n" in done.err
    assert "* pay, attempt 1: done" in done.err
    assert "* wait, attempt 2: done" in done.err


def test_every_field_that_a_repr_hides_is_told_by_its_name() -> None:
    """A field that is added one day is as safe as its `repr`."""
    changes = {
        "cancel_url": "https://CANARYkey.example",
        "notification_url": "https://CANARYkey.example",
        "customer_ip": "192.0.2.99",
        "customer_country": "PL",
        "metadata": {NOTE: KEY},
    }
    order = CheckoutSessionRequest(**ORDER_FIELDS | changes)
    shown = dict(line.split("=", 1) for line in masked(order))

    for field in attrs.fields(CheckoutSessionRequest):
        value = shown.get(field.name, shown.get(f"{field.name}[…]"))
        if value is not None and not field.repr:
            assert value == f"[{field.name}]"
    assert shown["amount"] == str(order.amount)
    refund = RefundRequest(session_id="s1", full=True, metadata={NOTE: NOTE})
    assert [*masked(refund)] == ["session_id=s1", "metadata[…]=[metadata]"]
    assert not any(word in str(shown) for word in CANARIES)
