import asyncio
import inspect
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from scripted import LOST, REFUSED, ScriptedTransport, answered, scripted_factory

from convergegate_async import (
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConfigurationError,
    SessionStatus,
    WebhookEvent,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async.factory import Runtime
from convergegate_async.sandbox import Sandbox
from convergegate_async.webhooks import (
    MemoryClaims,
    WebhookReceiver,
    WebhookVerifier,
    sign,
)

SECRET = "sk_test_vector_0000000000000001"
VERIFIER = WebhookVerifier(SECRET)
HOUR = 3_600
SESSION = HttpResponse(status=200, body=b'{"id": "s1", "status": "completed"}')


class Shop:
    """Handles events as its script says, and remembers them.

    A line of the script is an error to raise, or `None` to succeed; when it is over,
    everything succeeds.
    """

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.seen: list[WebhookEvent] = []
        self.asking: list[CheckoutSessionFactory] = []

    async def __call__(
        self, event: WebhookEvent, checkout: CheckoutSessionFactory
    ) -> None:
        """Note the event, and where to ask about it."""
        self.seen.append(event)
        self.asking.append(checkout)
        await asyncio.sleep(0)
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error


class BusyShop:
    """Handles an event when it is let, and remembers what it began and ended."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.busy = asyncio.Event()
        self.door = asyncio.Event()

    async def __call__(self, event: WebhookEvent, _: CheckoutSessionFactory) -> None:
        """Wait at the door."""
        self.began.append(event.id)
        self.busy.set()
        await self.door.wait()
        self.ended.append(event.id)


class RemoteClaims:
    """Claims as a database keeps them: its answers take their way.

    Args:
        slow: The method whose answer waits at the door.
    """

    def __init__(self, slow: str = "") -> None:
        self.held: set[str] = set()
        self.asked: list[tuple[str, float]] = []
        self.busy = asyncio.Event()
        self.door = asyncio.Event()
        self._slow = slow

    async def claim(self, event_id: str, ttl: float) -> bool:
        """Enter the claim, then answer."""
        self.asked.append((event_id, ttl))
        granted = event_id not in self.held
        self.held.add(event_id)
        await self._travel("claim")
        return granted

    async def release(self, event_id: str) -> None:
        """Take the claim out, once the order has arrived."""
        await self._travel("release")
        self.held.discard(event_id)

    async def _travel(self, method: str) -> None:
        await asyncio.sleep(0)
        if method == self._slow:
            self.busy.set()
            await self.door.wait()


class BrokenClaims(RemoteClaims):
    """Claims whose database is down for some methods."""

    def __init__(self, failing: set[str]) -> None:
        super().__init__()
        self.failing = set(failing)

    async def claim(self, event_id: str, ttl: float) -> bool:
        """Fail, or claim."""
        if "claim" in self.failing:
            raise ConnectionError
        return await super().claim(event_id, ttl)

    async def release(self, event_id: str) -> None:
        """Fail, or release."""
        if "release" in self.failing:
            raise ConnectionError
        await super().release(event_id)


def delivery(
    event_id: str = "evt_1", *, age: int = 0, **data: str
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an event that was signed *age* seconds ago."""
    event = {"id": event_id, "type": "session.completed", "data": data}
    body = json.dumps(event).encode()
    return body, sign(body, secret=SECRET, timestamp=int(time.time()) - age)


@pytest.fixture
async def checkout() -> AsyncIterator[CheckoutSessionFactory]:
    """A factory that has nothing to ask: a request fails the test."""
    async with scripted_factory(ScriptedTransport()) as checkout:
        yield checkout


# -- a fresh delivery -----------------------------------------------------------------


async def test_the_handler_has_run_before_the_answer(
    checkout: CheckoutSessionFactory,
) -> None:
    """200 means that the event was acted upon."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop)

    reply = await receiver.receive(*delivery(session_id="s1"), checkout)

    assert reply.status == 200
    assert shop.seen == [
        WebhookEvent(id="evt_1", type="session.completed", session_id="s1")
    ]


async def test_no_answer_is_given_while_the_handler_runs(
    checkout: CheckoutSessionFactory,
) -> None:
    """The gateway waits for as long as the app works."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop)
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await shop.busy.wait()

    answered_early = receiving.done()
    shop.door.set()

    assert not answered_early
    assert (await receiving).status == 200


async def test_the_handler_gets_the_factory_to_confirm_by(
    checkout: CheckoutSessionFactory,
) -> None:
    """The handler is handed the factory that the delivery came with."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop)

    await receiver.receive(*delivery(), checkout)

    assert shop.asking == [checkout]


@pytest.mark.parametrize("kind", [MemoryClaims, RemoteClaims])
async def test_a_second_delivery_is_answered_and_not_handled(
    kind: type[MemoryClaims | RemoteClaims], checkout: CheckoutSessionFactory
) -> None:
    """However often an event is delivered, the handler sees it once."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=kind())

    replies = [await receiver.receive(*delivery(), checkout) for _ in range(3)]

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len(shop.seen) == 1


@pytest.mark.parametrize("kind", [MemoryClaims, RemoteClaims])
async def test_deliveries_at_the_same_time_are_handled_once(
    kind: type[MemoryClaims | RemoteClaims], checkout: CheckoutSessionFactory
) -> None:
    """A delivery that comes while the event is being handled shall come again."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=kind())

    replies = await asyncio.gather(
        *[receiver.receive(*delivery(), checkout) for _ in range(5)]
    )

    assert sorted(reply.status for reply in replies) == [200, *[503] * 4]
    assert len(shop.seen) == 1


async def test_receivers_that_share_claims_share_the_work(
    checkout: CheckoutSessionFactory,
) -> None:
    """What one process has claimed, another one does not handle."""
    claims, shop = RemoteClaims(), Shop()
    receivers = [WebhookReceiver(VERIFIER, shop, claims=claims) for _ in range(2)]

    for receiver in receivers:
        await receiver.receive(*delivery(), checkout)

    assert len(shop.seen) == 1


async def test_every_event_is_handled(checkout: CheckoutSessionFactory) -> None:
    """Two events are two events, even about the same session."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop)

    for event_id in ("evt_1", "evt_2"):
        await receiver.receive(*delivery(event_id, session_id="s1"), checkout)

    assert [event.id for event in shop.seen] == ["evt_1", "evt_2"]


async def test_a_claim_outlives_the_gateways_patience(
    checkout: CheckoutSessionFactory,
) -> None:
    """The event is claimed by its id, for the three days of redelivery and an hour."""
    claims = RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims)

    await receiver.receive(*delivery(), checkout)

    assert claims.asked == [("evt_1", 73 * HOUR)]


