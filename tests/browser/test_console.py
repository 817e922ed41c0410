"""The owner's pages in a real browser: they keep themselves, and their buttons work."""

import time

import attrs
import pytest
from browsing import browser_needed, drive, see, wait, without_scripts
from pages import opened
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from convergegate_async import CheckoutSessionRequest, RefundRequest, SessionStatus
from convergegate_async.sandbox import BookedSession, Fault, FaultKind, Sandbox
from convergegate_async.webhooks import WebhookReply

pytestmark = browser_needed


@pytest.fixture
async def session(sandbox: Sandbox, order: CheckoutSessionRequest) -> BookedSession:
    """A session that was paid, whose shop has had its webhooks."""

    async def take(*_: object) -> WebhookReply:
        return WebhookReply(200, "")

    sandbox.deliver_by(take)
    request = attrs.evolve(order, notification_url="https://shop.example/hook")
    async with sandbox.factory() as checkout:
        created = await checkout.create(request)
        await checkout.pay(created.id, "123456")
    await sandbox.elapse(0)
    return sandbox.book.sessions[created.id]


def place_of(sandbox: Sandbox, session: BookedSession) -> str:
    """Return the address of a session's page."""
    return f"{sandbox.base_url}/sandbox/sessions/{session.id}"


def mark(browser: webdriver.Chrome) -> None:
    """Leave a mark that a page which is loaded anew does not have."""
    browser.execute_script("window.isTheSame = true")


def is_marked(browser: webdriver.Chrome) -> bool:
    """Tell whether the page is still the one that was marked."""
    return bool(browser.execute_script("return window.isTheSame === true"))


