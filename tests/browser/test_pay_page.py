"""The pay page in a real browser, as its customers use it."""

import re
import time

import attrs
import pytest
from browsing import (
    browser_needed,
    complaints,
    drive,
    hidden_width,
    look_like,
    see,
    wait,
    without_scripts,
)
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as until

from convergegate_async import CheckoutSession, CheckoutSessionRequest, SessionStatus
from convergegate_async.sandbox import Sandbox

pytestmark = browser_needed


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
        metadata={"order": "<script>alert(2)</script>"},
    )
    async with sandbox.factory() as checkout:
        return await checkout.create(request)


def code_of(browser: webdriver.Chrome) -> WebElement:
    """Return the field that takes the code."""
    return browser.find_element(By.ID, "blik_code")


def left_on(browser: webdriver.Chrome) -> str:
    """Return the time that the page says is left."""
    return browser.find_element(By.ID, "left").text


def is_at(browser: webdriver.Chrome, place: str) -> None:
    """Wait until the browser has landed on *place*."""
    wait(browser, lambda: browser.current_url == place)


def is_paid(
    browser: webdriver.Chrome, sandbox: Sandbox, session: CheckoutSession
) -> None:
    """Wait until the session is paid, once; the page that says so leads on soon."""
    booked = sandbox.book.sessions[session.id]
    wait(browser, lambda: booked.payments)
    assert (booked.status, booked.payments) == (SessionStatus.COMPLETED, 1)


def paste(browser: webdriver.Chrome, text: str) -> None:
    """Put *text* where the cursor is, as a paste, a keyboard or a message does."""
    browser.execute_cdp_cmd("Input.insertText", {"text": text})


async def test_the_sixth_digit_pays_and_the_page_leads_back_to_the_shop(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox, shop: str
) -> None:
    """Open the session's page, type a code, see success, land on *success_url*."""

    def story() -> None:
        browser.get(str(session.url))
        assert "no real money" in browser.find_element(By.CLASS_NAME, "ribbon").text
        assert "49.99" in browser.find_element(By.CLASS_NAME, "amount").text
        field = code_of(browser)
        field.send_keys("12345")
        assert field.get_attribute("value") == "123 45"
        field.send_keys("6")
        is_at(browser, f"{shop}/thanks")
        assert "shop /thanks" in browser.page_source

    await drive(story)

    booked = sandbox.book.sessions[session.id]
    assert (booked.status, booked.payments) == (SessionStatus.COMPLETED, 1)


