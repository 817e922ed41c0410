"""Waiting until a session is final: patient, woken by news, and on time."""

import asyncio
import gc

import attrs
import pytest
from matrix import AMPLE, GRACE, turn
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

from convergegate_async import (
    AuthenticationError,
    CallError,
    CheckoutSession,
    CheckoutSessionRequest,
    ConfigurationError,
    InvalidFieldError,
    InvalidRequestError,
    NotFoundError,
    Outcome,
    OutcomeUnknownError,
    PermissionDeniedError,
    PoolLimits,
    RetryPolicy,
    SessionStatus,
    Timeouts,
    WaitTimeoutError,
    WebhookEvent,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure, Finding
from convergegate_async._transport import Marks
from convergegate_async.errors import FailureKind
from convergegate_async.factory import Runtime
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ID = "AW-kLcRRC5P8U68CYe0kVA"
CLOSED = Failure(kind=FailureKind.CLOSED, sent=False)


def news(session_id: str | None) -> WebhookEvent:
    """Return a verified event about a session."""
    return WebhookEvent(id="evt_1", type="session.completed", session_id=session_id)


class SlowTransport(LastingTransport):
    """Takes so many seconds of a still runtime for every answer, as far as it may."""

    def __init__(
        self, still: StillRuntime, seconds: float, *script: HttpResponse | Failure
    ) -> None:
        super().__init__(*script)
        self.still = still
        self.seconds = seconds

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer late, or give up once the patience is at its end."""
        line = await super().send(request, patience, marks)
        self.still.time += min(self.seconds, patience)
        timeout = Failure(kind=FailureKind.TIMEOUT, sent=True)
        return line if self.seconds < patience else timeout


class ShownTransport(ScriptedTransport):
    """Shows whatever session it is asked for, all of them at one status."""

    status = "open"

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer about the session in the address."""
        self.script.append(shows(self.status, request.url.rpartition("/")[2]))
        return await super().send(request, patience, marks)


class HeldTransport(ScriptedTransport):
    """Says when it was asked, and answers when it is told to."""

    def __init__(self, *script: HttpResponse | Failure) -> None:
        super().__init__(*script)
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Hold the answer back."""
        self.asked.set()
        await self.go.wait()
        return await super().send(request, patience, marks)


class Sleeper:
    """Sleeps until it is woken, and says so."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self.pauses = 0

    async def sleep(self, _: float, waker: asyncio.Event) -> None:
        """Wait for news only."""
        self.pauses += 1
        self.asleep.set()
        await waker.wait()
        self.asleep.clear()

    def runtime(self) -> Runtime:
        """Return a runtime in which nobody wakes up by the clock."""
        return StillRuntime().runtime(sleep=self.sleep)


async def let_tasks_run() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


# -- what is final, and what is not ---------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "expired"])
async def test_a_final_session_is_returned_at_once(status: str) -> None:
    """`completed` and `expired` end a wait without a pause."""
    still, transport = StillRuntime(), ScriptedTransport(shows(status))
    async with scripted_factory(transport, still) as checkout:
        session = await checkout.wait(ID)

    assert (session.id, session.status) == (ID, status)
    assert still.slept == []
    assert transport.sent[0].method == "GET"
    assert transport.sent[0].url.endswith(f"/v1/checkout/sessions/{ID}")


@pytest.mark.parametrize("status", ["open", "pending", "brand_new", "", None])
async def test_any_other_word_is_not_final(status: str | None) -> None:
    """`pending`, a missing status and a word of tomorrow are waited through."""
    transport = ScriptedTransport(shows(status), shows(status), shows("completed"))
    async with scripted_factory(transport) as checkout:
        session = await checkout.wait(ID)

    assert session.status is SessionStatus.COMPLETED
    assert len(transport.sent) == 3


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(LOST, id="lost"),
        pytest.param(REFUSED, id="not-sent"),
        pytest.param(answered(503), id="503"),
        pytest.param(answered(500), id="500"),
        pytest.param(answered(429), id="429"),
        pytest.param(answered(425), id="425"),
        pytest.param(answered(408), id="408"),
        pytest.param(HttpResponse(status=200, body=b"<html>"), id="unreadable"),
    ],
)
async def test_what_may_pass_is_looked_past(trouble: HttpResponse | Failure) -> None:
    """More failures in a row than one call's attempts do not end a wait."""
    transport = ScriptedTransport(shows("open"), *[trouble] * 7, shows("completed"))
    async with scripted_factory(transport) as checkout:
        session = await checkout.wait(ID)

    assert session.status is SessionStatus.COMPLETED
    assert len(transport.sent) == 9


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
    ],
)
@pytest.mark.parametrize("looks", [0, 2])
async def test_a_refusal_is_raised_at_once(
    looks: int, status: int, kind: type[CallError]
) -> None:
    """A session that cannot be looked at ends the wait, however long it went well."""
    transport = ScriptedTransport(*[shows("open")] * looks, answered(status))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(kind) as caught:
            await checkout.wait(ID)

    assert type(caught.value) is kind
    assert caught.value.operation == "wait"
    assert len(transport.sent) == looks + 1


