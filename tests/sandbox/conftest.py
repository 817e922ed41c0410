"""A browser without scripts, in front of the sandbox."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from pages import Browser

from convergegate_async.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A gateway whose ids are those of every run: none is called Doe by chance."""
    async with Sandbox(seed=17) as sandbox:
        yield sandbox


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[Browser]:
    """A browser in front of the sandbox."""
    async with aiohttp.ClientSession() as client:
        yield Browser(sandbox, client)
