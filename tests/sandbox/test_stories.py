"""The page of one session: its story, and what its buttons do."""

import re

import aiohttp
import attrs
import pytest
from pages import NASTY, NBSP, Browser, opened, place

from convergegate_async import (
    CheckoutSessionRequest,
    RefundRequest,
    SessionStatus,
)
from convergegate_async.sandbox import BookedSession
from convergegate_async.webhooks import WebhookReply


@pytest.fixture
async def paid(browser: Browser, order: CheckoutSessionRequest) -> BookedSession:
    """A session that was paid, and partly refunded, by a shop that takes webhooks."""
    sandbox = browser.sandbox

    async def take(*_: object) -> WebhookReply:
        return WebhookReply(204, "")

    sandbox.deliver_by(take)
    request = attrs.evolve(
        order,
        notification_url="https://shop.example/hook",
        metadata={"order": "A-17", "note": f"{NASTY} for john@example.com"},
    )
    async with sandbox.factory() as checkout:
        session = await checkout.create(request, idempotency_key="order-17")
        await checkout.pay(session.id, "123456")
        refund = RefundRequest(session_id=session.id, amount=1050)
        await checkout.refund(refund)
        other = await checkout.create(attrs.evolve(request, metadata=None))
    await sandbox.elapse(1)
    assert other.id != session.id
    return sandbox.book.sessions[session.id]


def story_of(session: BookedSession) -> str:
    """Return the path of a session's page."""
    return f"/sandbox/sessions/{session.id}"


async def test_a_session_s_page_tells_its_whole_story(
    browser: Browser, paid: BookedSession
) -> None:
    """Its fields, requests, events with their deliveries, and refunds; no other's."""
    page = (await browser.get(story_of(paid))).read

    assert page.text_of("h1") == [f"PLN{NBSP}49.99"]
    for text in ("Order A-17", "completed", "notification_url", "metadata[note]"):
        assert text in page.text
    assert page.text.count("POST /v1/checkout/sessions") == 2
    assert page.text.count("POST /v1/refunds") == 1
    assert page.text.count("order-17") == 1
    for event in ("session.created", "session.completed", "refund.created"):
        assert page.text.count(f"Resend {event}") == 1
    assert page.text_of("td", **{"data-label": "Tries"}) == ["1"] * 4
    assert paid.refunds[0].id in page.text
    assert "succeeded" in page.text
    assert page.all("a", href=place(paid))


async def test_a_session_s_page_keeps_its_customer_to_itself(
    browser: Browser, paid: BookedSession
) -> None:
    """Neither names nor codes are shown, in no field and no body; all else is."""
    asked = paid.request

    page = await browser.get(story_of(paid))

    for secret in (
        *(asked.customer_email, asked.customer_phone, asked.customer_lastname),
        *(asked.customer_firstname, "123456"),
    ):
        assert secret not in page.read.text
    assert "[customer_email]" in page.text
    assert f"{NASTY} for [customer_email]" in page.read.text
    assert "amount=4999" in page.read.text
    assert f"metadata[note]={NASTY} for [customer_email]" in page.read.text
    assert f"success_url={asked.success_url}" in page.read.text
    assert NASTY not in page.text


