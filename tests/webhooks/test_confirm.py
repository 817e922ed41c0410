import json
from typing import Any

import pytest
from scripted import LOST, REFUSED, ScriptedTransport, answered, scripted_factory

from convergegate_async import (
    BadPayloadError,
    CallError,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConvergeGateError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    Refund,
    SessionStatus,
    WebhookEvent,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async.testing import ThreadedSandbox
from convergegate_async.webhooks import confirm


def event(**fields: Any) -> WebhookEvent:  # noqa: ANN401 -- handed through
    """Return a verified event."""
    return WebhookEvent(id="evt_1", type="session.completed", **fields)


def answer(**document: object) -> HttpResponse:
    """Return the gateway's 200."""
    return HttpResponse(status=200, body=json.dumps(document).encode())


async def confirmed(
    delivered: WebhookEvent, *script: HttpResponse | Failure
) -> tuple[CheckoutSession | Refund, list[str]]:
    """Confirm over *script*, and return the answer with what was asked."""
    transport = ScriptedTransport(*script)
    async with scripted_factory(transport) as checkout:
        found = await confirm(delivered, checkout)
    return found, [f"{sent.method} {sent.url}" for sent in transport.sent]


async def refuted(
    delivered: WebhookEvent, *script: HttpResponse | Failure
) -> tuple[ConvergeGateError, int]:
    """Confirm over *script* in vain; return the error, and how often was asked."""
    transport = ScriptedTransport(*script)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(ConvergeGateError) as caught:
            await confirm(delivered, checkout)
    return caught.value, len(transport.sent)


async def test_the_gateway_is_believed_and_not_the_event(
    checkout: CheckoutSessionFactory,
    convergegate_sandbox: ThreadedSandbox,
    order: CheckoutSessionRequest,
) -> None:
    """A session that was completed meanwhile is returned as completed."""
    session = await checkout.create(order)
    convergegate_sandbox.pay(session.id)

    stale = event(session_id=session.id, status=SessionStatus.OPEN)
    found = await confirm(stale, checkout)

    assert isinstance(found, CheckoutSession)
    assert (found.id, found.status) == (session.id, SessionStatus.COMPLETED)


async def test_a_session_of_nobody_is_not_found(
    checkout: CheckoutSessionFactory, convergegate_sandbox: ThreadedSandbox
) -> None:
    """An event about a session that the gateway does not know is not confirmed."""
    with pytest.raises(NotFoundError):
        await confirm(event(session_id="AW-kLcRRC5P8U68CYe0kVA"), checkout)

    assert len(convergegate_sandbox.requests("retrieve")) == 1


async def test_an_event_about_a_session_asks_for_the_session() -> None:
    """One read of the session is all that it takes."""
    found, asked = await confirmed(event(session_id="s1"), answer(id="s1"))

    assert found == CheckoutSession(id="s1")
    assert asked == ["GET https://gateway.example/v1/checkout/sessions/s1"]


async def test_an_event_about_a_refund_asks_for_the_refund() -> None:
    """The refund is read, and the session is left alone."""
    delivered = event(session_id="s1", refund_id="r1")

    found, asked = await confirmed(delivered, answer(id="r1", session_id="s1"))

    assert found == Refund(id="r1", session_id="s1")
    assert asked == ["GET https://gateway.example/v1/refunds/r1"]


@pytest.mark.parametrize(
    ("session_id", "document"),
    [
        pytest.param("s1", {"id": "r1"}, id="refund-does-not-tell"),
        pytest.param(None, {"id": "r1", "session_id": "s1"}, id="event-does-not-tell"),
        pytest.param(None, {"id": "r1"}, id="neither-tells"),
    ],
)
async def test_what_is_missing_is_no_contradiction(
    session_id: str | None, document: dict[str, object]
) -> None:
    """A refund is confirmed if its session is missing on either side."""
    found, _ = await confirmed(
        event(session_id=session_id, refund_id="r1"), answer(**document)
    )

    assert isinstance(found, Refund)
    assert found.id == "r1"


async def test_a_refund_has_the_session_that_the_event_names() -> None:
    """The gateway's refund need not name it; what came of the refund stays as it is."""
    delivered = event(session_id="s1", refund_id="r1")

    found, _ = await confirmed(delivered, answer(id="r1"))

    assert found == Refund(id="r1", session_id="s1")
    assert found.raw == {"id": "r1"}


async def test_a_refund_of_another_session_is_refused() -> None:
    """An event that joins a refund with a session that it is not of is not trusted."""
    delivered = event(session_id="s1", refund_id="r1")

    error, _ = await refuted(delivered, answer(id="r1", session_id="s2"))

    assert type(error) is BadPayloadError


async def test_an_event_about_nothing_is_refused() -> None:
    """An event that names neither session nor refund asks the gateway nothing."""
    error, asked = await refuted(event())

    assert type(error) is BadPayloadError
    assert asked == 0


@pytest.mark.parametrize("name", ["session_id", "refund_id"])
@pytest.mark.parametrize("identifier", ["../admin", "s1?x=", "s 1", "ś", "s" * 129])
async def test_an_id_that_cannot_be_one_is_not_sent(name: str, identifier: str) -> None:
    """No event makes us call another path, or a foreign exception come out."""
    error, asked = await refuted(event(**{name: identifier}))

    assert isinstance(error, ConvergeGateError)
    assert asked == 0


@pytest.mark.parametrize(
    ("fields", "document"),
    [
        pytest.param({"session_id": "s1"}, {"id": "s2"}, id="session"),
        pytest.param({"refund_id": "r1"}, {"id": "r2"}, id="refund"),
    ],
)
async def test_the_answer_has_to_be_about_the_same(
    fields: dict[str, str], document: dict[str, object]
) -> None:
    """An answer about something else confirms nothing."""
    error, _ = await refuted(event(**fields), answer(**document))

    assert isinstance(error, OutcomeUnknownError)
    assert error.phase == "echo"


@pytest.mark.parametrize("name", ["session_id", "refund_id"])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param([answered(404)], NotFoundError, id="404"),
        pytest.param([REFUSED] * 3, NotSentError, id="unreachable"),
        pytest.param([LOST] * 3, OutcomeUnknownError, id="lost"),
    ],
)
async def test_a_gateway_that_cannot_be_asked_is_reported(
    name: str, script: list[HttpResponse | Failure], kind: type[CallError]
) -> None:
    """The error of the read comes out as it is, so that the delivery can be refused."""
    error, _ = await refuted(event(**{name: "x1"}), *script)

    assert type(error) is kind
