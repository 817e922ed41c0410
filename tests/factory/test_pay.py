"""Taking a code: sent once, looked after, and shown to nobody."""

import asyncio
import json
import logging
import re
import traceback
from typing import Any, cast

import attrs
import pytest
from matrix import AMPLE, GRACE, turn, until_sent
from raw import Exchange, RawServer, http
from scripted import (
    LOST,
    REFUSED,
    LastingTransport,
    ScriptedTransport,
    StillRuntime,
    answered,
    scripted_factory,
    shows,
)
from watching import Watcher

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConflictError,
    DeclinedError,
    InvalidFieldError,
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    RetryPolicy,
    SessionStatus,
    Timeouts,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async.errors import FailureKind
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ID = "AW-kLcRRC5P8U68CYe0kVA"
CODE = "271828"
QUICK = RetryPolicy(base_delay=0.001)
FAULTS = [kind for kind in FaultKind if not kind.concerns_webhooks]
WRONG_CODES = [
    pytest.param("12345", id="five"),
    pytest.param("1234567", id="seven"),
    pytest.param("12345a", id="letter"),
    pytest.param(" 123456", id="space-before"),
    pytest.param("123456\n", id="line-after"),
    pytest.param("\uff11\uff12\uff13\uff14\uff15\uff16", id="full-width"),
    pytest.param(123456, id="int"),
    pytest.param(b"123456", id="bytes"),
]


def methods(transport: ScriptedTransport) -> list[str]:
    """Return how every request was made, in order."""
    return [request.method for request in transport.sent]


def shown(error: BaseException) -> str:
    """Return all that *error* shows, with the locals of every frame but the test's."""
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    trace = traceback.TracebackException(type(error), error, inner, capture_locals=True)
    texts = [*trace.format(), str(error), repr(error), repr(error.args)]
    # An address in memory is made of digits too.
    return re.sub("0x[0-9a-f]+", "", "\n".join([*texts, repr(vars(error))]))


async def opened(
    checkout: CheckoutSessionFactory, order: CheckoutSessionRequest
) -> str:
    """Open a session, and return its id."""
    return (await checkout.create(order)).id


# -- the code -------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*WRONG_CODES, pytest.param("", id="empty")])
async def test_a_wrong_code_is_not_sent(code: object) -> None:
    """What is not six ASCII digits in a `str` is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="six digits") as caught:
            await checkout.pay(ID, blik_code=cast("str", code))

    assert caught.value.field == "blik_code"
    assert transport.sent == []


@pytest.mark.parametrize("code", WRONG_CODES)
async def test_a_wrong_code_is_not_shown(code: object) -> None:
    """A refused code is in no message, repr, args or local of our frames."""
    async with scripted_factory(ScriptedTransport()) as checkout:
        with pytest.raises(InvalidFieldError) as caught:
            await checkout.pay(ID, blik_code=cast("str", code))

    text = shown(caught.value)
    assert ", in pay\n" in text  # what is shown begins with our frame
    assert str(code) not in text
    assert repr(code) not in text


@pytest.mark.parametrize("session_id", ["", "a/b", "..", "a b", "x" * 129])
async def test_a_code_for_no_session_is_neither_sent_nor_shown(
    session_id: str,
) -> None:
    """An id that cannot be one is refused before the wire, and the code stays hid."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError) as caught:
            await checkout.pay(session_id, CODE)

    assert caught.value.field == "session_id"
    assert transport.sent == []
    assert CODE not in shown(caught.value)


