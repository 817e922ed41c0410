"""The sandbox for programs in other languages: what they see, and what they press."""

import io
import json
from collections.abc import AsyncIterator, Mapping

import aiohttp
import attrs
import pytest
from orders import an_order

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    RefundRequest,
    SessionStatus,
    __version__,
)
from convergegate_async.sandbox import BookedSession, Fault, Sandbox, SeenAction
from convergegate_async.sandbox._control_api import CONTROL_ROUTES
from convergegate_async.sandbox._control_orders import PageOrder

CODE = "771234"
PERSONAL = {"john@example.com", "John", "Doe", "48123456789", "shop.example", "A-17"}


class Control:
    """A bare client of one sandbox."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, object]]:
        """Return status and document of an answer, which is empty if there is none.

        Args:
            method: Of the request.
            path: Below that of the control API.
            body: Sent as JSON, unless it is bytes or a file of them.
            headers: In the place of the key.
        """
        async with self.session.request(
            method,
            f"{self.sandbox.base_url}/sandbox/api{path}",
            headers=headers or {"Authorization": f"Bearer {self.sandbox.api_key}"},
            data=body if body is None or _is_raw(body) else json.dumps(body),
        ) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text else {}

    async def rows(self, path: str) -> list[dict[str, object]]:
        """Return the rows of a list."""
        status, page = await self.ask("GET", path)
        assert status == 200, page
        rows = page["data"]
        assert isinstance(rows, list)
        return rows


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[Control]:
    """A client that knows nothing of our SDK."""
    async with aiohttp.ClientSession() as session:
        yield Control(sandbox, session)


@pytest.fixture
async def checkout(sandbox: Sandbox) -> AsyncIterator[CheckoutSessionFactory]:
    """The shop's own way to it."""
    async with sandbox.factory() as checkout:
        yield checkout


@pytest.fixture
async def session(checkout: CheckoutSessionFactory) -> CheckoutSession:
    """A session whose webhooks are on another machine, and so are not sent."""
    request = an_order(
        metadata={"order": "A-17"},
        notification_url="https://shop.example/hook",
        extra={"Johnny": "John"},
        locale="pl",
    )
    return await checkout.create(request)


def _ids_of(page: Mapping[str, object]) -> list[object]:
    rows = page["data"]
    assert isinstance(rows, list)
    return [row["id"] for row in rows]


def _is_raw(body: object) -> bool:
    return isinstance(body, bytes | io.BytesIO)


def message_of(answer: Mapping[str, object]) -> str:
    """Return the message of the gateway's error form, which has no other names."""
    error = answer["error"]
    assert isinstance(error, dict)
    assert set(error) <= {"type", "message", "param", "decline_code"}
    return str(error["message"])


# -- to whom --------------------------------------------------------------------------


async def test_health_needs_no_key(control: Control) -> None:
    """A container's health check knows none; nothing is counted for it."""
    async with control.session.get(f"{control.sandbox.base_url}/health") as answer:
        health = await answer.json()

    assert answer.status == 200
    assert health == {"status": "ok", "version": __version__}
    assert not control.sandbox.seen


@pytest.mark.parametrize(
    "route", CONTROL_ROUTES, ids=lambda route: f"{route.method}-{route.path}"
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X": "no key"}, 401),
        ({"Authorization": "Bearer sk_test_other"}, 401),
        ({"Authorization": "{key}", "Origin": "https://evil.example"}, 403),
        ({"Authorization": "{key}", "Origin": "null"}, 403),
        ({"Authorization": "{key}", "Origin": "http://localhost:1"}, 403),
        ({"Authorization": "{key}", "Host": "evil.example"}, 421),
    ],
    ids=["none", "other", "another-site", "a-file", "another-port", "another-name"],
)
async def test_nobody_else_reads_or_presses(
    route: object, headers: Mapping[str, str], status: int, control: Control
) -> None:
    """Without the key, or from a page of another site, nothing is told or done."""
    sandbox = control.sandbox
    session = sandbox.book.open_session(an_order(), sandbox.base_url)
    sandbox.fail_next("lost")
    method, path = route.method, route.path  # type: ignore[attr-defined]  # a ControlRoute
    path = path.removeprefix("/sandbox/api").replace("{path:.*}", "nothing")

    got, answer = await control.ask(
        "PATCH" if method == "*" else method,
        path.replace("{id}", session.id),
        headers={
            name: text.format(key=f"Bearer {sandbox.api_key}")
            for name, text in headers.items()
        },
    )

    assert got == status
    assert set(answer) == {"error"}
    assert session.id not in message_of(answer)
    assert (session.status, len(sandbox.faults.left())) == (SessionStatus.OPEN, 1)


