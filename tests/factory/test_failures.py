"""Who watches for failures sees all of a call from its first one on, and no more."""

import asyncio

import pytest
from scripted import (
    DONE,
    LOST,
    REFUSED,
    ScriptedTransport,
    answered,
    scripted_factory,
)
from watching import Watcher

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    Outcome,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._transport import Marks
from convergegate_async.factory.failures import watched_for_failures


class HangingTransport(ScriptedTransport):
    """Never answers."""

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse:
        """Wait to be cancelled."""
        await asyncio.Event().wait()
        raise AssertionError(request, patience, marks)


async def test_what_succeeds_at_once_is_not_told(order: CheckoutSessionRequest) -> None:
    """The factory's own observers are told of it as ever."""
    everyone, late = Watcher(), Watcher()

    async with scripted_factory(
        ScriptedTransport(DONE), observers=[everyone]
    ) as checkout:
        await watched_for_failures(checkout, late).create(order)

    assert (len(everyone.attempts), len(everyone.calls)) == (1, 1)
    assert (late.attempts, late.calls) == ([], [])


@pytest.mark.parametrize("is_watched", [False, True])
async def test_a_call_is_told_from_its_first_failure_on(
    order: CheckoutSessionRequest, *, is_watched: bool
) -> None:
    """Each attempt and the end are told once, whoever else watches."""
    own, late = Watcher(), Watcher()
    script = ScriptedTransport(answered(429), LOST, DONE)

    async with scripted_factory(script) as checkout:
        view = checkout.with_options(observers=[own] if is_watched else [])
        await watched_for_failures(view, late).create(order)

    assert [one.outcome for one in late.attempts] == [
        Outcome.REJECTED,
        Outcome.UNKNOWN,
        None,
    ]
    assert [one.outcome for one in late.calls] == [None]
    assert own.attempts == (late.attempts if is_watched else [])
    assert own.calls == (late.calls if is_watched else [])


async def test_the_look_after_a_failure_is_told() -> None:
    """A payment that was lost is looked after: that the gateway answers is news."""
    late = Watcher()
    paid = HttpResponse(status=200, body=b'{"id": "s1", "status": "completed"}')

    async with scripted_factory(ScriptedTransport(LOST, paid)) as checkout:
        await watched_for_failures(checkout, late).pay("s1", "123456")

    assert [(one.operation, one.http_status) for one in late.attempts] == [
        ("pay", None),
        ("retrieve", 200),
    ]


async def test_a_cancelled_call_is_told(order: CheckoutSessionRequest) -> None:
    """Nobody knows what became of it: that is a failure, too."""
    late = Watcher()

    async with scripted_factory(HangingTransport()) as checkout:
        view = watched_for_failures(checkout, late)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(view.create(order), 0.01)

    assert [one.outcome for one in late.attempts] == [Outcome.UNKNOWN]
    assert [one.error for one in late.calls] == ["CancelledError"]


async def test_the_factory_itself_is_watched_no_more_than_before(
    order: CheckoutSessionRequest,
) -> None:
    """Only calls of the view are told, and a view of it is one of them."""
    late = Watcher()
    script = ScriptedTransport(*[REFUSED] * 6)

    async def fail_by(factory: CheckoutSessionFactory) -> None:
        with pytest.raises(CallError):
            await factory.create(order)

    async with scripted_factory(script) as checkout:
        view = watched_for_failures(checkout, late)
        await fail_by(checkout)
        assert not late.calls
        await fail_by(view.with_options())

    assert len(late.calls) == 1