# -- a handler that fails -------------------------------------------------------------


@pytest.mark.parametrize("kind", [MemoryClaims, RemoteClaims])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ZeroDivisionError(), id="bug"),
        pytest.param(TimeoutError(), id="timeout-of-its-own"),
        pytest.param(ConfigurationError("closed"), id="error-of-ours"),
    ],
)
async def test_an_event_that_could_not_be_handled_is_delivered_again(
    error: Exception,
    kind: type[MemoryClaims | RemoteClaims],
    checkout: CheckoutSessionFactory,
) -> None:
    """The answer is 500, and the next delivery runs the handler again."""
    shop = Shop(error, None)
    receiver = WebhookReceiver(VERIFIER, shop, claims=kind())

    replies = [await receiver.receive(*delivery(), checkout) for _ in range(3)]

    assert [reply.status for reply in replies] == [500, 200, 200]
    assert len(shop.seen) == 2


async def test_a_handler_that_takes_too_long_is_stopped(
    checkout: CheckoutSessionFactory,
) -> None:
    """After its time the handler is cancelled, and the answer is 500."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop, handler_timeout=0.01)

    reply = await receiver.receive(*delivery(), checkout)
    shop.door.set()
    await asyncio.sleep(0)

    assert reply.status == 500
    assert shop.ended == []


async def test_an_event_that_took_too_long_is_delivered_again(
    checkout: CheckoutSessionFactory,
) -> None:
    """The next delivery runs the handler again, as after any failure."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop, handler_timeout=0.01)
    await receiver.receive(*delivery(), checkout)
    shop.door.set()

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.status == 200
    assert shop.ended == ["evt_1"]


async def test_a_delivery_that_came_too_early_is_not_the_last(
    checkout: CheckoutSessionFactory,
) -> None:
    """Who was sent away while the handler ran is let in after it has failed."""
    shop = Shop(ZeroDivisionError(), None)
    receiver = WebhookReceiver(VERIFIER, shop)
    first, early = await asyncio.gather(
        *[receiver.receive(*delivery(), checkout) for _ in range(2)]
    )

    again = await receiver.receive(*delivery(), checkout)

    assert [first.status, early.status, again.status] == [500, 503, 200]
    assert len(shop.seen) == 2


