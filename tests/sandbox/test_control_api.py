"""The sandbox for programs in other languages: what they see, and what they press."""

import aiohttp

from convergegate_async import __version__
from convergegate_async.sandbox import Sandbox


async def test_health_needs_no_key(sandbox: Sandbox) -> None:
    """A container's health check knows none; nothing is counted for it."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{sandbox.base_url}/health") as answer,
    ):
        health = await answer.json()

    assert answer.status == 200
    assert health == {"status": "ok", "version": __version__}
    assert not sandbox.seen