async def test_a_refusal_after_trouble_still_ends_the_wait() -> None:
    """A 404 is raised at once also where an earlier look was lost."""
    transport = ScriptedTransport(LOST, shows("open"), LOST, answered(404))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(CallError) as caught:
            await checkout.wait(ID)

    assert not isinstance(caught.value, WaitTimeoutError)
    assert caught.value.http_status == 404
    assert len(transport.sent) == 4


async def test_another_session_s_answer_is_not_believed() -> None:
    """A completed session with another id does not end a wait as completed."""
    transport = ScriptedTransport(shows("completed", "another"))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(OutcomeUnknownError, match="id differ") as caught:
            await checkout.wait(ID)

    assert caught.value.session is None
    assert len(transport.sent) == 1


async def test_a_wait_is_accounted_for_as_a_whole() -> None:
    """The answer tells how long the wait took, its pauses and its looks together."""
    still = StillRuntime()
    transport = ScriptedTransport(shows("open"), shows("open"), shows("completed"))
    async with scripted_factory(transport, still) as checkout:
        session = await checkout.wait(ID)

    assert session.call.elapsed == pytest.approx(sum(still.slept))


@pytest.mark.parametrize("session_id", ["", "a/b", "..", "x" * 129])
async def test_what_cannot_be_an_id_is_not_waited_for(session_id: str) -> None:
    """A malformed id is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="session_id"):
            await checkout.wait(session_id)

    assert transport.sent == []


async def test_a_closed_factory_does_not_wait() -> None:
    """A wait on a factory that is not open is a `ConfigurationError`."""
    checkout = scripted_factory(ScriptedTransport())

    with pytest.raises(ConfigurationError, match="unopened"):
        await checkout.wait(ID)


# -- in time --------------------------------------------------------------------------


async def test_a_wait_that_runs_out_tells_what_it_saw() -> None:
    """`WaitTimeoutError` is a builtin `TimeoutError` with the session last seen."""
    transport = LastingTransport(shows("open"), shows("pending"))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(WaitTimeoutError, match="time ran out") as caught:
            await checkout.wait(ID, timeout=8)

    error = caught.value
    assert isinstance(error, TimeoutError)
    assert error.outcome is Outcome.UNKNOWN
    assert error.operation == "wait"
    assert error.session is not None
    assert error.session.status is SessionStatus.PENDING
    assert error.elapsed == pytest.approx(8)


async def test_every_look_is_an_attempt() -> None:
    """The error of a wait that ran out counts its tries, those with answers too."""
    transport = LastingTransport(shows("open"))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(ID, timeout=8)

    assert caught.value.attempts == len(transport.sent)


async def test_the_session_last_seen_outlives_later_trouble() -> None:
    """Failing looks at the end do not hide what was seen before."""
    transport = LastingTransport(shows("pending"), answered(503))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(ID, timeout=8)

    assert caught.value.session is not None
    assert caught.value.session.status is SessionStatus.PENDING


@pytest.mark.parametrize("trouble", [LOST, REFUSED, answered(503)], ids=repr)
async def test_a_wait_that_saw_nothing_says_so(trouble: HttpResponse | Failure) -> None:
    """Where no look ever succeeded the error has no session."""
    async with scripted_factory(LastingTransport(trouble)) as checkout:
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(ID, timeout=8)

    assert caught.value.session is None


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 7), (3, 3)], ids=["total", "own"]
)
async def test_none_means_the_policy_s_total(
    timeout: float | None, seconds: float
) -> None:
    """`None` stands for `Timeouts.total`, as in every call."""
    async with scripted_factory(
        LastingTransport(shows("open")), timeouts=Timeouts(total=7, attempt=2)
    ) as checkout:
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(ID, timeout=timeout)

    assert caught.value.elapsed == pytest.approx(seconds)


async def test_a_customer_gets_two_minutes() -> None:
    """Without a timeout a wait lasts 120 seconds."""
    async with scripted_factory(LastingTransport(shows("open"))) as checkout:
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(ID)

    assert caught.value.elapsed == pytest.approx(120)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "3"])
async def test_a_timeout_has_to_be_a_duration(timeout: float) -> None:
    """A deadline of no duration is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="timeout"):
            await checkout.wait(ID, timeout=timeout)

    assert transport.sent == []


