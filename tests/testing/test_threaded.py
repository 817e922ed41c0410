"""A sandbox on a thread: for tests without an event loop, and for those of any loop."""

import asyncio
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import pytest
from matrix import AMPLE

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    ConfigurationError,
    DeclinedError,
    InvalidFieldError,
    NotFoundError,
    SessionStatus,
    WaitTimeoutError,
    WebhookEvent,
    WebhookReply,
)
from convergegate_async.sandbox import BookedSession, WebhookListener
from convergegate_async.testing import ThreadedSandbox, checkout_request
from convergegate_async.webhooks import WebhookVerifier

DAY = 24 * 3600


@pytest.fixture
def threaded() -> Iterator[ThreadedSandbox]:
    """A gateway on a thread."""
    with ThreadedSandbox() as sandbox:
        yield sandbox


async def until(condition: Callable[[], object]) -> None:
    """Wait until another thread, or task, has done something."""
    while not condition():  # noqa: ASYNC110 -- no thread sets an event of a loop
        await asyncio.sleep(0.001)


def opened(sandbox: ThreadedSandbox, url: str | None = None) -> CheckoutSession:
    """Open a session on an event loop of its own."""

    async def create() -> CheckoutSession:
        async with sandbox.factory() as checkout:
            return await checkout.create(checkout_request(notification_url=url))

    return asyncio.run(create())


def test_it_serves_code_without_an_event_loop(threaded: ThreadedSandbox) -> None:
    """A blocking client is answered by it."""
    with urllib.request.urlopen(threaded.base_url) as page:  # noqa: S310 -- our own
        assert page.status == 200


def test_it_serves_one_event_loop_after_another(threaded: ThreadedSandbox) -> None:
    """What was opened on the one is paid meanwhile, and seen on the other."""
    session = opened(threaded)

    threaded.pay(session.id)

    async def look() -> CheckoutSession:
        async with threaded.factory() as checkout:
            return await checkout.retrieve(session.id)

    assert asyncio.run(look()).status == SessionStatus.COMPLETED


def test_what_it_hands_out_is_as_it_was(threaded: ThreadedSandbox) -> None:
    """A test that looks twice can compare: nothing changes under its hands."""
    session = opened(threaded)
    before = threaded.session(session.id)

    threaded.expire(session.id)

    assert before.status is SessionStatus.OPEN
    assert threaded.session(session.id).status is SessionStatus.EXPIRED
    assert [one.operation for one in threaded.requests()] == ["create"]
    assert threaded.requests("retrieve") == ()


def test_a_day_passes_when_told(threaded: ThreadedSandbox) -> None:
    """And only then."""
    session = opened(threaded)
    before = threaded.now()

    threaded.advance(DAY)

    assert threaded.now() == before + DAY
    assert threaded.session(session.id).status is SessionStatus.EXPIRED


def test_a_reset_forgets(threaded: ThreadedSandbox) -> None:
    """Sessions, requests, faults, time, and that pauses were skipped."""
    opened(threaded)
    threaded.fail_next("stall")
    threaded.advance(DAY)

    threaded.reset()

    assert abs(threaded.now() - time.time()) < 3600
    assert (threaded.sessions(), threaded.requests()) == ((), ())
    assert opened(threaded).call.attempts == 1


def test_it_is_left_and_entered_again() -> None:
    """A left one says how it is entered; entered twice, it refuses."""
    sandbox = ThreadedSandbox()
    with sandbox, pytest.raises(ConfigurationError, match="running already"):
        sandbox.__enter__()
    with pytest.raises(ConfigurationError, match="not running: use `with`"):
        _ = sandbox.base_url
    with sandbox:
        assert sandbox.sessions() == ()


def test_a_port_that_is_taken_is_named(threaded: ThreadedSandbox) -> None:
    """Who enters it reads the reason, and it can be entered later."""
    port = int(threaded.base_url.rpartition(":")[2])
    second = ThreadedSandbox(port=port)

    with pytest.raises(ConfigurationError, match=f"cannot listen on port {port}"):
        second.__enter__()
    with pytest.raises(ConfigurationError, match="not running"):
        second.reset()


