"""A sandbox that runs elsewhere, pressed by its control API."""

import pytest
from orders import an_order
from raw import Exchange, RawServer

from convergegate_async import ConfigurationError, NotSentError, SessionStatus
from convergegate_async.sandbox import RemoteSandbox, Sandbox


async def test_it_presses_what_is_elsewhere(sandbox: Sandbox) -> None:
    """Payment and expiry, and what became of each."""
    paid, late = (
        sandbox.book.open_session(an_order(), sandbox.base_url) for _ in range(2)
    )
    async with RemoteSandbox(f"{sandbox.base_url}/", sandbox.api_key) as remote:
        await remote.pay(paid.id)
        await remote.expire(late.id)
        statuses = [await remote.status_of(one.id) for one in (paid, late)]
        now = await remote.now()

    assert statuses == [SessionStatus.COMPLETED, SessionStatus.EXPIRED]
    assert abs(now - sandbox.now()) < 3600


async def test_a_refusal_is_told(sandbox: Sandbox) -> None:
    """In the sandbox's words, and whose they are."""
    async with RemoteSandbox(sandbox.base_url, sandbox.api_key) as remote:
        with pytest.raises(ConfigurationError, match="refuses: no such checkout sess"):
            await remote.pay("none")


async def test_it_has_to_be_open(sandbox: Sandbox) -> None:
    """Before it is entered nothing is sent."""
    with pytest.raises(ConfigurationError, match="is not open"):
        await RemoteSandbox(sandbox.base_url, sandbox.api_key).now()


async def test_an_error_holds_no_key() -> None:
    """Not in its text, and not in what led to it."""
    async with RemoteSandbox("http://127.0.0.1:1", "sk_test_x") as remote:
        with pytest.raises(NotSentError, match="nobody answers") as caught:
            await remote.now()

    assert caught.value.__context__ is None
    assert "sk_test_x" not in str(caught.value)


@pytest.mark.parametrize("session_id", ["a/b", "../clock", "ł?x#y%2F"])
async def test_any_word_is_taken_for_an_id(session_id: str, sandbox: Sandbox) -> None:
    """It leads to no other address; and an answer without a status is no status."""
    async with RemoteSandbox(sandbox.base_url, sandbox.api_key) as remote:
        for ask in (remote.status_of, remote.pay, remote.expire):
            with pytest.raises(ConfigurationError, match="refuses: no such checkout"):
                await ask(session_id)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'404 Not Found|{"error": {"message": "what is this?"}}', "is no sandbox"),
        (b"404 Not Found|", "is no sandbox"),
        (b'200 OK|{"session": {"status": "lost"}}', "is no sandbox: it tells no st"),
        (b'200 OK|{"session": []}', "is no sandbox: it tells no st"),
        (b'409 Conflict|{"error": {"message": "no such resource"}}', "refuses: no su"),
    ],
)
async def test_what_is_no_sandbox_is_told(answer: bytes, message: str) -> None:
    """By the status of its answer, whatever its words are."""
    status, _, body = answer.partition(b"|")

    async def gateway(exchange: Exchange) -> None:
        await exchange.read_request()
        length = str(len(body)).encode()
        await exchange.write(
            b"HTTP/1.1 %b\r\nContent-Length: %b\r\n\r\n%b" % (status, length, body)
        )

    async with (
        RawServer(gateway) as server,
        RemoteSandbox(server.base_url, "sk_test_x") as remote,
    ):
        with pytest.raises(ConfigurationError, match=message):
            await remote.status_of("x")


@pytest.mark.parametrize(
    ("base_url", "api_key", "message"),
    [
        ("http://127.0.0.1:1", "sk_live_canary", "a live key is for no sandbox"),
        ("https://gateway.example", "sk_live_canary", "a live key is for no sandbox"),
        ("http://gateway.example", "sk_live_canary", "a live key is for no sandbox"),
        ("http://gateway.example", "sk_test_canary", "the base URL must be https"),
        ("gateway.example", "sk_test_canary", "the base URL must be absolute"),
        ("http://127.0.0.1:1", "sk_test_canary\n", "the API key must not hold white"),
        ("http://127.0.0.1:1", "", "the API key must be a non-empty str"),
    ],
)
def test_no_key_goes_where_a_factory_would_not_send_it(
    base_url: str, api_key: str, message: str
) -> None:
    """What cannot be right is refused before anything is sent, and without the key."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        RemoteSandbox(base_url, api_key)

    assert "canary" not in str(caught.value)


def test_a_host_that_is_named_may_be_called_in_plain() -> None:
    """A sandbox in the next container, as by a factory."""
    RemoteSandbox("http://gateway:8080", "sk_test_x", insecure_hosts=["gateway"])


async def test_a_refusal_is_fit_to_be_printed() -> None:
    """It moves no cursor, begins no line of its own, and holds no key."""
    answer = b'{"error": {"message": "a\\u001b[2Jb\\nc sk_test_canary", "param": "id"}}'

    async def gateway(exchange: Exchange) -> None:
        await exchange.read_request()
        length = str(len(answer)).encode()
        await exchange.write(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: %b\r\n\r\n%b" % (length, answer)
        )

    async with (
        RawServer(gateway) as server,
        RemoteSandbox(server.base_url, "sk_test_canary") as remote,
    ):
        with pytest.raises(ConfigurationError) as caught:
            await remote.pay("x")

    assert str(caught.value).endswith("refuses: a\ufffd[2Jb\ufffdc [api_key]")
