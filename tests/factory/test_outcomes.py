"""What a whole call comes to, over all its attempts; decided without a network."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Unpack

import attrs
import pytest
from scripted import (
    DONE,
    LOST,
    REFUSED,
    SESSION,
    ScriptedTransport,
    StillRuntime,
    answered,
    scripted_factory,
)

from convergegate_async import (
    AuthenticationError,
    CallError,
    CheckoutSessionRequest,
    ConflictError,
    InvalidFieldError,
    InvalidRequestError,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async.errors import FailureKind
from convergegate_async.factory import FactoryOptions

Script = tuple[HttpResponse | Failure, ...]


async def fail(
    script: Script, order: CheckoutSessionRequest, **options: Unpack[FactoryOptions]
) -> tuple[CallError, ScriptedTransport]:
    """Create over *script*, and return the error with the transport."""
    transport = ScriptedTransport(*script)
    async with scripted_factory(transport, **options) as checkout:
        with pytest.raises(CallError) as caught:
            await checkout.create(order)
    return caught.value, transport


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param((LOST, REFUSED, REFUSED), OutcomeUnknownError, id="lost-refused"),
        pytest.param((LOST, answered(400)), OutcomeUnknownError, id="lost-400"),
        pytest.param(
            (LOST, answered(429), answered(429)), OutcomeUnknownError, id="lost-429"
        ),
        pytest.param((answered(500), answered(401)), OutcomeUnknownError, id="500-401"),
        pytest.param((REFUSED, REFUSED, REFUSED), NotSentError, id="refused-refused"),
        pytest.param((REFUSED, answered(401)), AuthenticationError, id="refused-401"),
        pytest.param(
            (answered(429), REFUSED, REFUSED), RateLimitedError, id="429-refused"
        ),
        pytest.param((answered(400),), InvalidRequestError, id="400"),
        pytest.param((answered(501),), ServerError, id="501"),
        pytest.param((answered(409),) * 3, ConflictError, id="409"),
        pytest.param(
            (LOST, answered(409), answered(409)), OutcomeUnknownError, id="lost-409"
        ),
        pytest.param((answered(302),), OutcomeUnknownError, id="302"),
    ],
)
async def test_an_error_speaks_for_the_whole_call(
    script: Script, kind: type[CallError], order: CheckoutSessionRequest
) -> None:
    """One attempt of unknown outcome makes the call unknown, whatever came after."""
    error, transport = await fail(script, order)

    assert type(error) is kind
    assert error.attempts == len(script) == len(transport.sent)


async def test_an_unknown_call_tells_what_the_last_answer_said(
    order: CheckoutSessionRequest,
) -> None:
    """The error of a lost call carries what the last answer said."""
    throttled = answered(429, retry_after="60", request_id="req_9")

    error, _ = await fail((LOST, throttled), order)

    assert error.outcome is Outcome.UNKNOWN
    assert (error.http_status, error.request_id) == (429, "req_9")
    assert error.retry_after == 60.0
    assert error.phase == "sent"


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A repeat after a loss is counted, warned of, and byte for byte the same."""
    transport = ScriptedTransport(LOST, DONE)
    with caplog.at_level(logging.WARNING, "convergegate_async"):
        async with scripted_factory(transport) as checkout:
            session = await checkout.create(order, idempotency_key="order-17")

    assert transport.sent[0] is transport.sent[1]
    assert session.call.idempotency_key == "order-17"
    assert (session.call.attempts, session.call.unknown_attempts) == (2, 1)
    assert [record.getMessage().count("order-17") for record in caplog.records] == [1]


async def test_without_leave_an_unknown_create_is_not_repeated(
    order: CheckoutSessionRequest,
) -> None:
    """With `repeat_unknown_create` off, the first unknown attempt ends the call."""
    error, transport = await fail(
        (LOST,), order, retry=RetryPolicy(repeat_unknown_create=False)
    )

    assert isinstance(error, OutcomeUnknownError)
    assert len(transport.sent) == 1


@pytest.mark.parametrize("kind", list(FailureKind), ids=lambda kind: kind.name)
@pytest.mark.parametrize("sent", [True, False, None])
async def test_one_attempt_is_one_sending(
    kind: FailureKind, sent: bool | None, order: CheckoutSessionRequest
) -> None:
    """With `max_attempts` of 1, whatever breaks, nothing is sent a second time."""
    error, transport = await fail(
        (Failure(kind=kind, sent=sent),), order, retry=RetryPolicy(max_attempts=1)
    )

    assert error.attempts == len(transport.sent) == 1
    assert not (sent is False and error.outcome is not Outcome.NOT_SENT)
    assert not (sent is True and error.outcome is not Outcome.UNKNOWN)


