"""Webhooks on their way: signed, repeated until somebody listens, broken on purpose."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import pairwise
from types import TracebackType
from typing import Self

import attrs
import pytest
from aiohttp import web
from matrix import AMPLE

from convergegate_async import (
    BadSignatureError,
    CheckoutSessionRequest,
    EventType,
    InvalidFieldError,
    RefundRequest,
    SessionStatus,
    WebhookError,
    WebhookEvent,
)
from convergegate_async.sandbox import (
    BookedSession,
    Delivery,
    Fault,
    FaultKind,
    Sandbox,
)
from convergegate_async.sandbox._webhook_sender import retry_pause
from convergegate_async.webhooks import WebhookVerifier

NOW = 1_700_000_000.0
DAY = 24 * 3600


@attrs.frozen(kw_only=True)
class Arrival:
    """A delivery as the shop got it."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def event(self) -> dict[str, object]:
        """The body, read."""
        document: dict[str, object] = json.loads(self.body)
        return document


class Shop:
    """Receives webhooks, and answers what it is told to.

    Attributes:
        answers: The statuses to answer next; then 200.
        held: Paths whose answers wait until `release` is set.
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.arrivals: list[Arrival] = []
        self.answers: list[int] = []
        self.held: set[str] = set()
        self.release = asyncio.Event()
        self.base_url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.post("/{path:.*}", self._take)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release.set()
        await self._runner.cleanup()

    @property
    def types(self) -> list[object]:
        """The types of what arrived, in order."""
        return [arrival.event["type"] for arrival in self.arrivals]

    async def _take(self, request: web.Request) -> web.Response:
        headers = list(request.headers.items())
        body = await request.read()
        self.arrivals.append(Arrival(path=request.path, headers=headers, body=body))
        status = self.answers.pop(0) if self.answers else 200
        if request.path in self.held:
            await self.release.wait()
        location = {"Location": "/elsewhere"} if status // 100 == 3 else {}
        return web.Response(status=status, headers=location)


class Till:
    """A sandbox whose clock only the test moves, a shop, and a request between them."""

    def __init__(
        self, sandbox: Sandbox, shop: Shop, order: CheckoutSessionRequest
    ) -> None:
        self.sandbox = sandbox
        self.shop = shop
        self.order = attrs.evolve(order, notification_url=f"{shop.base_url}/hook")
        self.verifier = WebhookVerifier(sandbox.api_key)

    def open(self, url: str | None = None) -> BookedSession:
        """Open a session whose webhooks go to *url*, or to the shop."""
        order = attrs.evolve(
            self.order, notification_url=url or self.order.notification_url
        )
        session = self.sandbox.book.open_session(order, self.sandbox.base_url)
        self.sandbox.advance(0)
        return session

    def pay(self, session: BookedSession) -> None:
        """Have the session completed."""
        self.sandbox.book.pay(session, "123456")
        self.sandbox.advance(0)

    def read(self, arrival: Arrival) -> WebhookEvent | WebhookError:
        """Verify what arrived, by the clock of the shop."""
        try:
            return self.verifier.verify(arrival.body, arrival.headers, now=NOW)
        except WebhookError as error:
            return error

    async def tried(self, tries: int) -> None:
        """Wait until the first delivery was tried so often, and answered or not."""

        def is_over() -> bool:
            return any(
                one.attempt == tries and (one.status is not None or one.note)
                for one in self.sandbox.deliveries[:1]
            )

        await until(is_over)
        # The next try is planned right after the end of this one is noted.
        await asyncio.sleep(0.01)

    async def try_again(self, seconds: float) -> None:
        """Move the clock, and wait for the next try of the first delivery."""
        delivery = self.sandbox.deliveries[0]
        delivery.status, delivery.note = None, ""
        self.sandbox.advance(seconds)
        await self.tried(delivery.attempt + 1)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens on the other end of a socket."""
    async with asyncio.timeout(AMPLE):
        while not condition():  # noqa: ASYNC110 -- the other end has no event
            await asyncio.sleep(0.002)