@pytest.mark.usefixtures("session")
async def test_the_status_page_keeps_itself_and_what_is_done_there(
    browser: webdriver.Chrome, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """What is new appears; scroll, focus and typed text stay, and nothing is loaded."""
    [*_, last] = sandbox.deliveries
    name = f"resend-{last.event.id}-{len(sandbox.deliveries)}"

    def look_around() -> None:
        browser.set_window_size(800, 500)
        browser.get(sandbox.base_url)
        mark(browser)
        browser.find_element(By.ID, "clock-seconds").send_keys("17")
        browser.find_element(By.ID, "forget").click()
        browser.execute_script(
            "document.getElementById(arguments[0]).focus();"
            "scrollTo(0, document.body.scrollHeight)",
            name,
        )

    await drive(look_around)
    other = opened(sandbox, order, notification_url="https://shop.example/hook")
    sandbox.faults.add(Fault(FaultKind.DRIP))
    await sandbox.elapse(0)

    def look_again() -> None:
        see(browser, other.id)
        see(browser, "drip")
        focused = browser.switch_to.active_element.get_attribute("id")
        typed = browser.find_element(By.ID, "clock-seconds").get_attribute("value")
        assert (focused, typed) == (name, "17")
        assert browser.find_element(By.ID, "forget").get_attribute("open")
        assert browser.execute_script("return scrollY") > 0
        assert is_marked(browser)

    await drive(look_again)


@pytest.mark.parametrize(
    ("place", "selector"),
    [
        ("/", "#sessions td a"),
        ("/", "#requests td a"),
        ("/", "#webhooks td button"),
        ("/sandbox/sessions/{}", "#body-1 > summary"),
        ("/sandbox/sessions/{}", "#body-1 > pre"),
        ("/sandbox/sessions/{}", "#webhooks td button"),
    ],
)
async def test_the_focus_stays_where_it_is(
    place: str,
    selector: str,
    browser: webdriver.Chrome,
    session: BookedSession,
    sandbox: Sandbox,
) -> None:
    """Also on a link, a button or a body, of many, while newer rows come in."""
    for _ in range(60):  # more than a page
        opened(sandbox, session.request)
    await sandbox.elapse(0)

    def focus() -> None:
        browser.get(f"{sandbox.base_url}{place.format(session.id)}")
        mark(browser)
        browser.execute_script(
            "document.querySelectorAll('#body-1').forEach(one => one.open = true);"
            "const all = [...document.querySelectorAll(arguments[0])];"
            "window.chosen = all[all.length >> 1];"
            "window.chosen.focus();"
            "window.row = window.chosen.closest('tr').textContent",
            selector,
        )

    def is_kept() -> bool:
        return bool(
            browser.execute_script(
                "const now = document.activeElement;"
                "return now !== window.chosen && now.tagName === window.chosen.tagName"
                " && now.closest('tr').textContent === window.row"
            )
        )

    await drive(focus)
    async with sandbox.factory() as checkout:
        await checkout.create(session.request)
        await checkout.retrieve(session.id)
    [*_, delivery] = (
        one for one in sandbox.deliveries if one.event.session_id == session.id
    )
    sandbox.resend(delivery.event.id)
    await sandbox.elapse(0)
    await drive(lambda: wait(browser, is_kept))


async def test_a_message_stays(
    browser: webdriver.Chrome, session: BookedSession, sandbox: Sandbox
) -> None:
    """What was wrong with a button is told while the rows below it change."""
    message = "none of the latest"

    def press() -> None:
        browser.get(sandbox.base_url)
        browser.find_element(By.ID, "live").click()
        browser.execute_script(
            "document.querySelector('#webhooks form').action"
            " = '/sandbox/deliveries/none/resend'"
        )
        browser.find_element(By.CSS_SELECTOR, "#webhooks form button").click()
        see(browser, message)

    await drive(press)
    other = opened(sandbox, session.request)

    def look() -> None:
        see(browser, other.id)
        assert message in browser.find_element(By.TAG_NAME, "main").text

    await drive(look)


async def test_a_slow_page_looks_less_often(
    browser: webdriver.Chrome, sandbox: Sandbox
) -> None:
    """A sandbox that has much to search serves its shop first."""
    asked = (
        "return performance.getEntriesByType('resource')"
        ".filter(one => one.initiatorType === 'fetch').length"
    )
    slow = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}

    def look() -> None:
        browser.get(sandbox.base_url)
        browser.execute_cdp_cmd("Network.enable", {})
        command = "Network.emulateNetworkConditions"
        browser.execute_cdp_cmd(command, {**slow, "latency": 700})
        try:
            wait(browser, lambda: browser.execute_script(asked))
            time.sleep(5)
            assert browser.execute_script(asked) == 1
        finally:
            browser.execute_cdp_cmd(command, {**slow, "latency": 0})

    await drive(look)


