"""The sandbox for its owner: the status page, and what its buttons do."""

import time
from collections.abc import Mapping
from urllib.parse import urlencode

import aiohttp
import attrs
import pytest
from pages import NASTY, NBSP, Browser, Reader, opened

from convergegate_async import (
    CheckoutSessionRequest,
    RefundRequest,
    ServerError,
    SessionStatus,
)
from convergegate_async.sandbox import Fault, FaultKind, Sandbox
from convergegate_async.sandbox._webhook_sender import JOURNAL_SIZE
from convergegate_async.sandbox.site._lists import REACH


def shown(page: Reader) -> list[str]:
    """Return the ids of the sessions that a status page shows."""
    links = [str(link["href"]) for link in page.all("a")]
    pay = "/pay/"
    return [link.removeprefix(pay) for link in links if link.startswith(pay)]


def times_left(page: Reader) -> list[str]:
    """Return how often each planned fault can still happen."""
    return page.text_of("td", **{"data-label": "Times left"})


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
    assert "not sent: the URL is on another machine (see --webhooks-to" in text
    assert times_left(page.read) == ["3"]
    assert "stall:operation=other" in text
    assert "latency:operation" not in text


async def test_the_status_page_shows_the_newest_first(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Of many sessions the fifty newest are listed, the last one on top."""
    sessions = [opened(browser.sandbox, order) for _ in range(60)]

    page = (await browser.get("/")).read

    assert shown(page) == [session.id for session in reversed(sessions)][:50]


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
    """What is no sensible number of seconds is a 400 that says so, and time stays."""
    moment = browser.sandbox.now()

    page = await browser.post("/sandbox/clock", {"seconds": seconds})

    assert page.status == 400
    assert "a whole number of seconds, minutes, hours or days" in page.read.text
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
    before = (await browser.get("/")).read

    answer = await browser.post("/sandbox/faults", {"kind": "status", "times": "3"})
    planned = (await browser.get("/")).read
    async with browser.sandbox.factory() as checkout:
        with pytest.raises(ServerError) as caught:
            await checkout.retrieve("nobody")
    met = (await browser.get("/")).read

    assert (answer.status, answer.headers["Location"]) == (303, "/#faults")
    assert times_left(before) == []
    assert times_left(planned) == ["3"]
    assert (caught.value.http_status, caught.value.attempts) == (503, 3)
    assert times_left(met) == []


async def test_every_kind_of_fault_is_on_offer(browser: Browser) -> None:
    """Whatever the form offers can be added."""
    page = (await browser.get("/")).read
    statuses = {
        (await browser.post("/sandbox/faults", {"kind": kind, "times": "1"})).status
        for kind in FaultKind
    }

    offered = [one["value"] for one in page.all("option") if "data-fields" in one]
    assert offered == [*FaultKind]
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
    """What is no fault is a 400 whose page says why, and nothing is planned."""
    page = await browser.post("/sandbox/faults", form)

    assert page.status == 400
    assert len(page.read.all("p", role="alert")) == 1
    assert NASTY not in page.text
    assert [field["value"] for field in page.read.all("input", name="times")] == [
        form.get("times", "1")
    ]
    assert browser.sandbox.faults.describe() == []


async def test_a_fault_has_all_its_fields_on_the_page(browser: Browser) -> None:
    """What is filled in is planned, a date with its comma included."""
    form = {
        "kind": "status",
        "status": "429",
        "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT",
        "work_done": "1",
        "seconds": "",
        "operation": "create",
        "probability": "0.5",
        "times": " 2 ",
    }

    names = {
        field["name"]
        for kind in ("input", "select")
        for field in (await browser.get("/")).read.all(kind)
    }
    await browser.post("/sandbox/faults", form)

    assert {field.name for field in attrs.fields(Fault)} <= names
    assert browser.sandbox.faults.left() == [
        Fault(
            FaultKind.STATUS,
            status=429,
            retry_after="Wed, 21 Oct 2026 07:28:00 GMT",
            work_done=True,
            operation="create",
            probability=0.5,
            times=2,
        )
    ]


async def test_a_webhook_is_late_by_a_time_that_one_sees(browser: Browser) -> None:
    """By a minute where the form does not say; by what it says where it does."""
    for seconds in ("", "5"):
        form = {"kind": "webhook_late", "seconds": seconds}
        await browser.post("/sandbox/faults", form)

    planned = [fault.seconds for fault in browser.sandbox.faults.left()]
    assert planned == [60, 5]


async def test_a_planned_fault_can_be_removed(browser: Browser) -> None:
    """The one beside the button goes, though it has happened since it was shown."""
    plan, remove = browser.sandbox.faults, "/sandbox/faults/remove"
    plan.add(Fault(FaultKind.LATENCY, seconds=0, times=3))
    plan.add(Fault(FaultKind.LOST, operation="pay"))
    first, second = (await browser.get("/")).read.all("button", name="fault")
    plan.draw("create")

    answer = await browser.post(remove, {"fault": str(first["value"])})
    left = plan.describe()
    await browser.post(remove, {"fault": "stall"})
    await browser.post(remove, {"fault": str(second["value"])})

    assert (answer.status, answer.headers["Location"]) == (303, "/#faults")
    assert left == ["lost:operation=pay"]
    assert plan.describe() == []


# -- what is listed -------------------------------------------------------------------


async def test_newer_rows_shift_no_page(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """What the link to older sessions has shown it shows again, whatever came since."""
    sessions = [opened(browser.sandbox, order) for _ in range(120)]
    newest_first = [session.id for session in reversed(sessions)]
    [older] = (await browser.get("/?status=open")).read.all("a", id="sessions-older")
    place = str(older["href"]).partition("#")[0]

    page = (await browser.get(place)).read
    opened(browser.sandbox, order)
    again = (await browser.get(place)).read
    [newer] = again.all("a", id="sessions-newer")
    back = (await browser.get(str(newer["href"]).partition("#")[0])).read

    assert "status=open" in place
    assert shown(page) == shown(again) == newest_first[50:100]
    assert shown(back) == newest_first[:50]


async def test_newer_leads_back_to_the_newest(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """From the second page to the first, also where less than a page is newer."""
    sessions = [opened(browser.sandbox, order) for _ in range(120)]
    newest_first = [session.id for session in reversed(sessions)]

    for before in (70, 110):
        page = (await browser.get(f"/?sessions_before={before}")).read
        [newer] = page.all("a", id="sessions-newer")
        back = (await browser.get(str(newer["href"]).partition("#")[0])).read

        assert shown(page) == newest_first[120 - before :][:50]
        assert shown(back) == newest_first[:50]


async def test_a_rare_session_is_searched_page_by_page(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A look takes so long and no longer: it says what it has left to the next one."""
    wanted = opened(browser.sandbox, order, metadata={"order": "A-17"})
    for _ in range(REACH):
        opened(browser.sandbox, order, metadata={"order": "B-18"})

    page = (await browser.get("/?q=a-17")).read
    [older] = page.all("a", id="sessions-older")
    rest = (await browser.get(str(older["href"]).partition("#")[0])).read

    assert "Only 10,000 of 10,001 are searched at once" in page.text
    assert shown(page) == []
    assert shown(rest) == [wanted.id]
    assert "searched at once" not in rest.text


async def test_forgotten_webhooks_shift_no_page(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """More of them than the journal keeps are numbered by all that there ever were."""
    sandbox = browser.sandbox
    hook = "https://shop.example/hook"  # on another machine: none is sent
    for _ in range(JOURNAL_SIZE + 50):
        opened(sandbox, order, notification_url=hook)
    await sandbox.elapse(0)
    [older] = (await browser.get("/")).read.all("a", id="webhooks-older")
    place = str(older["href"]).partition("#")[0]

    page = (await browser.get(place)).read
    opened(sandbox, order, notification_url=hook)
    await sandbox.elapse(0)
    again = (await browser.get(place)).read

    buttons = [
        str(form["action"]) for form in page.all("form") if "resend" in str(form)
    ]
    assert len(buttons) == 50
    assert buttons == [
        str(form["action"]) for form in again.all("form") if "resend" in str(form)
    ]


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("text", ["-1", "x", "9" * 15, "9" * 40, "\uff11", "0", NASTY])
async def test_any_query_is_a_page(
    text: str, name: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A number that no row has, or what is no number, is answered with a page."""
    opened(browser.sandbox, order)
    query = {f"{part}_{name}": text for part in ("sessions", "requests", "webhooks")}

    page = await browser.get(f"/?{urlencode({**query, 'kind': text, 'status': text})}")

    assert page.status == 200
    assert NASTY not in page.text


async def test_lists_can_be_filtered(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """A status leaves its sessions, a kind its requests, a text what holds it."""
    sandbox = browser.sandbox
    async with sandbox.factory() as checkout:
        other = await checkout.create(attrs.evolve(order, metadata={"order": "B-18"}))
        first = await checkout.create(order, idempotency_key="order-17")
        await checkout.pay(first.id, "123456")

    completed = (await browser.get("/?status=completed")).read
    paid = (await browser.get("/?kind=pay")).read
    text = (await browser.get("/?q=b-18")).read
    key = (await browser.get("/?q=ORDER-17")).read
    nothing = (await browser.get("/?q=nothing")).read

    assert shown(completed) == [first.id]
    [chosen] = completed.all("option", value="completed")
    assert "selected" in chosen
    assert f"POST /v1/checkout/sessions/{first.id}/pay" in paid.text
    assert "POST /v1/checkout/sessions\n" not in paid.text
    assert shown(text) == [other.id]
    assert key.text.count("order-17") == 1
    assert nothing.text.count("None like that.") == 3


@pytest.mark.parametrize("text", ["two tickets", "order c-19", "C-19", "red"])
async def test_a_session_is_found_by_what_its_row_shows(
    text: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """By its order, and by each text of the shop's own, wherever the shop gave it."""
    extra = {"order_id": "C-19", "colour": "red"}
    tickets = {"description": "Two tickets"}
    sessions = [
        opened(browser.sandbox, order, metadata=None),
        opened(browser.sandbox, order, metadata=tickets),
        opened(browser.sandbox, order, extra=extra),
    ]

    page = (await browser.get(f"/?{urlencode({'q': text})}")).read

    wanted = sessions[1 if text == "two tickets" else 2]
    assert shown(page) == [wanted.id]


async def test_buttons_keep_the_filters(browser: Browser) -> None:
    """After a button is pressed the page shows what it showed before."""
    page = (await browser.get("/?q=a%26b&kind=pay&other=1")).read
    actions = {str(form["action"]) for form in page.all("form", method="post")}

    answer = await browser.post("/sandbox/clock?q=a%26b&kind=pay", {"seconds": "1"})

    assert "/sandbox/clock?q=a%26b&kind=pay" in actions
    assert page.all("a", href="/?q=a%26b&kind=pay")  # to refresh it
    assert answer.headers["Location"] == "/?q=a%26b&kind=pay"


async def test_the_clock_is_moved_by_any_time(browser: Browser) -> None:
    """It goes on by seconds, minutes, hours or days, but not past the year 3000."""
    moment = browser.sandbox.now()

    for unit in ("seconds", "minutes", "hours", "days"):
        await browser.post("/sandbox/clock", {"seconds": "2", "unit": unit})
    far = await browser.post("/sandbox/clock", {"seconds": "999999", "unit": "days"})
    odd = await browser.post("/sandbox/clock", {"seconds": "2", "unit": "ages"})

    assert 0 <= browser.sandbox.now() - moment - 2 * 90_061 < 60
    assert (far.status, odd.status) == (400, 400)
    assert far.read.all("input", name="seconds", value="999999")


# -- what is no page ------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nothing", "/sandbox/none"])
async def test_a_browser_that_is_lost_is_shown_the_way(
    path: str, browser: Browser
) -> None:
    """It gets a page, not the API's refusal, and the journal keeps no request."""
    page = await browser.get(path, accept="text/html,*/*;q=0.8")
    program = await browser.get(path, accept="*/*")

    assert page.status == 404
    assert path in page.read.text
    assert page.read.all("a", href="/")
    assert program.status == 401
    assert [seen.path for seen in browser.sandbox.seen] == [path]


async def test_browsers_that_ask_for_an_icon_get_it(browser: Browser) -> None:
    """Also by the address that no page has named; the journal keeps no request."""
    answer = await browser.get("/favicon.ico")
    icon = await browser.get(answer.headers["Location"])

    assert answer.status == 303
    assert icon.headers["Content-Type"].startswith("image/svg+xml")
    assert not browser.sandbox.seen