@pytest.mark.parametrize("seconds", [0.7, 2.9, 4.6, 5.2, 60.0])
async def test_slow_looks_take_their_time_from_the_deadline(seconds: float) -> None:
    """However long each look takes, the wait ends by its deadline."""
    still = StillRuntime()
    transport = SlowTransport(still, seconds, shows("open"))
    async with scripted_factory(transport, still) as checkout:
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(ID, timeout=5)

    assert caught.value.elapsed == pytest.approx(5, abs=0.25)  # of a clock of our own


async def test_a_wait_is_over_on_time(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """On a real clock a wait takes its timeout, and no more than the grace on top."""
    async with sandbox.factory() as checkout:
        created = await checkout.create(order)
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(created.id, timeout=3)

    assert 2.9 <= caught.value.elapsed <= 3 + GRACE
    assert caught.value.session == created
    assert sandbox.count("retrieve") >= 2


@pytest.mark.parametrize(
    "kind", [FaultKind.STALL, FaultKind.STALL_BODY, FaultKind.DRIP, FaultKind.LOST]
)
async def test_a_wait_on_a_broken_gateway_is_over_on_time(
    kind: FaultKind, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Looks that hang until the deadline do not push it out."""
    async with sandbox.factory() as checkout:
        created = await checkout.create(order)
        sandbox.faults.add(Fault(kind))
        with pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(created.id, timeout=0.6)

    assert caught.value.elapsed <= 0.6 + GRACE


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
async def test_pauses_grow_within_their_bounds(spread: float) -> None:
    """The pauses between looks never shrink, from a quarter second to five."""
    still = StillRuntime()
    runtime = attrs.evolve(still.runtime(), spread=lambda: spread)
    transport = ScriptedTransport(*[shows("open")] * 24, shows("completed"))
    async with scripted_factory(transport, still, runtime=runtime) as checkout:
        await checkout.wait(ID, timeout=600)

    assert len(still.slept) == 24
    assert still.slept == sorted(still.slept)
    assert all(0.25 <= pause <= 5 for pause in still.slept)
    assert still.slept[-1] >= 2 * still.slept[0]
    assert still.slept[-1] == pytest.approx(2.5 * (1 + spread))


async def test_a_failed_look_makes_the_pauses_grow_too() -> None:
    """A gateway in trouble is not asked more often than a sound one."""
    still = StillRuntime()
    once = RetryPolicy(max_attempts=1)
    transport = ScriptedTransport(*[answered(503)] * 6, shows("completed"))
    async with scripted_factory(transport, still, retry=once) as checkout:
        await checkout.wait(ID)

    assert len(still.slept) == 6
    assert still.slept == sorted(set(still.slept))


# -- woken by news --------------------------------------------------------------------


async def test_news_of_the_session_ends_the_pause() -> None:
    """`notify` makes the next look at once."""
    sleeper, transport = Sleeper(), ScriptedTransport(shows("open"), shows("completed"))
    async with scripted_factory(transport, runtime=sleeper.runtime()) as checkout:
        waiting = asyncio.create_task(checkout.wait(ID))
        await sleeper.asleep.wait()
        checkout.notify(news(ID))
        session = await waiting

    assert session.status is SessionStatus.COMPLETED
    assert (sleeper.pauses, len(transport.sent)) == (1, 2)


@pytest.mark.parametrize("other", ["another", ID[:-1], None])
async def test_news_of_another_session_does_not(other: str | None) -> None:
    """An event about something else leaves the pause alone."""
    sleeper, transport = Sleeper(), ScriptedTransport(shows("open"), shows("completed"))
    async with scripted_factory(transport, runtime=sleeper.runtime()) as checkout:
        waiting = asyncio.create_task(checkout.wait(ID))
        await sleeper.asleep.wait()
        checkout.notify(news(other))
        await let_tasks_run()
        looks = len(transport.sent)
        checkout.notify(news(ID))
        await waiting

    assert looks == 1


async def test_news_does_not_count_as_an_answer() -> None:
    """An event is a reason to look, and the look decides."""
    sleeper = Sleeper()
    transport = ScriptedTransport(shows("open"), shows("pending"), shows("completed"))
    async with scripted_factory(transport, runtime=sleeper.runtime()) as checkout:
        waiting = asyncio.create_task(checkout.wait(ID))
        await sleeper.asleep.wait()
        checkout.notify(news(ID))
        await let_tasks_run()
        early = waiting.done()
        checkout.notify(news(ID))
        session = await waiting

    assert not early
    assert session.status is SessionStatus.COMPLETED
    assert len(transport.sent) == 3


async def test_news_during_a_look_is_not_lost() -> None:
    """An event that overtakes the answer to a look makes another look at once."""
    sleeper, transport = Sleeper(), HeldTransport(shows("open"), shows("completed"))
    async with scripted_factory(transport, runtime=sleeper.runtime()) as checkout:
        waiting = asyncio.create_task(checkout.wait(ID))
        await transport.asked.wait()
        checkout.notify(news(ID))
        transport.go.set()
        session = await waiting

    assert session.status is SessionStatus.COMPLETED
    assert len(transport.sent) == 2


async def test_news_wakes_everybody_who_waits_for_the_session() -> None:
    """Several waits for one session are woken by one event, the others sleep on."""
    sleeper, transport = Sleeper(), ShownTransport()
    async with scripted_factory(transport, runtime=sleeper.runtime()) as checkout:
        waits = [asyncio.create_task(checkout.wait(ID)) for _ in range(3)]
        other = asyncio.create_task(checkout.wait("another"))
        await let_tasks_run()
        paused = sleeper.pauses
        transport.status = "completed"
        checkout.notify(news(ID))
        sessions = await asyncio.gather(*waits)
        await let_tasks_run()
        lasting = not other.done()
        checkout.notify(news("another"))
        last = await other

    assert paused == 4
    assert [session.id for session in sessions] == [ID] * 3
    assert lasting
    assert last.id == "another"


async def test_news_that_nobody_waits_for_is_no_error() -> None:
    """`notify` may be called for every event, at any time."""
    async with scripted_factory(ScriptedTransport()) as checkout:
        checkout.notify(news(ID))
        checkout.notify(news(None))

    checkout.notify(news(ID))


async def test_news_ends_a_real_pause(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """On a real clock the next look follows the event, not the end of the pause."""

    async def pause(seconds: float, waker: asyncio.Event) -> None:
        del seconds
        await Runtime().sleep(3_600, waker)  # no test lives to see its end

    async with sandbox.factory(runtime=Runtime(sleep=pause)) as checkout:
        created = await checkout.create(order)
        waiting = asyncio.create_task(checkout.wait(created.id, timeout=AMPLE))
        while not sandbox.count("retrieve"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        await checkout.pay(created.id, "123456")
        checkout.notify(news(created.id))
        session = await waiting

    assert session.status is SessionStatus.COMPLETED


# -- closed and cancelled -------------------------------------------------------------


async def test_closing_the_factory_ends_a_pause() -> None:
    """A wait that sleeps when the factory closes ends at once, with what it saw."""
    sleeper = Sleeper()
    transport = ScriptedTransport(shows("pending"), CLOSED)
    checkout = await scripted_factory(transport, runtime=sleeper.runtime()).open()
    waiting = asyncio.create_task(checkout.wait(ID))
    await sleeper.asleep.wait()

    left = await checkout.aclose(drain=0)

    assert left == ()
    with pytest.raises(WaitTimeoutError, match="the factory was closed") as caught:
        await waiting
    assert caught.value.session is not None
    assert caught.value.session.status is SessionStatus.PENDING


async def test_closing_the_factory_ends_a_look(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A wait whose look hangs when the factory closes ends at once."""
    checkout = await sandbox.factory().open()
    created = await checkout.create(order)
    sandbox.faults.add(Fault(FaultKind.STALL))
    waiting = asyncio.create_task(checkout.wait(created.id, timeout=AMPLE))
    while not sandbox.count("retrieve"):  # noqa: ASYNC110 -- the wire has no event
        await asyncio.sleep(0.005)

    await checkout.aclose(drain=0)

    with pytest.raises(WaitTimeoutError, match="the factory was closed"):
        await waiting


async def test_closing_gives_a_wait_its_drain(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A session that becomes final while the factory drains is still returned."""
    checkout = await sandbox.factory().open()
    created = await checkout.create(order)
    waiting = asyncio.create_task(checkout.wait(created.id, timeout=AMPLE))
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(checkout.aclose(drain=AMPLE))
    await asyncio.sleep(0.05)
    sandbox.book.pay(sandbox.book.sessions[created.id], "123456")
    checkout.notify(news(created.id))

    session = await waiting

    assert session.status is SessionStatus.COMPLETED
    assert await closing == ()


async def test_cancelling_a_pause_surfaces_at_once() -> None:
    """A cancelled wait makes no further look, and is woken by nothing any more."""
    before = asyncio.all_tasks()
    sleeper, transport = Sleeper(), ScriptedTransport(shows("open"))
    async with scripted_factory(transport, runtime=sleeper.runtime()) as checkout:
        waiting = asyncio.create_task(checkout.wait(ID))
        await sleeper.asleep.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        checkout.notify(news(ID))
        await let_tasks_run()

    assert len(transport.sent) == 1
    assert asyncio.all_tasks() == before


async def test_cancelling_a_look_surfaces_at_once(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A wait cancelled during a look leaves no task, no busy slot and no warning."""
    before = asyncio.all_tasks()
    async with (
        Sandbox() as sandbox,
        sandbox.factory(pool=PoolLimits(limit=1)) as checkout,
    ):
        created = await checkout.create(order)
        sandbox.faults.add(Fault(FaultKind.STALL, times=1))
        waiting = asyncio.create_task(checkout.wait(created.id))
        while not sandbox.count("retrieve"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        waiting.cancel()
        await turn()
        surfaced = waiting.cancelled()
        found = await checkout.retrieve(created.id)

    assert surfaced
    assert found == created
    assert asyncio.all_tasks() == before
    assert caplog.records == []


async def test_a_timeout_around_a_wait_stays_a_timeout() -> None:
    """`asyncio.timeout` cuts a wait short as it does any other coroutine."""
    sleeper = Sleeper()
    async with scripted_factory(
        ScriptedTransport(shows("open")), runtime=sleeper.runtime()
    ) as checkout:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await checkout.wait(ID)

    assert not isinstance(caught.value, WaitTimeoutError)


# -- many at once ---------------------------------------------------------------------


async def test_many_waits_return_each_their_own_session(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Two hundred waits at once are woken and answered each about its session."""
    async with sandbox.factory() as checkout:
        created = [
            await checkout.create(attrs.evolve(order, amount=number))
            for number in range(1, 201)
        ]
        waits = [
            asyncio.create_task(checkout.wait(session.id, timeout=AMPLE))
            for session in created
        ]
        await asyncio.sleep(0.1)
        early = [task for task in waits if task.done()]
        for session in created:
            sandbox.book.pay(sandbox.book.sessions[session.id], "123456")
            checkout.notify(news(session.id))
        sessions: list[CheckoutSession] = await asyncio.gather(*waits)

    assert early == []
    assert [session.id for session in sessions] == [one.id for one in created]
    assert [session.amount_total for session in sessions] == list(range(1, 201))
    assert {session.status for session in sessions} == {SessionStatus.COMPLETED}


async def test_a_long_wait_keeps_nothing_of_its_looks() -> None:
    """It may take days: findings of looks that failed are counted, and let go of."""
    kept: list[int] = []

    class Counting(LastingTransport):
        async def send(
            self, request: HttpRequest, patience: float, marks: Marks
        ) -> HttpResponse | Failure:
            if len(self.sent) % 500 == 0:
                findings = [one for one in gc.get_objects() if type(one) is Finding]
                kept.append(len(findings))
            return await super().send(request, patience, marks)

    async with scripted_factory(Counting(answered(503))) as checkout:
        with pytest.raises(WaitTimeoutError):
            await checkout.wait(ID, timeout=86_400)

    assert len(kept) > 10
    assert max(kept) < 100


async def test_the_last_look_speaks_for_the_wait() -> None:
    """After a lost look, a 404 is a `NotFoundError` and no doubt."""
    transport = ScriptedTransport(LOST, answered(404))
    async with scripted_factory(transport) as checkout:
        with pytest.raises(NotFoundError):
            await checkout.wait("abc")

    assert len(transport.sent) == 2