async def test_the_caller_s_own_key_makes_a_lasting_conflict_unknown(
    order: CheckoutSessionRequest,
) -> None:
    """A 409 under a key of the caller's may be an earlier call at work."""
    transport = ScriptedTransport(*[answered(409)] * 3)
    still = StillRuntime()
    async with scripted_factory(transport, still) as checkout:
        with pytest.raises(OutcomeUnknownError) as caught:
            await checkout.create(order, idempotency_key="mine")

    assert caught.value.idempotency_key == "mine"
    assert all(pause >= 1.0 for pause in still.slept)


async def test_retry_after_is_obeyed_if_it_fits(order: CheckoutSessionRequest) -> None:
    """The pause is what the gateway asked for, plus jitter."""
    still = StillRuntime()
    transport = ScriptedTransport(answered(429, retry_after="5"), DONE)
    async with scripted_factory(transport, still) as checkout:
        await checkout.create(order)

    assert still.slept == [pytest.approx(5.1)]


async def test_retry_after_that_does_not_fit_fails_at_once(
    order: CheckoutSessionRequest,
) -> None:
    """A hint beyond the deadline is handed to the caller instead of slept through."""
    still = StillRuntime()
    transport = ScriptedTransport(answered(429, retry_after="31"))
    async with scripted_factory(transport, still) as checkout:
        with pytest.raises(RateLimitedError) as caught:
            await checkout.create(order)

    assert caught.value.retry_after == 31.0
    assert still.slept == []


async def test_pauses_take_time_from_the_deadline(
    order: CheckoutSessionRequest,
) -> None:
    """Every attempt gets what is left of the call, and no more than its own share."""
    still = StillRuntime()
    transport = ScriptedTransport(answered(429, retry_after="2"), REFUSED, DONE)
    async with scripted_factory(
        transport, still, timeouts=Timeouts(total=12, attempt=10.5)
    ) as checkout:
        session = await checkout.create(order)

    assert transport.patience[0] == 10.5
    assert transport.patience[1] == pytest.approx(12 - still.slept[0])
    assert session.call.elapsed == pytest.approx(sum(still.slept))


async def test_a_deadline_ends_the_repeats(order: CheckoutSessionRequest) -> None:
    """No repeat is made whose pause would outlast the call."""
    transport = ScriptedTransport(REFUSED)
    async with scripted_factory(
        transport, retry=RetryPolicy(base_delay=5, max_attempts=9)
    ) as checkout:
        with pytest.raises(NotSentError) as caught:
            await checkout.create(order, timeout=2)

    assert caught.value.attempts == 1


TIMED_OUT = Failure(kind=FailureKind.TIMEOUT, sent=True)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((answered(400),), id="refused"),
        pytest.param((TIMED_OUT,), id="out-of-time"),
        pytest.param((LOST, TIMED_OUT), id="repeated"),
    ],
)
async def test_tenacity_is_entered_for_repeats_alone(
    script: Script, order: CheckoutSessionRequest
) -> None:
    """A failure that is not repeated is judged without it: it costs a call's CPU."""
    entered: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            entered.add(frame.f_globals["__name__"].partition(".")[0])

    sys.setprofile(note)
    try:
        _, transport = await fail(
            script, order, retry=RetryPolicy(max_attempts=len(script))
        )
    finally:
        sys.setprofile(None)

    assert ("tenacity" in entered) == (len(transport.sent) > 1)


async def test_an_empty_budget_ends_the_repeats(order: CheckoutSessionRequest) -> None:
    """A factory repeats no more often than its budget says."""
    transport = ScriptedTransport(*[REFUSED] * 5)
    async with scripted_factory(transport, retry=RetryPolicy(budget=2)) as checkout:
        attempts = []
        for _ in range(3):
            with pytest.raises(NotSentError) as caught:
                await checkout.create(order)
            attempts.append(caught.value.attempts)

    assert attempts == [3, 1, 1]


