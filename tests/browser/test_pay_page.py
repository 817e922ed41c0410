"""The pay page in a real browser: headless Chromium, driven by its own driver."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import attrs
import pytest
from aiohttp import web
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.ui import WebDriverWait

from convergegate_async import CheckoutSession, CheckoutSessionRequest, SessionStatus
from convergegate_async.sandbox import Sandbox

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
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
    "--host-resolver-rules=MAP rebound.test 127.0.0.1",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
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


@pytest.fixture
async def session(
    sandbox: Sandbox, shop: str, order: CheckoutSessionRequest
) -> CheckoutSession:
    """An open session that comes back to the shop."""
    request = attrs.evolve(
        order,
        customer_firstname="<script>alert(1)</script>",
        success_url=f"{shop}/thanks",
        cancel_url=f"{shop}/cart",
        locale="en",
    )
    async with sandbox.factory() as checkout:
        return await checkout.create(request)


def see(browser: webdriver.Chrome, words: str) -> None:
    """Wait until the page says *words*; a form's answer takes its time.

    While the page is being left its elements fail as stale, or as no node at all.
    """
    WebDriverWait(browser, 15, ignored_exceptions=[WebDriverException]).until(
        lambda page: words in page.find_element(By.TAG_NAME, "main").text
    )


async def drive(story: Callable[[], None]) -> None:
    """Let the browser act while the sandbox goes on serving."""
    await asyncio.to_thread(story)


async def test_a_code_pays_and_leads_back_to_the_shop(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox, shop: str
) -> None:
    """Open the session's page, type a code, see success, land on *success_url*."""

    def story() -> None:
        browser.get(str(session.url))
        assert "SANDBOX" in browser.find_element(By.CLASS_NAME, "ribbon").text
        assert "49.99 PLN" in browser.find_element(By.CLASS_NAME, "amount").text
        browser.find_element(By.ID, "blik_code").send_keys("123456")
        browser.find_element(By.ID, "pay").click()
        see(browser, "Paid")
        WebDriverWait(browser, 15).until(until.url_to_be(f"{shop}/thanks"))
        assert "shop /thanks" in browser.page_source

    await drive(story)

    booked = sandbox.book.sessions[session.id]
    assert (booked.status, booked.payments) == (SessionStatus.COMPLETED, 1)


async def test_a_code_can_be_pasted_as_bank_apps_show_it(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """The field takes all of "123 456", and the browser has nothing against it."""

    def story() -> None:
        browser.get(str(session.url))
        field = browser.find_element(By.ID, "blik_code")
        field.click()
        browser.execute_script("document.execCommand('insertText', false, '123 456')")
        assert field.get_attribute("value") == "123 456"
        assert browser.execute_script("return arguments[0].checkValidity()", field)
        field.send_keys(Keys.ENTER)
        see(browser, "Paid")

    await drive(story)

    assert sandbox.book.sessions[session.id].payments == 1


async def test_the_keyboard_is_enough(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """The field has the focus, Enter pays, and the customer confirms later."""

    def story() -> None:
        browser.get(str(session.url))
        field = browser.switch_to.active_element
        assert field.get_attribute("id") == "blik_code"
        field.send_keys("012345", Keys.ENTER)
        see(browser, "Confirm the payment")
        see(browser, "Paid")

    await drive(story)

    assert sandbox.book.sessions[session.id].payments == 1


async def test_a_refused_code_can_be_followed_by_another(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """A refused code is shown as such, and the session can still be paid."""

    def story() -> None:
        browser.get(str(session.url))
        browser.find_element(By.ID, "blik_code").send_keys("200000")
        browser.find_element(By.ID, "pay").click()
        see(browser, "The bank refused the payment")
        browser.find_element(By.ID, "blik_code").send_keys("123456")
        browser.find_element(By.ID, "pay").click()
        see(browser, "Paid")

    await drive(story)

    assert sandbox.book.sessions[session.id].payments == 1


async def test_cancel_leads_back_unpaid(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox, shop: str
) -> None:
    """Cancel lands on *cancel_url*, and nothing is paid."""

    def story() -> None:
        browser.get(str(session.url))
        browser.find_element(By.ID, "cancel").click()
        WebDriverWait(browser, 15).until(until.url_to_be(f"{shop}/cart"))

    await drive(story)

    assert sandbox.book.sessions[session.id].payments == 0


async def test_a_name_is_text_and_nothing_else(
    browser: webdriver.Chrome, session: CheckoutSession
) -> None:
    """A customer called ``<script>`` is shown, not run."""

    def story() -> None:
        browser.get(str(session.url))
        shown = browser.find_element(By.ID, "customer").text
        assert shown == "<script>alert(1)</script> Doe"
        assert browser.find_elements(By.TAG_NAME, "script") == []
        assert until.alert_is_present()(browser) is False

    await drive(story)


async def test_the_pages_work_as_localhost(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """Opened as ``localhost`` the pay form and every button do the same."""
    by_name = sandbox.base_url.replace("127.0.0.1", "localhost")

    def story() -> None:
        browser.get(f"{by_name}/pay/{session.id}")
        browser.find_element(By.ID, "blik_code").send_keys("123456")
        browser.find_element(By.ID, "pay").click()
        see(browser, "Paid")
        browser.get(by_name)
        see(browser, "completed")
        browser.find_element(By.CSS_SELECTOR, "button[value='3600']").click()
        see(browser, "Its clock shows")
        browser.find_element(By.CSS_SELECTOR, "form.row button").click()
        see(browser, "status")
        browser.find_element(By.ID, "reset").click()
        see(browser, "None yet.")

    await drive(story)

    assert sandbox.book.sessions == {}


async def test_a_page_of_another_site_reads_and_presses_nothing(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox, shop: str
) -> None:
    """Neither by DNS rebinding, nor by a form that another page sends."""
    rebound = sandbox.base_url.replace("127.0.0.1", "rebound.test")
    form = (
        f"document.body.innerHTML = '<form method=post action=\"{sandbox.base_url}"
        "/sandbox/reset\"></form>'; document.forms[0].submit()"
    )

    def story() -> None:
        browser.get(rebound)
        assert session.id not in browser.page_source
        assert "does not answer to this host name" in browser.page_source
        browser.get(shop)
        browser.execute_script(form)
        WebDriverWait(browser, 15).until(until.url_contains("/sandbox/reset"))
        assert "for the sandbox's own pages" in browser.page_source

    await drive(story)

    assert session.id in sandbox.book.sessions


async def test_the_status_page_works_without_scripts(
    browser: webdriver.Chrome,
    session: CheckoutSession,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    """The clock can be moved and the book forgotten with buttons alone."""

    def story() -> None:
        browser.get(sandbox.base_url)
        assert session.id in browser.page_source
        browser.find_element(By.CSS_SELECTOR, "button[value='86400']").click()
        see(browser, "expired")
        assert browser.save_screenshot(str(tmp_path / "status.png"))
        browser.find_element(By.ID, "reset").click()
        see(browser, "None yet.")

    await drive(story)

    assert sandbox.book.sessions == {}
