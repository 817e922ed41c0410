"""Answers that are another call's and repeat nothing wrong: late ones, and twins'."""

import asyncio
import json
import logging
from typing import Unpack

import attrs
import pytest
from canaries import KEY
from orders import ORDER_FIELDS
from raw import Exchange, RawServer, http
from scripted import (
    LOST,
    REFUSED,
    ScriptedTransport,
    StillRuntime,
    answered,
    scripted_factory,
)

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    InvalidRequestError,
    OutcomeUnknownError,
    RefundRequest,
    RetryPolicy,
)
from convergegate_async._core.echo import ECHO_FIELDS
from convergegate_async._core.messages import REMEMBERED, Connection, HttpResponse
from convergegate_async._core.stray_answers import TRUSTED_AFTER
from convergegate_async._core.verdicts import Failure
from convergegate_async.factory import FactoryOptions

WHOLE = {"customer_email": "john@example.com", "amount_subtotal": 4999}


def says(session_id: str, **fields: object) -> HttpResponse:
    """Answer 200 with a session's id and *fields*."""
    body = json.dumps({"id": session_id, "status": "open", **fields}).encode()
    return HttpResponse(status=200, body=body)


def over(connection: Connection, response: HttpResponse) -> HttpResponse:
    """Return *response* as it comes over *connection*."""
    return attrs.evolve(response, connection=connection)


def knowing(
    *script: HttpResponse | Failure, **options: Unpack[FactoryOptions]
) -> tuple[CheckoutSessionFactory, ScriptedTransport]:
    """Return a factory whose first answer repeats what was sent."""
    transport = ScriptedTransport(says("s0", **WHOLE), *script)
    return scripted_factory(transport, **options), transport


# -- an id that was an answer before ---------------------------------------------------


async def test_a_late_second_answer_is_not_a_twin_s(
    order: CheckoutSessionRequest,
) -> None:
    """On the wire: the same purchase twice, and the first is answered twice.

    The second answer waits in front of the twin's own; all fields agree.
    """
    first = http(json.dumps({"id": "s1", **WHOLE}).encode())

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(first)
        await exchange.read_request()
        await exchange.write(first)

    async with (
        RawServer(handler) as server,
        CheckoutSessionFactory(KEY, server.base_url) as checkout,
    ):
        session = await checkout.create(order)
        with pytest.raises(
            OutcomeUnknownError, match="another request before"
        ) as found:
            await checkout.create(order)
        await server.hung_up()

    assert session.id == "s1"
    assert (found.value.phase, found.value.http_status) == ("echo", 200)
    assert found.value.session is None
    assert len(server.requests) == 2


@pytest.mark.parametrize("answers", [1, REMEMBERED, REMEMBERED + 1])
async def test_a_connection_s_last_ids_are_remembered(
    answers: int, order: CheckoutSessionRequest
) -> None:
    """An id is another call's if it is among the last 16 of its connection."""
    line = Connection()
    script = [over(line, says(f"s{n}", **WHOLE)) for n in range(answers)]
    transport = ScriptedTransport(*script, over(line, says("s0", **WHOLE)))
    async with scripted_factory(transport) as checkout:
        for n in range(answers):
            await checkout.create(order, idempotency_key=f"order-{n}")
        again = checkout.create(order, idempotency_key="order-17")
        if answers > REMEMBERED:
            assert (await again).id == "s0"
        else:
            with pytest.raises(OutcomeUnknownError):
                await again

    assert transport.distrusted == [False] * (answers <= REMEMBERED)


async def test_an_id_may_come_back_under_its_key_and_elsewhere(
    order: CheckoutSessionRequest,
) -> None:
    """A key that is honoured names its session again; another connection knows none."""
    line, other = Connection(), Connection()
    answers = [over(one, says("s1", **WHOLE)) for one in (line, line, other)]
    async with scripted_factory(ScriptedTransport(*answers)) as checkout:
        first = await checkout.create(order, idempotency_key="order-1")
        again = await checkout.create(order, idempotency_key="order-1")
        elsewhere = await checkout.create(order, idempotency_key="order-2")

    assert first.id == again.id == elsewhere.id