async def quiet() -> None:
    """Give something that must not happen the time to happen."""
    await asyncio.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop that is glad about every webhook."""
    async with Shop() as shop:
        yield shop


@pytest.fixture
async def till(shop: Shop, order: CheckoutSessionRequest) -> AsyncIterator[Till]:
    """A sandbox whose clock stands still, and its shop."""
    async with Sandbox(now=lambda: NOW) as sandbox:
        yield Till(sandbox, shop, order)


# -- delivered ------------------------------------------------------------------------


async def test_a_delivery_is_what_a_verifier_accepts(
    sandbox: Sandbox, shop: Shop, order: CheckoutSessionRequest
) -> None:
    """On real clocks, `WebhookVerifier` reads every event of a session's life."""
    order = attrs.evolve(order, notification_url=f"{shop.base_url}/hook")
    verifier = WebhookVerifier(sandbox.api_key)

    async with sandbox.factory() as checkout:
        created = await checkout.create(order)
        await checkout.pay(created.id, "123456")
        refund = await checkout.refund(RefundRequest(session_id=created.id, amount=1))
        sandbox.advance(1)
        await until(lambda: len(shop.arrivals) == 4)
    events = {
        event.type: event
        for arrival in shop.arrivals
        for event in [verifier.verify(arrival.body, arrival.headers)]
    }

    assert set(events) == {
        EventType.SESSION_CREATED,
        EventType.SESSION_COMPLETED,
        EventType.REFUND_CREATED,
        EventType.REFUND_SUCCEEDED,
    }
    assert {event.session_id for event in events.values()} == {created.id}
    assert events["session.completed"].status is SessionStatus.COMPLETED
    assert events["refund.succeeded"].refund_id == refund.id
    assert not any(event.stale for event in events.values())


async def test_another_secret_does_not_accept_it(till: Till) -> None:
    """The signature is by the sandbox's own key."""
    till.open()
    await until(lambda: len(till.shop.arrivals) == 1)
    arrival = till.shop.arrivals[0]

    with pytest.raises(BadSignatureError):
        WebhookVerifier("sk_other").verify(arrival.body, arrival.headers, now=NOW)


async def test_a_shop_s_clock_is_not_moved_along(till: Till) -> None:
    """Deliveries are stamped with the shop's time, however far the sandbox's went."""
    session = till.open()
    till.sandbox.advance(DAY)
    await until(lambda: len(till.shop.arrivals) == 2)

    events = [till.read(arrival) for arrival in till.shop.arrivals]

    assert session.status is SessionStatus.EXPIRED
    assert [isinstance(event, WebhookEvent) for event in events] == [True, True]
    assert till.shop.types == ["session.created", "session.expired"]


async def test_an_answered_delivery_is_over(till: Till) -> None:
    """After a 2xx the event is not delivered again, and the journal says so."""
    till.shop.answers = [204]
    till.open()
    await till.tried(1)

    till.sandbox.advance(10 * 3600)
    await quiet()

    delivery = till.sandbox.deliveries[0]
    assert len(till.shop.arrivals) == 1
    assert (delivery.attempt, delivery.status, delivery.note) == (1, 204, "")
    assert delivery.is_done


async def test_without_an_address_nothing_is_delivered(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A session without a *notification_url* has no deliveries."""
    async with sandbox.factory() as checkout:
        created = await checkout.create(order)
        await checkout.pay(created.id, "123456")
    await quiet()

    assert sandbox.deliveries == ()


# -- until somebody listens -----------------------------------------------------------


@pytest.mark.parametrize("status", [300, 302, 400, 404, 410, 429, 500, 503])
async def test_anything_but_a_2xx_is_delivered_again(status: int, till: Till) -> None:
    """A second later the same event comes again, and no redirect is followed."""
    till.shop.answers = [status]
    till.open()
    await till.tried(1)
    noted = till.sandbox.deliveries[0].status
    early = len(till.shop.arrivals)
    await till.try_again(1)

    first, second = till.shop.arrivals
    assert early == 1
    assert noted == status
    assert first.body == second.body
    assert {first.path, second.path} == {"/hook"}
    assert till.sandbox.deliveries[0].is_done


async def test_it_is_not_delivered_before_its_time(till: Till) -> None:
    """The pause is kept on the sandbox's clock."""
    till.shop.answers = [500]
    till.open()
    await till.tried(1)

    till.sandbox.advance(0.9)
    await quiet()

    assert len(till.shop.arrivals) == 1


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 1), (2, 1), (3, 1), (4, 1), (5, 60), (6, 120), (7, 240), (16, 122_880)],
)
def test_pauses_are_short_four_times_and_then_double(
    attempt: int, seconds: float
) -> None:
    """Four quick retries, and then pauses from a minute up."""
    assert retry_pause(attempt) == seconds


