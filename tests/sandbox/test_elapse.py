"""What a test does to a gateway: time passes, customers pay, and things go wrong."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping

import attrs
import pytest
from orders import an_order

from convergegate_async import (
    ApiError,
    CheckoutSessionRequest,
    ConfigurationError,
    DeclinedError,
    EventType,
    InvalidFieldError,
    SessionStatus,
    WebhookEvent,
    WebhookReply,
    WebhookVerifier,
)
from convergegate_async.sandbox import BookedSession, Sandbox, WebhookListener

DAY = 24 * 3600


class Shop:
    """Answers webhooks as it is told to, and remembers when they came."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.status = 200
        self.heard: list[tuple[float, str]] = []
        self.url = ""

    async def take(
        self, event: WebhookEvent, _body: bytes, _headers: Mapping[str, str]
    ) -> WebhookReply:
        """Note the gateway's time, and answer."""
        self.heard.append((self.sandbox.now(), event.type))
        return WebhookReply(self.status, "")

    def order(self) -> CheckoutSessionRequest:
        """Return a request whose events come here."""
        return attrs.evolve(an_order(), notification_url=self.url)


@pytest.fixture
async def frozen() -> AsyncIterator[Sandbox]:
    """A gateway whose clock stands still."""
    async with Sandbox(frozen=True) as sandbox:
        yield sandbox


@pytest.fixture
async def shop(frozen: Sandbox) -> AsyncIterator[Shop]:
    """A shop that takes its webhooks."""
    shop = Shop(frozen)
    verifier = WebhookVerifier(frozen.api_key)
    async with WebhookListener(verifier, lambda _: None, handler=shop.take) as hooks:
        shop.url = hooks.url
        yield shop


async def opened(sandbox: Sandbox, order: CheckoutSessionRequest) -> BookedSession:
    """Return a session that a shop has just opened."""
    async with sandbox.factory() as checkout:
        session = await checkout.create(order)
    return sandbox.book.sessions[session.id]


async def test_a_frozen_clock_is_moved_by_nobody_else(frozen: Sandbox) -> None:
    """What is due in two seconds is not due on a machine that was busy for three."""
    before = frozen.now()
    time.sleep(0.01)  # noqa: ASYNC251 -- so that another clock goes on

    assert frozen.now() == before
    frozen.advance(2)
    assert frozen.now() == before + 2


async def test_a_reset_sets_a_frozen_clock_right(frozen: Sandbox) -> None:
    """It shows the time again, from then on."""
    frozen.advance(DAY)

    frozen.reset()

    assert abs(frozen.now() - time.time()) < 3600


async def test_a_reset_ends_what_is_under_way(frozen: Sandbox) -> None:
    """A delivery, time that passes and a call: none is of the next test."""
    begun, ends = asyncio.Event(), []

    async def post(_url: str, _body: bytes, _head: Mapping[str, str]) -> WebhookReply:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("the delivery")
        raise AssertionError

    frozen.deliver_by(post)
    await opened(frozen, attrs.evolve(an_order(), notification_url="https://a.example"))
    passing = asyncio.create_task(frozen.elapse(DAY))
    await begun.wait()
    frozen.fail_next("latency", seconds=0.05)
    async with frozen.factory() as checkout:
        late = asyncio.create_task(checkout.create(an_order()))
        while frozen.count("create") < 2:  # noqa: ASYNC110 -- it sets no event
            await asyncio.sleep(0)
        frozen.reset()
        now = frozen.now()
        with pytest.raises(ApiError, match="was reset"):
            await late

    await passing
    assert (ends, frozen.now(), frozen.deliveries) == (["the delivery"], now, ())
    assert not frozen.book.sessions