async def test_a_refund_s_late_second_answer_is_not_a_twin_s() -> None:
    """The same part of a session is paid back twice, and the first answered twice."""
    line = Connection()
    body = json.dumps({"id": "re_1", "session_id": "s1", "amount": 100}).encode()
    said = over(line, HttpResponse(status=200, body=body))
    request = RefundRequest(session_id="s1", amount=100)
    transport = ScriptedTransport(said, said, says("s1"))
    async with scripted_factory(transport) as checkout:
        first = await checkout.refund(request, idempotency_key="refund-1")
        with pytest.raises(OutcomeUnknownError, match="another request before"):
            await checkout.refund(request, idempotency_key="refund-2")

    assert first.id == "re_1"

    assert transport.distrusted == [False]


@pytest.mark.parametrize("own_key", [None, "order-1"])
async def test_what_a_look_named_is_nobody_s_new_session(
    own_key: str | None, order: CheckoutSessionRequest
) -> None:
    """But under a key of the caller's own it may have been opened, and looked at."""
    line = Connection()
    said = [over(line, says("s1", **WHOLE))] * 2
    async with scripted_factory(ScriptedTransport(*said)) as checkout:
        await checkout.retrieve("s1")
        again = checkout.create(order, idempotency_key=own_key)
        if own_key is not None:
            assert (await again).id == "s1"
        else:
            with pytest.raises(OutcomeUnknownError, match="another request before"):
                await again


async def test_a_look_leaves_a_session_its_key(order: CheckoutSessionRequest) -> None:
    """Looked at in between, an id comes back under its key, and under no other."""
    line = Connection()
    said = [over(line, says("s1", **WHOLE))] * 4
    async with scripted_factory(ScriptedTransport(*said)) as checkout:
        await checkout.create(order, idempotency_key="order-1")
        await checkout.retrieve("s1")
        await checkout.create(order, idempotency_key="order-1")
        with pytest.raises(OutcomeUnknownError, match="another request before"):
            await checkout.create(order, idempotency_key="order-2")


async def test_ids_can_be_dropped_from_the_echo(order: CheckoutSessionRequest) -> None:
    """A gateway that tells equal purchases by one id is believed without ``id``."""
    line = Connection()
    transport = ScriptedTransport(*[over(line, says("s1", **WHOLE))] * 2)
    fields = [name for name in ECHO_FIELDS if name != "id"]
    async with scripted_factory(transport, echo_fields=fields) as checkout:
        await checkout.create(order, idempotency_key="order-1")
        session = await checkout.create(order, idempotency_key="order-2")

    assert session.id == "s1"


# -- a refusal that is late ------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 429, 503])
async def test_a_late_refusal_leaves_nobody_another_s_session(
    status: int, order: CheckoutSessionRequest
) -> None:
    """On the wire: what it keeps from its request is not the next twin's answer.

    The first purchase is answered twice, the second time by a refusal. The answer that
    was due comes when the connection has another request.
    """
    sessions = [http(json.dumps({"id": f"s{n}", **WHOLE}).encode()) for n in range(3)]
    late = http(b"{}", f"{status} No")

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(sessions[len(opened)])
        opened.append(None)
        await exchange.read_request()
        await exchange.write(late)
        due = sessions[len(opened)]
        opened.append(None)
        await exchange.read_request()
        await exchange.write(due)

    opened: list[None] = []
    once = RetryPolicy(max_attempts=1)
    async with (
        RawServer(handler) as server,
        CheckoutSessionFactory(KEY, server.base_url, retry=once) as checkout,
    ):
        await checkout.create(order)
        with pytest.raises(CallError):
            await checkout.create(order)
        session = await checkout.create(order)

    assert (session.id, len(opened)) == ("s2", 3)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(http(b"{}", "504 No"), id="504"),
        pytest.param(http(b"{}", "408 No"), id="408"),
        pytest.param(http(b"<html>"), id="unreadable"),
        pytest.param(http(b"{}"), id="no-id"),
        pytest.param(http(b'{"id": "s0", "id": "s1"}'), id="two-ids"),
        pytest.param(http(b"?", extra=b"Content-Encoding: gzip\r\n"), id="gzip"),
    ],
)
async def test_an_unknown_outcome_leaves_nobody_another_s_session(
    first: bytes, order: CheckoutSessionRequest
) -> None:
    """On the wire: whatever a proxy says first, the gateway's answer may follow it."""
    sessions = [http(json.dumps({"id": f"s{n}", **WHOLE}).encode()) for n in range(2)]
    connections = iter([[first, sessions[0]], [sessions[1]]])

    async def handler(exchange: Exchange) -> None:
        for answer in next(connections):
            await exchange.read_request()
            await exchange.write(answer)

    once = RetryPolicy(max_attempts=1)
    async with (
        RawServer(handler) as server,
        CheckoutSessionFactory(KEY, server.base_url, retry=once) as checkout,
    ):
        with pytest.raises(OutcomeUnknownError):
            await checkout.create(order)
        session = await checkout.create(order)

    assert session.id == "s1"