async def test_the_code_is_the_body_of_a_post() -> None:
    """The wire sees a form with the code, leading zero and all, and no key."""

    async def handler(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(http(shows("completed").body))

    async with (
        RawServer(handler) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url) as checkout,
    ):
        session = await checkout.pay(ID, blik_code="012345")

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"POST /v1/checkout/sessions/{ID}/pay HTTP/1.1".encode())
    assert b"content-type: application/x-www-form-urlencoded" in head.lower()
    assert b"idempotency-key" not in head.lower()
    assert body == b"blik_code=012345"
    assert session.call.idempotency_key is None
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_code_on_its_way_is_shown_nowhere(
    kind: FaultKind,
    sandbox: Sandbox,
    order: CheckoutSessionRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever breaks, neither the error nor a DEBUG log holds the code."""
    text = ""
    with caplog.at_level(logging.DEBUG):
        async with sandbox.factory(retry=QUICK) as checkout:
            session_id = await opened(checkout, order)
            sandbox.faults.add(Fault(kind, operation="pay"))
            sandbox.faults.add(Fault(FaultKind.STATUS, operation="retrieve"))
            try:
                timeout = AMPLE if kind is FaultKind.LATENCY else 0.3
                await checkout.pay(session_id, CODE, timeout=timeout)
            except CallError as error:
                text = shown(error)

    assert CODE not in text
    assert CODE not in caplog.text
    assert CODE.encode() not in b"".join(seen.body for seen in sandbox.seen)
    assert (text == "") is (kind is FaultKind.LATENCY)


async def test_a_gateway_that_quotes_the_code_is_not_quoted() -> None:
    """The code in the gateway's own words becomes the field's name."""
    words = {"error": {"message": f"code {CODE} is used", "type": "card_error"}}
    refused = HttpResponse(status=402, body=json.dumps(words).encode())
    async with scripted_factory(ScriptedTransport(refused)) as checkout:
        with pytest.raises(DeclinedError) as caught:
            await checkout.pay(ID, CODE)

    assert caught.value.message == "code [blik_code] is used"
    assert CODE not in shown(caught.value)


async def test_a_look_after_a_payment_does_not_show_the_code_either() -> None:
    """It has sent none, and the gateway's name for its answer may still quote it."""
    named = attrs.evolve(shows("completed"), headers={"request-id": f"r-{CODE}"})
    unsure = answered(503, request_id=f"r-{CODE}")
    watcher = Watcher()
    transport = ScriptedTransport(LOST, unsure, named)
    async with scripted_factory(transport, observers=[watcher]) as checkout:
        session = await checkout.pay(ID, CODE)

    assert session.call.request_id == "r-[blik_code]"
    names = [attempt.request_id for attempt in watcher.attempts]
    assert names == [None, "r-[blik_code]", "r-[blik_code]"]


# -- sent once ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [pytest.param(REFUSED, id="not-sent"), pytest.param(answered(429), id="429")],
)
async def test_what_the_gateway_has_not_seen_is_sent_again(
    first: HttpResponse | Failure,
) -> None:
    """`pay` is repeated where no work was begun: NotSent and 429."""
    transport = ScriptedTransport(first, first, shows("completed"))
    async with scripted_factory(transport) as checkout:
        session = await checkout.pay(ID, CODE)

    assert methods(transport) == ["POST"] * 3
    assert transport.sent[0] is transport.sent[1] is transport.sent[2]
    assert (session.call.attempts, session.call.unknown_attempts) == (3, 0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (402, DeclinedError),
        (409, ConflictError),
        (425, InvalidRequestError),
    ],
)
async def test_a_refusal_is_final(status: int, kind: type[CallError]) -> None:
    """A refusal, 425 and 409 included, ends the call at once without a look."""
    transport = ScriptedTransport(answered(status))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(kind) as caught:
            await checkout.pay(ID, CODE)

    assert type(caught.value) is kind
    assert caught.value.http_status == status
    assert methods(transport) == ["POST"]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(LOST, id="lost"),
        *[
            pytest.param(answered(status), id=str(status))
            for status in (302, 408, 499, 500, 502, 503, 504, 520)
        ],
        pytest.param(HttpResponse(status=200, body=b"<html>"), id="unreadable"),
        pytest.param(shows("completed", "another"), id="another-session"),
    ],
)
async def test_what_may_have_been_done_is_looked_at_instead(
    first: HttpResponse | Failure,
) -> None:
    """After an unknown outcome the code is not sent again; a look finds out."""
    transport = ScriptedTransport(first, shows("completed"))
    async with scripted_factory(transport) as checkout:
        session = await checkout.pay(ID, CODE)

    assert methods(transport) == ["POST", "GET"]
    assert transport.sent[1].url.endswith(f"/v1/checkout/sessions/{ID}")
    assert session.id == ID
    assert session.status is SessionStatus.COMPLETED
    assert (session.call.attempts, session.call.unknown_attempts) == (1, 1)


