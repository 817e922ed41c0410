"""Paying money back: never twice in silence, and plain where it cannot be known."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from matrix import AMPLE, GRACE, turn, until_sent
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
    ConflictError,
    InvalidFieldError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RefundReason,
    RefundRequest,
    RefundStatus,
    RetryPolicy,
    Timeouts,
    derive_key,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ID = "AW-kLcRRC5P8U68CYe0kVA"
PART = RefundRequest(session_id=ID, amount=1000)
HONOURED = RetryPolicy(keys_honoured=True, base_delay=0.001)
FAULTS = [kind for kind in FaultKind if not kind.concerns_webhooks]
BROKEN = [kind for kind in FAULTS if kind not in (FaultKind.STATUS, FaultKind.LATENCY)]


def refunded(**fields: object) -> HttpResponse:
    """Return an answer with a refund of 1000, *fields* apart."""
    document = {"id": "re_1", "amount": 1000, "status": "pending", **fields}
    return HttpResponse(status=200, body=json.dumps(document).encode())


def shows(session_id: str = ID) -> HttpResponse:
    """Return an answer with a session of which 1000 was paid back."""
    document = {"id": session_id, "status": "completed", "amount_refunded": 1000}
    return HttpResponse(status=200, body=json.dumps(document).encode())


def methods(transport: ScriptedTransport) -> list[str]:
    """Return how every request was made, in order."""
    return [request.method for request in transport.sent]


def keys(transport: ScriptedTransport) -> set[str | None]:
    """Return the idempotency keys of all writes."""
    return {
        request.headers.get("Idempotency-Key")
        for request in transport.sent
        if request.method == "POST"
    }


async def paid(checkout: CheckoutSessionFactory, order: CheckoutSessionRequest) -> str:
    """Open a session, pay it, and return its id."""
    created = await checkout.create(order)
    return (await checkout.pay(created.id, "123456")).id


# -- what is asked for ----------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="neither"),
        pytest.param({"full": False}, id="not-full"),
        pytest.param({"amount": 1, "full": True}, id="both"),
        pytest.param({"amount": ""}, id="empty"),
    ],
)
def test_a_part_or_all_has_to_be_said(fields: Mapping[str, Any]) -> None:
    """Exactly one of *amount* and *full*: nothing means everything to the gateway."""
    with pytest.raises(InvalidFieldError, match=r"amount .*full=True") as caught:
        RefundRequest(session_id=ID, **fields)

    assert caught.value.field == "amount"


@pytest.mark.parametrize("amount", [0, -1, 1.0, True, "5", 2**53 + 1])
def test_an_amount_is_a_whole_number_of_minor_units(amount: Any) -> None:  # noqa: ANN401 -- wrong on purpose
    """What is no positive `int` is refused when the request is built."""
    with pytest.raises(InvalidFieldError, match="amount"):
        RefundRequest(session_id=ID, amount=amount)


@pytest.mark.parametrize("full", [1, "yes", None])
def test_full_is_true_or_false(full: Any) -> None:  # noqa: ANN401 -- wrong on purpose
    """A truthy value is no leave to pay everything back."""
    with pytest.raises(InvalidFieldError, match="full"):
        RefundRequest(session_id=ID, full=full)


async def test_a_part_says_its_amount_on_the_wire() -> None:
    """The form holds the session, the amount and the rest as asked."""
    transport = ScriptedTransport(refunded())
    request = attrs.evolve(PART, reason="duplicated", metadata={"ticket": "7"})
    async with scripted_factory(transport) as checkout:
        await checkout.refund(request, idempotency_key="r-1")

    sent = transport.sent[0]
    assert (sent.method, sent.url) == ("POST", "https://gateway.example/v1/refunds")
    assert sent.headers["Idempotency-Key"] == "r-1"
    assert sent.body is not None
    assert set(sent.body.split(b"&")) == {
        b"session_id=AW-kLcRRC5P8U68CYe0kVA",
        b"amount=1000",
        b"reason=duplicated",
        b"metadata%5Bticket%5D=7",
    }


async def test_everything_is_said_by_leaving_the_amount_out() -> None:
    """A full refund sends no amount, and no word that the gateway does not know."""
    transport = ScriptedTransport(refunded())
    async with scripted_factory(transport) as checkout:
        await checkout.refund(RefundRequest(session_id=ID, full=True))

    assert transport.sent[0].body == b"session_id=AW-kLcRRC5P8U68CYe0kVA"


@pytest.mark.parametrize("key", ["", "a b", "ż", "x" * 256])
async def test_a_malformed_key_is_not_sent(key: str) -> None:
    """A key that is unsafe in a header is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="idempotency_key"):
            await checkout.refund(PART, idempotency_key=key)

    assert transport.sent == []