async def test_what_names_the_customer_beside_the_order_is_masked(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The address of webhooks, an idempotency key, and why a refund was refused."""
    request = attrs.evolve(
        order, notification_url="https://shop.example/?to=john%40example.com&is=DOE"
    )
    async with browser.sandbox.factory() as checkout:
        session = await checkout.create(request, idempotency_key="17:john:doe")
    await browser.sandbox.elapse(0)
    form = {"session_id": session.id, "reason": "John wants it: john@example.com"}
    refused = await browser.post(
        "/v1/refunds", form, authorization=f"Bearer {browser.sandbox.api_key}"
    )

    pages = [
        await browser.get(path) for path in ("/", f"/sandbox/sessions/{session.id}")
    ]

    assert refused.status == 400
    for page in pages:
        assert "?to=[customer_email]&is=[customer_lastname]" in page.read.text
        assert "17:[customer_firstname]:[customer_lastname]" in page.read.text
        assert not re.search(r"john|\bdoe\b", page.text, re.IGNORECASE)
    assert "[customer_firstname] wants it: [customer_email]" in pages[1].read.text


async def test_a_body_with_polish_letters_is_shown(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """All but its customer, as with any other letters."""
    request = attrs.evolve(
        order, customer_lastname="Żółć", metadata={"note": "gęś dla: Żółć"}
    )
    async with browser.sandbox.factory() as checkout:
        session = await checkout.create(request)

    page = await browser.get(f"/sandbox/sessions/{session.id}")

    assert "customer_lastname=[customer_lastname]" in page.read.text
    assert "metadata[note]=gęś dla: [customer_lastname]" in page.read.text
    assert "Żółć" not in page.text


async def test_an_order_that_names_its_customer_is_masked(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """On the status page, and on the session's own; the customer sees it as it is."""
    text = "Two tickets for John"
    session = opened(browser.sandbox, order, metadata={"description": text})

    pages = [(await browser.get(path)).read.text for path in ("/", story_of(session))]

    assert all("Two tickets for [customer_firstname]" in page for page in pages)
    assert not any("John" in page for page in pages)
    assert text in (await browser.get(place(session))).read.text


async def test_a_long_order_is_shown_by_its_beginning(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Also one of a single word, which is an id and not cut as a sentence is."""
    session = opened(browser.sandbox, order, metadata={"order": "z" * 300})

    pages = [
        (await browser.get(path)).read.text
        for path in ("/", story_of(session), place(session))
    ]

    assert all("Order zzz" in page and "z…" in page for page in pages)


async def test_an_event_can_be_sent_again(
    browser: Browser, paid: BookedSession
) -> None:
    """From either page: a delivery of the same event is made, and that page shown."""
    sandbox = browser.sandbox
    event = sandbox.deliveries[0].event
    path = f"/sandbox/deliveries/{event.id}/resend"

    here = await browser.post(path, {"from": "session"})
    there = await browser.post(f"{path}?q=x")
    await sandbox.elapse(0)
    nobody = await browser.post("/sandbox/deliveries/none/resend")

    assert (here.status, here.headers["Location"]) == (
        303,
        f"{story_of(paid)}#webhooks",
    )
    assert (there.status, there.headers["Location"]) == (303, "/?q=x#webhooks")
    sent = [one.status for one in sandbox.deliveries if one.event.id == event.id]
    assert sent == [204, 204, 204]
    assert (nobody.status, len(nobody.read.all("p", role="alert"))) == (404, 1)


async def test_a_session_can_be_paid_on_its_page(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A refused code is told, a good one pays once, and then it can be refunded."""
    session = opened(browser.sandbox, order)
    place = story_of(session)

    refused = await browser.post(f"{place}/pay", {"blik_code": "200 000"})
    wrong = await browser.post(f"{place}/pay", {"blik_code": "1"})
    answer = await browser.post(f"{place}/pay", {"blik_code": "123456"})
    page = (await browser.get(place)).read
    again = await browser.post(f"{place}/pay", {"blik_code": "123456"})

    assert [one.status for one in (refused, wrong, again)] == [402, 400, 409]
    assert "The gateway says: the payment was refused." in refused.read.text
    assert "The gateway says: blik_code must be six digits." in wrong.read.text
    assert (answer.status, answer.headers["Location"]) == (303, place)
    assert page.all("form", action=f"{place}/refund")
    assert not page.all("form", action=f"{place}/pay")
    assert session.payments == 1


async def test_a_session_can_expire_on_its_page(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The button expires it once; then it is refused, and none is left."""
    session = opened(browser.sandbox, order)

    answer = await browser.post(f"{story_of(session)}/expire")
    page = (await browser.get(story_of(session))).read
    again = await browser.post(f"{story_of(session)}/expire")

    assert (answer.status, session.status) == (303, SessionStatus.EXPIRED)
    assert "Nothing more: it is expired." in page.text
    assert (again.status, len(again.read.all("p", role="alert"))) == (409, 1)


@pytest.mark.parametrize(
    ("amount", "status", "refunded"),
    [
        ("10.50", 303, 2100),
        (" 10,5 ", 303, 2100),
        ("", 303, 4999),
        ("39.50", 400, 1050),
        ("10.505", 400, 1050),
        ("-1", 400, 1050),
        ("x", 400, 1050),
        ("0", 400, 1050),
    ],
)
async def test_a_refund_is_made_in_major_units(
    amount: str, status: int, refunded: int, browser: Browser, paid: BookedSession
) -> None:
    """A part, or all that is left; what cannot be is told, and what was typed stays."""
    page = await browser.post(f"{story_of(paid)}/refund", {"amount": amount})

    assert (page.status, paid.amount_refunded) == (status, refunded)
    if status == 400:
        assert len(page.read.all("p", role="alert")) == 1
        assert page.read.all("input", name="amount", value=amount)


@pytest.mark.parametrize(
    ("amount", "refunded"),
    [("1.000", 1000), ("1,5", 1500), ("1,000", 0), ("1,234.500", 0), ("12,345", 0)],
)
async def test_a_comma_that_may_part_thousands_is_no_decimal_one(
    amount: str, refunded: int, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Of a currency with three decimals, where 1,000 is one or a thousand."""
    sandbox = browser.sandbox
    session = opened(sandbox, order, amount=99_000_000, currency="kwd")
    sandbox.pay(session.id)

    page = await browser.post(f"{story_of(session)}/refund", {"amount": amount})

    assert session.amount_refunded == refunded
    if not refunded:
        assert page.status == 400
        assert "The amount must not part thousands" in page.read.text


async def test_a_refund_that_is_too_large_is_told_in_major_units(
    browser: Browser, paid: BookedSession
) -> None:
    """As the field beside the message takes them, and not in those of the API."""
    page = await browser.post(f"{story_of(paid)}/refund", {"amount": "39.50"})

    assert f"Only PLN{NBSP}39.49 is left to refund." in page.read.text
    assert "3949" not in page.read.text


@pytest.mark.parametrize("button", ["", "/pay", "/expire", "/refund"])
async def test_a_session_that_nobody_knows_has_no_story(
    button: str, browser: Browser
) -> None:
    """Its page, and every button's answer, is a 404 that says so."""
    path = f"/sandbox/sessions/%3Cscript%3E{button}"

    page = await (browser.post(path) if button else browser.get(path))

    assert page.status == 404
    assert "There is no such session" in page.read.text
    assert not page.read.foreign_scripts()


async def test_a_long_body_is_told_by_its_size(
    browser: Browser, paid: BookedSession
) -> None:
    """A refund of 40 KB that was refused is named on the page, and not searched."""
    form = {"session_id": paid.id, "reason": "a" * 40_000}
    headers = {"Authorization": f"Bearer {browser.sandbox.api_key}"}
    url = f"{browser.sandbox.base_url}/v1/refunds"
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=form, headers=headers) as answer,
    ):
        assert answer.status == 400

    page = await browser.get(story_of(paid))

    assert f"[body of {len(browser.sandbox.seen[-1].body)} bytes]" in page.text
