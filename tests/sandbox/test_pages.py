"""The sandbox for customers: what a browser is shown of a payment."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import aiohttp
import attrs
import pytest
from pages import NASTY, NASTY_URL, NBSP, Browser, opened, place

from convergegate_async import CheckoutSessionRequest, SessionStatus
from convergegate_async.sandbox import CodeFate, Fault, FaultKind, Sandbox
from convergegate_async.sandbox.site.words import FATES, LANGUAGES
from convergegate_async.webhooks import WebhookReply

BUTTONS = [
    pytest.param("/sandbox/reset", {}, id="reset"),
    pytest.param("/sandbox/clock", {"seconds": "86400"}, id="clock"),
    pytest.param("/sandbox/faults", {"kind": "lost"}, id="faults"),
    pytest.param("/sandbox/faults/remove", {"fault": "webhook_lost"}, id="no-fault"),
    pytest.param("/sandbox/sessions/{id}/pay", {"blik_code": "123456"}, id="paid"),
    pytest.param("/sandbox/sessions/{id}/expire", {}, id="expire"),
    pytest.param("/sandbox/sessions/{id}/refund", {}, id="refund"),
    pytest.param("/sandbox/deliveries/{event}/resend", {}, id="resend"),
    pytest.param("/pay/{id}", {"blik_code": "123456"}, id="pay"),
]
WITHOUT_JINJA = """
import asyncio, sys
sys.modules["jinja2"] = None
import aiohttp
from orders import an_order
from convergegate_async.sandbox import Sandbox

async def main():
    async with Sandbox() as sandbox, sandbox.factory() as checkout:
        session = await checkout.create(an_order())
        async with aiohttp.ClientSession(sandbox.base_url) as browser:
            for path in ("/", f"/pay/{session.id}"):
                page = await browser.get(path)
                print(page.status, page.content_type, await page.text())
            form = {"blik_code": "123456"}
            await browser.post(f"/pay/{session.id}", data=form, allow_redirects=False)
            print("paid", (await browser.get("/sandbox/static/style.css")).status)
            assert sandbox.book.sessions[session.id].payments == 1

asyncio.run(main())
"""


async def met(sandbox: Sandbox, order: CheckoutSessionRequest) -> dict[str, str]:
    """Open a session whose shop has had a webhook, and plan a fault."""

    async def take(*_: object) -> WebhookReply:
        return WebhookReply(200, "")

    sandbox.deliver_by(take)
    session = opened(sandbox, order, notification_url="https://shop.example/hook")
    await sandbox.elapse(0)
    [delivery] = sandbox.deliveries
    sandbox.faults.add(Fault(FaultKind.WEBHOOK_LOST))
    return {"id": session.id, "event": delivery.event.id}


def is_untouched(sandbox: Sandbox, moment: float, *, id: str, event: str) -> bool:  # noqa: A002 -- as in paths
    """Tell whether all is as it was *met* at *moment*."""
    [session] = sandbox.book.sessions.values()
    [delivery] = sandbox.deliveries
    return (
        (session.id, session.status, delivery.event.id) == (id, "open", event)
        and sandbox.now() - moment < 60
        and sandbox.faults.describe() == ["webhook_lost"]
    )


# -- the pay page ---------------------------------------------------------------------


async def test_the_pay_page_asks_for_a_code(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The address of a session shows its amount, its customer, and a form."""
    async with browser.sandbox.factory() as checkout:
        session = await checkout.create(order)
    assert session.url is not None
    path = session.url.removeprefix(browser.sandbox.base_url)

    page = await browser.get(path)

    assert (page.status, path) == (200, f"/pay/{session.id}")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"PLN{NBSP}49.99" in page.read.text
    assert "John Doe" in page.read.text
    assert page.read.all("form", method="post", action=path)
    assert page.read.all("input", name="blik_code", autocomplete="one-time-code")
    assert not page.read.all("p", role="alert")