async def test_a_preflight_allows_nothing(control: Control) -> None:
    """A browser that asks for a page of another site whether it may is told no."""
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    url = f"{control.sandbox.base_url}/sandbox/api/reset"
    async with control.session.options(url, headers=asked) as answer:
        allowed = [name for name in answer.headers if name.startswith("Access-Control")]

    assert (answer.status, allowed) == (401, [])


async def test_what_is_looked_at_is_not_counted(
    control: Control, session: CheckoutSession
) -> None:
    """The gateway's requests and faults are not moved by who watches them."""
    control.sandbox.fail_next("lost")
    await control.ask("GET", f"/sessions/{session.id}")
    status, _ = await control.ask("GET", "/nothing")

    assert status == 404
    assert control.sandbox.counts.total() == 1
    assert len(control.sandbox.faults.left()) == 1


# -- what it has seen -----------------------------------------------------------------


async def test_a_session_tells_its_story(
    control: Control, checkout: CheckoutSessionFactory, session: CheckoutSession
) -> None:
    """Its state, its requests and its webhooks, the newest first."""
    await checkout.pay(session.id, blik_code=CODE)
    refund = await checkout.refund(RefundRequest(session_id=session.id, amount=100))
    await control.sandbox.elapse(0)

    status, story = await control.ask("GET", f"/sessions/{session.id}")

    assert status == 200
    found = story["session"]
    assert isinstance(found, dict)
    assert (found["status"], found["payments"], found["amount"]) == (
        *("completed", 1),
        4999,
    )
    assert [one["id"] for one in found["refunds"]] == [refund.id]
    requests, deliveries = story["requests"], story["deliveries"]
    assert isinstance(requests, list)
    assert [one["operation"] for one in requests] == ["refund", "pay", "create"]
    assert isinstance(deliveries, list)
    assert [(one["type"], one["acknowledged"]) for one in deliveries] == [
        ("refund.created", False),
        ("session.completed", False),
        ("session.created", False),
    ]
    assert "not sent" in deliveries[0]["note"]


@pytest.mark.parametrize("rest", ["", "&amount=0", "&what=ever"])
async def test_a_refused_refund_is_of_its_session(
    rest: str, control: Control, session: CheckoutSession
) -> None:
    """It has no id to tell by; its form says which session it is about."""
    url = f"{control.sandbox.base_url}/v1/refunds"
    headers = {"Authorization": f"Bearer {control.sandbox.api_key}"}
    control.sandbox.fail_next("status", operation="refund", status=500)
    form = f"session_id={session.id}{rest}"
    for status in (500, 400):
        async with control.session.post(url, data=form, headers=headers) as answer:
            assert answer.status == status
    async with control.session.post(url, data=form) as answer:
        assert answer.status == 401

    rows = await control.rows(f"/requests?session_id={session.id}&operation=refund")
    _, story = await control.ask("GET", f"/sessions/{session.id}")

    assert [row["status"] for row in rows] == [400, 500]
    assert story["requests"][:2] == rows  # type: ignore[index]  # a list


async def test_nothing_personal_is_told(
    control: Control, checkout: CheckoutSessionFactory, session: CheckoutSession
) -> None:
    """No customer, no code, no address and no metadata, wherever one looks."""
    await checkout.pay(session.id, blik_code=CODE)
    texts = [
        str(await control.ask("GET", path))
        for path in ("/sessions", f"/sessions/{session.id}", "/requests", "/deliveries")
    ]

    assert [word for word in (*PERSONAL, CODE) for text in texts if word in text] == []