async def test_a_delivery_is_given_up_after_three_days(till: Till) -> None:
    """Seventeen tries fit into three days; there is no eighteenth, ever."""
    till.order = attrs.evolve(
        till.order, expires_at=datetime.fromtimestamp(NOW + 90 * DAY, UTC)
    )
    till.shop.answers = [500] * 99
    moments = [0.0]
    till.open()
    await till.tried(1)
    while not till.sandbox.deliveries[0].note:
        pause = retry_pause(len(moments))
        moments.append(moments[-1] + pause)
        await till.try_again(pause)
    till.sandbox.advance(30 * DAY)
    await quiet()

    pauses = [after - before for before, after in pairwise(moments)]
    assert len(till.shop.arrivals) == len(moments) == 17
    assert pauses[:4] == [1, 1, 1, 1]
    assert pauses[4:] == sorted(set(pauses[4:]))
    assert moments[-1] <= 3 * DAY < moments[-1] + retry_pause(17)
    assert till.sandbox.deliveries[0].note == "given up after three days"
    assert till.sandbox.deliveries[0].status == 500


async def test_a_shop_that_is_down_is_tried_again(till: Till) -> None:
    """A refused connection is noted, and the event comes again later."""
    port = free_port()
    till.open(f"http://127.0.0.1:{port}/hook")
    await till.tried(1)
    delivery = till.sandbox.deliveries[0]
    noted = (delivery.status, delivery.note, delivery.is_done)

    async with Shop(port) as late:
        till.sandbox.advance(1)
        await until(lambda: delivery.is_done)

    assert noted == (None, "ClientConnectorError", False)
    assert late.types == ["session.created"]
    assert (delivery.attempt, delivery.note) == (2, "")


async def test_a_shop_that_comes_back_gets_what_it_missed(till: Till) -> None:
    """What was refused for hours is delivered at the next try, still well signed."""
    till.shop.answers = [503] * 8
    till.open()
    await till.tried(1)
    for tries in range(1, 9):
        await till.try_again(retry_pause(tries))

    event = till.read(till.shop.arrivals[-1])
    assert isinstance(event, WebhookEvent)
    assert event.type is EventType.SESSION_CREATED
    assert till.sandbox.deliveries[0].is_done
    assert len({arrival.event["id"] for arrival in till.shop.arrivals}) == 1


async def test_a_shop_that_speaks_no_http_is_tried_again(till: Till) -> None:
    """An answer that is none is noted like no answer."""

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        till.open(f"http://127.0.0.1:{port}/")
        await till.tried(1)
        first = till.sandbox.deliveries[0].status
        await till.try_again(1)

    assert first is None
    assert till.sandbox.deliveries[0].note != ""


async def test_one_shop_that_hangs_does_not_hold_up_the_others(till: Till) -> None:
    """Deliveries go on, to the same shop too, while one waits for its answer."""
    till.shop.held = {"/slow"}
    till.open(f"{till.shop.base_url}/slow")
    await until(lambda: len(till.shop.arrivals) == 1)

    session = till.open()
    till.pay(session)
    await until(lambda: len(till.shop.arrivals) == 3)

    assert [one.path for one in till.shop.arrivals] == ["/slow", "/hook", "/hook"]
    assert [one.is_done for one in till.sandbox.deliveries][:1] == [False]


async def test_leaving_does_not_wait_for_a_shop_that_hangs(
    shop: Shop, order: CheckoutSessionRequest
) -> None:
    """A sandbox ends at once, deliveries under way or not, and leaves no task."""
    before = asyncio.all_tasks()
    shop.held = {"/hook"}
    async with Sandbox() as sandbox:
        Till(sandbox, shop, order).open()
        await until(lambda: len(shop.arrivals) == 1)

    (delivery,) = sandbox.deliveries
    assert (delivery.status, delivery.note) == (None, "")  # it did not run out of time
    shop.release.set()
    await quiet()
    ours = {task for task in asyncio.all_tasks() - before if "Sandbox" in repr(task)}
    assert ours == set()


@pytest.mark.parametrize("url", ["http://a%3Ab@127.0.0.1:9/", "http://ł@127.0.0.1:9/"])
async def test_an_address_that_cannot_be_called_stops_nobody_else(
    url: str, till: Till
) -> None:
    """A *notification_url* that is loopback and still unusable is noted like no answer.

    aiohttp answers these with a `ValueError` that is no `ClientError`.
    """
    till.open(url)
    await quiet()

    till.open()
    await until(lambda: len(till.shop.arrivals) == 1)

    assert till.sandbox.deliveries[0].status is None
    assert till.sandbox.deliveries[0].note != ""