async def test_a_reset_throws_the_dice_anew(frozen: Sandbox) -> None:
    """The same test meets the same faults, whatever others met before."""
    met = []
    for _ in range(2):
        frozen.reset()
        frozen.fail_next("status", status=400, probability=0.5, times=None)
        async with frozen.factory() as checkout:
            calls = [checkout.create(an_order()) for _ in range(12)]
            ends = [
                (await asyncio.gather(one, return_exceptions=True)) for one in calls
            ]
        met.append([isinstance(end, Exception) for [end] in ends])

    assert met[0] == met[1]
    assert len(set(met[0])) == 2


async def test_a_webhook_is_delivered_again_at_its_own_times(
    frozen: Sandbox, shop: Shop
) -> None:
    """Three days pass in a moment: four tries soon, then ever longer pauses."""
    shop.status = 500
    await opened(frozen, shop.order())
    start = frozen.now()

    await frozen.elapse(3 * DAY)

    created = [when for when, kind in shop.heard if kind == "session.created"]
    times = [round(when - start) for when in created]
    assert times[:7] == [0, 1, 2, 3, 4, 64, 184]
    assert len(times) == 17
    (delivery, *_) = frozen.deliveries
    assert delivery.note == "given up after three days"


async def test_time_passes_to_the_second(frozen: Sandbox, shop: Shop) -> None:
    """A session expires on the way, and its event tells of it then."""
    session = await opened(frozen, shop.order())
    start = frozen.now()

    await frozen.elapse(2 * DAY)

    assert frozen.now() == pytest.approx(start + 2 * DAY, abs=1e-3)
    when, kind = shop.heard[-1]
    assert kind == "session.expired"
    assert when == pytest.approx(session.expires_at, abs=1e-3)


async def test_no_time_lets_happen_what_is_due(frozen: Sandbox, shop: Shop) -> None:
    """Whoever lets no time pass waits for the webhooks of now."""
    session = await opened(frozen, shop.order())
    frozen.pay(session.id)

    await frozen.elapse(0)

    assert [kind for _, kind in shop.heard] == ["session.created", "session.completed"]


async def test_a_clock_that_goes_elapses_too(sandbox: Sandbox) -> None:
    """What is due by then is over at the end."""
    session = await opened(sandbox, an_order())

    await sandbox.elapse(DAY)

    assert session.status is SessionStatus.EXPIRED


async def test_nothing_elapses_where_nothing_runs() -> None:
    """Who forgot `async with` reads it."""
    with pytest.raises(ConfigurationError, match="async with"):
        await Sandbox().elapse(1)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12])
async def test_no_clock_moves_so(frozen: Sandbox, seconds: float) -> None:
    """Back, to no time, or past all dates: the gateway could not go on from there."""
    before = frozen.now()

    with pytest.raises(ConfigurationError, match="year 3000"):
        frozen.advance(seconds)
    with pytest.raises(ConfigurationError, match="year 3000"):
        await frozen.elapse(seconds)

    assert frozen.now() == before


async def test_time_can_pass_while_a_shop_waits_for_it(frozen: Sandbox) -> None:
    """The delivery that waits is not waited for, and what else is due happens."""
    waits, tries = asyncio.Event(), []

    async def post(url: str, _body: bytes, _head: Mapping[str, str]) -> WebhookReply:
        tries.append((url, frozen.now() - before))
        if url.endswith("waits"):
            await waits.wait()
        return WebhookReply(500, "")

    before = frozen.now()
    frozen.deliver_by(post)
    for url in ("https://a.example/waits", "https://a.example/answers"):
        await opened(frozen, attrs.evolve(an_order(), notification_url=url))
    await frozen.elapse(2, only_new=True)
    waits.set()

    assert frozen.now() == before + 2
    assert [round(when) for url, when in tries if url.endswith("answers")] == [0, 1, 2]