async def test_a_body_is_told_by_its_names(
    control: Control, session: CheckoutSession
) -> None:
    """What a test compares is there; the rest is there as what was left out."""
    [request] = await control.rows("/requests")

    assert request["body"] == [
        "amount=4999",
        "currency=pln",
        "customer_email=[customer_email]",
        "customer_firstname=[customer_firstname]",
        "customer_lastname=[customer_lastname]",
        "customer_phone=[customer_phone]",
        "success_url=[success_url]",
        "notification_url=[notification_url]",
        "locale=pl",
        "metadata[…]=[metadata]",
        "extra[…]=[extra]",
    ]
    assert request["session_id"] == session.id


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"blik_code=123456", ["extra[\N{HORIZONTAL ELLIPSIS}]=[extra]"]),
        (b"\xff\xfe", ["[body]"]),
        (b"a=%ff", ["[body]"]),
        (b"x=1&" * 300, ["[body]"]),
        (
            b"reason=" + b"a" * 40_000 + b"&x=" + b"a" * 9 + b"b",
            ["[body of 40020 bytes]"],
        ),
        (
            b"locale=John&customer_firstname=John",
            ["locale=[customer_firstname]", "customer_firstname=[customer_firstname]"],
        ),
        (
            b"amount=1000&customer_firstname=%C5%81ucja&customer_lastname=%C5%BB%C3%B3%C5%82%C4%87",
            [
                "amount=1000",
                "customer_firstname=[customer_firstname]",
                "customer_lastname=[customer_lastname]",
            ],
        ),
        (
            b"reason=%C5%81ucja&x=%C5%81ucja",
            ["reason=[x]", "extra[\N{HORIZONTAL ELLIPSIS}]=[extra]"],
        ),
    ],
    ids=[
        *("none", "code", "no-text", "no-utf-8", "many", "long", "the-same-twice"),
        *("polish", "polish-twice"),
    ],
)
async def test_a_body_of_any_kind_is_masked(
    body: bytes, lines: list[str], control: Control
) -> None:
    """What cannot be read is not shown, and no value by the name of another."""
    url = f"{control.sandbox.base_url}/v1/checkout/sessions"
    headers = {"Authorization": f"Bearer {control.sandbox.api_key}"}
    async with control.session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 400

    [request] = await control.rows("/requests")

    assert request["body"] == lines


async def test_a_request_keeps_its_session_s_customer_to_itself(
    control: Control,
) -> None:
    """Also in its key, and in a body that names nobody by its fields."""
    sandbox = control.sandbox
    async with sandbox.factory() as checkout:
        session = await checkout.create(an_order(), idempotency_key="17:john:doe")
    form = {"session_id": session.id, "amount": "1", "reason": "John, john@example.com"}
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    url = f"{sandbox.base_url}/v1/refunds"
    async with control.session.post(url, data=form, headers=headers) as answer:
        assert answer.status == 400

    refused, created = await control.rows("/requests")
    _, story = await control.ask("GET", f"/sessions/{session.id}")

    assert created["idempotency_key"] == "17:[customer_firstname]:[customer_lastname]"
    assert refused["body"] == [
        f"session_id={session.id}",
        "amount=1",
        "reason=[customer_firstname], [customer_email]",
    ]
    assert story["requests"] == [refused, created]


async def test_lists_come_in_pages(control: Control) -> None:
    """The newest first; a cursor leads on, also while others come in."""
    book, url = control.sandbox.book, control.sandbox.base_url
    opened = [book.open_session(an_order(), url).id for _ in range(5)]

    _, first = await control.ask("GET", "/sessions?limit=2")
    book.open_session(an_order(), url)
    _, second = await control.ask("GET", f"/sessions?cursor={first['next_cursor']}")

    assert _ids_of(first) == opened[:2:-1]
    assert _ids_of(second) == opened[2::-1]
    assert second["next_cursor"] is None


async def test_lists_can_be_filtered(
    control: Control, session: CheckoutSession
) -> None:
    """By what a test asks for most: a status, an operation, a session."""
    sandbox = control.sandbox
    paid = sandbox.book.open_session(an_order(), sandbox.base_url)
    sandbox.pay(paid.id)
    await control.ask("GET", "/nothing")

    completed = await control.rows("/sessions?status=completed")
    creates = await control.rows("/requests?operation=create")
    of_paid = await control.rows(f"/requests?session_id={paid.id}")

    assert [row["id"] for row in completed] == [paid.id]
    assert [row["session_id"] for row in creates] == [session.id]
    assert of_paid == []


def test_rows_that_the_journal_has_forgotten_are_counted() -> None:
    """A cursor means the same row after older ones have left."""
    page, cursor = PageOrder(limit=2).page_of(reversed("cdefg"), count=7)
    rest, end = PageOrder(cursor=int(cursor or 0)).page_of(reversed("efghi"), count=9)

    assert (page, rest, end) == (["g", "f"], ["e"], None)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "limit must be from 1 to 100"),
        ("limit=101", "limit must be from 1 to 100"),
        ("limit=ten", "limit must be a whole number"),
        ("cursor=-1", "cursor must be a whole number"),
        ("cursor=" + "9" * 16, "cursor must be a whole number"),
        ("limit=1&limit=2", "limit is given twice"),
        ("status=new", "status must be one of open, pending, completed, expired"),
        ("page=2", "page is no parameter of this list: limit, cursor, status"),
    ],
)
async def test_a_query_is_read_strictly(
    query: str, message: str, control: Control
) -> None:
    """A parameter that is not understood is not passed over."""
    status, answer = await control.ask("GET", f"/sessions?{query}")

    assert (status, message_of(answer)) == (400, message)