# -- who is contacted -----------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hook",
        "http://192.0.2.1/hook",
        "http://127.0.0.1.shop.example/hook",
        "http://127.0.0.1@shop.example/hook",
        "http://localhost.shop.example/hook",
        "http://[2001:db8::1]/hook",
        "http://0.0.0.0/hook",
    ],
)
async def test_nobody_outside_of_this_machine_is_contacted(
    url: str, till: Till
) -> None:
    """A foreign address is noted and never tried, however late it gets."""
    till.open(url)
    await until(lambda: len(till.sandbox.deliveries) == 1)
    till.sandbox.advance(DAY)
    await quiet()

    assert len(till.sandbox.deliveries) == 2
    for delivery in till.sandbox.deliveries:
        assert delivery.note == (
            "not sent: the URL is on another machine (see --webhooks-to; in code "
            "webhooks_to=, in a test webhooks_into(app))"
        )
        assert (delivery.attempt, delivery.status) == (0, None)


async def test_this_machine_has_several_names(till: Till) -> None:
    """`localhost` is an address on this machine."""
    port = till.shop.base_url.rpartition(":")[2]

    till.open(f"http://localhost:{port}/hook")
    await until(lambda: len(till.shop.arrivals) == 1)

    assert till.shop.arrivals[0].path == "/hook"


# -- broken on purpose ----------------------------------------------------------------


async def test_a_lost_event_never_comes(till: Till) -> None:
    """A lost event is not delivered later either; the next one is not lost."""
    till.sandbox.faults.add(Fault(FaultKind.WEBHOOK_LOST, times=1))
    session = till.open()
    till.pay(session)
    await until(lambda: len(till.shop.arrivals) == 1)
    till.sandbox.advance(3600)
    await quiet()

    lost = till.sandbox.deliveries[0]
    assert till.shop.types == ["session.completed"]
    assert (lost.attempt, lost.note) == (0, "lost on purpose")
    assert lost.fault is FaultKind.WEBHOOK_LOST


async def test_only_the_event_that_is_meant_is_lost(till: Till) -> None:
    """What comes before it takes no fault away."""
    till.sandbox.fail_next("webhook_lost", event="session.completed")
    till.pay(till.open())
    await until(lambda: len(till.sandbox.deliveries) == 2)
    await until(lambda: len(till.shop.arrivals) == 1)

    _, lost = till.sandbox.deliveries
    assert till.shop.types == ["session.created"]
    assert (lost.event.type, lost.note) == ("session.completed", "lost on purpose")


async def test_a_late_event_comes_late(till: Till) -> None:
    """A late event waits its seconds on the sandbox's clock."""
    till.sandbox.faults.add(Fault(FaultKind.WEBHOOK_LATE, seconds=600, times=1))
    till.open()
    await until(lambda: len(till.sandbox.deliveries) == 1)
    till.sandbox.advance(599)
    await quiet()
    early = len(till.shop.arrivals)

    till.sandbox.advance(1)
    await until(lambda: len(till.shop.arrivals) == 1)

    assert early == 0
    assert isinstance(till.read(till.shop.arrivals[0]), WebhookEvent)


async def test_swapped_events_come_in_the_other_order(till: Till) -> None:
    """A swapped event is overtaken by the next one."""
    till.sandbox.faults.add(Fault(FaultKind.WEBHOOK_SWAPPED, times=1))
    session = till.open()
    till.pay(session)
    await until(lambda: len(till.shop.arrivals) == 1)

    till.sandbox.advance(1)
    await until(lambda: len(till.shop.arrivals) == 2)

    assert till.shop.types == ["session.completed", "session.created"]


async def test_a_duplicate_event_comes_twice(till: Till) -> None:
    """Both deliveries are genuine and carry the same event id."""
    till.sandbox.faults.add(Fault(FaultKind.WEBHOOK_DUPLICATE, times=1))
    till.open()
    await until(lambda: len(till.shop.arrivals) == 2)

    events = [till.read(arrival) for arrival in till.shop.arrivals]
    till.sandbox.advance(3600)
    await quiet()

    assert all(isinstance(event, WebhookEvent) for event in events)
    assert len({arrival.body for arrival in till.shop.arrivals}) == 1
    assert len(till.sandbox.deliveries) == len(till.shop.arrivals) == 2


async def test_a_forged_event_comes_again_genuine(till: Till) -> None:
    """The first try has a wrong signature; refused, it is followed by a right one."""
    till.sandbox.faults.add(Fault(FaultKind.WEBHOOK_FORGED, times=1))
    till.shop.answers = [400]
    till.open()
    await till.tried(1)
    await till.try_again(1)

    forged, genuine = [till.read(arrival) for arrival in till.shop.arrivals]
    assert isinstance(forged, BadSignatureError)
    assert isinstance(genuine, WebhookEvent)
    assert till.sandbox.deliveries[0].is_done


