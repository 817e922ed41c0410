"""A browser, and a shop that its customers come back to."""

from collections.abc import AsyncIterator, Iterator

import browsing
import pytest
from aiohttp import web
from selenium import webdriver


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own."""
    driver = browsing.start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
async def shop() -> AsyncIterator[str]:
    """A shop with a page to come back to."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=f"shop {request.path}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()