@pytest.mark.parametrize(
    "failing", [{"claim"}, {"claim", "release"}], ids=["claim", "both"]
)
async def test_claims_that_cannot_be_asked_are_an_error(
    failing: set[str], checkout: CheckoutSessionFactory
) -> None:
    """The answer is 500 and the handler does not run, until the database is back."""
    claims, shop = BrokenClaims(failing), Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    broken = await receiver.receive(*delivery(), checkout)
    handled = len(shop.seen)
    claims.failing.clear()

    mended = await receiver.receive(*delivery(), checkout)

    assert (broken.status, handled) == (500, 0)
    assert (mended.status, len(shop.seen)) == (200, 1)


def test_a_handler_has_ten_seconds() -> None:
    """That is the limit unless another one is chosen."""
    parameters = inspect.signature(WebhookReceiver).parameters

    assert parameters["handler_timeout"].default == 10


async def test_a_failure_is_logged_with_the_event(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the event and holds the handler's traceback."""
    receiver = WebhookReceiver(VERIFIER, Shop(ZeroDivisionError()))

    await receiver.receive(*delivery("evt_9"), checkout)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("convergegate_async", logging.ERROR)
    assert "evt_9" in record.getMessage()
    assert "ZeroDivisionError" in caplog.text


# -- a delivery that is refused -------------------------------------------------------

NO_EVENT = b"CANARY"
LARGE = b"CANARY".ljust(1_048_577)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"{}", {}, 400, id="no-headers"),
        pytest.param(*delivery()[:1], delivery("evt_2")[1], 400, id="mismatch"),
        pytest.param(b"{}", {"sec-signature": "CANARY"}, 400, id="no-timestamp"),
        pytest.param(
            NO_EVENT,
            sign(NO_EVENT, secret=SECRET, timestamp=1_700_000_000),
            400,
            id="no-event",
        ),
        pytest.param(LARGE, {}, 413, id="too-large"),
    ],
)
async def test_a_refused_delivery_is_not_handled(
    body: bytes,
    headers: dict[str, str],
    status: int,
    checkout: CheckoutSessionFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Strangers learn the status only; the reason is logged, and the body is not."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop)

    reply = await receiver.receive(body, headers, checkout)

    (record,) = caplog.records
    assert (reply.status, reply.text) == (status, "refused")
    assert shop.seen == []
    assert record.levelno == logging.WARNING
    assert "CANARY" not in caplog.text


async def test_a_refused_delivery_claims_nothing(
    checkout: CheckoutSessionFactory,
) -> None:
    """A forged event does not stand in the way of the true one."""
    claims, shop = RemoteClaims(), Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    body, headers = delivery()
    await receiver.receive(body, {**headers, "Sec-Signature": "0" * 64}, checkout)

    reply = await receiver.receive(body, headers, checkout)

    assert reply.status == 200
    assert len(shop.seen) == 1


async def test_a_parsed_body_is_a_mistake_of_the_program(
    checkout: CheckoutSessionFactory,
) -> None:
    """A body that is not bytes is no refusal that could stay unnoticed."""
    receiver = WebhookReceiver(VERIFIER, Shop())

    with pytest.raises(TypeError):
        await receiver.receive("{}", {}, checkout)  # type: ignore[arg-type]  # the mistake is the point


# -- a stale delivery -----------------------------------------------------------------


async def test_a_stale_event_is_confirmed_and_handled() -> None:
    """What comes after an outage of ours is asked about, and then as good as fresh."""
    shop, transport = Shop(), ScriptedTransport(SESSION)
    receiver = WebhookReceiver(VERIFIER, shop)

    async with scripted_factory(transport) as checkout:
        reply = await receiver.receive(*delivery(age=HOUR, session_id="s1"), checkout)

    assert reply.status == 200
    assert [sent.method for sent in transport.sent] == ["GET"]
    assert [(event.id, event.stale) for event in shop.seen] == [("evt_1", True)]


async def test_a_replayed_event_is_not_handled_again() -> None:
    """Who plays an old delivery back causes a read, and nothing else."""
    shop, transport = Shop(), ScriptedTransport(SESSION)
    receiver = WebhookReceiver(VERIFIER, shop)

    async with scripted_factory(transport) as checkout:
        await receiver.receive(*delivery(session_id="s1"), checkout)
        reply = await receiver.receive(*delivery(age=HOUR, session_id="s1"), checkout)

    assert reply.status == 200
    assert len(shop.seen) == 1


@pytest.mark.parametrize("tolerance", [300, None])
@pytest.mark.parametrize("days", [-4, 4, 30, 400])
async def test_a_delivery_of_another_week_is_refused(
    days: int, tolerance: float | None, checkout: CheckoutSessionFactory
) -> None:
    """Whoever kept a signed delivery causes no handler, no claim and no read."""
    shop, claims = Shop(), RemoteClaims()
    verifier = WebhookVerifier(SECRET, tolerance=tolerance)
    receiver = WebhookReceiver(verifier, shop, claims=claims)

    reply = await receiver.receive(
        *delivery(age=days * 24 * HOUR, session_id="s1"), checkout
    )

    assert (reply.status, reply.text) == (400, "refused")
    assert (shop.seen, claims.asked) == ([], [])


@pytest.mark.parametrize(
    ("status", "data", "script"),
    [
        pytest.param(200, {}, [], id="about-nothing"),
        pytest.param(200, {"session_id": "../s1"}, [], id="impossible-id"),
        pytest.param(200, {"session_id": "s1"}, [answered(404)], id="not-found"),
        pytest.param(
            200,
            {"session_id": "s1", "refund_id": "r1"},
            [HttpResponse(status=200, body=b'{"id": "r1", "session_id": "s2"}')],
            id="refund-of-another-session",
        ),
        pytest.param(500, {"session_id": "s1"}, [answered(401)], id="wrong-key"),
        pytest.param(500, {"session_id": "s1"}, [REFUSED] * 3, id="unreachable"),
        pytest.param(500, {"session_id": "s1"}, [LOST] * 3, id="lost"),
    ],
)
async def test_a_stale_event_that_is_not_confirmed_is_not_handled(
    status: int, data: dict[str, str], script: list[HttpResponse | Failure]
) -> None:
    """What the gateway denies is taken; what it could not say comes again."""
    shop, claims, transport = Shop(), RemoteClaims(), ScriptedTransport(*script)
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)

    async with scripted_factory(transport) as checkout:
        reply = await receiver.receive(*delivery(age=HOUR, **data), checkout)

    assert reply.status == status
    assert shop.seen == []
    assert claims.asked == []


