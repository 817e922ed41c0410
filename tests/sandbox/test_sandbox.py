"""The sandbox as a gateway: what a client without our SDK sees of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from matrix import AMPLE
from orders import an_order

from convergegate_async import ConfigurationError, RefundRequest
from convergegate_async.sandbox import (
    Fault,
    FaultKind,
    FaultOptions,
    FaultPlan,
    Sandbox,
    SeenRequest,
    read_fault,
)

FORM = {
    "amount": "1000",
    "currency": "pln",
    "customer_email": "john@example.com",
    "customer_firstname": "John",
    "customer_lastname": "Doe",
    "customer_phone": "+48123456789",
    "success_url": "https://url.com/",
}


class Client:
    """A bare client of one sandbox."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session

    async def create(
        self, body: str, authorization: str | None = None, **headers: str
    ) -> tuple[int, dict[str, object]]:
        """Post *body*, and return the answer."""
        token = base64.b64encode(f"{self.sandbox.api_key}:".encode()).decode()
        url = f"{self.sandbox.base_url}/v1/checkout/sessions"
        sent = {
            "Authorization": authorization or f"Basic {token}",
            "Content-Type": "application/x-www-form-urlencoded",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.session.post(url, data=body, headers=sent) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, dict[str, object]]:
        """Get *path* as a Bearer, and return the answer."""
        headers = {"Authorization": f"Bearer {self.sandbox.api_key}"}
        url = f"{self.sandbox.base_url}{path}"
        async with self.session.get(url, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    """A client that knows nothing of our SDK."""
    async with aiohttp.ClientSession() as session:
        yield Client(sandbox, session)


async def test_create_answers_as_the_sample_does(client: Client) -> None:
    """The answer has the fields of the provider's sample, in its spelling."""
    status, session = await client.create(urlencode(FORM))

    assert status == 200
    assert session["amount_total"] == session["amount_sub_total"] == 1000
    assert session["status"] == "open"
    assert session["payment_method"] == ["blik"]
    assert session["metadata"] is session["fees"] is None
    assert session["url"] == f"{client.sandbox.base_url}/pay/{session['id']}"
    assert isinstance(session["expire_at"], int)
    assert session["expire_at"] == session["created_at"] + 24 * 3600  # type: ignore[operator]  # both ints


async def test_a_request_tells_its_time_and_its_session(client: Client) -> None:
    """Also one by the id of a refund; one that is about none tells none."""
    sandbox = client.sandbox
    _, created = await client.create(urlencode(FORM))
    sandbox.pay(str(created["id"]))
    sandbox.advance(60)
    async with sandbox.factory() as checkout:
        refund = await checkout.refund(
            RefundRequest(session_id=str(created["id"]), full=True)
        )
        await checkout.retrieve_refund(refund.id)
    await client.get("/v1/checkout/sessions/none")

    assert [seen.session_id for seen in sandbox.seen] == [created["id"]] * 3 + [None]
    first, second, *_ = sandbox.seen
    assert 60 <= second.at - first.at < 60 + AMPLE


async def test_retrieve_answers_as_the_table_does(client: Client) -> None:
    """*Retrieve* spells three fields in the other way."""
    _, created = await client.create(urlencode(FORM))

    status, found = await client.get(f"/v1/checkout/sessions/{created['id']}")

    assert status == 200
    assert found["amount_subtotal"] == 1000
    assert found["expires_at"] == created["expire_at"]
    assert found["payment_method_types"] == ["blik"]


@pytest.mark.parametrize("authorization", ["Basic bm9ib2R5Og==", "Bearer sk", "x"])
async def test_another_key_is_not_admitted(client: Client, authorization: str) -> None:
    """A wrong key is 401 with the documented envelope, and nothing is done."""
    status, answer = await client.create(urlencode(FORM), authorization)

    assert status == 401
    assert answer == {
        "error": {
            "message": "no valid API key was given",
            "type": "authentication_error",
        }
    }
    assert client.sandbox.book.sessions == {}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"customer_phone": None}, "customer_phone"),
        ({"customer_phone": ""}, "customer_phone"),
        ({"amount": "ten"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"currency": "zloty"}, "currency"),
        ({"payment_method": "card"}, "payment_method"),
        ({"expires_at": "1"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "9" * 30}, "expires_at"),
        ({"colour of hair": "red"}, "extra"),
        ({"metadata": "red"}, "metadata"),
        ({f"metadata[{'k' * 51}]": "v"}, "metadata"),
        ({"success_url": "shop"}, "success_url"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(
    client: Client, change: dict[str, str | None], param: str
) -> None:
    """A field that breaks its rule is 400 `invalid_request_error` with *param*."""
    form = {name: value for name, value in (FORM | change).items() if value is not None}

    status, answer = await client.create(urlencode(form))

    assert status == 400
    assert isinstance(answer["error"], dict)
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == param


async def test_what_nobody_knows_yet_is_taken(client: Client) -> None:
    """A field that the SDK sends in `extra` does not keep a shop from trying it out."""
    status, answer = await client.create(urlencode(FORM | {"colour": "red"}))
    again, refusal = await client.create(urlencode(FORM) + "&colour=red&colour=blue")

    assert (status, again) == (200, 400)
    assert "colour" not in answer
    assert isinstance(refusal["error"], dict)
    assert refusal["error"]["param"] == "colour"


@pytest.mark.parametrize("body", ["amount=1&amount=2", "é", "amount", "a=%ff"])
async def test_a_broken_form_is_refused(client: Client, body: str) -> None:
    """What is no form, or says a field twice, is a 400."""
    status, _ = await client.create(body)

    assert status == 400


async def test_metadata_comes_back(client: Client) -> None:
    """Bracketed metadata is kept and answered."""
    form = FORM | {"metadata[order]": "A-17", "payment_method": "blik"}

    _, session = await client.create(urlencode(form))

    assert session["metadata"] == {"order": "A-17"}


async def test_a_key_is_honoured(client: Client) -> None:
    """The same key and body are answered with the first session."""
    first = await client.create(urlencode(FORM), Idempotency_Key="k")
    second = await client.create(urlencode(FORM), Idempotency_Key="k")

    assert first == second
    assert [seen.replayed for seen in client.sandbox.seen] == [False, True]
    assert len(client.sandbox.book.sessions) == 1


async def test_a_key_with_another_body_is_refused(client: Client) -> None:
    """A key stands for one request."""
    await client.create(urlencode(FORM), Idempotency_Key="k")

    status, answer = await client.create(
        urlencode(FORM | {"amount": "2"}), Idempotency_Key="k"
    )

    assert status == 422
    assert isinstance(answer["error"], dict)
    assert answer["error"]["param"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "key", [b"\xff\xfe", b"z\xc5\x82", b"a b", b"", b"<b>", b"x" * 256]
)
@pytest.mark.parametrize("path", ["/v1/checkout/sessions", "/v1/refunds"])
@pytest.mark.parametrize("has_file", [False, True])
async def test_what_is_no_key_is_refused_and_shown_nowhere(
    path: str, key: bytes, has_file: bool, tmp_path: Path
) -> None:
    """It does nothing, keeps no page from being shown and nothing from being kept."""
    file = tmp_path / "book.db" if has_file else None
    async with Sandbox(db=file) as sandbox, aiohttp.ClientSession() as session:
        client = Client(sandbox, session)
        status, answer = await post_under_key(sandbox, path, key)
        async with session.get(sandbox.base_url) as page:
            shown = page.status
        listed, _ = await client.get("/sandbox/api/requests")
        created, _ = await client.create(urlencode(FORM), Idempotency_Key="k")

    assert (status, answer["error"]["param"]) == (400, "Idempotency-Key")
    assert "must be 1 to 255 letters" in answer["error"]["message"]
    assert (shown, listed, created) == (200, 200, 200)
    assert [seen.idempotency_key for seen in sandbox.seen] == [None, "k"]
    assert len(sandbox.book.sessions) == 1


async def post_under_key(
    sandbox: Sandbox, path: str, key: bytes
) -> tuple[int, dict[str, dict[str, str]]]:
    """Post `FORM` under a key of any bytes, and return status and answer."""
    body = urlencode(FORM).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {sandbox.api_key}\r\nContent-Length: {len(body)}\r\n"
    )
    parts = urlsplit(sandbox.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head.encode() + b"Idempotency-Key: " + key + b"\r\n\r\n" + body)
    async with asyncio.timeout(AMPLE):
        answer = await reader.read()
    writer.close()
    return int(answer[9:12]), json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_keys_can_be_ignored() -> None:
    """With `honour_keys` off every request makes a session."""
    async with (
        Sandbox(honour_keys=False) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        client = Client(sandbox, session)
        await client.create(urlencode(FORM), Idempotency_Key="k")
        await client.create(urlencode(FORM), Idempotency_Key="k")

    assert len(sandbox.book.sessions) == 2


async def test_a_session_expires_by_the_gateway_s_clock() -> None:
    """An open session is `expired` once its time has come."""
    now = [1_700_000_000.0]
    async with (
        Sandbox(now=lambda: now[0]) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        client = Client(sandbox, session)
        _, created = await client.create(urlencode(FORM))
        now[0] += 24 * 3600
        _, found = await client.get(f"/v1/checkout/sessions/{created['id']}")

    assert found["status"] == "expired"


async def test_an_unknown_path_is_404(client: Client) -> None:
    """There is no list of sessions, as at the real gateway."""
    status, _ = await client.get("/v1/checkout/sessions")

    assert status == 404
    assert client.sandbox.count("other") == 1


async def ids_of(sandbox: Sandbox) -> set[str]:
    """Return the ids of a session, of a refund and of their events."""
    async with sandbox, sandbox.factory() as checkout:
        session = await checkout.create(an_order(notification_url="http://[::1]:1/"))
        await checkout.pay(session.id, "123456")
        refund = await checkout.refund(RefundRequest(session_id=session.id, full=True))
        sandbox.advance(10)
        taken = [delivery.event for delivery in sandbox.deliveries]
        events = {event.id for event in [*taken, *sandbox.book.outbox]}
    assert events
    return {session.id, refund.id} | events


@pytest.mark.parametrize("with_book", [False, True])
async def test_a_restart_makes_other_ids(*, with_book: bool, tmp_path: Path) -> None:
    """A shop that knows an id has seen that payment, and not that of a new sandbox."""
    db = tmp_path / "book.db" if with_book else None

    first, second = [await ids_of(Sandbox(db=db)) for _ in range(2)]

    assert not first & second


async def test_two_books_do_not_share_ids(tmp_path: Path) -> None:
    """A book that was deleted does not make the next one begin anew."""
    first = await ids_of(Sandbox(db=tmp_path / "first.db"))
    second = await ids_of(Sandbox(db=tmp_path / "second.db"))

    assert not first & second


async def test_the_same_seed_makes_the_same_ids() -> None:
    """Sandboxes are repeatable by a seed."""
    first, second = [await ids_of(Sandbox(seed=7)) for _ in range(2)]

    assert first == second


def test_faults_are_repeatable_without_a_seed() -> None:
    """The dice of the faults are always the same, unless a seed is given."""

    def drawn(seed: int | None) -> list[bool]:
        plan = Sandbox(faults=[Fault(FaultKind.LOST, probability=0.5)], seed=seed)
        return [plan.faults.draw("create") is not None for _ in range(64)]

    assert drawn(None) == drawn(None) == drawn(0) != drawn(1)


async def test_a_taken_port_is_named(sandbox: Sandbox) -> None:
    """A second sandbox on the same port says what is wrong."""
    port = int(sandbox.base_url.rpartition(":")[2])

    with pytest.raises(ConfigurationError, match=f"port {port}"):
        await Sandbox(port=port).__aenter__()


def test_a_sandbox_that_does_not_run_has_no_address() -> None:
    """Asking too early is refused with the reason."""
    with pytest.raises(ConfigurationError, match="not running"):
        Sandbox().factory()


async def test_work_can_be_done_before_a_500(client: Client) -> None:
    """A 500 with `work_done` leaves a session behind."""
    client.sandbox.faults.add(Fault(FaultKind.STATUS, status=500, work_done=True))

    status, _ = await client.create(urlencode(FORM))

    assert status == 500
    assert len(client.sandbox.book.sessions) == 1


# -- the plan of faults -----------------------------------------------------------


def test_a_plan_is_repeatable() -> None:
    """The same seed draws the same faults, another seed others."""

    def drawn(seed: int) -> list[bool]:
        plan = FaultPlan([Fault(FaultKind.LOST, probability=0.5)], seed)
        return [plan.draw("create") is not None for _ in range(64)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_a_fault_keeps_to_its_count_and_operation() -> None:
    """*times* and *operation* bound a fault; the next one takes over."""
    plan = FaultPlan([Fault(FaultKind.LOST, operation="create", times=1)])
    plan.add(Fault(FaultKind.STALL, operation="create"))

    drawn = [plan.draw(name) for name in ("retrieve", "create", "create")]

    assert [fault and fault.kind for fault in drawn] == [None, "lost", "stall"]
    plan.clear()
    assert plan.draw("create") is None


def test_a_fault_of_webhooks_keeps_to_its_event() -> None:
    """Those before it come as they should, and are not counted."""
    plan = FaultPlan([Fault("webhook_lost", event="session.completed", times=1)])
    events = ("session.created", "session.completed", "session.completed")

    drawn = [plan.draw("webhook", event) is not None for event in events]

    assert drawn == [False, True, False]


@pytest.mark.parametrize(
    ("kind", "options", "rule"),
    [
        ("webhook_lost", {"event": "session.complete"}, r"event must be .*expired"),
        ("webhook_lost", {"operation": "session.completed"}, "event.* not an oper"),
        ("webhook_lost", {"operation": "create"}, "event.* not an oper"),
        ("lost", {"event": "session.completed"}, "operation.* not an event"),
        ("lost", {"operation": "creat"}, "operation must be one of create, ret"),
        ("lost", {"times": 0}, "times must be a whole number from 1"),
        ("lost", {"times": 1.5}, "times must be a whole number from 1"),
        ("lost", {"probability": 0}, "probability must be above 0"),
        ("lost", {"status": 500}, "lost goes by no status"),
        ("stall", {"retry_after": "7"}, "stall goes by no status, retry_after"),
        ("webhook_lost", {"work_done": True}, "goes by no status, retry_after or work"),
        ("status", {"seconds": 3}, "status goes by no seconds"),
        ("status", {"status": 500.5}, "status must be from 200"),
    ],
)
def test_a_fault_that_could_never_happen_is_refused(
    kind: str, options: FaultOptions, rule: str
) -> None:
    """Nor one that goes by less than was given: it says what its kind goes by."""
    with pytest.raises(ConfigurationError, match=rule):
        Fault(kind, **options)


def test_a_fault_of_an_event_can_be_spelled() -> None:
    """The status page shows it as the command line takes it."""
    text = "webhook_late:seconds=60.0,times=1,event=refund.failed"

    plan = FaultPlan([read_fault(text)])

    assert plan.describe() == [text]


def test_a_fault_can_be_spelled() -> None:
    """The command line's spelling reads into the same fault."""
    text = "status:status=429,retry_after=1,times=3,work_done=true"

    fault = read_fault(text)

    assert fault == Fault(
        FaultKind.STATUS, status=429, retry_after="1", times=3, work_done=True
    )


@pytest.mark.parametrize("text", ["", "fire", "lost:often=1", "lost:times=x"])
def test_a_misspelled_fault_is_refused(text: str) -> None:
    """The error lists the kinds that there are."""
    with pytest.raises(ConfigurationError, match="stall_body"):
        read_fault(text)


def test_a_request_in_the_journal_hides_its_body() -> None:
    """The journal's repr shows no personal data."""
    seen = SeenRequest(
        operation="create",
        method="POST",
        path="/",
        idempotency_key=None,
        body=json.dumps(FORM).encode(),
    )

    assert "john" not in repr(seen)