async def test_an_answer_to_another_request_is_not_believed(
    order: CheckoutSessionRequest,
) -> None:
    """A 2xx that repeats another e-mail is unknown, unrepeated, and cuts its line."""
    stray = {**SESSION, "customer_email": "eve@example.com", "currency": "pln"}
    error, transport = await fail(
        (HttpResponse(status=200, body=json.dumps(stray).encode()),), order
    )

    assert isinstance(error, OutcomeUnknownError)
    assert error.phase == "echo"
    assert "customer_email" in error.reason
    assert transport.distrusted == [False]


async def test_two_differing_fields_end_the_whole_pool(
    order: CheckoutSessionRequest,
) -> None:
    """An answer that differs twice is somebody else's: no connection is trusted."""
    stray = {**SESSION, "customer_email": "eve@example.com", "currency": "eur"}
    _, transport = await fail(
        (HttpResponse(status=200, body=json.dumps(stray).encode()),), order
    )

    assert transport.distrusted == [True]


async def test_a_field_can_be_dropped_from_the_echo(
    order: CheckoutSessionRequest,
) -> None:
    """A gateway that rewrites e-mails is believed once `echo_fields` says so."""
    rewritten = {**SESSION, "customer_email": "j@example.com"}
    transport = ScriptedTransport(
        HttpResponse(status=200, body=json.dumps(rewritten).encode())
    )
    async with scripted_factory(transport, echo_fields=["currency"]) as checkout:
        session = await checkout.create(order)

    assert session.customer_email == "j@example.com"


async def test_a_read_that_keeps_failing_is_a_server_error() -> None:
    """On `retrieve` nothing changes, so a lasting 503 is a plain refusal."""
    transport = ScriptedTransport(*[answered(503)] * 3)
    async with scripted_factory(transport) as checkout:
        with pytest.raises(ServerError) as caught:
            await checkout.retrieve("abc")

    assert caught.value.attempts == 3
    assert caught.value.idempotency_key is None


async def test_cancelling_in_a_pause_surfaces_at_once(
    order: CheckoutSessionRequest,
) -> None:
    """The retry machinery does not get to see a cancellation as a failure to repeat."""
    pausing = asyncio.Event()

    async def sleep(_: float, interrupt: asyncio.Event) -> None:
        pausing.set()
        await interrupt.wait()

    transport = ScriptedTransport(REFUSED)
    async with scripted_factory(
        transport, runtime=StillRuntime().runtime(sleep=sleep)
    ) as checkout:
        call = asyncio.create_task(checkout.create(order))
        await pausing.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert len(transport.sent) == 1


async def test_closing_wakes_a_pausing_call(order: CheckoutSessionRequest) -> None:
    """A call that pauses when the factory closes ends at once, with what it knows."""
    pausing = asyncio.Event()

    async def sleep(_: float, interrupt: asyncio.Event) -> None:
        pausing.set()
        await interrupt.wait()

    transport = ScriptedTransport(LOST, Failure(kind=FailureKind.CLOSED, sent=False))
    checkout = await scripted_factory(
        transport, runtime=StillRuntime().runtime(sleep=sleep)
    ).open()
    call = asyncio.create_task(checkout.create(order, idempotency_key="k-1"))
    await pausing.wait()

    left = await checkout.aclose(drain=0)

    assert left == ("k-1",)
    with pytest.raises(OutcomeUnknownError):
        await call


@pytest.mark.parametrize("margin", [timedelta(hours=2, minutes=29), -timedelta(days=1)])
async def test_a_session_that_expires_too_soon_is_not_sent(
    margin: timedelta, order: CheckoutSessionRequest
) -> None:
    """`create` checks the 2.5 hours against the clock that it was given."""
    still = StillRuntime()
    soon = datetime.fromtimestamp(still.runtime().now(), UTC) + margin
    request = attrs.evolve(order, expires_at=soon)
    transport = ScriptedTransport()
    async with scripted_factory(transport, still) as checkout:
        with pytest.raises(InvalidFieldError, match=r"expires_at .* 2\.5 hours"):
            await checkout.create(request)

    assert transport.sent == []


@pytest.mark.parametrize("key", ["", "a b", "ż", "x" * 256, "a\r\nb"])
async def test_a_malformed_key_is_not_sent(
    key: str, order: CheckoutSessionRequest
) -> None:
    """A key that is unsafe in a header is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="idempotency_key"):
            await checkout.create(order, idempotency_key=key)

    assert transport.sent == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "3"])
async def test_a_timeout_has_to_be_a_duration(
    timeout: float, order: CheckoutSessionRequest
) -> None:
    """A deadline of no duration is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="timeout"):
            await checkout.create(order, timeout=timeout)

    assert transport.sent == []
