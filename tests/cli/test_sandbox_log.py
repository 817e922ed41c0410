"""What a running sandbox tells on stderr, on a wide or narrow terminal or a pipe."""

import re
import time
from collections.abc import Iterable

import pytest
from programs import PATIENCE, call, running_sandbox

from convergegate_async import EventType, SessionStatus
from convergegate_async.cli._sandbox_log import (
    print_action,
    print_delivery,
    print_request,
)
from convergegate_async.sandbox import (
    BookedEvent,
    Delivery,
    FaultKind,
    SeenAction,
    SeenRequest,
)

NOON = 1_700_000_000.0 - 1_700_000_000.0 % 86_400 + 12 * 3600
ID = "6uQf6WCtohgFJgda1kRasw"
KEY = "cg1-c7e3c66acb4f213a0fbcdfd6da78490b"


@pytest.fixture(autouse=True)
def log_of_a_container(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    """Have times told as in Greenwich, and no width: xdist hands its own on."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("COLUMNS", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def a_request(**changes: object) -> SeenRequest:
    """Return a request as it was seen at noon."""
    fields: dict[str, object] = {
        "operation": "create",
        "method": "POST",
        "path": "/v1/checkout/sessions",
        "idempotency_key": KEY,
        "body": b"",
        "at": NOON,
        "session_id": ID,
        "status": 200,
    }
    return SeenRequest(**(fields | changes))  # type: ignore[arg-type]  # as they are named


def a_delivery(**changes: object) -> Delivery:
    """Return an event on its way."""
    event = BookedEvent(
        id="evt_1",
        type=EventType.SESSION_COMPLETED,
        created_at=int(NOON),
        url="http://127.0.0.1/hook",
        session_id=ID,
        status=SessionStatus.COMPLETED,
    )
    fields: dict[str, object] = {"event": event, "born": NOON, "attempt": 1}
    return Delivery(**(fields | changes))  # type: ignore[arg-type]  # as they are named


REQUESTS = [
    (a_request(idempotency_key=None), f"12:00:00  200  create               {ID}"),
    (a_request(), f"12:00:00  200  create               {ID}  key {KEY}"),
    (
        a_request(operation="retrieve_refund", idempotency_key=None, replayed=True),
        f"12:00:00  200  retrieve_refund      {ID}  from memory",
    ),
    (
        a_request(idempotency_key=None, status=None, fault=FaultKind.LOST),
        f"12:00:00  ---  create               {ID}  fault: lost",
    ),
    (
        a_request(
            operation="other",
            method="GET",
            path="/v1/\x1b[2J",
            status=404,
            session_id=None,
            idempotency_key=None,
        ),
        f"12:00:00  404  other                {'':22}  GET /v1/\ufffd[2J",
    ),
    (
        a_request(at=1e300, idempotency_key=None),
        f"--:--:--  200  create  {'':11}  {ID}",
    ),
]


@pytest.mark.parametrize(("seen", "line"), REQUESTS)
def test_a_request_is_a_line(
    seen: SeenRequest, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its time, the answer, what was called, the session, and what was special."""
    print_request(seen)

    assert capsys.readouterr().err == f"{line}\n"


DELIVERIES = [
    (a_delivery(status=200), f"12:00:00  200  > session.completed  {ID}"),
    (
        a_delivery(status=500, attempt=2, next_try=NOON + 1),
        f"12:00:00  500  > session.completed  {ID}  try 2, next try 12:00:01",
    ),
    (
        a_delivery(note="ClientConnectorError", next_try=NOON + 86_400),
        (
            f"12:00:00  ---  > session.completed  {ID}  "
            "ClientConnectorError, next try 2023-11-15 12:00:00"
        ),
    ),
    (
        a_delivery(attempt=0, note="lost on purpose", fault=FaultKind.WEBHOOK_LOST),
        (
            f"12:00:00  ---  > session.completed  {ID}  "
            "fault: webhook_lost, lost on purpose"
        ),
    ),
]


@pytest.mark.parametrize(("delivery", "line"), DELIVERIES)
def test_a_try_of_a_webhook_is_a_line(
    delivery: Delivery, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its event, what the shop answered, and when it is asked again."""
    print_delivery(delivery, NOON)

    assert capsys.readouterr().err == f"{line}\n"


ACTIONS = [
    (
        {"name": "pay", "path": f"/pay/{ID}", "session_id": ID},
        f"12:00:00  303  * pay                {ID}  by a page",
    ),
    (
        {"name": "clock advance", "path": "/sandbox/api/clock/advance"},
        (
            f"12:00:00  303  * clock advance      {'':22}  by the control API, "
            "POST /sandbox/api/clock/advance"
        ),
    ),
]


@pytest.mark.parametrize(("fields", "line"), ACTIONS)
def test_what_is_done_by_hand_is_a_line(
    fields: dict[str, str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it is, to which session, and by what it was done."""
    own: dict[str, object] = {"session_id": None, "method": "POST", "status": 303}
    print_action(SeenAction(at=NOON, **(own | fields)))  # type: ignore[arg-type]  # as they are named

    assert capsys.readouterr().err == f"{line}\n"


def test_the_start_tells_where_to_look() -> None:
    """Browsers see it where the owner says they do."""
    with running_sandbox("--public-url", "https://pay.example") as (public, _):
        public.terminate()
        _, log = public.communicate(timeout=PATIENCE)
    with running_sandbox() as (own, environ):
        own.terminate()
        _, log_here = own.communicate(timeout=PATIENCE)

    assert "Status page: https://pay.example/\n" in log
    assert f"Status page: {environ['CONVERGEGATE_BASE_URL']}/\n" in log_here


def test_a_narrow_terminal_breaks_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not fit stands below, in its own column; a key stays whole."""
    monkeypatch.setenv("COLUMNS", "60")

    print_request(a_request(replayed=True))

    first, *below = capsys.readouterr().err.splitlines()
    assert first == f"12:00:00  200  create               {ID}"
    assert below == [f"{'':15}from memory, key", f"{'':15}{KEY}"]


@pytest.mark.parametrize(
    "variables",
    [{"COLUMNS": "60"}, {"NO_COLOR": "1"}, {"LANG": "C", "PYTHONIOENCODING": "ascii"}],
    ids=str,
)
def test_a_sandbox_tells_requests_and_webhooks(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With columns that stay where they are, without escapes in a pipe."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with running_sandbox() as (process, environ):
        done = call(
            *("create", "--amount", "4999", "--currency", "pln", "--output", "id"),
            *("--customer-email", "john@example.com", "--customer-firstname", "John"),
            *("--customer-lastname", "Doe", "--customer-phone", "+48123456789"),
            *("--success-url", "https://shop.example/thanks"),
            *("--notification-url", "https://shop.example/hook"),
            **environ,
        )
        call("get", "none", **environ)
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)

    session = done.stdout.strip()
    lines = stderr.splitlines()
    assert all(
        re.match(r"\d\d:\d\d:\d\d  (\d{3}|---)  \S| {15}\S", line)
        for line in lines[2:-1]
    )
    text = re.sub(r"\n {15}", " ", stderr)
    assert re.search(rf"  200  create               {session}  ?key cg1-", text)
    assert f"  ---  > session.created    {session}" in text
    assert "not sent: the URL is on another machine (see --webhooks-to" in text
    assert "GET /v1/checkout/sessions/none" in text
    assert "\x1b" not in stderr
    assert lines[-1] == "Stopped after 2 requests."
