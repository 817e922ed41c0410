"""What `--curl` prints: a command that sends what would have been sent."""

import asyncio
import os
import shutil
from pathlib import Path

import attrs
import pytest
import trustme
from canaries import BLIK_CODE, KEY, PROXY_PASSWORD, SESSION_ID, leaked
from matrix import gateway
from programs import Done, run, shell_needed
from raw import RawServer

from convergegate_async.sandbox import Sandbox

pytestmark = shell_needed

NEW = (
    *("create", "--amount", "4999", "--currency", "PLN", "--locale", "pl"),
    *("--customer-email", "o'brien+x@example.com", "--customer-phone", "+48123456789"),
    *("--customer-firstname", '$(exit 1) `x` \\ "', "--customer-lastname", "Żółć"),
    *("--success-url", "https://shop.example/?a=b&c={d}", "--expires-at", "2147483648"),
    *("--metadata", "order=A'17", "--metadata", "empty="),
    *("--extra", "campaign[]=$(exit 1)'", "--extra", "-x=@file"),
)
CALLS = {
    "create": (*NEW, "--idempotency-key", "order-17"),
    "get": ("get", SESSION_ID),
    "pay": ("pay", SESSION_ID),
    "wait": ("wait", SESSION_ID),
    "refund": ("refund", SESSION_ID, "--amount", "5", "--idempotency-key", "refund-1"),
    "refund-status": ("refund-status", SESSION_ID),
}
AS_WORDS = "curl() { printf '%s\\0' \"$@\"; }\n"
"""Has a shell print the words that curl would be given."""


@attrs.frozen
class Sent:
    """A request, as far as both ways can tell it."""

    method: str
    url: str
    headers: frozenset[str]
    body: str


def on_the_wire(request: bytes, base_url: str) -> Sent:
    """Read what a server was sent."""
    head, _, body = request.decode().partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    method, target, _ = first.split(" ")
    own = {line for line in headers if not line.startswith(("Host:", "Content-Length"))}
    return Sent(method, base_url + target, frozenset(own), body)


def by_curl(words: list[str]) -> Sent:
    """Read what curl is told to send."""
    _, method, url, *options = words
    options.remove("--globoff")
    given = [*zip(options[::2], options[1::2], strict=True)]
    headers = {value for name, value in given if name == "-H"}
    [user] = [value for name, value in given if name == "-u"]
    assert {name for name, _ in given} <= {"-H", "-u", "--data-raw", "--noproxy"}
    assert ("--noproxy", "*") in given
    login = __import__("base64").b64encode(user.encode()).decode()
    body = "".join(value for name, value in given if name == "--data-raw")
    return Sent(
        method, url, frozenset({*headers, f"Authorization: Basic {login}"}), body
    )


async def in_a_shell(script: str, **environ: str) -> bytes:
    """Run what was printed, as somebody who pastes it."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-e", "-c", script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **environ},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


async def calling(base_url: str, *words: str, **environ: str) -> Done:
    """Run a command that calls *base_url*."""
    own = {"CONVERGEGATE_API_KEY": KEY, "CONVERGEGATE_BASE_URL": base_url}
    return await run(None, *words, stdin=BLIK_CODE, environ={**own, **environ})


@pytest.mark.parametrize("command", CALLS)
async def test_it_is_what_would_be_sent(command: str) -> None:
    """Method, address, headers and body, as the command itself sends them."""
    async with RawServer(gateway) as server:
        printed = await calling(server.base_url, *CALLS[command], "--curl")
        before = server.connections
        made = await calling(server.base_url, *CALLS[command], "--timeout", "20")

    assert (printed.code, printed.err, before) == (0, "", 0)
    assert made.code == 0, made.err
    secrets = {"CONVERGEGATE_API_KEY": KEY, "BLIK_CODE": BLIK_CODE}
    words = await in_a_shell(AS_WORDS + printed.out, **secrets)
    sent = on_the_wire(server.requests[0], server.base_url)
    assert by_curl(words.decode().split("\0")[:-1]) == sent


@pytest.mark.parametrize("command", CALLS)
async def test_secrets_are_variables(command: str, tmp_path: Path) -> None:
    """Neither the key, nor the code, nor the proxy's password is printed."""
    file = tmp_path / "an authority.pem"
    trustme.CA().cert_pem.write_to_path(file)
    proxy = f"http://canary:{PROXY_PASSWORD}@127.0.0.1:1"
    trust = ("--ca-file", str(file))

    done = await calling(
        "https://gateway.invalid",
        *(*CALLS[command], "--curl", *trust),
        CONVERGEGATE_PROXY=proxy,
    )

    assert (done.code, done.err) == (0, "")
    assert leaked(done.out) == []
    assert '-u "${CONVERGEGATE_API_KEY:?}:"' in done.out
    assert """--proxy "${CONVERGEGATE_PROXY:?}" --noproxy ''""" in done.out
    assert f"--cacert '{file}'" in done.out
    assert ('"blik_code=${BLIK_CODE:?}"' in done.out) is (command == "pay")


@pytest.mark.parametrize(
    "missing", ["CONVERGEGATE_API_KEY", "CONVERGEGATE_PROXY", "BLIK_CODE"]
)
async def test_without_a_variable_nothing_is_sent(missing: str) -> None:
    """An empty proxy would be none for curl, and the call made past it."""
    proxy = {"CONVERGEGATE_PROXY": f"http://canary:{PROXY_PASSWORD}@127.0.0.1:1"}
    printed = await calling("https://gateway.invalid", *CALLS["pay"], "--curl", **proxy)
    own = {"CONVERGEGATE_API_KEY": KEY, "BLIK_CODE": BLIK_CODE, **proxy}

    output = await in_a_shell(
        f"( {AS_WORDS}{printed.out} ) || echo refused", **{**own, missing: ""}
    )

    assert output == b"refused\n"


async def test_a_code_that_is_not_needed_is_not_asked_for() -> None:
    """`pay --curl` reads no stdin, and needs none."""
    done = await run(
        None,
        *("pay", SESSION_ID, "--curl", "--base-url", "https://gateway.invalid"),
        streams="<&-",
        environ={"CONVERGEGATE_API_KEY": KEY},
    )

    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "advice"),
    [
        (("get", "a/b"), 2, "SESSION_ID must be"),
        (("create", "--amount", "1"), 2, "--currency must be given"),
        (("get", "s1", "--base-url", "http://gateway.invalid"), 3, "https"),
        (("get", "s1", "--proxy", "x"), 3, "proxy"),
        (
            ("refund", "s1", "--full", "--idempotency-key", "a b"),
            2,
            "--idempotency-key",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_a_call_that_cannot_be_made_is_not_printed(
    words: tuple[str, ...], code: int, advice: str
) -> None:
    """What would be refused before it is sent is refused here, too."""
    done = await calling("https://gateway.invalid", *words, "--curl")

    assert (done.code, done.out) == (code, "")
    assert advice in done.err


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_it_can_be_pasted(sandbox: Sandbox) -> None:
    """The real curl opens the session that the command would have opened.

    By the same way: the environment's proxy, which would read a key, is not asked.
    """
    environ = {"CONVERGEGATE_API_KEY": sandbox.api_key}
    printed = await run(sandbox, *NEW, "--curl")
    assert not sandbox.seen

    elsewhere = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    await in_a_shell(printed.out, **environ, **elsewhere)
    await run(sandbox, *NEW)

    pasted, made = sandbox.book.sessions.values()
    first, second = (one.idempotency_key for one in sandbox.seen)
    assert pasted.request == made.request
    assert first is not None
    assert first != second