# -- on the sandbox -------------------------------------------------------------------


async def test_a_part_is_paid_back(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A refund is pending, then succeeded, and shows in its session."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        refund = await checkout.refund(
            RefundRequest(
                session_id=session_id,
                amount=1000,
                reason="requested_by_customer",
                metadata={"ticket": "7"},
            )
        )
        sandbox.advance(1)
        later = await checkout.retrieve_refund(refund.id)
        session = await checkout.retrieve(session_id)

    assert (refund.amount, refund.status) == (1000, RefundStatus.PENDING)
    assert refund.reason is RefundReason.REQUESTED_BY_CUSTOMER
    assert refund.metadata == {"ticket": "7"}
    assert (later.id, later.status) == (refund.id, RefundStatus.SUCCEEDED)
    assert (session.amount_refunded, session.refunded) == (1000, False)
    assert len(session.refunds) == 1
    assert refund.call.idempotency_key == sandbox.seen[2].idempotency_key is not None


async def test_everything_that_is_left_is_paid_back(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A full refund after a part pays the rest; then nothing is left to refund."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        await checkout.refund(RefundRequest(session_id=session_id, amount=1000))
        rest = await checkout.refund(RefundRequest(session_id=session_id, full=True))
        session = await checkout.retrieve(session_id)
        with pytest.raises(InvalidRequestError, match="only 0 is left"):
            await checkout.refund(RefundRequest(session_id=session_id, full=True))

    assert rest.amount == 3999
    assert (session.amount_refunded, session.refunded) == (4999, True)


async def test_no_more_than_was_paid_is_paid_back(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """An amount above what is left is refused, with the field to blame."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        with pytest.raises(InvalidRequestError) as caught:
            await checkout.refund(RefundRequest(session_id=session_id, amount=5000))

    assert (caught.value.param, caught.value.http_status) == ("amount", 400)
    assert sandbox.book.refunds == {}


async def test_what_was_not_paid_is_not_paid_back(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """An open session and an unknown one have nothing to refund."""
    async with sandbox.factory() as checkout:
        created = await checkout.create(order)
        with pytest.raises(InvalidRequestError, match="not paid"):
            await checkout.refund(RefundRequest(session_id=created.id, full=True))
        with pytest.raises(NotFoundError):
            await checkout.refund(RefundRequest(session_id="nobody", full=True))
        with pytest.raises(NotFoundError):
            await checkout.retrieve_refund("nobody")

    assert sandbox.book.refunds == {}


async def test_a_refund_can_fail_later(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A failed refund is shown by `retrieve_refund`, and its money is there again."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        refund = await checkout.refund(RefundRequest(session_id=session_id, amount=666))
        sandbox.advance(1)
        later = await checkout.retrieve_refund(refund.id)
        session = await checkout.retrieve(session_id)

    assert refund.status is RefundStatus.PENDING
    assert later.status is RefundStatus.FAILED
    assert session.amount_refunded == 0


# -- keys that nobody promised to honour ----------------------------------------------


async def test_a_lost_refund_is_not_sent_again() -> None:
    """Without honoured keys one POST is made; the session is read once and attached."""
    transport = ScriptedTransport(LOST, shows())
    async with scripted_factory(transport) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART, idempotency_key="r-1")

    error = caught.value
    assert methods(transport) == ["POST", "GET"]
    assert transport.sent[1].url.endswith(f"/v1/checkout/sessions/{ID}")
    assert "Idempotency-Key" not in transport.sent[1].headers
    assert error.session is not None
    assert (error.session.id, error.session.amount_refunded) == (ID, 1000)
    assert (error.operation, error.attempts, error.phase) == ("refund", 1, "sent")
    assert error.idempotency_key == "r-1"


@pytest.mark.parametrize("status", [302, 408, 499, 500, 502, 503, 504, 520])
async def test_a_status_that_proves_nothing_is_not_repeated(status: int) -> None:
    """A status that may come after the work leaves a refund unknown."""
    transport = ScriptedTransport(answered(status), shows())
    async with scripted_factory(transport) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART)

    assert methods(transport) == ["POST", "GET"]
    assert caught.value.http_status == status
    assert caught.value.session is not None


@pytest.mark.parametrize(
    "look",
    [
        pytest.param([answered(404)], id="404"),
        pytest.param([answered(503)] * 3, id="503"),
        pytest.param([LOST] * 3, id="lost"),
        pytest.param([shows("another")], id="another-session"),
    ],
)
async def test_a_look_that_fails_leaves_no_session(
    look: list[HttpResponse | Failure],
) -> None:
    """Where the session cannot be read the refund is unknown all the same."""
    transport = ScriptedTransport(LOST, *look)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART)

    assert caught.value.session is None
    assert caught.value.attempts == 1
    assert methods(transport).count("POST") == 1


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(REFUSED, id="not-sent"),
        pytest.param(answered(429), id="429"),
        pytest.param(answered(425), id="425"),
    ],
)
async def test_what_the_gateway_has_not_done_is_sent_again(
    first: HttpResponse | Failure,
) -> None:
    """What was refused before any work is repeated, byte for byte."""
    transport = ScriptedTransport(first, first, refunded())
    async with scripted_factory(transport) as checkout:
        refund = await checkout.refund(PART)

    assert transport.sent[0] is transport.sent[1] is transport.sent[2]
    assert (refund.call.attempts, refund.call.unknown_attempts) == (3, 0)


async def test_a_gateway_that_cannot_be_reached_was_sent_nothing() -> None:
    """If no attempt was sent the refund was not made, and nothing is looked at."""
    transport = ScriptedTransport(*[REFUSED] * 3)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(NotSentError) as caught:
            await checkout.refund(PART)

    assert caught.value.session is None
    assert methods(transport) == ["POST"] * 3


async def test_a_refusal_after_a_loss_is_not_believed() -> None:
    """With a lost attempt before it, a 400 does not prove that nothing was done."""
    transport = ScriptedTransport(LOST, answered(400), shows())
    async with scripted_factory(transport, retry=HONOURED) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART)

    assert methods(transport) == ["POST", "POST", "GET"]
    assert caught.value.session is not None
    assert caught.value.http_status == 400


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_answer_is_unknown(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Whatever breaks, one POST arrives; the error has the session read afterwards."""
    timeouts = Timeouts(total=AMPLE, attempt=0.3)
    async with sandbox.factory(timeouts=timeouts) as checkout:
        session_id = await paid(checkout, order)
        request = RefundRequest(session_id=session_id, amount=1000)
        sandbox.faults.add(Fault(kind, operation="refund"))
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(request)

    assert (sandbox.count("refund"), sandbox.count("retrieve")) == (1, 1)
    assert caught.value.session is not None
    assert caught.value.session.amount_refunded == (
        sandbox.book.sessions[session_id].amount_refunded
    )


async def test_without_time_left_the_session_is_not_read(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """An attempt that took all the time leaves none for a look."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        sandbox.faults.add(Fault(FaultKind.STALL, operation="refund"))
        request = RefundRequest(session_id=session_id, full=True)
        with pytest.raises(OutcomeUnknownError) as caught:
            await until_sent(lambda: checkout.refund(request, timeout=0.3))

    assert caught.value.elapsed <= 0.3 + GRACE
    assert caught.value.session is None
    assert sandbox.count("retrieve") == 0


# -- keys that are honoured -----------------------------------------------------------


async def test_a_lost_refund_is_sent_again_under_one_key() -> None:
    """With honoured keys a loss is repeated byte for byte, and counted."""
    transport = ScriptedTransport(LOST, answered(503), refunded())
    async with scripted_factory(transport, retry=HONOURED) as checkout:
        refund = await checkout.refund(PART)

    assert transport.sent[0] is transport.sent[1] is transport.sent[2]
    assert keys(transport) == {refund.call.idempotency_key}
    assert (refund.call.attempts, refund.call.unknown_attempts) == (3, 2)


@pytest.mark.parametrize("kind", BROKEN)
async def test_under_an_honoured_key_money_moves_once(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A repeat is answered with the first refund."""
    timeouts = Timeouts(total=AMPLE, attempt=0.2)
    patient = attrs.evolve(HONOURED, max_attempts=9)
    async with sandbox.factory(retry=patient, timeouts=timeouts) as checkout:
        session_id = await paid(checkout, order)
        sandbox.faults.add(Fault(kind, operation="refund", times=2))
        refund = await checkout.refund(
            RefundRequest(session_id=session_id, amount=1000)
        )

    assert list(sandbox.book.refunds) == [refund.id]
    assert sandbox.book.sessions[session_id].amount_refunded == 1000
    assert sandbox.count("refund") == 3
    assert len({seen.idempotency_key for seen in list(sandbox.seen)[2:]}) == 1
    assert refund.call.unknown_attempts == 2


async def test_a_lasting_loss_is_unknown_with_the_session() -> None:
    """At the end of all attempts the session is read once and attached."""
    transport = ScriptedTransport(*[LOST] * 3, shows())
    async with scripted_factory(transport, retry=HONOURED) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART)

    assert methods(transport) == ["POST"] * 3 + ["GET"]
    assert caught.value.attempts == 3
    assert caught.value.session is not None


# -- conflicts ------------------------------------------------------------------------


async def test_a_conflict_is_repeated_after_a_second() -> None:
    """A 409 is repeated under the same key, no sooner than a second later."""
    still, transport = StillRuntime(), ScriptedTransport(answered(409), refunded())
    async with scripted_factory(transport, still) as checkout:
        refund = await checkout.refund(PART)

    assert transport.sent[0] is transport.sent[1]
    assert all(pause >= 1 for pause in still.slept)
    assert (refund.call.attempts, refund.call.unknown_attempts) == (2, 0)


async def test_a_lasting_conflict_is_reported() -> None:
    """Under a key that nobody else can have, a 409 means: not done."""
    transport = ScriptedTransport(*[answered(409)] * 3)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(ConflictError) as caught:
            await checkout.refund(PART)

    assert type(caught.value) is ConflictError
    assert caught.value.attempts == 3
    assert keys(transport) == {caught.value.idempotency_key}


async def test_a_lasting_conflict_under_the_caller_s_key_is_unknown() -> None:
    """A key of the caller's may be at work in an earlier call."""
    still = StillRuntime()
    transport = ScriptedTransport(*[answered(409)] * 3, shows())
    async with scripted_factory(transport, still) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART, idempotency_key=derive_key("refund", "7"))

    assert caught.value.http_status == 409
    assert caught.value.idempotency_key == derive_key("refund", "7")
    assert keys(transport) == {derive_key("refund", "7")}
    assert methods(transport).count("POST") == 3
    assert [pause >= 1 for pause in still.slept[:2]] == [True, True]


async def test_a_conflict_after_a_loss_is_unknown() -> None:
    """A 409 may be about the attempt that was lost."""
    transport = ScriptedTransport(LOST, answered(409), answered(409), shows())
    async with scripted_factory(transport, retry=HONOURED) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.refund(PART)

    assert caught.value.session is not None
    assert methods(transport) == ["POST"] * 3 + ["GET"]


async def test_a_key_with_another_request_is_refused(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A gateway that honours keys does not let one stand for two refunds."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        first = RefundRequest(session_id=session_id, amount=1)
        await checkout.refund(first, idempotency_key="r-1")
        with pytest.raises(InvalidRequestError) as caught:
            await checkout.refund(attrs.evolve(first, amount=2), idempotency_key="r-1")

    assert caught.value.http_status == 422
    assert len(sandbox.book.refunds) == 1


# -- one attempt ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        pytest.param(LOST, OutcomeUnknownError, id="lost"),
        pytest.param(REFUSED, NotSentError, id="not-sent"),
        pytest.param(answered(503), OutcomeUnknownError, id="503"),
        pytest.param(answered(409), ConflictError, id="409"),
    ],
)
@pytest.mark.parametrize("honoured", [True, False])
async def test_one_attempt_is_one_sending(
    honoured: bool, first: HttpResponse | Failure, kind: type[CallError]
) -> None:
    """With `max_attempts` of 1 nothing is sent again, nor looked at."""
    policy = RetryPolicy(max_attempts=1, keys_honoured=honoured)
    transport = ScriptedTransport(first)
    async with scripted_factory(transport, retry=policy) as checkout:
        with pytest.raises(kind) as caught:
            await checkout.refund(PART)

    assert type(caught.value) is kind
    assert caught.value.session is None
    assert methods(transport) == ["POST"]