async def test_faults_of_webhooks_and_of_requests_do_not_meet(till: Till) -> None:
    """A fault of the API leaves webhooks alone, and the other way round."""
    till.sandbox.faults.add(Fault(FaultKind.STATUS, operation="retrieve"))
    till.sandbox.faults.add(Fault(FaultKind.WEBHOOK_LOST, times=1))
    async with till.sandbox.factory() as checkout:
        created = await checkout.create(till.order)
        await until(lambda: len(till.sandbox.deliveries) == 1)
        till.sandbox.faults.add(Fault(FaultKind.LOST))
        till.pay(till.sandbox.book.sessions[created.id])
        await until(lambda: len(till.shop.arrivals) == 1)

    assert created.call.attempts == 1
    assert till.shop.types == ["session.completed"]


# -- many, and none -------------------------------------------------------------------


async def test_every_event_is_delivered_once(till: Till) -> None:
    """Of a hundred sessions paid at once, no event is lost and none comes twice."""
    async with till.sandbox.factory() as checkout:
        created = await asyncio.gather(
            *[checkout.create(till.order) for _ in range(100)]
        )
        await asyncio.gather(*[checkout.pay(one.id, "123456") for one in created])
    await until(lambda: len(till.shop.arrivals) >= 200)
    await quiet()

    counts = Counter(arrival.event["id"] for arrival in till.shop.arrivals)
    assert len(counts) == len(till.shop.arrivals) == 200


async def test_a_reset_forgets_what_was_to_be_delivered(till: Till) -> None:
    """After `reset` no planned delivery is made any more."""
    till.shop.answers = [500]
    till.open()
    await till.tried(1)

    till.sandbox.reset()
    till.sandbox.advance(3600)
    await quiet()

    assert till.sandbox.deliveries == ()
    assert len(till.shop.arrivals) == 1


async def test_a_reset_forgets_what_is_being_delivered(till: Till) -> None:
    """A delivery that fails after `reset` is not tried again."""
    till.shop.held, till.shop.answers = {"/hook"}, [500]
    till.open()
    await until(lambda: len(till.shop.arrivals) == 1)
    till.sandbox.reset()
    till.shop.release.set()
    await quiet()

    till.sandbox.advance(3600)
    await quiet()

    assert till.sandbox.deliveries == ()
    assert len(till.shop.arrivals) == 1


# -- what is told of it, and asked for again -------------------------------------------


async def test_every_try_is_told_with_the_time_of_the_next(
    shop: Shop, order: CheckoutSessionRequest
) -> None:
    """Who runs the sandbox sees each answer, and when the shop is asked again."""
    tries: list[tuple[int, int | None, float | None]] = []
    shop.answers = [500]
    sandbox = Sandbox(
        now=lambda: NOW,
        on_delivery=lambda one: tries.append((one.attempt, one.status, one.next_try)),
    )
    async with sandbox:
        Till(sandbox, shop, order).open()
        await sandbox.elapse(60)

    assert tries == [(1, 500, NOW + 1), (2, 200, None)]


@pytest.mark.parametrize(
    ("kind", "url", "note"),
    [
        ("webhook_lost", None, "lost on purpose"),
        ("webhook_late", "https://shop.example/hook", "not sent: the URL is on"),
    ],
)
async def test_what_is_not_sent_is_told_as_well(
    kind: str, url: str | None, note: str, shop: Shop, order: CheckoutSessionRequest
) -> None:
    """An event that nobody gets has a line of its own, once."""
    unsent: list[Delivery] = []
    async with Sandbox(now=lambda: NOW, on_delivery=unsent.append) as sandbox:
        sandbox.fail_next(kind)
        Till(sandbox, shop, order).open(url)
        await sandbox.elapse(0)

    [delivery] = unsent
    assert (delivery.attempt, delivery.next_try) == (0, None)
    assert delivery.note.startswith(note)


async def test_an_event_can_be_sent_again(till: Till) -> None:
    """It comes as it was, id and all, also to a shop that has taken it."""
    till.open()
    await till.tried(1)
    [sent] = till.sandbox.deliveries

    till.sandbox.resend(sent.event.id)
    await till.sandbox.elapse(0)

    first, second = till.shop.arrivals
    assert first.body == second.body
    assert [one.status for one in till.sandbox.deliveries] == [200, 200]
    with pytest.raises(InvalidFieldError, match="event_id is none of the latest"):
        till.sandbox.resend("evt_none")
