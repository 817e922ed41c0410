import asyncio
import gc
import inspect
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress

import pytest
from clocks import Clock
from scripted import LOST, REFUSED, ScriptedTransport, answered, scripted_factory

from convergegate_async import (
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConfigurationError,
    SessionStatus,
    WebhookEvent,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks
from convergegate_async.factory import Runtime
from convergegate_async.sandbox import Sandbox
from convergegate_async.webhooks import (
    Claim,
    MemoryClaims,
    WebhookReceiver,
    WebhookReply,
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
        failing: The methods that fail, as often as they stand here.
    """

    def __init__(self, slow: str = "", failing: Iterable[str] = ()) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.busy = asyncio.Event()
        self.door = asyncio.Event()
        self.failing = Counter(failing)
        self.owners: set[str] = set()
        self._slow = slow
        self._kept = MemoryClaims()

    async def claim(self, event_id: str, owner: str, lease: float) -> Claim:
        """Enter the claim, then answer."""
        self.owners.add(owner)
        self.asked.append(("claim", event_id, lease))
        said = self._kept.claim(event_id, owner, lease)
        try:
            await self._travel("claim")
        except OSError:
            self._kept.release(event_id, owner)
            raise
        return said

    async def complete(self, event_id: str, owner: str, keep: float) -> bool:
        """Keep the event, once the order has arrived."""
        self.asked.append(("complete", event_id, keep))
        await self._travel("complete")
        return self._kept.complete(event_id, owner, keep)

    async def release(self, event_id: str, owner: str) -> None:
        """Take the claim out, once the order has arrived."""
        self.asked.append(("release", event_id, 0.0))
        await self._travel("release")
        self._kept.release(event_id, owner)

    def methods(self) -> list[str]:
        """Return what was asked, in order."""
        return [method for method, *_ in self.asked]

    async def _travel(self, method: str) -> None:
        await asyncio.sleep(0)
        if method == self._slow:
            self.busy.set()
            await self.door.wait()
        if self.failing[method]:
            self.failing[method] -= 1
            raise OSError


def delivery(
    event_id: str = "evt_1", *, age: int = 0, **data: str
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an event that was signed *age* seconds ago."""
    event = {"id": event_id, "type": "session.completed", "data": data}
    body = json.dumps(event).encode()
    return body, sign(body, secret=SECRET, timestamp=int(time.time()) - age)


async def at_the_door(
    receiver: WebhookReceiver,
    checkout: CheckoutSessionFactory,
    busy: BusyShop | RemoteClaims,
) -> "asyncio.Task[WebhookReply]":
    """Begin a delivery, and return it once it waits at a door."""
    receiving = asyncio.create_task(receiver.receive(*delivery(), checkout))
    await busy.busy.wait()
    return receiving


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
    receiving = await at_the_door(receiver, checkout, shop)

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


async def test_an_event_is_leased_and_then_kept(
    checkout: CheckoutSessionFactory,
) -> None:
    """15 seconds for the handler; a week, for whoever plays the delivery back."""
    claims = RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims)

    await receiver.receive(*delivery(), checkout)

    assert claims.asked == [("claim", "evt_1", 15), ("complete", "evt_1", 608_700)]


async def test_every_delivery_is_an_owner_of_its_own(
    checkout: CheckoutSessionFactory,
) -> None:
    """No two deliveries can be taken for each other, not even of one event."""
    claims = RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims)

    for _ in range(3):
        await receiver.receive(*delivery(), checkout)

    assert len(claims.owners) == 3
    assert all(len(owner) == 32 for owner in claims.owners)


# -- more workers than one ------------------------------------------------------------


async def test_no_worker_answers_for_another_that_is_at_work(
    checkout: CheckoutSessionFactory,
) -> None:
    """While a handler runs elsewhere the answer is 503: it may still fail."""
    claims, shop = RemoteClaims(), BusyShop()
    first, second = (WebhookReceiver(VERIFIER, shop, claims=claims) for _ in range(2))
    receiving = asyncio.create_task(first.receive(*delivery(), checkout))
    await shop.busy.wait()

    meanwhile = await second.receive(*delivery(), checkout)
    await cancelled(receiving, shop.door)
    afterwards = await second.receive(*delivery(), checkout)

    assert (meanwhile.status, afterwards.status) == (503, 200)
    assert (len(shop.began), shop.ended) == (2, ["evt_1"])


