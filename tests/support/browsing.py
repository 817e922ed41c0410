"""What tests in a real browser share: headless Chromium, driven by its own driver."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

browser_needed = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        None in (CHROMIUM, DRIVER),
        reason="needs Debian's packages chromium and chromium-driver",
    ),
]

SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=800,900"),
)


def start(
    profile: Path, *, hosts: str = "MAP rebound.test 127.0.0.1"
) -> webdriver.Chrome:
    """Start a browser with a profile of its own, and names of machines."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    own = (f"--user-data-dir={profile}", f"--host-resolver-rules={hosts}")
    for switch in (*SWITCHES, *own):
        options.add_argument(switch)
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    return webdriver.Chrome(options=options, service=service)


@contextmanager
def without_scripts(browser: webdriver.Chrome) -> Iterator[None]:
    """Let no page run a script, as who has them switched off."""
    switch = "Emulation.setScriptExecutionDisabled"
    browser.execute_cdp_cmd(switch, {"value": True})
    try:
        yield
    finally:
        browser.execute_cdp_cmd(switch, {"value": False})


def look_like(browser: webdriver.Chrome, *, scheme: str, width: int) -> None:
    """Be a screen of *width* pixels, ``light`` or ``dark``."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def hidden_width(browser: webdriver.Chrome) -> int:
    """Return how much of the page can only be seen by moving it sideways."""
    page = "document.documentElement"
    width = browser.execute_script(f"return {page}.scrollWidth - {page}.clientWidth")
    return int(width)


def complaints(browser: webdriver.Chrome) -> list[object]:
    """Return what the browser has had against pages since it was last asked."""
    return [*browser.get_log("browser")]  # type: ignore[no-untyped-call]  # of selenium


def wait(browser: webdriver.Chrome, condition: Callable[[], object]) -> None:
    """Wait for *condition*; a form's answer takes its time.

    While the page is being left its elements fail as stale, or as no node at all.
    """
    WebDriverWait(browser, 15, ignored_exceptions=[WebDriverException]).until(
        lambda _: condition()
    )


def see(browser: webdriver.Chrome, words: str) -> None:
    """Wait until the page says *words*."""
    wait(browser, lambda: words in browser.find_element(By.TAG_NAME, "main").text)


async def drive(story: Callable[[], None]) -> None:
    """Let the browser act while the sandbox goes on serving."""
    await asyncio.to_thread(story)