@pytest.mark.parametrize(
    ("locale", "accepted", "language"),
    [
        ("pl", "", "pl"),
        ("pl-PL", "en", "pl"),
        ("en-GB", "pl", "en"),
        (None, "pl", "pl"),
        (None, "pl-PL,pl;q=0.9,en;q=0.8", "pl"),
        (None, "en-US,en;q=0.9,pl;q=0.8", "en"),
        (None, "de, pl;q=0.5", "pl"),
        ("de", "pl", "pl"),
        (None, "", "en"),
        (None, "de,fr", "en"),
        (None, ";;,,", "en"),
    ],
)
async def test_the_page_speaks_the_customer_s_language(
    locale: str | None,
    accepted: str,
    language: str,
    browser: Browser,
    order: CheckoutSessionRequest,
) -> None:
    """The session's locale decides, then the browser's wish, and then it is English."""
    session = opened(browser.sandbox, order, locale=locale)

    page = await browser.get(place(session), accept_language=accepted)

    pay, amount = {
        "pl": ("Zapłać", f"49,99{NBSP}zł"),
        "en": ("Pay", f"PLN{NBSP}49.99"),
    }[language]
    assert [attributes["lang"] for attributes in page.read.all("html")] == [language]
    assert f"{pay} {amount}" in page.read.text


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "shown"),
    [
        (1, "pln", "pl", f"0,01{NBSP}zł"),
        (100, "pln", "pl", f"1,00{NBSP}zł"),
        (123456789, "pln", "pl", f"1\u202f234\u202f567,89{NBSP}zł"),
        (123456789, "pln", "en", f"PLN{NBSP}1,234,567.89"),
        (1050, "eur", "pl", f"10,50{NBSP}EUR"),
        (500, "jpy", "en", f"JPY{NBSP}500"),
        (1500, "kwd", "pl", f"1,500{NBSP}KWD"),
    ],
)
async def test_amounts_are_shown_in_major_units(  # noqa: PLR0913, PLR0917 -- one row of the table
    amount: int,
    currency: str,
    locale: str,
    shown: str,
    browser: Browser,
    order: CheckoutSessionRequest,
) -> None:
    """Every currency has its digits, Polish its comma and its złoty."""
    session = opened(
        browser.sandbox, order, amount=amount, currency=currency, locale=locale
    )

    page = await browser.get(place(session))

    assert f" {shown}" in page.read.text
    assert f">{shown}<" in page.text