async def test_updates_can_be_paused(
    browser: webdriver.Chrome, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """While the switch is off the page stays; then it is brought up to date."""

    def pause() -> None:
        browser.get(sandbox.base_url)
        mark(browser)
        browser.find_element(By.ID, "live").send_keys(Keys.SPACE)

    await drive(pause)
    other = opened(sandbox, order)
    asked = "return performance.getEntriesByType('resource').length"

    def go_on() -> None:
        before = browser.execute_script(asked)
        assert other.id not in browser.page_source
        live = browser.find_element(By.ID, "live")
        assert live.get_attribute("aria-pressed") == "false"
        live.send_keys(Keys.SPACE)
        see(browser, other.id)
        assert browser.execute_script(asked) > before
        assert is_marked(browser)

    await drive(go_on)


async def test_a_session_s_page_keeps_what_is_typed_and_opened(
    browser: webdriver.Chrome, session: BookedSession, sandbox: Sandbox
) -> None:
    """A refund that the shop makes appears under a half-typed one of the page."""

    def begin() -> None:
        browser.get(place_of(sandbox, session))
        mark(browser)
        browser.find_element(By.CSS_SELECTOR, "#body-1 summary").click()
        browser.find_element(By.ID, "amount").send_keys("12.3")

    await drive(begin)
    async with sandbox.factory() as checkout:
        await checkout.refund(RefundRequest(session_id=session.id, amount=100))

    def go_on() -> None:
        see(browser, "of PLN 48.99")
        amount = browser.switch_to.active_element
        assert amount.get_attribute("value") == "12.3"
        assert browser.find_element(By.CSS_SELECTOR, "#body-1 pre").is_displayed()
        assert is_marked(browser)
        amount.send_keys("4", Keys.ENTER)
        see(browser, "PLN 12.34")

    await drive(go_on)

    assert session.amount_refunded == 1334


async def test_the_form_of_faults_shows_what_its_kind_has(
    browser: webdriver.Chrome, sandbox: Sandbox
) -> None:
    """Other kinds' fields are hidden, and what is filled in is planned."""

    def story() -> None:
        browser.get(sandbox.base_url)
        fault = browser.find_element(By.ID, "fault")
        status = fault.find_element(By.NAME, "status")
        seconds = fault.find_element(By.NAME, "seconds")
        assert (status.is_displayed(), seconds.is_displayed()) == (True, False)
        Select(browser.find_element(By.ID, "fault-kind")).select_by_value("drip")
        assert (status.is_displayed(), seconds.is_displayed()) == (False, True)
        see(browser, "What goes wrong: answers a byte at a time")
        assert seconds.get_attribute("placeholder") == "0.05"
        seconds.send_keys("0.5", Keys.ENTER)
        see(browser, "drip:seconds=0.5")

    await drive(story)

    assert sandbox.faults.left() == [Fault(FaultKind.DRIP, seconds=0.5, times=1)]


async def test_all_of_it_works_without_scripts(
    browser: webdriver.Chrome,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """Every form and link of the owner's pages does its work as a plain one."""
    session, other = opened(sandbox, order), opened(sandbox, order)

    def press(name: str) -> None:
        browser.find_element(By.ID, name).click()

    def story() -> None:
        with without_scripts(browser):
            browser.get(sandbox.base_url)
            browser.find_element(By.ID, "q").send_keys(session.id)
            press("filter")
            wait(browser, lambda: other.id not in browser.page_source)
            browser.find_element(By.LINK_TEXT, session.id).click()
            see(browser, "What can happen now")
            press("pay")
            see(browser, "completed")
            press("refund")
            see(browser, "paid back")
            browser.get(sandbox.base_url)
            Select(browser.find_element(By.ID, "fault-kind")).select_by_value("lost")
            press("fault-add")
            wait(browser, lambda: browser.find_elements(By.ID, "remove-1"))
            press("remove-1")
            wait(browser, lambda: not browser.find_elements(By.ID, "remove-1"))
            browser.find_element(By.CSS_SELECTOR, "button[value='86400']").click()
            see(browser, "1 expired")
            press("forget")
            press("reset")
            wait(browser, lambda: browser.page_source.count("None yet.") == 4)

    await drive(story)

    assert (session.status, session.amount_refunded) == (SessionStatus.COMPLETED, 4999)
    assert sandbox.book.sessions == {}


async def test_the_pages_work_as_localhost(
    browser: webdriver.Chrome, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Opened as ``localhost`` the pay form and the buttons do the same."""
    session = opened(sandbox, order, success_url=f"{sandbox.base_url}/health")
    by_name = sandbox.base_url.replace("127.0.0.1", "localhost")

    def story() -> None:
        browser.get(f"{by_name}/pay/{session.id}")
        browser.find_element(By.ID, "blik_code").send_keys("123456")
        wait(browser, lambda: session.payments)
        browser.get(by_name)
        see(browser, "completed")
        browser.find_element(By.CSS_SELECTOR, "button[value='3600']").click()
        wait(browser, lambda: sandbox.now() > session.created_at + 3600)
        see(browser, "completed")
        browser.find_element(By.ID, "forget").click()
        browser.find_element(By.ID, "reset").click()
        see(browser, "None yet.")

    await drive(story)

    assert sandbox.book.sessions == {}