async def test_the_lease_of_a_dead_worker_runs_out(
    checkout: CheckoutSessionFactory,
) -> None:
    """An event whose worker died is handled by the next one, when its time is over."""
    clock, shop = Clock(), Shop()
    claims = MemoryClaims(clock=clock)
    claims.claim("evt_1", "a worker that died", 15.0)
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)

    early = await receiver.receive(*delivery(), checkout)
    clock.time += 15.0
    late = await receiver.receive(*delivery(), checkout)

    assert (early.status, late.status) == (503, 200)
    assert len(shop.seen) == 1


async def test_several_workers_without_shared_claims_are_warned(
    checkout: CheckoutSessionFactory,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said once; and never if the claims are not in memory."""
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    for claims in (None, RemoteClaims()):
        receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims)
        for number in range(3):
            await receiver.receive(*delivery(f"evt_{number}"), checkout)

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "WEB_CONCURRENCY is 2" in record.getMessage()


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
    receiver = WebhookReceiver(VERIFIER, shop, handler_timeout=2)

    reply = await receiver.receive(*delivery(), checkout)
    shop.door.set()
    await asyncio.sleep(0)

    assert reply.status == 500
    assert shop.ended == []


async def test_an_event_that_took_too_long_is_delivered_again(
    checkout: CheckoutSessionFactory,
) -> None:
    """The next delivery runs the handler again, as after any failure."""
    shop, claims = BusyShop(), MemoryClaims()
    hasty = WebhookReceiver(VERIFIER, shop, claims=claims, handler_timeout=0.01)
    await hasty.receive(*delivery(), checkout)
    shop.door.set()

    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
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


async def test_claims_that_cannot_be_asked_are_an_error(
    checkout: CheckoutSessionFactory,
) -> None:
    """The answer is 500 and the handler does not run, until the database is back."""
    claims, shop = RemoteClaims(failing=["claim"]), Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    broken = await receiver.receive(*delivery(), checkout)
    handled = len(shop.seen)

    mended = await receiver.receive(*delivery(), checkout)

    assert (broken.status, type(broken.error), handled) == (500, OSError, 0)
    assert (mended.status, len(shop.seen)) == (200, 1)


def test_a_handler_has_ten_seconds() -> None:
    """That is the limit unless another one is chosen."""
    parameters = inspect.signature(WebhookReceiver).parameters

    assert parameters["handler_timeout"].default == 10


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "10"])
def test_a_time_that_cannot_be_right_is_refused(seconds: float) -> None:
    """There is no way to switch the limit off: a lease has an end."""
    with pytest.raises(ConfigurationError, match="handler_timeout"):
        WebhookReceiver(VERIFIER, Shop(), handler_timeout=seconds)


def test_claims_of_another_kind_are_refused() -> None:
    """Claims without leases are refused at once, and not when an event is lost."""

    class Old:
        def claim(self, event_id: str, ttl: float) -> bool:
            return bool(event_id and ttl)

        def release(self, event_id: str) -> None:
            pass

    with pytest.raises(ConfigurationError, match="complete"):
        WebhookReceiver(VERIFIER, Shop(), claims=Old())  # type: ignore[arg-type]  # the old kind is the point


async def test_the_reply_has_the_handlers_error(
    checkout: CheckoutSessionFactory,
) -> None:
    """Whoever calls `receive` can report it, traceback included."""
    error = ZeroDivisionError("john@example.com")
    receiver = WebhookReceiver(VERIFIER, Shop(error))

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.error is error
    assert error.__traceback__ is not None


async def test_a_plain_handler_has_acted(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A function that returns no awaitable is done: 200, kept, and warned of once."""
    shipped: list[str] = []
    receiver = WebhookReceiver(
        VERIFIER,
        lambda event, _: shipped.append(event.id),  # type: ignore[arg-type, return-value]  # the mistake is the point
    )

    replies = [
        await receiver.receive(*delivery(event_id), checkout)
        for event_id in ("evt_1", "evt_1", "evt_2")
    ]

    assert [reply.status for reply in replies] == [200] * 3
    assert shipped == ["evt_1", "evt_2"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "not a coroutine function" in record.getMessage()


async def test_a_generator_has_not_acted(checkout: CheckoutSessionFactory) -> None:
    """A function with a stray ``yield`` runs not at all, and is no success."""

    async def strays(event: WebhookEvent, _: object) -> AsyncIterator[str]:
        yield event.id

    def strays_too(event: WebhookEvent, _: object) -> Iterator[str]:
        yield event.id

    for handler in (strays, strays_too):
        receiver = WebhookReceiver(VERIFIER, handler)  # type: ignore[arg-type]  # the mistake is the point
        reply = await receiver.receive(*delivery(), checkout)

        assert (reply.status, type(reply.error)) == (500, TypeError)


async def test_a_handler_that_cancels_itself_has_failed(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A task of its own that was cancelled is its error, and no hang-up."""

    async def cancels(_: WebhookEvent, __: CheckoutSessionFactory) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    claims = RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, cancels, claims=claims)

    reply = await receiver.receive(*delivery("evt_9"), checkout)

    assert reply.status == 500
    assert isinstance(reply.error, RuntimeError)
    assert isinstance(reply.error.__cause__, asyncio.CancelledError)
    assert claims.methods() == ["claim", "release"]
    assert "evt_9" in caplog.text


async def test_what_ends_the_process_gives_the_lease_back(
    checkout: CheckoutSessionFactory,
) -> None:
    """An exit in a handler passes through, and the next worker need not wait."""

    async def leaves(_: WebhookEvent, __: CheckoutSessionFactory) -> None:
        raise SystemExit(3)

    claims = RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, leaves, claims=claims)

    with pytest.raises(SystemExit):
        await receiver.receive(*delivery(), checkout)

    assert claims.methods() == ["claim", "release"]


def test_a_delivery_that_nobody_runs_any_more_ends_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is left behind by a closed event loop awaits nothing: no unraisable.

    What else is collected meanwhile may have been left by any test before this one.
    """
    unraisable: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    async def begin() -> None:
        shop = BusyShop()
        receiver = WebhookReceiver(VERIFIER, shop)
        checkout = scripted_factory(ScriptedTransport())
        left = await at_the_door(receiver, checkout, shop)
        assert not left.done()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    gc.collect()

    ours = [one for one in unraisable if one.exc_type is not ResourceWarning]
    assert ours == []


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
    assert (reply.error is None) is (status == 200)
    assert shop.seen == []
    assert claims.methods() == ["claim", "release"]


async def test_a_stale_event_that_is_held_or_done_is_not_asked_about(
    checkout: CheckoutSessionFactory,
) -> None:
    """It is claimed first: who replays an event cannot make us ask the gateway."""
    claims = MemoryClaims()
    receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims)
    claims.claim("evt_1", "a", 60)
    held = await receiver.receive(*delivery(age=HOUR, session_id="s1"), checkout)
    claims.complete("evt_1", "a", 60)

    done = await receiver.receive(*delivery(age=HOUR, session_id="s1"), checkout)

    assert (held.status, done.status) == (503, 200)


async def test_confirming_takes_of_the_handlers_time() -> None:
    """A gateway that does not answer is left before the lease has run out."""

    class Silent(ScriptedTransport):
        async def send(
            self, request: HttpRequest, patience: float, marks: Marks
        ) -> HttpResponse | Failure:
            await asyncio.Event().wait()
            return await super().send(request, patience, marks)

    shop, claims = Shop(), RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims, handler_timeout=2)

    async with scripted_factory(Silent()) as checkout:
        reply = await receiver.receive(*delivery(age=HOUR, session_id="s1"), checkout)

    assert (reply.status, type(reply.error)) == (500, TimeoutError)
    assert shop.seen == []
    assert claims.methods() == ["claim", "release"]


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


async def test_a_claim_that_failed_is_not_given_back(
    checkout: CheckoutSessionFactory,
) -> None:
    """Who could not ask does not release what another delivery holds."""
    shop, claims = Shop(), RemoteClaims()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    await receiver.receive(*delivery(), checkout)
    claims.failing["claim"] = 1

    failed = await receiver.receive(*delivery(), checkout)
    known = await receiver.receive(*delivery(), checkout)

    assert (failed.status, known.status) == (500, 200)
    assert len(shop.seen) == 1


async def test_a_claim_that_takes_too_long_is_given_back(
    checkout: CheckoutSessionFactory,
) -> None:
    """Its handler could outlive its lease: the event is the next delivery's."""
    shop, claims = Shop(), RemoteClaims("claim")
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims, handler_timeout=2)

    slow = await receiver.receive(*delivery(), checkout)
    claims.door.set()
    handled = len(shop.seen)
    quick = await receiver.receive(*delivery(), checkout)

    assert (slow.status, handled) == (503, 0)
    assert (quick.status, len(shop.seen)) == (200, 1)
    assert claims.methods() == ["claim", "release", "claim", "complete"]