async def test_a_loss_after_a_repeat_ends_the_repeats() -> None:
    """Once an attempt may have been done, no further one is made."""
    transport = ScriptedTransport(REFUSED, answered(429), LOST, shows("completed"))
    async with scripted_factory(transport, retry=RetryPolicy(max_attempts=9)) as pos:
        session = await pos.pay(ID, CODE)

    assert methods(transport) == ["POST"] * 3 + ["GET"]
    assert (session.call.attempts, session.call.unknown_attempts) == (3, 1)


async def test_a_gateway_that_cannot_be_reached_was_sent_nothing() -> None:
    """If no attempt was sent the call was not, and nothing is looked at."""
    transport = ScriptedTransport(*[REFUSED] * 3)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(NotSentError) as caught:
            await checkout.pay(ID, CODE)

    assert caught.value.attempts == 3
    assert methods(transport) == ["POST"] * 3


async def test_a_lasting_429_is_a_refusal() -> None:
    """A 429 to the end is `RateLimitedError`, and nothing is looked at."""
    transport = ScriptedTransport(*[answered(429)] * 3)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(RateLimitedError):
            await checkout.pay(ID, CODE)

    assert methods(transport) == ["POST"] * 3


# -- looked after ---------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "expired"])
async def test_a_final_session_answers_a_lost_payment(status: str) -> None:
    """`completed` and `expired` are answers, and carry the payment's account."""
    transport = ScriptedTransport(LOST, shows("open"), shows("pending"), shows(status))
    still = StillRuntime()
    async with scripted_factory(transport, still) as checkout:
        session = await checkout.pay(ID, CODE)

    assert session.status == status
    assert methods(transport) == ["POST", "GET", "GET", "GET"]
    assert (session.call.attempts, session.call.unknown_attempts) == (1, 1)
    assert session.call.elapsed == pytest.approx(sum(still.slept))


async def test_looking_passes_over_what_may_pass() -> None:
    """A look that fails for now is made again."""
    transport = ScriptedTransport(
        LOST, *[answered(503)] * 3, *[LOST] * 3, answered(429), shows("completed")
    )
    async with scripted_factory(transport) as checkout:
        session = await checkout.pay(ID, CODE)

    assert session.status is SessionStatus.COMPLETED
    assert (session.call.attempts, session.call.unknown_attempts) == (1, 1)


@pytest.mark.parametrize("status", ["open", "pending", "brand_new", None])
async def test_a_lost_payment_that_stays_open_is_unknown(status: str | None) -> None:
    """What is not final proves nothing: the error has the session, at the deadline."""
    still = StillRuntime()
    transport = LastingTransport(LOST, shows(status))
    async with scripted_factory(transport, still) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.pay(ID, CODE, timeout=12)

    error = caught.value
    assert type(error) is OutcomeUnknownError
    assert error.session is not None
    assert (error.session.id, error.session.status) == (ID, status)
    assert (error.operation, error.attempts, error.phase) == ("pay", 1, "sent")
    assert error.elapsed == pytest.approx(12)
    assert methods(transport).count("POST") == 1


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_look_that_is_refused_leaves_it_unknown(status: int) -> None:
    """A refused look, 404 included, is no proof that the payment was not taken."""
    transport = ScriptedTransport(LOST, answered(status))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.pay(ID, CODE)

    assert caught.value.session is None
    assert methods(transport) == ["POST", "GET"]


async def test_another_session_s_answer_proves_nothing() -> None:
    """A look that shows another session is not believed."""
    transport = ScriptedTransport(LOST, shows("completed", "another"))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.pay(ID, CODE)

    assert caught.value.session is None