@pytest.mark.parametrize("kind", FAULTS)
async def test_one_attempt_is_one_request_on_the_wire(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """With `max_attempts` of 1 exactly one request arrives, whatever goes wrong."""
    attempts = []
    policy = RetryPolicy(max_attempts=1, keys_honoured=True)
    async with sandbox.factory(retry=policy) as checkout:
        session_id = await paid(checkout, order)
        request = RefundRequest(session_id=session_id, amount=1000)
        sandbox.faults.add(Fault(kind))
        try:
            refund = await until_sent(lambda: checkout.refund(request, timeout=0.2))
            attempts.append(refund.call.attempts)
        except OutcomeUnknownError as error:
            attempts.append(error.attempts)

    assert [seen.operation for seen in sandbox.seen] == ["create", "pay", "refund"]
    assert attempts == [1]


# -- the echo -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 999),
        ("session_id", "another"),
        ("reason", "fraudulent"),
        ("metadata", {"ticket": "8"}),
    ],
)
async def test_an_answer_to_another_refund_is_not_believed(
    field: str, value: object
) -> None:
    """A 2xx that repeats something else is unknown, and never sent again."""
    transport = ScriptedTransport(refunded(**{field: value}), shows())
    request = attrs.evolve(PART, reason="duplicated", metadata={"ticket": "7"})
    async with scripted_factory(transport, retry=HONOURED) as checkout:
        with pytest.raises(OutcomeUnknownError, match=field) as caught:
            await checkout.refund(request)

    assert caught.value.phase == "echo"
    assert caught.value.session is not None
    assert methods(transport) == ["POST", "GET"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="missing"),
        pytest.param({"session_id": None, "amount": None}, id="null"),
        pytest.param({"session_id": "", "reason": ""}, id="empty"),
        pytest.param({"session_id": ID, "metadata": {"more": "1"}}, id="more"),
    ],
)
async def test_what_is_not_repeated_does_not_differ(
    fields: Mapping[str, object],
) -> None:
    """A missing, null or empty field is no mismatch, nor is one that was not sent."""
    transport = ScriptedTransport(refunded(**fields))
    async with scripted_factory(transport) as checkout:
        refund = await checkout.refund(PART)

    assert refund.id == "re_1"


