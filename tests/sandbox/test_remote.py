"""A sandbox that runs elsewhere, pressed by its control API."""

import pytest
from orders import an_order

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
