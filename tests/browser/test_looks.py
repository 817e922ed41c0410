"""Every page and state, on screens wide and narrow, light and dark, as axe sees it."""

import json
from collections.abc import Iterator

import attrs
import pytest
from axe_selenium_python import Axe
from browsing import (
    browser_needed,
    complaints,
    drive,
    hidden_width,
    look_like,
    see,
)
from pages import NASTY, opened
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from convergegate_async import CheckoutSessionRequest, RefundRequest
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

pytestmark = browser_needed

SCREENS = [
    pytest.param(scheme, width, id=f"{scheme}-{width}")
    for scheme in ("light", "dark")
    for width in (375, 1280)
]
RULES = json.dumps({"rules": {"autocomplete-valid": {"enabled": False}}})
"""All but one, which in the axe of Python 3.11 does not know ``one-time-code`` yet."""

NO_HURRY = """
const soon = window.setTimeout;
window.setTimeout = (work, time) => time >= 1000 ? 0 : soon(work, time);
"""


@pytest.fixture
def patient(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A browser whose pages stay: none leads on, or looks again, by itself."""
    script = browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": NO_HURRY}
    )
    yield browser
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def judge(browser: webdriver.Chrome) -> None:
    """Assert that the page keeps nothing from anybody, as far as a program can tell."""
    axe = Axe(browser)
    axe.inject()
    found = axe.run(options=RULES)["violations"]
    assert found == [], axe.report(found)
    assert hidden_width(browser) == 0
    assert complaints(browser) == []


@pytest.mark.parametrize("locale", ["pl", "en"])
@pytest.mark.parametrize(("scheme", "width"), SCREENS)
async def test_everybody_can_pay(  # noqa: PLR0913, PLR0917 -- one row of the table
    scheme: str,
    width: int,
    locale: str,
    patient: webdriver.Chrome,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """No state of a payment has what axe objects to, or is wider than its screen."""
    browser = patient
    order = attrs.evolve(
        order,
        locale=locale,
        cancel_url="https://shop.example/cart",
        customer_lastname="Brzęczyszczykiewicz-Wolfeschlegelsteinhausen",
        metadata={"description": f"{NASTY} {'x' * 90}"},
        amount=123_456_789_012,
    )
    fresh, waiting, paid, expired = (opened(sandbox, order) for _ in range(4))
    sandbox.pay(waiting.id, "300000")
    sandbox.pay(paid.id)
    sandbox.expire(expired.id)

    def story() -> None:
        look_like(browser, scheme=scheme, width=width)
        complaints(browser)
        for session in (waiting, paid, expired):
            browser.get(session.url)
            judge(browser)
        browser.get(f"{sandbox.base_url}/pay/nobody")
        assert len(complaints(browser)) == 1  # it is a 404
        judge(browser)
        browser.get(fresh.url)
        judge(browser)
        browser.find_element(By.CSS_SELECTOR, "summary").click()
        browser.find_element(By.ID, "blik_code").send_keys("12", Keys.ENTER)
        see(browser, {"pl": "Wpisz sześć cyfr", "en": "Type the six"}[locale])
        judge(browser)

    await drive(story)


@pytest.mark.parametrize(("scheme", "width"), SCREENS)
async def test_everybody_can_keep_watch(
    scheme: str,
    width: int,
    patient: webdriver.Chrome,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """Neither has the status page, empty, full or with a problem, nor any session's."""
    browser = patient

    def empty() -> None:
        look_like(browser, scheme=scheme, width=width)
        complaints(browser)
        browser.get(sandbox.base_url)
        judge(browser)

    await drive(empty)
    request = attrs.evolve(
        order,
        notification_url="https://shop.example/hook",
        metadata={"order": f"{NASTY}{'z' * 470}", "n" * 50: "y" * 500},
    )
    async with sandbox.factory() as checkout:
        session = await checkout.create(request, idempotency_key="k" * 200)
        await checkout.pay(session.id, "123456")
        await checkout.refund(RefundRequest(session_id=session.id, amount=100))
    others = [opened(sandbox, request) for _ in range(60)]
    sandbox.expire(others[0].id)
    sandbox.faults.add(Fault(FaultKind.LATENCY, operation="retrieve", times=2))

    def much() -> None:
        browser.get(sandbox.base_url)
        browser.find_element(By.ID, "forget").click()
        judge(browser)
        browser.get(f"{sandbox.base_url}/?q={NASTY}&status=open")
        judge(browser)
        browser.find_element(By.ID, "clock-seconds").send_keys("x", Keys.ENTER)
        see(browser, "The clock moves on")
        assert len(complaints(browser)) == 1  # it is a 400
        judge(browser)
        for one in (session.id, others[0].id, others[1].id):
            browser.get(f"{sandbox.base_url}/sandbox/sessions/{one}")
            for summary in browser.find_elements(By.CSS_SELECTOR, "summary"):
                summary.click()
            judge(browser)
        browser.get(f"{sandbox.base_url}/sandbox/sessions/nobody")
        assert len(complaints(browser)) == 1  # it is a 404
        judge(browser)

    await drive(much)


async def test_what_can_happen_stands_in_one_row(
    patient: webdriver.Chrome, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A code, Pay and Expire are in one line of a desk, no button larger than other."""
    session = opened(sandbox, order)

    def story() -> None:
        look_like(patient, scheme="light", width=1280)
        patient.get(f"{sandbox.base_url}/sandbox/sessions/{session.id}")
        places = [
            patient.find_element(By.ID, name).rect
            for name in ("blik_code", "pay", "expire")
        ]
        middles = {round(one["y"] + one["height"] / 2) for one in places}
        assert max(middles) - min(middles) <= 1
        assert places[1]["height"] == places[2]["height"]

    await drive(story)


BROKEN = """
const short = "td code:not(.path), td a, .facts a, .stacked dd, .counts a";
return [...document.querySelectorAll(short)]
  .filter((one) => one.innerText.length <= 60 && one.getClientRects().length > 0)
  .filter((one) => one.getBoundingClientRect().height
    > 1.9 * parseFloat(getComputedStyle(one).fontSize))
  .map((one) => one.innerText);
"""
"""Which ids, links and short values stand in more than one line.

A path may end a line after a slash.
"""


@pytest.mark.parametrize("width", [320, 375, 1280])
async def test_nothing_that_fits_a_line_is_broken_in_two(
    width: int,
    patient: webdriver.Chrome,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
) -> None:
    """Ids, keys, addresses, counts and masked fields, on both of the owner's pages."""
    request = attrs.evolve(order, notification_url="https://shop.example/hook/17")
    async with sandbox.factory() as checkout:
        session = await checkout.create(request)
        await checkout.pay(session.id, "123456")
    kind = FaultKind.WEBHOOK_DUPLICATE
    sandbox.faults.add(Fault(kind, event="session.completed"))
    sandbox.advance(86400)
    opened(sandbox, request)
    await sandbox.elapse(1)

    def story() -> None:
        look_like(patient, scheme="light", width=width)
        for path in ("/", f"/sandbox/sessions/{session.id}"):
            patient.get(f"{sandbox.base_url}{path}")
            assert patient.execute_script(BROKEN) == []
            assert hidden_width(patient) == 0

    await drive(story)