async def test_the_amount_of_a_full_refund_is_the_gateway_s_to_tell() -> None:
    """A full refund sent no amount, so that any amount is its answer."""
    transport = ScriptedTransport(refunded(amount=3999))
    async with scripted_factory(transport) as checkout:
        refund = await checkout.refund(RefundRequest(session_id=ID, full=True))

    assert refund.amount == 3999


async def test_a_field_can_be_dropped_from_the_echo() -> None:
    """A gateway that rewrites reasons is believed once `echo_fields` says so."""
    transport = ScriptedTransport(refunded(reason="fraudulent"))
    request = attrs.evolve(PART, reason="duplicated")
    async with scripted_factory(transport, echo_fields=["amount"]) as checkout:
        refund = await checkout.refund(request)

    assert refund.reason is RefundReason.FRAUDULENT


async def test_another_refund_is_not_taken_for_the_one_asked_for() -> None:
    """`retrieve_refund` does not believe an answer with another id."""
    async with scripted_factory(ScriptedTransport(refunded())) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.retrieve_refund("re_2")

    assert caught.value.phase == "echo"


# -- closed and cancelled -------------------------------------------------------------


async def test_closing_tells_the_key_of_a_refund_that_it_cut(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """The key of a refund cut by closing is handed back, to be looked into."""
    checkout = await sandbox.factory().open()
    session_id = await paid(checkout, order)
    sandbox.faults.add(Fault(FaultKind.STALL))
    request = RefundRequest(session_id=session_id, full=True)
    call = asyncio.create_task(checkout.refund(request, idempotency_key="r-1"))
    while not sandbox.count("refund"):  # noqa: ASYNC110 -- the wire has no event
        await asyncio.sleep(0.005)

    left = await checkout.aclose(drain=0)

    assert left == ("r-1",)
    with pytest.raises(OutcomeUnknownError):
        await call


async def test_a_cancelled_refund_is_warned_of(
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refund cancelled under way surfaces at once, and a warning names its key."""
    async with sandbox.factory() as checkout:
        session_id = await paid(checkout, order)
        sandbox.faults.add(Fault(FaultKind.STALL))
        request = RefundRequest(session_id=session_id, full=True)
        call = asyncio.create_task(checkout.refund(request, idempotency_key="r-1"))
        while not sandbox.count("refund"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        call.cancel()
        await turn()
        surfaced = call.cancelled()

    assert surfaced
    assert sandbox.count("retrieve") == 0
    assert [record.getMessage().count("r-1") for record in caplog.records] == [1]