@pytest.mark.parametrize("end", [pytest.fail.Exception("not here"), SystemExit(3)])
async def test_a_shop_may_end_in_any_way(frozen: Sandbox, end: BaseException) -> None:
    """A delivery that it ends has failed, and comes again; nothing else is ended."""
    ends = [end, asyncio.CancelledError()]

    async def post(_url: str, _body: bytes, _head: Mapping[str, str]) -> WebhookReply:
        if ends:
            raise ends.pop(0)
        return WebhookReply(200, "")

    frozen.deliver_by(post)
    await opened(frozen, attrs.evolve(an_order(), notification_url="https://a.example"))
    notes: list[str] = []
    for _ in range(3):
        await frozen.elapse(1 if notes else 0)
        notes.append(frozen.deliveries[0].note)

    assert notes == [type(end).__name__, "CancelledError", ""]
    assert (frozen.deliveries[0].attempt, frozen.deliveries[0].status) == (3, 200)


async def test_who_is_told_of_a_delivery_cannot_end_the_gateway(shop: Shop) -> None:
    """What *on_delivery* raises is the owner's mistake, and no shop's."""

    def fail(_: object) -> None:
        raise ZeroDivisionError

    async with Sandbox(frozen=True, on_delivery=fail) as sandbox:
        session = await opened(sandbox, shop.order())
        await sandbox.elapse(DAY)

    assert session.status is SessionStatus.EXPIRED


async def test_nothing_is_waited_for_in_a_gateway_that_failed() -> None:
    """Who lets time pass hears of it, and does not wait for ever."""
    broken, this_test = [False], asyncio.current_task()

    def now() -> float:
        if broken[0] and asyncio.current_task() is not this_test:
            raise ZeroDivisionError
        return time.time()

    with pytest.raises(ZeroDivisionError):  # noqa: PT012 -- leaving tells it, too
        async with Sandbox(now=now) as sandbox:
            session = await opened(sandbox, an_order())
            broken[0] = True
            sandbox.expire(session.id)
            for _ in range(9):
                await asyncio.sleep(0)

            with pytest.raises(ConfigurationError, match="has failed") as caught:
                await sandbox.elapse(1)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_session_expires_when_told(frozen: Sandbox, shop: Shop) -> None:
    """It alone: the clock stands where it stood, and other sessions stay open."""
    one, other = [await opened(frozen, shop.order()) for _ in range(2)]
    before = frozen.now()

    frozen.expire(one.id)
    await frozen.elapse(0)

    assert frozen.now() == before
    assert (one.status, other.status) == (SessionStatus.EXPIRED, SessionStatus.OPEN)
    assert shop.heard[-1][1] == EventType.SESSION_EXPIRED


async def test_a_session_is_paid_as_by_its_customer(frozen: Sandbox) -> None:
    """The code decides: another two seconds, or at once."""
    slow, quick = [await opened(frozen, an_order()) for _ in range(2)]

    frozen.pay(slow.id, "012345")
    frozen.pay(quick.id)

    assert (slow.status, quick.status) == (
        SessionStatus.PENDING,
        SessionStatus.COMPLETED,
    )
    await frozen.elapse(2)
    assert slow.status is SessionStatus.COMPLETED


async def test_what_cannot_be_paid_is_refused_with_the_reason(frozen: Sandbox) -> None:
    """An unknown session, one that is over, and a code that the bank refuses."""
    session = await opened(frozen, an_order())

    with pytest.raises(InvalidFieldError, match="no such checkout session"):
        frozen.pay("nobody")
    with pytest.raises(DeclinedError, match="the payment was refused") as caught:
        frozen.pay(session.id, "200000")
    assert (caught.value.decline_code, session.status) == ("refused", "open")
    frozen.expire(session.id)
    with pytest.raises(InvalidFieldError, match="session_id the session is expired"):
        frozen.pay(session.id)
    with pytest.raises(InvalidFieldError, match="expired already"):
        frozen.expire(session.id)


async def test_the_next_request_alone_fails(frozen: Sandbox) -> None:
    """The one after it is answered, and the call needed both."""
    frozen.fail_next("status", status=503, operation="create")

    async with frozen.factory() as checkout:
        session = await checkout.create(an_order())

    assert session.call.attempts == frozen.count("create") == 2