@pytest.mark.parametrize(
    "text", ["123 456", "123456\n", " 123-456 ", "kod: 123456", "Kod 123 456, 2 min"]
)
async def test_a_code_can_be_pasted_with_what_is_around_it(
    text: str, browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """The page finds the six digits, and sends them."""

    def story() -> None:
        browser.get(str(session.url))
        code_of(browser).click()
        paste(browser, text)
        is_paid(browser, sandbox, session)

    await drive(story)


async def test_a_message_can_fill_the_code_in(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """What fills the field as a whole, as autofill does, is sent, too."""
    fill = (
        "arguments[0].value = '123456'; arguments[0].dispatchEvent(new Event('input'))"
    )

    def story() -> None:
        browser.get(str(session.url))
        field = code_of(browser)
        assert field.get_attribute("autocomplete") == "one-time-code"
        assert field.get_attribute("inputmode") == "numeric"
        assert field.get_attribute("maxlength") is None
        browser.execute_script(fill, field)
        is_paid(browser, sandbox, session)

    await drive(story)


async def test_the_keyboard_is_enough(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """The field has the focus, Tab goes to Pay and Cancel, and Enter asks for more."""

    def story() -> None:
        browser.get(str(session.url))
        places = []
        for _ in range(3):
            places.append(browser.switch_to.active_element.get_attribute("id"))
            browser.switch_to.active_element.send_keys(Keys.TAB)
        assert places == ["blik_code", "pay", "cancel"]
        code_of(browser).send_keys("12", Keys.ENTER)
        see(browser, "Type the six digits of the code.")
        field = browser.switch_to.active_element
        assert field.get_attribute("id") == "blik_code"
        assert field.get_attribute("aria-invalid") == "true"
        field.send_keys(Keys.BACKSPACE, Keys.BACKSPACE, "300000")
        see(browser, "Confirm the payment")
        browser.find_element(By.ID, "again").send_keys(Keys.ENTER)
        wait(browser, lambda: code_of(browser).is_displayed())
        code_of(browser).send_keys("123456")
        is_paid(browser, sandbox, session)

    await drive(story)


async def test_a_code_can_be_corrected(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """Digits that are taken out or put in the middle keep the cursor where it was."""

    def story() -> None:
        browser.get(str(session.url))
        field = code_of(browser)
        field.send_keys("12845", Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        field.send_keys(Keys.BACKSPACE)
        assert field.get_attribute("value") == "124 5"
        field.send_keys("3")
        assert field.get_attribute("value") == "123 45"
        field.send_keys(Keys.END, "6")
        is_paid(browser, sandbox, session)

    await drive(story)


async def test_a_refused_code_can_be_followed_by_another(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """A refused code is shown as such, and the session can still be paid."""

    def story() -> None:
        browser.get(str(session.url))
        code_of(browser).send_keys("200000")
        see(browser, "The bank refused the payment")
        code_of(browser).send_keys("123456")
        is_paid(browser, sandbox, session)

    await drive(story)


async def test_another_code_that_is_refused_says_so_until_the_next(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """While the first one still waits the message and what is typed stay."""

    def story() -> None:
        browser.get(str(session.url))
        code_of(browser).send_keys("300000")
        see(browser, "Confirm the payment")
        browser.find_element(By.ID, "again").click()
        wait(browser, lambda: code_of(browser).is_displayed())
        code_of(browser).send_keys("200000")
        see(browser, "The bank refused the payment")
        code_of(browser).send_keys("123")
        time.sleep(4)  # the page looks every three seconds
        see(browser, "The bank refused the payment")
        code_of(browser).send_keys("456")
        is_paid(browser, sandbox, session)

    await drive(story)


async def test_cancel_leads_back_unpaid(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox, shop: str
) -> None:
    """Cancel lands on *cancel_url*, and nothing is paid."""

    def story() -> None:
        browser.get(str(session.url))
        browser.find_element(By.ID, "cancel").click()
        is_at(browser, f"{shop}/cart")

    await drive(story)

    assert sandbox.book.sessions[session.id].payments == 0


async def test_all_of_it_works_without_scripts(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox, shop: str
) -> None:
    """A wrong code, one that is confirmed later, and the way back to the shop."""

    def story() -> None:
        with without_scripts(browser):
            browser.get(str(session.url))
            code_of(browser).send_keys("12345", Keys.ENTER)
            see(browser, "Type the six digits of the code.")
            code_of(browser).send_keys("012345")
            browser.find_element(By.ID, "pay").click()
            is_at(browser, f"{shop}/thanks")

    await drive(story)

    assert sandbox.book.sessions[session.id].payments == 1


@pytest.mark.parametrize("typed", ["12", "200000"], ids=["typing", "refused"])
async def test_an_open_page_sees_what_happens_elsewhere(
    typed: str, browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """A session that expires is told as expired, while nobody touches the page."""

    def open_it() -> None:
        browser.get(str(session.url))
        code_of(browser).send_keys(typed)
        see(browser, "Pay with BLIK" if typed == "12" else "The bank refused")

    await drive(open_it)
    sandbox.expire(session.id)
    await drive(lambda: see(browser, "This payment has expired"))

    assert sandbox.counts.total() == 1  # the shop's own; pages are no requests of it


async def test_the_time_that_is_left_is_counted_down(
    browser: webdriver.Chrome, order: CheckoutSessionRequest
) -> None:
    """Seconds are shown in the last hour, and a screen reader tells of the end."""

    def story(url: str) -> None:
        browser.get(url)
        left = browser.find_element(By.ID, "left").text
        assert re.fullmatch("[01]:[0-5][0-9]", left)
        announced = browser.find_element(By.ID, "announced")
        words = "One minute left to pay."
        wait(browser, lambda: announced.get_attribute("textContent") == words)

    async with Sandbox() as sandbox:
        request = attrs.evolve(order, locale="en")
        session = sandbox.book.open_session(request, sandbox.base_url)
        sandbox.advance(24 * 3600 - 64)
        await drive(lambda: story(session.url))


async def test_the_time_that_is_left_follows_the_gateway_s_clock(
    browser: webdriver.Chrome, session: CheckoutSession, sandbox: Sandbox
) -> None:
    """Whoever moves the clock on sees it on a page that is open already."""

    def is_left(pattern: str) -> None:
        wait(browser, lambda: re.fullmatch(pattern, left_on(browser)))

    def open_it() -> None:
        browser.get(str(session.url))
        is_left("23 h 59 min|24 h 0 min")

    await drive(open_it)
    sandbox.advance(23 * 3600 + 58 * 60)
    await drive(lambda: is_left("1:[0-5][0-9]"))


async def test_a_clock_that_stands_still_is_not_counted_down(
    browser: webdriver.Chrome, order: CheckoutSessionRequest
) -> None:
    """Once the page has seen it stand; nor does it ask more often than before."""
    asked = "return performance.getEntriesByType('resource').length"

    def story(url: str) -> None:
        browser.get(url)
        time.sleep(4)  # the page looks every three seconds
        left, before = left_on(browser), browser.execute_script(asked)
        time.sleep(4)
        assert left_on(browser) == left
        assert left in {"0:01", "0:02"}
        assert browser.execute_script(asked) - before <= 2

    async with Sandbox(frozen=True) as sandbox:
        request = attrs.evolve(order, locale="en")
        session = sandbox.book.open_session(request, sandbox.base_url)
        sandbox.advance(24 * 3600 - 2)
        await drive(lambda: story(session.url))


async def test_a_name_is_text_and_nothing_else(
    browser: webdriver.Chrome, session: CheckoutSession
) -> None:
    """A customer or an order called ``<script>`` is shown, not run."""

    def story() -> None:
        complaints(browser)
        browser.get(str(session.url))
        shown = browser.find_element(By.ID, "customer").text
        order = browser.find_element(By.ID, "order").text
        scripts = browser.find_elements(By.TAG_NAME, "script")
        assert shown == "<script>alert(1)</script> Doe"
        assert order == "Order <script>alert(2)</script>"
        assert [script.get_attribute("text") for script in scripts] == [""]
        assert until.alert_is_present()(browser) is False
        assert complaints(browser) == []

    await drive(story)


@pytest.mark.parametrize("width", [320, 375])
async def test_a_phone_shows_the_whole_width(
    width: int, browser: webdriver.Chrome, session: CheckoutSession
) -> None:
    """Nothing has to be moved sideways, with a code in the cells and a message."""

    def story() -> None:
        look_like(browser, scheme="light", width=width)
        browser.get(str(session.url))
        code_of(browser).send_keys("12345", Keys.ENTER)
        see(browser, "Type the six digits")
        scrolled = "return document.getElementById('blik_code').scrollLeft"
        assert hidden_width(browser) == 0
        assert browser.execute_script(scrolled) == 0

    await drive(story)


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
        wait(browser, lambda: "/sandbox/reset" in browser.current_url)
        assert "for the sandbox's own pages" in browser.page_source

    await drive(story)

    assert session.id in sandbox.book.sessions