async def test_the_first_answer_of_a_connection_is_not_late(
    order: CheckoutSessionRequest,
) -> None:
    """Refused on a new connection, the next call goes over it."""
    refusal = http(b"{}", "400 No")

    async def handler(exchange: Exchange) -> None:
        for answer in (refusal, http(json.dumps({"id": "s1", **WHOLE}).encode())):
            await exchange.read_request()
            await exchange.write(answer)

    async with (
        RawServer(handler) as server,
        CheckoutSessionFactory(KEY, server.base_url) as checkout,
    ):
        with pytest.raises(InvalidRequestError):
            await checkout.create(order)
        session = await checkout.create(order)

    assert session.id == "s1"


# -- answers that repeat nothing -----------------------------------------------------


async def test_a_gateway_that_repeats_nothing_is_believed(
    order: CheckoutSessionRequest,
) -> None:
    """Where no answer has repeated anything, one that does not is no wonder."""
    transport = ScriptedTransport(*[says(f"s{n}") for n in range(3)])
    async with scripted_factory(transport) as checkout:
        sessions = [await checkout.create(order) for _ in range(3)]

    assert [session.id for session in sessions] == ["s0", "s1", "s2"]
    assert transport.distrusted == []


async def test_a_bare_answer_is_looked_into(order: CheckoutSessionRequest) -> None:
    """Its connection is closed, and its session is the caller's if it agrees."""
    checkout, transport = knowing(says("s1"), says("s1", **WHOLE))
    async with checkout:
        await checkout.create(order)
        session = await checkout.create(order, idempotency_key="order-1")

    assert transport.distrusted == [False]
    assert [one.method for one in transport.sent] == ["POST", "POST", "GET"]
    assert (session.id, session.customer_email) == ("s1", "john@example.com")
    assert session.call.idempotency_key == "order-1"
    assert (session.call.attempts, session.call.unknown_attempts) == (2, 0)


@pytest.mark.parametrize(
    ("look", "why"),
    [
        pytest.param(
            says("s1", customer_email="eve@example.com", amount_subtotal=1),
            "customer_email, amount_subtotal differ",
            id="another-s",
        ),
        pytest.param(says("s1"), "neither does its session", id="bare"),
        pytest.param(answered(404), "could not be looked at", id="unknown"),
        pytest.param(answered(503), "could not be looked at", id="busy"),
        pytest.param(LOST, "could not be looked at", id="lost"),
        pytest.param(REFUSED, "could not be looked at", id="refused"),
        pytest.param(says("s2", **WHOLE), "could not be looked at", id="other-id"),
    ],
)
async def test_a_bare_answer_that_is_not_confirmed_is_unknown(
    look: HttpResponse | Failure, why: str, order: CheckoutSessionRequest
) -> None:
    """One look, no repeat, nothing out of the budget; the answer is handed on."""
    checkout, transport = knowing(says("s1"), look)
    async with checkout:
        await checkout.create(order)
        with pytest.raises(OutcomeUnknownError, match=why) as caught:
            await checkout.create(order)
        left = checkout.stats().repeats_left

    error = caught.value
    assert (error.phase, error.attempts, left) == ("echo", 2, 100)
    assert error.session is not None
    assert (error.session.id, error.session.customer_email) == ("s1", None)
    assert transport.script == []


async def test_one_attempt_looks_into_nothing(order: CheckoutSessionRequest) -> None:
    """`max_attempts=1` is one request on the wire."""
    once = RetryPolicy(max_attempts=1)
    checkout, transport = knowing(says("s1"), retry=once)
    async with checkout:
        await checkout.create(order)
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.create(order)

    assert caught.value.session is not None
    assert caught.value.session.id == "s1"
    assert len(transport.sent) == 2


async def test_an_id_that_cannot_be_asked_for_is_unknown(
    order: CheckoutSessionRequest,
) -> None:
    """A bare answer may name what no path may hold."""
    checkout, transport = knowing(says("../refunds"))
    async with checkout:
        await checkout.create(order)
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.create(order)

    assert caught.value.phase == "echo"
    assert len(transport.sent) == 2