@pytest.mark.parametrize("status", [500, 503])
async def test_one_attempt_makes_no_look(status: int) -> None:
    """With `max_attempts` of 1 an unknown outcome is raised without a look."""
    for first in (LOST, answered(status)):
        transport = ScriptedTransport(first)
        async with scripted_factory(
            transport, retry=RetryPolicy(max_attempts=1)
        ) as checkout:
            with pytest.raises(OutcomeUnknownError) as caught:
                await checkout.pay(ID, CODE)

        assert caught.value.session is None
        assert methods(transport) == ["POST"]


@pytest.mark.parametrize("kind", FAULTS)
async def test_one_attempt_is_one_request_on_the_wire(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """With `max_attempts` of 1 exactly one request arrives, whatever goes wrong."""
    attempts = []
    async with sandbox.factory(retry=RetryPolicy(max_attempts=1)) as checkout:
        session_id = await opened(checkout, order)
        sandbox.faults.add(Fault(kind))
        try:
            session = await until_sent(
                lambda: checkout.pay(session_id, CODE, timeout=0.2)
            )
            attempts.append(session.call.attempts)
        except OutcomeUnknownError as error:
            attempts.append(error.attempts)

    assert [seen.operation for seen in sandbox.seen] == ["create", "pay"]
    assert attempts == [1]


@pytest.mark.parametrize(
    "kind",
    [FaultKind.LOST, FaultKind.TRUNCATE, FaultKind.STALL_BODY, FaultKind.GARBAGE],
)
async def test_a_payment_whose_answer_broke_is_found_paid(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Where the money was taken and the answer was not heard, the look tells."""
    timeouts = Timeouts(total=AMPLE, attempt=0.2)
    async with sandbox.factory(timeouts=timeouts) as checkout:
        session_id = await opened(checkout, order)
        sandbox.faults.add(Fault(kind, times=1))
        session = await checkout.pay(session_id, CODE)

    assert session.status is SessionStatus.COMPLETED
    assert session.call.unknown_attempts == 1
    assert sandbox.count("pay") == 1
    assert sandbox.book.sessions[session_id].payments == 1


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.RESET])
async def test_a_payment_that_stays_unknown_ends_in_time(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Looking keeps to the deadline of the call."""
    timeouts = Timeouts(total=AMPLE, attempt=0.2)
    async with sandbox.factory(timeouts=timeouts) as checkout:
        session_id = await opened(checkout, order)
        sandbox.faults.add(Fault(kind, operation="pay"))
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.pay(session_id, CODE, timeout=2.5)

    assert 2.4 <= caught.value.elapsed <= 2.5 + GRACE
    assert caught.value.session is not None
    assert caught.value.session.status is SessionStatus.OPEN
    assert sandbox.count("pay") == 1


async def test_closing_ends_the_looking() -> None:
    """A payment that is being looked at when the factory closes is unknown at once."""
    pausing = asyncio.Event()

    async def sleep(_: float, interrupt: asyncio.Event) -> None:
        pausing.set()
        await interrupt.wait()

    closed = Failure(kind=FailureKind.CLOSED, sent=False)
    transport = ScriptedTransport(LOST, shows("open"), closed)
    checkout = await scripted_factory(
        transport, runtime=StillRuntime().runtime(sleep=sleep)
    ).open()
    call = asyncio.create_task(checkout.pay(ID, CODE))
    await pausing.wait()

    await checkout.aclose(drain=0)

    with pytest.raises(OutcomeUnknownError) as caught:
        await call
    assert caught.value.session is not None
    assert methods(transport).count("POST") == 1


# -- cancelled ------------------------------------------------------------------------


async def test_a_cancelled_payment_surfaces_at_once_and_is_warned_of(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled `pay` ends as a cancellation; its task and its slot are free."""
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox, sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        sandbox.faults.add(Fault(FaultKind.STALL, operation="pay"))
        call = asyncio.create_task(checkout.pay(session_id, CODE))
        while not sandbox.count("pay"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        call.cancel()
        await turn()
        surfaced = call.done()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        found = await checkout.retrieve(session_id)

    assert surfaced
    assert found.status is SessionStatus.OPEN
    assert asyncio.all_tasks() == before
    assert "pay was cancelled under way and may have been done" in caplog.text
    assert CODE not in caplog.text
    assert CODE not in shown(caught.value)


async def test_a_payment_cancelled_while_looking_makes_no_further_look() -> None:
    """Cancelling in a pause between looks surfaces at once."""
    pausing = asyncio.Event()

    async def sleep(_: float, interrupt: asyncio.Event) -> None:
        pausing.set()
        await interrupt.wait()

    transport = ScriptedTransport(LOST, shows("open"))
    async with scripted_factory(
        transport, runtime=StillRuntime().runtime(sleep=sleep)
    ) as checkout:
        call = asyncio.create_task(checkout.pay(ID, CODE))
        await pausing.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert methods(transport) == ["POST", "GET"]


# -- the codes of the sandbox ---------------------------------------------------------


@pytest.mark.parametrize("code", ["123456", "999999", "000000"])
async def test_most_codes_pay_at_once(
    code: str, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """The answer to `pay` is the completed session."""
    async with sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        session = await checkout.pay(session_id, code)

    assert session.id == session_id
    assert session.status is SessionStatus.COMPLETED
    assert session.call.attempts == 1
    assert sandbox.book.sessions[session_id].payments == 1


async def test_a_code_that_is_confirmed_later_is_waited_for(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """`pay` answers `pending`; `wait` returns once the customer has confirmed."""
    async with sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        pending = await checkout.pay(session_id, "012345")
        waiting = asyncio.create_task(checkout.wait(session_id))
        await asyncio.sleep(0.1)
        early = waiting.done()
        sandbox.advance(2)
        session = await waiting

    assert pending.status is SessionStatus.PENDING
    assert not early
    assert session.status is SessionStatus.COMPLETED
    assert sandbox.book.sessions[session_id].payments == 1


@pytest.mark.parametrize(
    ("code", "reason"), [("200000", "refused"), ("400000", "code_expired")]
)
async def test_a_declined_session_can_still_be_paid(
    code: str, reason: str, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A decline names its reason, and the next code pays the same session."""
    async with sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        with pytest.raises(DeclinedError) as caught:
            await checkout.pay(session_id, code)
        after = await checkout.retrieve(session_id)
        session = await checkout.pay(session_id, "123456")

    assert (caught.value.decline_code, caught.value.http_status) == (reason, 402)
    assert caught.value.attempts == 1
    assert after.status is SessionStatus.OPEN
    assert session.status is SessionStatus.COMPLETED


async def test_a_code_that_nobody_confirms_expires_with_its_session(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Without a confirmation the session is `pending` until its time has come."""
    async with sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        paid = await checkout.pay(session_id, "300000")
        sandbox.advance(23 * 3600)
        later = await checkout.retrieve(session_id)
        sandbox.advance(3600)
        session = await checkout.wait(session_id)

    assert paid.status is later.status is SessionStatus.PENDING
    assert session.status is SessionStatus.EXPIRED
    assert sandbox.book.sessions[session_id].payments == 0


async def test_a_final_session_takes_no_code(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A code for a paid or an expired session is a `ConflictError`."""
    async with sandbox.factory() as checkout:
        paid, expired = await opened(checkout, order), await opened(checkout, order)
        await checkout.pay(paid, "123456")
        with pytest.raises(ConflictError, match="completed already"):
            await checkout.pay(paid, "123456")
        sandbox.advance(24 * 3600)
        with pytest.raises(ConflictError, match="expired already"):
            await checkout.pay(expired, "123456")

    assert sandbox.book.sessions[paid].payments == 1
    assert sandbox.book.sessions[expired].payments == 0


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "3"])
async def test_a_code_is_not_sent_for_no_time(timeout: Any) -> None:  # noqa: ANN401 -- wrong on purpose
    """A deadline of no duration is refused before the wire, and hides the code."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="timeout") as caught:
            await checkout.pay(ID, CODE, timeout=timeout)

    assert transport.sent == []
    assert CODE not in shown(caught.value)