# -- what is done to it ---------------------------------------------------------------


@pytest.fixture
def booked(control: Control) -> BookedSession:
    """A session that is open."""
    sandbox = control.sandbox
    return sandbox.book.open_session(an_order(), sandbox.base_url)


async def test_a_session_is_paid_or_expires(control: Control) -> None:
    """Both answer how it stands then, and neither goes for one that is final."""
    sandbox = control.sandbox
    paid, late = (
        sandbox.book.open_session(an_order(), sandbox.base_url) for _ in range(2)
    )

    answers = [
        await control.ask("POST", f"/sessions/{paid.id}/pay"),
        await control.ask("POST", f"/sessions/{late.id}/expire"),
    ]
    again = [
        await control.ask("POST", f"/sessions/{late.id}/pay", {"blik_code": CODE}),
        await control.ask("POST", f"/sessions/{paid.id}/expire"),
    ]

    assert [(status, row["status"]) for status, row in answers] == [
        (200, "completed"),
        (200, "expired"),
    ]
    assert [(status, message_of(answer)) for status, answer in again] == [
        (409, "the session is expired already"),
        (409, "the session is completed already"),
    ]


async def test_a_code_decides(control: Control, booked: BookedSession) -> None:
    """As in the gateway's own call: refused, expired, or taken and not confirmed."""
    statuses = [
        (await control.ask("POST", f"/sessions/{booked.id}/pay", {"blik_code": code}))[
            0
        ]
        for code in ("200000", "400000", "300000")
    ]

    assert statuses == [402, 402, 200]
    assert booked.status is SessionStatus.PENDING


@pytest.mark.usefixtures("booked")
async def test_time_passes(control: Control) -> None:
    """The clock is moved and told, and what was due by then has happened."""
    _, before = await control.ask("GET", "/clock")
    status, after = await control.ask("POST", "/clock/advance", {"seconds": 24 * 3600})

    assert status == 200
    assert after["now"] >= before["now"] + 24 * 3600  # type: ignore[operator]  # numbers
    assert (await control.rows("/sessions"))[0]["status"] == "expired"


async def test_time_passes_step_by_step(control: Control) -> None:
    """With *wait* a webhook that nobody takes is tried as often as in that time."""
    sandbox = control.sandbox
    request = attrs.evolve(an_order(), notification_url="http://127.0.0.1:1/hook")
    sandbox.book.open_session(request, sandbox.base_url)

    order = {"seconds": 3 * 24 * 3600, "wait": True}
    status, _ = await control.ask("POST", "/clock/advance", order)
    created = (await control.rows("/deliveries"))[-1]

    assert status == 200
    assert (created["type"], created["note"]) == (
        "session.created",
        "given up after three days",
    )


async def test_faults_are_added_and_cleared(control: Control) -> None:
    """All of a fault's fields can be given, and what is left is told."""
    fault = Fault(
        "status",
        status=429,
        retry_after="2",
        work_done=True,
        operation="create",
        probability=0.5,
        times=3,
    )

    added = await control.ask("POST", "/faults", attrs.asdict(fault))
    small = await control.ask("POST", "/faults", {"kind": "lost"})
    listed = await control.rows("/faults")
    cleared = await control.ask("DELETE", "/faults")

    assert added == (200, attrs.asdict(fault))
    assert small == (200, attrs.asdict(Fault("lost")))
    assert listed == [attrs.asdict(fault), attrs.asdict(Fault("lost"))]
    assert cleared == (204, {})
    assert control.sandbox.faults.left() == []


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/faults", b"", "kind is required"),
        ("/faults", b"{", "body must be a JSON object"),
        ("/faults", b"[]", "body must be a JSON object"),
        ("/faults", {"kind": "other"}, "a fault's kind must be one of status, "),
        ("/faults", {"kind": 1}, "kind must be a text"),
        ("/faults", {"kind": "lost", "times": 1.5}, "times must be a whole number"),
        ("/faults", {"kind": "lost", "times": True}, "times must be a whole number"),
        ("/faults", {"kind": "lost", "times": 0}, "a fault's times must be a whole"),
        (
            "/faults",
            {"kind": "lost", "status": 500},
            "a fault's kind lost goes by no st",
        ),
        ("/faults", {"kind": "lost", "often": 1}, "often is no field of this request"),
        ("/faults", {"kind": "drip", "seconds": "1"}, "seconds must be a number"),
        ("/faults", {"kind": "drip", "seconds": 10**30}, "seconds must be a number"),
        (
            "/faults",
            {"kind": "status", "retry_after": "1\r\nX: 1"},
            "a fault's retry_after must be of printable ASCII",
        ),
        ("/clock/advance", {}, "seconds is required"),
        ("/clock/advance", {"seconds": -1}, "seconds must be from 0 to 315360000 (ten"),
        ("/clock/advance", {"seconds": None}, "seconds must be a number"),
        ("/clock/advance", {"seconds": 315360001}, "seconds must be from 0 to"),
        ("/clock/advance", {"seconds": 1, "wait": 1}, "wait must be true or false"),
        ("/sessions/{id}/pay", {"blik_code": "12345"}, "blik_code must be six digits"),
        ("/sessions/{id}/pay", {"blik_code": 123456}, "blik_code must be a text"),
    ],
)
async def test_an_order_is_read_strictly(
    path: str, body: object, message: str, control: Control, booked: BookedSession
) -> None:
    """What cannot be right is refused in the gateway's error form, and not done."""
    before = control.sandbox.now()
    status, answer = await control.ask("POST", path.format(id=booked.id), body)

    assert status == 400
    assert message_of(answer).startswith(message)
    assert control.sandbox.faults.left() == []
    assert booked.status is SessionStatus.OPEN
    assert control.sandbox.now() < before + 3600


