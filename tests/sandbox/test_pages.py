"""The sandbox for people: what a browser is shown, and what its buttons do."""

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from html.parser import HTMLParser

import aiohttp
import attrs
import pytest

from convergegate_async import (
    CheckoutSessionRequest,
    RefundRequest,
    ServerError,
    SessionStatus,
)
from convergegate_async.sandbox import (
    BookedSession,
    CodeFate,
    Fault,
    FaultKind,
    Sandbox,
)
from convergegate_async.sandbox.site.words import FATES, LANGUAGES

NBSP = "\u00a0"
NASTY = "<script>alert(1)</script>"
NASTY_URL = "https://shop.example/?a='b'&c=\"><script>alert(1)</script>"
BUTTONS = [
    pytest.param("/sandbox/reset", {}, id="reset"),
    pytest.param("/sandbox/clock", {"seconds": "86400"}, id="clock"),
    pytest.param("/sandbox/faults", {"kind": "lost"}, id="faults"),
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


class Reader(HTMLParser):
    """Reads a page as a browser does: its elements, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._texts: list[str] = []
        self._inert = 0  # what a template holds is no part of the page
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._inert += tag == "template"
        if not self._inert:
            self.elements.append((tag, dict(attrs)))
            self._texts.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note where a template ends."""
        self._inert -= tag == "template"

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if not self._inert:
            self.text += data
            if self._texts:
                self._texts[-1] += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Return the attributes of every *tag* that has the *wanted* ones."""
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]

    def text_of(self, tag: str, **wanted: str) -> list[str]:
        """Return the text that begins every *tag* with the *wanted* attributes."""
        return [
            text.strip()
            for (name, attributes), text in zip(self.elements, self._texts, strict=True)
            if name == tag and wanted.items() <= attributes.items()
        ]

    def foreign_scripts(self) -> list[dict[str, str | None]]:
        """Return the scripts that are no file of the sandbox's own."""
        return [
            attributes
            for attributes in self.all("script")
            if not str(attributes.get("src")).startswith("/sandbox/static/")
        ]


@attrs.frozen(kw_only=True)
class Page:
    """A page as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def read(self) -> Reader:
        """The page, read."""
        return Reader(self.text)


class Browser:
    """Looks at the pages of one sandbox, and follows no redirect by itself."""

    def __init__(self, sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self._client = client

    async def get(self, path: str, **headers: str) -> Page:
        """Open *path*, with headers spelled like ``accept_language``."""
        return await self._send("GET", path, None, headers)

    async def post(
        self, path: str, form: Mapping[str, str] | None = None, **headers: str
    ) -> Page:
        """Press a button."""
        return await self._send("POST", path, form or {}, headers)

    async def _send(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Page:
        async with self._client.request(
            method,
            f"{self.sandbox.base_url}{path}",
            data=form,
            headers={name.replace("_", "-"): text for name, text in headers.items()},
            allow_redirects=False,
        ) as response:
            text = await response.text()
            return Page(status=response.status, headers=response.headers, text=text)


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[Browser]:
    """A browser in front of the sandbox."""
    async with aiohttp.ClientSession() as client:
        yield Browser(sandbox, client)


def opened(
    sandbox: Sandbox, order: CheckoutSessionRequest, **changes: object
) -> BookedSession:
    """Open a session, with *changes* to its request."""
    request = attrs.evolve(order, **changes)  # type: ignore[arg-type]  # its own rules check it
    return sandbox.book.open_session(request, sandbox.base_url)


def place(session: BookedSession) -> str:
    """Return the path of a session's pay page."""
    return f"/pay/{session.id}"


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
    """Names, addresses, keys and paths are shown as they are, and nothing runs."""
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
    await browser.get("/v1/%3Cscript%3Ealert(1)", idempotency_key=NASTY)

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
    assert NASTY in status.text
    assert NASTY_URL in status.text


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
async def test_another_site_cannot_press_a_button(
    origin: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A form posted from another origin is a 403, and nothing is done."""
    sandbox = browser.sandbox
    session = opened(sandbox, order)
    moment = sandbox.now()

    statuses = [
        (await browser.post(path, form, origin=origin)).status
        for path, form in (
            (place(session), {"blik_code": "123456"}),
            ("/sandbox/reset", {}),
            ("/sandbox/clock", {"seconds": "86400"}),
            ("/sandbox/faults", {"kind": "lost"}),
        )
    ]

    assert statuses == [403] * 4
    assert session.status is SessionStatus.OPEN
    assert list(sandbox.book.sessions) == [session.id]
    assert sandbox.now() - moment < 60
    assert sandbox.faults.describe() == []


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
    path: str, form: Mapping[str, str], browser: Browser
) -> None:
    """The buttons answer to a POST only: a GET changes nothing."""
    moment = browser.sandbox.now()
    query = "&".join(f"{name}={text}" for name, text in form.items())

    page = await browser.get(f"{path}?{query}")

    assert page.status in (401, 404, 405)
    assert browser.sandbox.now() - moment < 60
    assert browser.sandbox.faults.describe() == []


# -- the status page ------------------------------------------------------------------


async def test_the_status_page_of_a_fresh_sandbox_is_empty(browser: Browser) -> None:
    """Where nothing happened yet the page says so, four times."""
    page = await browser.get("/")

    assert page.status == 200
    assert page.read.text.count("None yet.") == 4


async def test_the_status_page_shows_all_that_happened(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Sessions, requests, deliveries and faults are listed."""
    sandbox = browser.sandbox
    order = attrs.evolve(order, notification_url="https://shop.example/hook")
    async with sandbox.factory() as checkout:
        created = await checkout.create(order, idempotency_key="order-17")
        again = await checkout.create(order, idempotency_key="order-17")
        await checkout.pay(created.id, "123456")
        await checkout.refund(RefundRequest(session_id=created.id, amount=1050))
        sandbox.faults.add(Fault(FaultKind.LATENCY, operation="retrieve", times=1))
        sandbox.faults.add(Fault(FaultKind.STALL, operation="other", times=3))
        await checkout.retrieve(created.id)

    page = await browser.get("/")

    text = page.read.text
    assert again.id == created.id
    assert page.read.all("a", href=f"/pay/{created.id}")
    assert f"PLN{NBSP}49.99" in text
    assert "completed" in text
    assert "10.50" in text
    assert text.count("POST /v1/checkout/sessions") == 3
    assert f"GET /v1/checkout/sessions/{created.id}" in text
    assert "POST /v1/refunds" in text
    assert text.count("order-17") == 2
    assert "from memory" in text
    assert "fault: latency" in text
    for event in ("session.created", "session.completed", "refund.created"):
        assert event in text
    assert "not sent: the URL is on another machine (see --webhooks-to; in code" in text
    assert "stall:operation=other,times=3" in text
    assert "latency:times" not in text


async def test_the_status_page_shows_the_newest_first(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Of many sessions the fifty newest are listed, the last one on top."""
    sessions = [opened(browser.sandbox, order) for _ in range(60)]

    links = [
        str(link["href"]).removeprefix("/pay/")
        for link in (await browser.get("/")).read.all("a")
    ]

    assert links == [session.id for session in reversed(sessions)][:50]


async def test_a_code_shows_up_on_no_page(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """What the journal keeps of a payment does not hold its code."""
    async with browser.sandbox.factory() as checkout:
        created = await checkout.create(order)
        await checkout.pay(created.id, "271828")

    page = await browser.get("/")

    assert f"/v1/checkout/sessions/{created.id}/pay" in page.text
    assert "271828" not in page.text


# -- its buttons ----------------------------------------------------------------------


async def test_the_buttons_move_the_clock(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A minute, an hour and a day are on offer, and what is due then happens."""
    session = opened(browser.sandbox, order)
    before = (await browser.get("/")).read
    offered = [button["value"] for button in before.all("button", name="seconds")]
    moment = browser.sandbox.now()

    answers = [
        await browser.post("/sandbox/clock", {"seconds": str(seconds)})
        for seconds in offered
    ]

    assert offered == ["60", "3600", "86400"]
    assert {form["action"] for form in before.all("form", method="post")} >= {
        "/sandbox/clock"
    }
    assert [answer.status for answer in answers] == [303] * 3
    assert {answer.headers["Location"] for answer in answers} == {"/"}
    assert 0 <= browser.sandbox.now() - moment - 90_060 < 60
    assert session.status is SessionStatus.EXPIRED


async def test_the_page_shows_the_sandbox_s_time() -> None:
    """The clock on the page is the one that sessions expire by."""
    async with (
        Sandbox(now=lambda: 1_700_000_000.0) as sandbox,
        aiohttp.ClientSession() as client,
    ):
        browser = Browser(sandbox, client)
        await browser.post("/sandbox/clock", {"seconds": "3600"})
        text = (await browser.get("/")).read.text

    assert "2023-11-14 23:13:20 UTC" in text


@pytest.mark.parametrize("seconds", ["", "-60", "1.5", "x", "1e3", "\uff19", "9" * 30])
async def test_the_clock_is_moved_by_whole_seconds(
    seconds: str, browser: Browser
) -> None:
    """What is no sensible number of seconds is a 400, and time stays."""
    moment = browser.sandbox.now()

    page = await browser.post("/sandbox/clock", {"seconds": seconds})

    assert page.status == 400
    assert browser.sandbox.now() - moment < 60


async def test_everything_can_be_forgotten(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """After a reset the status page is that of a fresh sandbox, and so is its clock."""
    sandbox = browser.sandbox
    order = attrs.evolve(order, notification_url="https://shop.example/hook")
    async with sandbox.factory() as checkout:
        created = await checkout.create(order, idempotency_key="order-17")
        sandbox.faults.add(Fault(FaultKind.LOST))
        await browser.post("/sandbox/clock", {"seconds": "86400"})
        answer = await browser.post("/sandbox/reset")
        page = await browser.get("/")
        gone = await browser.get(f"/pay/{created.id}")
        counted = sandbox.count("create")
        anew = await checkout.create(order, idempotency_key="order-17")

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert page.read.text.count("None yet.") == 4
    assert gone.status == 404
    assert abs(sandbox.now() - time.time()) < 60
    assert (counted, sandbox.deliveries != ()) == (0, True)
    assert anew.id != created.id


async def test_a_fault_can_be_added(browser: Browser) -> None:
    """A fault of the form is planned, shown, met as often as it says, and gone."""
    before = (await browser.get("/")).read.text

    answer = await browser.post("/sandbox/faults", {"kind": "status", "times": "3"})
    planned = (await browser.get("/")).read.text
    async with browser.sandbox.factory() as checkout:
        with pytest.raises(ServerError) as caught:
            await checkout.retrieve("nobody")
    met = (await browser.get("/")).read.text

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert "status:times=3" not in before
    assert "status:times=3" in planned
    assert (caught.value.http_status, caught.value.attempts) == (503, 3)
    assert "status:times" not in met


async def test_every_kind_of_fault_is_on_offer(browser: Browser) -> None:
    """Whatever the form offers can be added."""
    page = (await browser.get("/")).read
    statuses = {
        (await browser.post("/sandbox/faults", {"kind": kind, "times": "1"})).status
        for kind in FaultKind
    }

    assert len(page.all("option")) == len(FaultKind)
    assert all(kind in page.text for kind in FaultKind)
    assert statuses == {303}
    assert len(browser.sandbox.faults.describe()) == len(FaultKind)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": ""},
        {"kind": "fire", "times": "1"},
        {"kind": NASTY},
        {"kind": "lost", "times": "x"},
        {"kind": "lost", "times": "1.5"},
        {"kind": "lost", "times": "-1"},
        {"kind": "lost", "times": "1,often=2"},
    ],
    ids=str,
)
async def test_a_bad_fault_is_refused(
    form: Mapping[str, str], browser: Browser
) -> None:
    """What is no fault is a 400 in plain text, and nothing is planned."""
    page = await browser.post("/sandbox/faults", form)

    assert page.status == 400
    assert page.headers["Content-Type"].startswith("text/plain")
    assert browser.sandbox.faults.describe() == []