async def test_a_claim_that_blocked_too_long_is_given_back(
    checkout: CheckoutSessionFactory,
) -> None:
    """A store that answers in the end, but late, is late whatever it answers."""

    class Blocking(MemoryClaims):
        seconds = 1.1

        def claim(self, event_id: str, owner: str, lease: float) -> Claim:
            time.sleep(self.seconds)
            self.seconds = 0.0
            return super().claim(event_id, owner, lease)

    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=Blocking(), handler_timeout=2)

    slow = await receiver.receive(*delivery(), checkout)
    handled = len(shop.seen)
    quick = await receiver.receive(*delivery(), checkout)

    assert (slow.status, handled) == (503, 0)
    assert (quick.status, len(shop.seen)) == (200, 1)


@pytest.mark.parametrize("said", [True, None, "yes", 1])
async def test_a_store_that_says_no_claim_is_an_error(
    said: object, checkout: CheckoutSessionFactory
) -> None:
    """What cannot be understood is not taken for leave to act."""

    class Odd(MemoryClaims):
        def claim(self, event_id: str, owner: str, lease: float) -> Claim:
            del event_id, owner, lease
            return said  # type: ignore[return-value]  # the mistake is the point

    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=Odd())

    reply = await receiver.receive(*delivery(), checkout)

    assert (reply.status, type(reply.error)) == (500, ValueError)
    assert shop.seen == []