def test_every_thread_may_call(threaded: ThreadedSandbox) -> None:
    """Twenty pay twenty sessions at once."""
    ids = [opened(threaded).id for _ in range(20)]
    paid: list[BookedSession] = []
    threads = [
        threading.Thread(target=lambda one=one: paid.append(threaded.pay(one)))
        for one in ids
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {session.status for session in paid} == {SessionStatus.COMPLETED}
    assert {session.id for session in paid} == set(ids)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_fork_has_none(threaded: ThreadedSandbox) -> None:
    """Its thread is not in the child, which would wait for ever."""
    child = os.fork()
    if child == 0:
        try:
            threaded.sessions()
        except ConfigurationError:
            os._exit(7)
        os._exit(0)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_refusals_reach_the_test(threaded: ThreadedSandbox) -> None:
    """What the gateway's thread raises is raised where it was asked."""
    with pytest.raises(InvalidFieldError, match="no such checkout session"):
        threaded.pay("nobody")
    with pytest.raises(DeclinedError, match="the code has expired"):
        threaded.pay(opened(threaded).id, "400000")
    with pytest.raises(KeyError):
        threaded.session("nobody")


# -- pauses of factories -------------------------------------------------------------


async def test_two_minutes_of_waiting_are_skipped(threaded: ThreadedSandbox) -> None:
    """Nobody pays: the wait ends on the gateway's clock, to the second."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        before = threaded.now()
        with threaded.skip_pauses(), pytest.raises(WaitTimeoutError) as caught:
            await checkout.wait(session.id, timeout=120)

    assert caught.value.elapsed == pytest.approx(120, abs=1e-3)
    assert threaded.now() == pytest.approx(before + 120, abs=1e-3)
    assert len(threaded.requests("retrieve")) > 20


async def test_waits_at_once_pass_at_once(threaded: ThreadedSandbox) -> None:
    """Twenty customers who do not pay for two minutes make no forty minutes."""
    async with threaded.factory() as checkout:
        sessions = [await checkout.create(checkout_request()) for _ in range(20)]
        before = threaded.now()
        with threaded.skip_pauses():
            waits = [checkout.wait(one.id, timeout=120) for one in sessions]
            ends = await asyncio.gather(*waits, return_exceptions=True)

    assert {type(end) for end in ends} == {WaitTimeoutError}
    assert threaded.now() == pytest.approx(before + 120, abs=1e-3)


async def test_a_factory_of_the_environment_is_given_the_clock(
    threaded: ThreadedSandbox,
) -> None:
    """Its wait is skipped, too, once it has the sandbox's runtime."""
    environ = {
        "CONVERGEGATE_API_KEY": threaded.api_key,
        "CONVERGEGATE_BASE_URL": threaded.base_url,
    }
    before = threaded.now()
    async with CheckoutSessionFactory.from_env(
        environ, runtime=threaded.runtime()
    ) as checkout:
        session = await checkout.create(checkout_request())
        with threaded.skip_pauses(), pytest.raises(WaitTimeoutError):
            await checkout.wait(session.id, timeout=120)

    assert threaded.now() >= before + 120


async def test_what_is_due_happens_in_a_skipped_pause(
    threaded: ThreadedSandbox,
) -> None:
    """A customer who takes two seconds has paid after three looks."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        await checkout.pay(session.id, "012345")
        with threaded.skip_pauses():
            session = await checkout.wait(session.id, timeout=120)

    assert session.status == SessionStatus.COMPLETED
    assert 2 <= session.call.elapsed < 5


async def test_a_payment_ends_a_pause(threaded: ThreadedSandbox) -> None:
    """Who waits looks at once, and no time has passed."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        waiting = asyncio.create_task(checkout.wait(session.id, timeout=AMPLE))
        await until(lambda: threaded.requests("retrieve"))
        threaded.pay(session.id)

        assert (await waiting).status == SessionStatus.COMPLETED


async def test_time_that_is_moved_ends_a_pause(threaded: ThreadedSandbox) -> None:
    """The gateway asks for a minute, and a test does not wait for it."""
    threaded.fail_next("status", status=429, retry_after="25")
    async with threaded.factory() as checkout:
        creating = asyncio.create_task(checkout.create(checkout_request()))
        await until(lambda: checkout.stats().repeats_left < 100)
        await asyncio.to_thread(threaded.advance, 24)
        assert not creating.done()
        await asyncio.to_thread(threaded.advance, 1)
        session = await creating

    assert session.call.attempts == 2
    assert session.call.elapsed == pytest.approx(25, abs=1e-3)


async def test_time_is_moved_on_an_event_loop(threaded: ThreadedSandbox) -> None:
    """Where it is awaited, a shop on the same loop can answer; pauses end as well."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        waiting = asyncio.create_task(checkout.wait(session.id, timeout=120))
        await until(lambda: threaded.requests("retrieve"))
        await threaded.elapse(120)
        with pytest.raises(WaitTimeoutError):
            await waiting


async def test_a_pause_that_was_waited_for_moves_the_clock(
    threaded: ThreadedSandbox,
) -> None:
    """Time goes by for all alike, so that nobody waits for ever."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        before = threaded.now()
        with pytest.raises(WaitTimeoutError):
            await checkout.wait(session.id, timeout=0.1)

    assert threaded.now() >= before + 0.1


async def test_a_pause_in_a_shop_elsewhere_moves_the_clock(
    threaded: ThreadedSandbox,
) -> None:
    """Nobody sees that it is in a delivery: it is waited for, but not for ever."""
    verifier = WebhookVerifier(threaded.api_key)
    async with threaded.factory() as checkout:

        async def ask(
            event: WebhookEvent, _body: bytes, _headers: Mapping[str, str]
        ) -> WebhookReply:
            await checkout.retrieve(event.session_id or "")
            return WebhookReply(200, "")

        async with WebhookListener(verifier, lambda _: None, handler=ask) as hooks:
            threaded.fail_next("status", status=429, retry_after="1")
            threaded.fail_next(
                "status", status=429, retry_after="1", operation="retrieve"
            )
            with threaded.skip_pauses():
                await checkout.create(checkout_request(notification_url=hooks.url))
                await asyncio.to_thread(threaded.delivered, "session.created")


async def test_a_pause_goes_on_skipped(threaded: ThreadedSandbox) -> None:
    """It had begun before."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        waiting = asyncio.create_task(checkout.wait(session.id, timeout=100))
        await until(lambda: threaded.requests("retrieve"))
        with threaded.skip_pauses(), pytest.raises(WaitTimeoutError):
            await waiting


async def test_a_reset_ends_a_pause(threaded: ThreadedSandbox) -> None:
    """The clock it waits for was set back by three days."""
    await threaded.elapse(3 * DAY)
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        waiting = asyncio.create_task(checkout.wait(session.id, timeout=120))
        await until(lambda: threaded.requests("retrieve"))
        threaded.reset()

        with pytest.raises(NotFoundError):
            await waiting


async def test_pauses_are_skipped_in_a_block_within_and_after_it(
    threaded: ThreadedSandbox,
) -> None:
    """A helper that skips them does not end that for its caller."""
    async with threaded.factory() as checkout:
        session = await checkout.create(checkout_request())
        with threaded.skip_pauses():
            with threaded.skip_pauses():
                pass
            with pytest.raises(WaitTimeoutError):
                await checkout.wait(session.id, timeout=100)


# -- webhooks ------------------------------------------------------------------------


async def test_a_webhook_is_waited_for(threaded: ThreadedSandbox) -> None:
    """It comes to a shop on this very loop, and is returned once it was taken."""
    verifier = WebhookVerifier(threaded.api_key)
    async with (
        WebhookListener(verifier, lambda _: None) as hooks,
        threaded.factory() as checkout,
    ):
        request = checkout_request(notification_url=hooks.url)
        session = await checkout.create(request)
        threaded.pay(session.id)
        delivery = await asyncio.to_thread(
            threaded.delivered, "session.completed", session.id
        )

    assert (delivery.attempt, delivery.status) == (1, 200)
    assert delivery.event.session_id == session.id


def test_a_webhook_that_was_not_sent_fails_the_test(threaded: ThreadedSandbox) -> None:
    """The session said of no place where it would go."""
    threaded.pay(opened(threaded).id)

    with pytest.raises(AssertionError, match=r"no session\.completed was sent"):
        threaded.delivered("session.completed")


def test_a_webhook_that_nobody_took_fails_the_test(threaded: ThreadedSandbox) -> None:
    """With the reason."""
    opened(threaded, "http://127.0.0.1:9/webhooks")

    with pytest.raises(AssertionError, match="not taken: ClientConnectorError"):
        threaded.delivered("session.created")


async def test_it_does_not_block_an_event_loop(threaded: ThreadedSandbox) -> None:
    """A shop on it could not answer, and all would stand still for ten seconds."""
    with pytest.raises(ConfigurationError, match="to_thread"):
        threaded.advance(1)
    with pytest.raises(ConfigurationError, match="to_thread"):
        threaded.delivered("session.created")


def test_an_event_that_there_is_not_is_refused(threaded: ThreadedSandbox) -> None:
    """A typo is not taken for a webhook that was not sent."""
    with pytest.raises(ConfigurationError, match=r"session\.completed, session\.exp"):
        threaded.delivered("session.complete")


def test_a_missing_webhook_is_told_beside_those_that_were_sent(
    threaded: ThreadedSandbox,
) -> None:
    """Who forgot to pay does not look for a missing *notification_url*."""
    opened(threaded, "http://127.0.0.1:9/webhooks")

    with pytest.raises(AssertionError) as caught:
        threaded.delivered("session.completed")

    assert str(caught.value) == ("no session.completed was sent, but: session.created")


def test_a_webhook_of_another_session_is_told(threaded: ThreadedSandbox) -> None:
    """Who asks for the wrong one does not look for a missing *notification_url*."""
    session = opened(threaded, "http://127.0.0.1:9/webhooks")

    with pytest.raises(AssertionError, match=f"of that session, but of: {session.id}"):
        threaded.delivered("session.created", "another")


def test_a_fault_that_there_is_not_is_refused(threaded: ThreadedSandbox) -> None:
    """With those that there are, and by the name of an option that has a typo."""
    with pytest.raises(ValueError, match=r"status, latency, stall, .*, not 'timeout'"):
        threaded.fail_next("timeout")
    with pytest.raises(TypeError, match=r"status, retry_after, .*, not stat"):
        threaded.fail_next("status", stat=503)  # type: ignore[call-arg]  # the typo
