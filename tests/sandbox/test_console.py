"""The sandbox for its owner: what a browser is shown, and what its buttons do."""

import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import aiohttp
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import NASTY, NBSP, Browser, Reader, opened, place

from convergegate_async import (
    CheckoutSessionRequest,
    RefundRequest,
    ServerError,
    SessionStatus,
)
from convergegate_async.sandbox import BookedSession, Fault, FaultKind, Sandbox
from convergegate_async.sandbox.site._lists import ROWS, Listed, Query, list_page
from convergegate_async.webhooks import WebhookReply


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


# -- long lists -----------------------------------------------------------------------


@given(
    count=st.integers(0, 400),
    forgotten=st.integers(0, 100),
    every=st.integers(1, 5),
)
def test_pages_lead_through_a_list_and_back(
    count: int, forgotten: int, every: int
) -> None:
    """Older pages show every wanted row once, and newer ones the same backwards."""
    rows = list(range(count))[::-1]

    def read(**given: int | None) -> Listed[int]:
        pairs = {f"x_{name}": str(to) for name, to in given.items() if to is not None}
        return list_page(
            rows[: count - forgotten] if forgotten < count else [],
            count,
            Query(pairs),
            "x",
            wanted=None if every == 1 else lambda row: row % every == 0,
        )

    pages = [read()]
    while pages[-1].older is not None:
        pages.append(read(before=pages[-1].older))
    back = pages[-1]
    returned = [*back.rows]
    while back.newer is not None and back.rows[0] != pages[0].rows[0]:
        back = read(after=back.newer)
        returned = [*back.rows, *returned]

    wanted = [row for row in rows if row >= forgotten and row % every == 0]
    assert [row for page in pages for row in page.rows] == wanted
    assert sorted(set(returned), reverse=True) == wanted
    assert all(len(page.rows) == ROWS for page in pages[:-1])
    assert pages[0].newer is None


def test_the_first_page_of_a_long_list_walks_no_further() -> None:
    """Of a hundred thousand rows those are looked at that are shown, and one more."""
    walked: list[int] = []

    def rows() -> Iterator[int]:
        for row in range(100_000)[::-1]:
            walked.append(row)
            yield row

    page = list_page(rows(), 100_000, Query({}), "x")

    assert (len(page.rows), len(walked)) == (ROWS, ROWS + 1)


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


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("text", ["-1", "x", "9" * 15, "9" * 40, "\uff11", "0", NASTY])
async def test_any_query_is_a_page(
    text: str, name: str, browser: Browser, order: CheckoutSessionRequest
) -> None:
    """Numbers that no row has, and what is none, break nothing."""
    opened(browser.sandbox, order)
    query = {f"{part}_{name}": text for part in ("sessions", "requests", "webhooks")}

    page = await browser.get(f"/?{urlencode({**query, 'kind': text, 'status': text})}")

    assert page.status == 200
    assert NASTY not in page.text


async def test_lists_can_be_filtered(
    browser: Browser, order: CheckoutSessionRequest
) -> None:
    """By a session's status, by a request's kind, and by texts of all of them."""
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


async def test_buttons_keep_the_filters(browser: Browser) -> None:
    """After a button is pressed the page shows what it showed before."""
    page = (await browser.get("/?q=a%26b&kind=pay&other=1")).read
    actions = {str(form["action"]) for form in page.all("form", method="post")}

    answer = await browser.post("/sandbox/clock?q=a%26b&kind=pay", {"seconds": "1"})

    assert "/sandbox/clock?q=a%26b&kind=pay" in actions
    assert page.all("a", href="/?q=a%26b&kind=pay")  # to refresh it
    assert answer.headers["Location"] == "/?q=a%26b&kind=pay"


async def test_the_clock_is_moved_by_any_time(browser: Browser) -> None:
    """A number of seconds, minutes, hours or days; not into another age."""
    moment = browser.sandbox.now()

    for unit in ("seconds", "minutes", "hours", "days"):
        await browser.post("/sandbox/clock", {"seconds": "2", "unit": unit})
    far = await browser.post("/sandbox/clock", {"seconds": "999999", "unit": "days"})
    odd = await browser.post("/sandbox/clock", {"seconds": "2", "unit": "ages"})

    assert 0 <= browser.sandbox.now() - moment - 2 * 90_061 < 60
    assert (far.status, odd.status) == (400, 400)
    assert far.read.all("input", name="seconds", value="999999")


# -- a session's story ----------------------------------------------------------------


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
    """Neither names nor codes are shown, in no field and no body; orders are."""
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
    assert NASTY not in page.text


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
    """With any code: one that is refused says so; then there is a refund to make."""
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
    """Once; then nothing more can happen."""
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


@pytest.mark.parametrize("button", ["", "/pay", "/expire", "/refund"])
async def test_a_session_that_nobody_knows_has_no_story(
    button: str, browser: Browser
) -> None:
    """Its page says so, whatever is pressed."""
    path = f"/sandbox/sessions/%3Cscript%3E{button}"

    page = await (browser.post(path) if button else browser.get(path))

    assert page.status == 404
    assert "There is no such session" in page.read.text
    assert not page.read.foreign_scripts()