async def test_a_stale_event_that_is_not_confirmed_is_reported(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the event, as nobody else may ever hear of it."""
    receiver = WebhookReceiver(VERIFIER, Shop())

    await receiver.receive(*delivery("evt_9", age=HOUR), checkout)

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "evt_9" in record.getMessage()


async def test_a_stale_event_is_handled_once_it_can_be_confirmed() -> None:
    """A gateway that could not be asked at first is asked at the next delivery."""
    shop, transport = Shop(), ScriptedTransport(answered(501), SESSION)
    receiver = WebhookReceiver(VERIFIER, shop)

    async with scripted_factory(transport) as checkout:
        replies = [
            await receiver.receive(*delivery(age=HOUR, session_id="s1"), checkout)
            for _ in range(2)
        ]

    assert [reply.status for reply in replies] == [500, 200]
    assert len(shop.seen) == 1


# -- claims that fail ---------------------------------------------------------------


class FailingClaims(RemoteClaims):
    """Claims whose next call of *method* fails."""

    def __init__(self, method: str, slow: str = "") -> None:
        super().__init__(slow)
        self.failing = method

    async def _travel(self, method: str) -> None:
        await super()._travel(method)
        if method == self.failing:
            self.failing = ""
            raise OSError


async def test_a_claim_that_failed_is_not_given_back(
    checkout: CheckoutSessionFactory,
) -> None:
    """Who could not ask does not release what another delivery holds."""
    shop, claims = Shop(), FailingClaims("")
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    await receiver.receive(*delivery(), checkout)
    claims.failing = "claim"

    failed = await receiver.receive(*delivery(), checkout)
    known = await receiver.receive(*delivery(), checkout)

    assert (failed.status, known.status) == (500, 200)
    assert len(shop.seen) == 1


async def test_a_release_that_fails_is_reported(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The delivery is answered all the same, and the log holds kinds of errors only."""
    shop = Shop(ZeroDivisionError("john@example.com"))
    receiver = WebhookReceiver(VERIFIER, shop, claims=FailingClaims("release"))

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.status == 500
    assert "releasing webhook event 'evt_1' failed: OSError" in caplog.text
    assert "john" not in caplog.text


# -- a delivery that is cancelled -----------------------------------------------------


async def cancelled(receiving: "asyncio.Task[object]", door: asyncio.Event) -> None:
    """Cancel a delivery, then open the door that it stands at, and wait for its end."""
    receiving.cancel()
    await asyncio.sleep(0)
    door.set()
    with suppress(asyncio.CancelledError):
        await receiving


async def test_a_cancelled_delivery_is_not_answered(
    checkout: CheckoutSessionFactory,
) -> None:
    """A cancellation passes through, and ends the handler."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop)
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await shop.busy.wait()

    await cancelled(receiving, shop.door)

    assert receiving.cancelled()
    assert shop.ended == []


@pytest.mark.parametrize("kind", [MemoryClaims, RemoteClaims])
async def test_an_event_whose_handler_was_cancelled_is_handled_later(
    kind: type[MemoryClaims | RemoteClaims], checkout: CheckoutSessionFactory
) -> None:
    """When the gateway hangs up, the claim is given back."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=kind())
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await shop.busy.wait()
    await cancelled(receiving, shop.door)

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.status == 200
    assert shop.began == ["evt_1", "evt_1"]
    assert shop.ended == ["evt_1"]


@pytest.mark.parametrize("slow", ["claim", "release"])
async def test_no_cancellation_leaves_a_claim_behind(
    slow: str, checkout: CheckoutSessionFactory
) -> None:
    """A hang-up while the claim is made or given back loses no event either."""
    claims = RemoteClaims(slow)
    shop = Shop(ZeroDivisionError()) if slow == "release" else Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await claims.busy.wait()
    await cancelled(receiving, claims.door)
    before = len(shop.seen)

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.status == 200
    assert len(shop.seen) == before + 1


@pytest.mark.parametrize("method", ["claim", "release"])
async def test_a_hang_up_over_failing_claims_is_still_one(
    method: str, checkout: CheckoutSessionFactory
) -> None:
    """A cancellation is not swallowed by the failure that comes after it."""
    claims = FailingClaims(method, slow=method)
    receiver = WebhookReceiver(VERIFIER, Shop(ZeroDivisionError()), claims=claims)
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await claims.busy.wait()

    await cancelled(receiving, claims.door)

    assert receiving.cancelled()


async def test_a_hang_up_does_not_undo_what_was_done(
    checkout: CheckoutSessionFactory,
) -> None:
    """A delivery that is cancelled over another one's claim leaves that claim alone."""
    claims, shop = RemoteClaims("claim"), Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    claims.door.set()
    await receiver.receive(*delivery(), checkout)
    claims.door.clear()
    claims.busy.clear()
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await claims.busy.wait()
    await cancelled(receiving, claims.door)

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.status == 200
    assert len(shop.seen) == 1


# -- answering first ------------------------------------------------------------------


async def test_who_answers_first_handles_later(
    checkout: CheckoutSessionFactory,
) -> None:
    """The answer does not wait for the handler."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop, answer_first=True)

    reply = await receiver.receive(*delivery(), checkout)
    ended = list(shop.ended)
    shop.door.set()
    await receiver.aclose()

    assert reply.status == 200
    assert ended == []
    assert shop.ended == ["evt_1"]


async def test_closing_waits_for_what_was_answered_first(
    checkout: CheckoutSessionFactory,
) -> None:
    """`aclose` returns when every handler that was put off has run."""
    shop = BusyShop()
    receiver = WebhookReceiver(VERIFIER, shop, answer_first=True)
    for number in range(3):
        await receiver.receive(*delivery(f"evt_{number}"), checkout)
    closing = asyncio.create_task(receiver.aclose())
    await shop.busy.wait()

    closed_early = closing.done()
    shop.door.set()
    await closing

    assert not closed_early
    assert sorted(shop.ended) == ["evt_0", "evt_1", "evt_2"]


async def test_closing_with_nothing_to_do_is_harmless() -> None:
    """A receiver that never put anything off closes at once, any number of times."""
    receiver = WebhookReceiver(VERIFIER, Shop())

    await receiver.aclose()
    await receiver.aclose()


async def test_what_was_answered_first_is_handled_once(
    checkout: CheckoutSessionFactory,
) -> None:
    """A second delivery finds the event claimed, handled already or not."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, answer_first=True)

    replies = [await receiver.receive(*delivery(), checkout) for _ in range(3)]
    await receiver.aclose()

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len(shop.seen) == 1


async def test_a_failure_after_the_answer_is_only_logged(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It reaches neither the answer nor `aclose`: the log is the only place left."""
    receiver = WebhookReceiver(VERIFIER, Shop(ZeroDivisionError()), answer_first=True)

    reply = await receiver.receive(*delivery("evt_9"), checkout)
    await receiver.aclose()

    assert reply.status == 200
    assert "evt_9" in caplog.text


async def test_a_failure_after_the_answer_gives_the_claim_back(
    checkout: CheckoutSessionFactory,
) -> None:
    """Should the gateway deliver the event once more, the handler has another go."""
    shop = Shop(ZeroDivisionError())
    receiver = WebhookReceiver(VERIFIER, shop, answer_first=True)
    await receiver.receive(*delivery(), checkout)
    await receiver.aclose()

    await receiver.receive(*delivery(), checkout)
    await receiver.aclose()

    assert len(shop.seen) == 2


async def test_answering_first_does_not_answer_strangers(
    checkout: CheckoutSessionFactory,
) -> None:
    """What is refused is refused before the answer."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, answer_first=True)

    reply = await receiver.receive(b"{}", {}, checkout)
    await receiver.aclose()

    assert reply.status == 400
    assert shop.seen == []


# -- whoever waits --------------------------------------------------------------------


class PatientWorld:
    """A runtime in which nobody looks again before being woken."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()

    async def sleep(self, _: float, waker: asyncio.Event) -> None:
        """Sleep for ever, unless woken."""
        self.asleep.set()
        await waker.wait()
        self.asleep.clear()


async def test_a_delivery_wakes_whoever_waits_for_the_session(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """`wait` looks at once when the event comes, and not when its pause is over."""
    patient = PatientWorld()
    receiver = WebhookReceiver(VERIFIER, Shop())

    async with sandbox.factory(runtime=Runtime(sleep=patient.sleep)) as checkout:
        session = await checkout.create(order)
        waiting = asyncio.create_task(checkout.wait(session.id))
        await patient.asleep.wait()
        sandbox.book.sessions[session.id].status = SessionStatus.COMPLETED
        await receiver.receive(*delivery(session_id=session.id), checkout)
        async with asyncio.timeout(5):
            found = await waiting

    assert found.status is SessionStatus.COMPLETED
    assert sandbox.count("retrieve") == 2


async def test_a_failing_handler_does_not_keep_anybody_waiting(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Who waits is woken even if the delivery is answered 500."""
    patient = PatientWorld()
    receiver = WebhookReceiver(VERIFIER, Shop(ZeroDivisionError()))

    async with sandbox.factory(runtime=Runtime(sleep=patient.sleep)) as checkout:
        session = await checkout.create(order)
        waiting = asyncio.create_task(checkout.wait(session.id))
        await patient.asleep.wait()
        sandbox.book.sessions[session.id].status = SessionStatus.COMPLETED
        reply = await receiver.receive(*delivery(session_id=session.id), checkout)
        async with asyncio.timeout(5):
            await waiting

    assert reply.status == 500


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(False, id="another-session"),
        pytest.param(True, id="forged"),
    ],
)
async def test_nobody_is_woken_for_nothing(
    sandbox: Sandbox, order: CheckoutSessionRequest, *, forged: bool
) -> None:
    """Neither another session's event nor a stranger's makes us ask the gateway."""
    patient = PatientWorld()
    receiver = WebhookReceiver(VERIFIER, Shop())

    async with sandbox.factory(runtime=Runtime(sleep=patient.sleep)) as checkout:
        session = await checkout.create(order)
        waiting = asyncio.create_task(checkout.wait(session.id))
        await patient.asleep.wait()
        body, headers = delivery(session_id=session.id if forged else "another")
        if forged:
            headers["Sec-Signature"] = "0" * 64
        await receiver.receive(body, headers, checkout)
        await asyncio.sleep(0)
        asleep = patient.asleep.is_set()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

    assert asleep