async def test_the_page_lists_the_codes_of_the_sandbox(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A tester finds on the page which code does what."""
    session = opened(browser.sandbox, order)

    text = (await browser.get(place(session))).read.text

    for code in ("123 456", "012 345", "200 000", "300 000", "400 000"):
        assert code in text


async def test_cancel_leads_to_the_shop(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """There is a Cancel link exactly if the request has a *cancel_url*."""
    without = opened(browser.sandbox, order)
    session = opened(
        browser.sandbox, order, cancel_url="https://shop.example/cart?a=1&b"
    )

    page = await browser.get(place(session))
    other = await browser.get(place(without))

    links = page.read.all("a", id="cancel")
    assert [link["href"] for link in links] == ["https://shop.example/cart?a=1&b"]
    assert other.read.all("a", id="cancel") == []


@pytest.mark.parametrize(
    ("changes", "merchant", "line"),
    [
        ({}, "shop.example", "Order A-17"),
        ({"locale": "pl"}, "shop.example", "Zamówienie A-17"),
        ({"metadata": None}, "shop.example", None),
        ({"metadata": {"colour": "red"}}, "shop.example", None),
        ({"extra": {"description": "2 {tickets}"}}, "shop.example", "2 {tickets}"),
        ({"success_url": "http://www.x.pl:8000/?a"}, "x.pl", "Order A-17"),
    ],
    ids=str,
)
async def test_the_page_tells_who_is_paid_and_for_what(
    changes: dict[str, object],
    merchant: str,
    line: str | None,
    browser: Browser,
    order: CheckoutSessionRequest,
) -> None:
    """The shop's host stands for its name, and the order is what the shop calls it."""
    session = opened(browser.sandbox, order, **{"locale": "en"} | changes)

    page = (await browser.get(place(session))).read

    assert page.text_of("p", id="merchant") == [merchant]
    assert page.text_of("p", id="order") == ([] if line is None else [line])


@pytest.mark.parametrize(
    ("locale", "until"),
    [("en", "14 November 2023, 22:13 UTC"), ("pl", "14 listopada 2023, 22:13 UTC")],
)
async def test_the_page_tells_how_long_it_can_be_paid(
    locale: str, until: str, order: CheckoutSessionRequest
) -> None:
    """The time has its zone, and what is left goes by the gateway's clock."""
    async with (
        Sandbox(now=lambda: 1_699_913_600.0) as sandbox,
        aiohttp.ClientSession() as client,
    ):
        session = opened(sandbox, order, locale=locale)
        sandbox.advance(3600)
        page = (await Browser(sandbox, client).get(place(session))).read

    assert page.text_of("time", id="until") == [until]
    assert page.all("time", datetime="2023-11-14T22:13:20Z")
    assert page.all("span", id="left", **{"data-seconds": str(23 * 3600)})


async def test_a_polish_page_is_polish(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Its mark and its table of codes are, too."""
    session = opened(browser.sandbox, order, locale="pl")

    text = (await browser.get(place(session))).read.text

    assert "Tryb testowy · bez prawdziwych pieniędzy" in text
    assert "bank odrzuca płatność" in text
    assert not re.search("sandbox|paid|refused|code", text, re.IGNORECASE)


def test_both_languages_say_the_same() -> None:
    """No text of one is missing in the other, and each fate of a code has its words."""
    english, polish = LANGUAGES["en"], LANGUAGES["pl"]

    assert english.keys() == polish.keys()
    assert [set(fates) for fates in FATES.values()] == [set(CodeFate)] * 2
    assert all(polish.values())
    assert [
        key for key in english if english[key].count("{}") != polish[key].count("{}")
    ] == []


@pytest.mark.parametrize("path", ["/sandbox/sessions/A{}", "/A{}", "/?q=A{}"])
async def test_no_page_holds_control_characters(path: str, browser: Browser) -> None:
    """Of an address they are shown as the sign for what cannot be."""
    controls = "%00%1b[31m%9f%c2%9f"

    page = await browser.get(path.format(controls), accept="text/html")

    assert "A\ufffd\ufffd[31m" in page.text
    assert not re.search(r"[\x00\x1b\x9f]", page.text)


# -- a code ---------------------------------------------------------------------------


async def test_a_code_is_taken(browser: Browser, order: CheckoutSessionRequest) -> None:
    """After a good code the browser is sent back to the page, which says: paid."""
    session = opened(browser.sandbox, order)

    answer = await browser.post(place(session), {"blik_code": "123456"})
    page = await browser.get(answer.headers["Location"])

    assert (answer.status, answer.headers["Location"]) == (303, place(session))
    assert (session.status, session.payments) == (SessionStatus.COMPLETED, 1)
    assert "Paid" in page.read.text


@pytest.mark.parametrize(
    "text", [" 123 456", "123456\n", "123-456", "kod: 123456", "Kod BLIK 123 456."]
)
async def test_a_code_may_be_pasted_as_it_was_shown(
    text: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Bank apps show codes as "123 456", and some put words around them."""
    session = opened(browser.sandbox, order)

    answer = await browser.post(place(session), {"blik_code": text})

    assert answer.status == 303
    assert session.payments == 1


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"blik_code": ""},
        {"blik_code": "12345"},
        {"blik_code": "1234567"},
        {"blik_code": "12345a"},
        {"blik_code": "12 34 56"},
        {"blik_code": "1 123 456"},
        {"blik_code": "\uff11\uff12\uff13\uff14\uff15\uff16"},
        {"code": "123456"},
        {"blik_code": NASTY},
    ],
    ids=ascii,
)
@pytest.mark.parametrize(
    ("locale", "words"),
    [("en", "Type the six digits"), ("pl", "Wpisz sześć cyfr")],
    ids=["en", "pl"],
)
async def test_a_malformed_code_is_asked_for_again(
    locale: str,
    words: str,
    form: Mapping[str, str],
    browser: Browser,
    order: CheckoutSessionRequest,
) -> None:
    """What is not six digits is a 400 with an alert and the form; nothing is paid."""
    session = opened(browser.sandbox, order, locale=locale)

    page = await browser.post(place(session), form)

    assert page.status == 400
    assert page.read.all("p", role="alert")
    assert words in page.read.text
    assert page.read.all("input", name="blik_code")
    assert NASTY not in page.text
    assert (session.status, session.payments) == (SessionStatus.OPEN, 0)