async def test_time_has_an_end(control: Control) -> None:
    """No clock of a computer has to show the year 3000."""
    ten_years = {"seconds": 315_360_000}
    statuses = [
        (await control.ask("POST", "/clock/advance", ten_years))[0] for _ in range(110)
    ]

    assert (statuses[0], statuses[-1]) == (200, 400)
    assert control.sandbox.now() < 32_503_680_000


@pytest.mark.usefixtures("session")
async def test_a_webhook_is_sent_again(control: Control) -> None:
    """By its event's id, which both of its deliveries have."""
    await control.sandbox.elapse(0)
    [first] = await control.rows("/deliveries")

    status, second = await control.ask("POST", f"/deliveries/{first['id']}/resend")

    assert (status, second["id"], second["attempts"]) == (200, first["id"], 0)
    assert len(await control.rows("/deliveries")) == 2


async def test_what_does_not_exist_is_not_found(control: Control) -> None:
    """Each address says what it does not know."""
    messages = [
        message_of((await control.ask(method, path))[1])
        for method, path in (
            ("GET", "/sessions/none"),
            ("POST", "/sessions/none/pay"),
            ("POST", "/sessions/none/expire"),
            ("POST", "/deliveries/none/resend"),
            ("GET", "/nothing"),
            ("GET", "/reset"),
        )
    ]

    assert messages == [
        *["no such checkout session"] * 3,
        "no such event among the latest",
        "no such resource",
        "no such method",
    ]


@pytest.mark.usefixtures("session")
async def test_it_forgets_all(control: Control) -> None:
    """As at its start: no sessions, requests, deliveries and faults."""
    control.sandbox.fail_next("lost")

    done = await control.ask("POST", "/reset")

    lists = ("/sessions", "/requests", "/deliveries", "/faults")
    assert done == (204, {})
    assert [await control.rows(path) for path in lists] == [[]] * 4


async def test_a_big_order_is_refused(control: Control) -> None:
    """More than a MiB is a 413, in the gateway's error form."""
    status, answer = await control.ask("POST", "/faults", io.BytesIO(bytes(2**20 + 1)))

    assert (status, message_of(answer)) == (413, "the body is too big")


async def test_what_is_done_by_hand_is_told() -> None:
    """Whoever pays, lets expire or moves the clock; reading and other words are not."""
    actions: list[SeenAction] = []
    async with (
        Sandbox(on_action=actions.append, frozen=True) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        control = Control(sandbox, session)
        paid, late = (
            sandbox.book.open_session(an_order(), sandbox.base_url) for _ in range(2)
        )
        await session.post(paid.url, data={"blik_code": "123456"})
        await control.ask("POST", f"/sessions/{late.id}/expire")
        await control.ask("POST", f"/sessions/{late.id}/pay")
        await control.ask("POST", "/clock/advance", {"seconds": 60})
        await control.ask("DELETE", "/faults")
        await control.ask("POST", "/\x1b[2J")
        await control.ask("GET", "/clock")
        now = sandbox.now()

    assert [
        (one.name, one.session_id, one.status, one.at - now) for one in actions
    ] == [
        ("pay", paid.id, 303, -60),
        ("expire", late.id, 200, -60),
        ("pay", late.id, 409, -60),
        ("clock advance", None, 200, 0),
        ("faults", None, 204, 0),
    ]
    assert [one.path for one in actions][-1] == "/sandbox/api/faults"