async def test_a_store_that_cancels_itself_is_an_error(
    checkout: CheckoutSessionFactory,
) -> None:
    """A pool that is closed under a claim does not look like a hang-up."""

    class Closing(RemoteClaims):
        async def claim(self, event_id: str, owner: str, lease: float) -> Claim:
            await super().claim(event_id, owner, lease)
            raise asyncio.CancelledError

    receiver = WebhookReceiver(VERIFIER, Shop(), claims=Closing())

    reply = await receiver.receive(*delivery(), checkout)

    assert (reply.status, type(reply.error)) == (500, RuntimeError)


async def test_a_release_that_fails_is_reported(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The delivery is answered all the same, and the log holds kinds of errors only."""
    shop = Shop(ZeroDivisionError("john@example.com"))
    claims = RemoteClaims(failing=["release"])
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)

    reply = await receiver.receive(*delivery(), checkout)

    assert reply.status == 500
    assert "releasing webhook event 'evt_1' failed: OSError" in caplog.text
    assert "john" not in caplog.text


@pytest.mark.parametrize("failures", [0, 1, 2])
async def test_an_event_that_was_handled_is_kept_at_the_third_try(
    failures: int, checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that hiccups costs nothing, and nothing is said."""
    shop, claims = Shop(), RemoteClaims(failing=["complete"] * failures)
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)

    replies = [await receiver.receive(*delivery(), checkout) for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 200]
    assert len(shop.seen) == 1
    assert claims.methods() == ["claim", *["complete"] * (failures + 1), "claim"]
    assert caplog.records == []


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(RemoteClaims(failing=["complete"] * 3), id="fails"),
        pytest.param(RemoteClaims("complete"), id="hangs"),
    ],
)
async def test_an_event_that_cannot_be_kept_is_answered_all_the_same(
    claims: RemoteClaims,
    checkout: CheckoutSessionFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The handler has acted: 200, one ERROR that names the event, and no release."""
    receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims, handler_timeout=2)

    reply = await receiver.receive(*delivery("evt_9"), checkout)

    assert reply.status == 200
    assert claims.methods() == ["claim", *["complete"] * 3]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "evt_9" in record.getMessage()


async def test_an_event_that_another_has_taken_is_answered_and_reported(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Who was stopped beyond its lease has acted, too: 200, an ERROR, no second try."""

    class Stolen(RemoteClaims):
        async def complete(self, event_id: str, owner: str, keep: float) -> bool:
            await super().release(event_id, owner)
            await super().claim(event_id, "another", 60)
            return await super().complete(event_id, owner, keep)

    claims = Stolen()
    receiver = WebhookReceiver(VERIFIER, Shop(), claims=claims)

    reply = await receiver.receive(*delivery("evt_9"), checkout)
    meanwhile = await receiver.receive(*delivery("evt_9"), checkout)

    assert (reply.status, meanwhile.status) == (200, 503)
    assert claims.methods().count("complete") == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "evt_9" in record.getMessage()


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
    receiving = await at_the_door(receiver, checkout, shop)

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
    receiving = await at_the_door(receiver, checkout, shop)
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
    receiving = await at_the_door(receiver, checkout, claims)
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
    claims = RemoteClaims(method, failing=[method])
    receiver = WebhookReceiver(VERIFIER, Shop(ZeroDivisionError()), claims=claims)
    receiving = await at_the_door(receiver, checkout, claims)

    await cancelled(receiving, claims.door)

    assert receiving.cancelled()


async def test_a_hang_up_does_not_undo_what_was_handled(
    checkout: CheckoutSessionFactory,
) -> None:
    """A delivery that is cancelled while its event is kept has it kept all the same."""
    claims, shop = RemoteClaims("complete"), Shop()
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    receiving = await at_the_door(receiver, checkout, claims)
    await cancelled(receiving, claims.door)

    reply = await receiver.receive(*delivery(), checkout)

    assert receiving.cancelled()
    assert (reply.status, len(shop.seen)) == (200, 1)


async def test_a_cancellation_that_insists_is_heard_at_the_end(
    checkout: CheckoutSessionFactory,
) -> None:
    """Some frameworks cancel again and again: the lease is given back all the same."""
    claims, shop = RemoteClaims("release"), Shop(ZeroDivisionError())
    receiver = WebhookReceiver(VERIFIER, shop, claims=claims)
    receiving = await at_the_door(receiver, checkout, claims)
    for _ in range(5):
        receiving.cancel("by the framework")
        await asyncio.sleep(0)
    claims.door.set()
    with pytest.raises(asyncio.CancelledError, match="by the framework"):
        await receiving

    reply = await receiver.receive(*delivery(), checkout)

    assert (reply.status, len(shop.seen)) == (200, 2)


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
    receiving = await at_the_door(receiver, checkout, claims)
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
    """A second delivery finds the event held, and a third one finds it done."""
    shop = Shop()
    receiver = WebhookReceiver(VERIFIER, shop, answer_first=True)

    replies = [await receiver.receive(*delivery(), checkout) for _ in range(2)]
    await receiver.aclose()
    replies.append(await receiver.receive(*delivery(), checkout))

    assert [reply.status for reply in replies] == [200, 503, 200]
    assert len(shop.seen) == 1


async def test_who_answers_first_has_claimed_before(
    checkout: CheckoutSessionFactory,
) -> None:
    """An event that cannot be claimed is delivered again: only handlers are put off."""
    shop = Shop()
    receiver = WebhookReceiver(
        VERIFIER, shop, claims=RemoteClaims(failing=["claim"]), answer_first=True
    )

    reply = await receiver.receive(*delivery(), checkout)
    await receiver.aclose()

    assert (reply.status, shop.seen) == (500, [])


async def test_a_failure_after_the_answer_is_told_by_the_event_loop(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It reaches neither the answer nor `aclose`, but whoever watches the loop.

    Our own log names its class and no more, as it does before the answer.
    """
    contexts: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    error = ZeroDivisionError("CANARY")
    receiver = WebhookReceiver(VERIFIER, Shop(error), answer_first=True)

    reply = await receiver.receive(*delivery("evt_9"), checkout)
    await receiver.aclose()

    (context,) = contexts
    assert reply.status == 200
    assert context["exception"] is error
    assert "'evt_9'" in str(context["message"])
    assert "evt_9" in caplog.text
    assert "CANARY" not in caplog.text


async def test_a_failure_after_the_answer_is_in_the_log_of_asyncio(
    checkout: CheckoutSessionFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody watches the loop, error trackers see the record that it logs."""
    error = ZeroDivisionError()
    receiver = WebhookReceiver(VERIFIER, Shop(error), answer_first=True)

    await receiver.receive(*delivery(), checkout)
    await receiver.aclose()

    (record,) = [one for one in caplog.records if one.name == "asyncio"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[1] is error


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