@pytest.mark.parametrize(
    ("code", "locale", "words"),
    [
        ("200000", "en", "The bank refused the payment"),
        ("200000", "pl", "Bank odrzucił płatność"),
        ("400000", "en", "The code has expired"),
        ("400000", "pl", "Kod wygasł"),
    ],
)
async def test_a_refused_code_leaves_the_session_open(
    code: str, locale: str, words: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A decline is a 402 that says why, and the next code is taken."""
    session = opened(browser.sandbox, order, locale=locale)

    page = await browser.post(place(session), {"blik_code": code})
    status = session.status
    again = await browser.post(place(session), {"blik_code": "123456"})

    assert page.status == 402
    assert page.read.all("p", role="alert")
    assert words in page.read.text
    assert page.read.all("input", name="blik_code")
    assert status is SessionStatus.OPEN
    assert again.status == 303
    assert session.payments == 1


async def test_a_paid_session_takes_no_second_code(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A code for a final session leads to the page that says how it ended."""
    paid, expired = opened(browser.sandbox, order), opened(browser.sandbox, order)
    await browser.post(place(paid), {"blik_code": "123456"})
    browser.sandbox.advance(24 * 3600)

    answers = [
        await browser.post(place(session), {"blik_code": "123456"})
        for session in (paid, expired)
    ]

    assert [answer.status for answer in answers] == [303, 303]
    assert (paid.payments, expired.payments) == (1, 0)


async def test_a_code_for_nothing_is_a_404(browser: Browser) -> None:
    """A code for a session that nobody knows is not taken."""
    page = await browser.post("/pay/nobody", {"blik_code": "123456"})

    assert page.status == 404
    assert "There is no such payment" in page.read.text


# -- the other pages ------------------------------------------------------------------


async def test_the_waiting_page_looks_by_itself(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Until the customer confirms the page reloads every second; then it is paid."""
    session = opened(browser.sandbox, order)
    await browser.post(place(session), {"blik_code": "012345"})

    waiting = await browser.get(place(session))
    browser.sandbox.advance(2)
    paid = await browser.get(place(session))

    assert waiting.read.all("meta", **{"http-equiv": "refresh", "content": "1"})
    assert waiting.read.all("p", role="status")
    assert "Confirm the payment" in waiting.read.text
    assert not waiting.read.all("input")
    assert "Paid" in paid.read.text


async def test_a_customer_who_waits_can_use_another_code(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The waiting page links to the form, which does not reload under one's hands."""
    session = opened(browser.sandbox, order)
    await browser.post(place(session), {"blik_code": "300000"})
    waiting = await browser.get(place(session))
    [link] = waiting.read.all("a")

    page = await browser.get(str(link["href"]))
    await browser.post(place(session), {"blik_code": "123456"})

    assert page.read.all("input", name="blik_code")
    assert not page.read.all("meta", **{"http-equiv": "refresh"})
    assert session.payments == 1


async def test_the_success_page_leads_to_the_shop(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A link and a refresh lead to the *success_url*."""
    session = opened(browser.sandbox, order, locale="pl")
    await browser.post(place(session), {"blik_code": "123456"})

    page = await browser.get(place(session))

    target = "https://shop.example/thanks"
    assert page.status == 200
    assert [link["href"] for link in page.read.all("a", id="back")] == [target]
    assert page.read.all(
        "meta", **{"http-equiv": "refresh", "content": f"2;url={target}"}
    )
    assert "Zapłacono" in page.read.text
    assert f"49,99{NBSP}zł" in page.read.text


@pytest.mark.parametrize(
    ("locale", "words"),
    [("en", "This payment has expired"), ("pl", "Ta płatność wygasła")],
)
async def test_an_expired_session_says_so(
    locale: str, words: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The page of an expired session has no form, and a way back if there is one."""
    session = opened(
        browser.sandbox, order, locale=locale, cancel_url="https://shop.example/cart"
    )
    browser.sandbox.advance(24 * 3600)

    page = await browser.get(place(session))

    assert words in page.read.text
    assert not page.read.all("form")
    assert [link["href"] for link in page.read.all("a")] == [
        "https://shop.example/cart"
    ]


@pytest.mark.parametrize(
    ("accepted", "words"),
    [("en", "There is no such payment"), ("pl", "Nie ma takiej płatności")],
)
@pytest.mark.parametrize("path", ["/pay/nobody", "/pay/%3Cscript%3E", "/pay/..%2f"])
async def test_an_unknown_session_says_so(
    path: str, accepted: str, words: str, browser: Browser
) -> None:
    """Who has a wrong address is told so, in the language of the browser."""
    page = await browser.get(path, accept_language=accepted)

    assert page.status == 404
    assert words in page.read.text
    assert not page.read.foreign_scripts()


# -- nobody else's words and hands ----------------------------------------------------


async def test_no_word_of_a_customer_becomes_markup(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Names, addresses and paths are shown as they are, and nothing runs."""
    sandbox = browser.sandbox
    nasty = attrs.evolve(
        order,
        customer_firstname=NASTY,
        customer_lastname="\" onload='alert(1)' & <b>",
        success_url=NASTY_URL,
        cancel_url=NASTY_URL,
        notification_url=NASTY_URL,
    )
    async with sandbox.factory() as checkout:
        created = await checkout.create(nasty)
    session = sandbox.book.sessions[created.id]
    await browser.get("/v1/%3Cscript%3Ealert(1)")

    pages = [await browser.get(place(session))]
    pages.append(await browser.post(place(session), {"blik_code": "200000"}))
    await browser.post(place(session), {"blik_code": "300000"})
    pages.append(await browser.get(place(session)))
    pages.append(await browser.get(f"{place(session)}?again={NASTY}"))
    await browser.post(place(session), {"blik_code": "123456"})
    pages.append(await browser.get(place(session)))
    expired = opened(sandbox, nasty)
    sandbox.advance(24 * 3600)
    pages.append(await browser.get(place(expired)))
    pages.append(await browser.get("/"))

    for page in pages:
        tags = {tag for tag, _ in page.read.elements}
        names = {name for _, attributes in page.read.elements for name in attributes}
        assert NASTY not in page.text
        assert not page.read.foreign_scripts()
        assert not {"b", "iframe", "img"} & tags
        assert not [name for name in names if name.startswith("on")]
    form, _, _, _, paid, late, status = (page.read for page in pages)
    assert f"{NASTY} {nasty.customer_lastname}" in form.text
    assert [link["href"] for link in form.all("a", id="cancel")] == [NASTY_URL]
    assert [link["href"] for link in paid.all("a", id="back")] == [NASTY_URL]
    assert paid.all("meta", content=f"2;url={NASTY_URL}")
    assert [link["href"] for link in late.all("a")] == [NASTY_URL]
    assert "/v1/<script>alert(1)" in status.text
    assert NASTY_URL.replace(NASTY, "[customer_firstname]") in status.text


async def test_every_page_runs_the_sandbox_s_own_files_only(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The headers of every page let nothing else run, and no other page frame it."""
    paid, other = opened(browser.sandbox, order), opened(browser.sandbox, order)
    await browser.post(place(paid), {"blik_code": "123456"})

    pages = [
        await browser.get("/"),
        await browser.get(place(paid)),
        await browser.get(place(other)),
        await browser.get("/pay/nobody"),
        await browser.post(place(other), {"blik_code": "1"}),
        await browser.post(place(other), {"blik_code": "200000"}),
    ]

    for page in pages:
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert {"script-src 'self'", "style-src 'self'"} < set(policy)
        assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert "no real money" in page.read.text
        assert not page.read.all("style")
        assert not [values for _, values in page.read.elements if "style" in values]


async def test_pages_fetch_what_is_kept_for_good(browser: Browser) -> None:
    """The style sheet is of the sandbox, and its address is that of its text."""
    [link] = (await browser.get("/")).read.all("link", rel="stylesheet")

    style = await browser.get(str(link["href"]))
    other = await browser.get("/sandbox/static/style.css?v=another")

    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    assert style.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (other.text, other.headers["Cache-Control"]) == (style.text, "no-cache")
    assert (await browser.get("/sandbox/static/base.html")).status == 401


def test_without_jinja_the_api_is_served() -> None:
    """A page is then a 501 that names what to install, and all else works."""
    done = subprocess.run(  # noqa: S603 -- this very Python
        [sys.executable, "-c", WITHOUT_JINJA],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )

    assert (done.stderr, done.returncode) == ("", 0)
    assert (
        done.stdout
        == (
            "501 text/plain the sandbox's pages are made by Jinja2: "
            'python -m pip install "convergegate-async[cli]"\n'
        )
        * 2
        + "paid 200\n"
    )


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://127.0.0.1.evil.example",
    ],
)
@pytest.mark.parametrize(("path", "form"), BUTTONS)
async def test_another_site_cannot_press_a_button(
    path: str,
    form: Mapping[str, str],
    origin: str,
    browser: Browser,
    order: CheckoutSessionRequest,
) -> None:
    """A form posted from another origin is a 403, and nothing is done."""
    sandbox = browser.sandbox
    there = await met(sandbox, order)
    moment = sandbox.now()

    page = await browser.post(path.format(**there), form, origin=origin)

    assert page.status == 403
    assert is_untouched(sandbox, moment, **there)


async def test_its_own_pages_may_press_their_buttons(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A browser names the origin of the sandbox's own forms, and they work."""
    session = opened(browser.sandbox, order)

    answer = await browser.post(
        place(session), {"blik_code": "123456"}, origin=browser.sandbox.base_url
    )

    assert answer.status == 303
    assert session.payments == 1


@pytest.mark.parametrize(("path", "form"), BUTTONS)
async def test_a_link_presses_no_button(
    path: str, form: Mapping[str, str], browser: Browser, order: CheckoutSessionRequest
) -> None:
    """The buttons answer to a POST only: a GET changes nothing."""
    sandbox = browser.sandbox
    there = await met(sandbox, order)
    moment = sandbox.now()
    query = "&".join(f"{name}={text}" for name, text in form.items())

    page = await browser.get(f"{path.format(**there)}?{query}")

    assert page.status in (401, 404, 405) or path == "/pay/{id}"
    assert is_untouched(sandbox, moment, **there)