async def test_a_look_has_what_is_left_of_the_deadline(
    order: CheckoutSessionRequest,
) -> None:
    """The bare answer came after a pause, and the look ends with the call."""
    still = StillRuntime()
    late = answered(429, retry_after="20")
    checkout, transport = knowing(
        late, says("s1"), says("s1", **WHOLE), runtime=still.runtime()
    )
    async with checkout:
        await checkout.create(order)
        session = await checkout.create(order, timeout=25)

    assert transport.patience[-1] == pytest.approx(25 - still.slept[0])
    assert session.call.attempts == 3


async def test_a_look_that_is_cancelled_leaves_the_key(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """The session may have been opened: one WARNING names the key."""
    looking = asyncio.Event()

    class Stalling(ScriptedTransport):
        async def send(self, *args: object) -> HttpResponse | Failure:
            if len(self.sent) == 2:
                looking.set()
                await asyncio.Event().wait()
            return await super().send(*args)  # type: ignore[arg-type]  # handed through

    transport = Stalling(says("s0", **WHOLE), says("s1"))
    async with scripted_factory(transport) as checkout:
        await checkout.create(order)
        call = asyncio.create_task(checkout.create(order, idempotency_key="order-1"))
        await looking.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert "order-1" in caplog.text


async def test_bare_answers_that_prove_right_are_taken(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """After 20 in a row, with one WARNING; until one repeats something again."""
    right = [says("s1"), says("s1", **WHOLE)]
    script = [
        *right * TRUSTED_AFTER,
        says("s2"),
        says("s3"),
        says("s4", **WHOLE),
        *right,
    ]
    checkout, transport = knowing(*script)
    with caplog.at_level(logging.WARNING, "convergegate_async"):
        async with checkout:
            sessions = [await checkout.create(order) for _ in range(TRUSTED_AFTER + 5)]

    attempts = [session.call.attempts for session in sessions]
    assert attempts == [1, *[2] * TRUSTED_AFTER, 1, 1, 1, 2]
    assert transport.script == []
    assert len(caplog.records) == 1
    assert f"{TRUSTED_AFTER} answers in a row" in caplog.text


@pytest.mark.parametrize("between", ["wrong", "whole"])
async def test_a_row_of_bare_answers_can_be_broken(
    between: str, order: CheckoutSessionRequest
) -> None:
    """By one that proved wrong, and by one that repeated something."""
    right = [says("s1"), says("s1", **WHOLE)]
    broken = (
        [says("s2"), answered(404)] if between == "wrong" else [says("s2", **WHOLE)]
    )
    checkout, transport = knowing(*right * (TRUSTED_AFTER - 1), *broken, *right * 2)
    unknown = 0
    async with checkout:
        for _ in range(TRUSTED_AFTER + 3):
            try:
                await checkout.create(order)
            except OutcomeUnknownError:
                unknown += 1

    assert unknown == (between == "wrong")
    assert transport.script == []


@pytest.mark.parametrize(
    ("fields", "is_taken"),
    [
        pytest.param({"metadata": {"order": "A-17"}}, True, id="metadata"),
        pytest.param({"metadata": {"other": "A-17"}}, False, id="other-metadata"),
        pytest.param({"metadata": {"order": ""}}, False, id="empty-metadata"),
        pytest.param({"customer_email": "", "currency": None}, False, id="empty"),
        pytest.param({"customer_phone": "+48123456789"}, False, id="not-compared"),
        pytest.param({"amount_sub_total": 4999}, True, id="amount"),
        pytest.param({"currency": "PLN"}, False, id="currency"),
        pytest.param({"success_url": ORDER_FIELDS["success_url"]}, False, id="url"),
    ],
)
async def test_what_repeats_a_sent_field(
    fields: dict[str, object], *, is_taken: bool, order: CheckoutSessionRequest
) -> None:
    """One field that tells purchases apart is enough to be taken at its word."""
    checkout, transport = knowing(says("s1", **fields), says("s1", **WHOLE))
    async with checkout:
        await checkout.create(order)
        session = await checkout.create(order)

    assert session.call.attempts == len(transport.sent) - 1 == (1 if is_taken else 2)


async def test_views_learn_together(order: CheckoutSessionRequest) -> None:
    """What one view has seen of the gateway, the factory and all views know."""
    checkout, transport = knowing(says("s1"), says("s1", **WHOLE))
    async with checkout:
        await checkout.with_options(retry=RetryPolicy()).create(order)
        session = await checkout.create(attrs.evolve(order))

    assert session.call.attempts == 2
    assert transport.script == []
