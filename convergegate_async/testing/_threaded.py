"""A sandbox on a thread of its own: for any event loop, and for code without one."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Self, Unpack

import attrs
from aiohttp import web

from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, FactoryOptions, Runtime
from convergegate_async.models import EventType
from convergegate_async.sandbox import (
    BookedSession,
    Delivery,
    FaultKind,
    FaultOptions,
    Sandbox,
    SeenRequest,
)

from ._apps import AppHere, AsgiApp, started
from ._pauses import Pauses
from ._sandbox_thread import SandboxThread

_LEAST = 1e-6  # seconds; epoch seconds are no finer as a float


class ThreadedSandbox:
    """A `Sandbox` on a thread of its own, for tests with and without an event loop.

    Every method may be called from any thread, and any test can use it::

        with ThreadedSandbox() as sandbox:
            shop = Shop(sandbox.api_key, sandbox.base_url)
            sandbox.pay(shop.order().session_id)

    Its clock stands still: `advance` moves it, and the pauses of its factories do.
    Nothing happens by itself because a machine is busy.

    Args:
        api_key: The key that it answers to, and signs webhooks with.
        port: Where to listen; any free port if 0.
        honour_keys: Answer a repeated idempotency key with the first answer.
        seed: Seeds the faults and all ids; ids are random if `None`.
    """

    def __init__(
        self,
        *,
        api_key: str = "sk_test_sandbox",
        port: int = 0,
        honour_keys: bool = True,
        seed: int | None = None,
    ) -> None:
        self._api_key = api_key
        self._thread = SandboxThread(
            lambda: Sandbox(
                api_key=api_key,
                port=port,
                honour_keys=honour_keys,
                seed=seed,
                frozen=True,
            )
        )
        self._pauses = Pauses(self.now, self._reach)
        self._apps: list[AppHere] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.stop()

    # -- what a shop needs -----------------------------------------------------------

    @property
    def api_key(self) -> str:
        """The key that it answers to, and signs webhooks with."""
        return self._api_key

    @property
    def base_url(self) -> str:
        """Where it is called.

        Raises:
            ConfigurationError: It does not run.
        """
        return self._thread.sandbox.base_url

    def factory(self, **overrides: Unpack[FactoryOptions]) -> CheckoutSessionFactory:
        """Return an unopened factory that calls it, and shares its clock.

        Args:
            **overrides: Other arguments of the constructor.
        """
        overrides.setdefault("runtime", self.runtime())
        return self._thread.sandbox.factory(**overrides)

    def runtime(self) -> Runtime:
        """Return the time of its clock, for a factory that is built elsewhere.

        Such as by the environment::

            CheckoutSessionFactory.from_env(runtime=sandbox.runtime())

        Pauses before a repeat have no jitter: what the gateway does not ask for takes
        no time.
        """
        return Runtime(
            clock=self.now, now=self.now, sleep=self._pauses.sleep, spread=lambda: 0.0
        )

    # -- what a test sees ------------------------------------------------------------

    def sessions(self) -> tuple[BookedSession, ...]:
        """Return all sessions as they stand now, the oldest first."""
        return self._thread.do(_all_of)

    def session(self, session_id: str) -> BookedSession:
        """Return a session as it stands now.

        Raises:
            KeyError: There is no such session.
        """
        return {session.id: session for session in self.sessions()}[session_id]

    def requests(self, operation: str | None = None) -> tuple[SeenRequest, ...]:
        """Return the requests that arrived, the oldest first.

        Args:
            operation: Only those for this one, such as ``create``.
        """
        return self._thread.do(
            lambda sandbox: tuple(
                attrs.evolve(seen)
                for seen in sandbox.seen
                if operation in (None, seen.operation)
            )
        )

    def deliveries(self) -> tuple[Delivery, ...]:
        """Return the webhooks that were sent, or are on their way."""
        return self._thread.do(
            lambda sandbox: tuple(map(attrs.evolve, sandbox.deliveries))
        )

    def delivered(
        self, event: EventType | str, session_id: str | None = None
    ) -> Delivery:
        """Wait for the webhooks that are due, and return that of an event.

        It blocks: where a shop answers on the same event loop, ``await`` the fixture of
        this name, or ``asyncio.to_thread(sandbox.delivered, event)``.

        Args:
            event: Such as ``session.completed``.
            session_id: The session that it is about; the last event of any if `None`.

        Returns:
            The delivery that the shop acknowledged, if the event came twice.

        Raises:
            AssertionError: None was sent, or the shop has not acknowledged it.
            ConfigurationError: There is no such event, or it was called on an event
                loop.
        """
        check_event(event)
        self._thread.block(lambda sandbox: sandbox.elapse(0))
        return acknowledged(event, session_id, self.deliveries())

    # -- what a test does ------------------------------------------------------------

    def pay(self, session_id: str, blik_code: str = "123456") -> BookedSession:
        """Pay a session as its customer does; who waits for it looks at once.

        Args:
            session_id: The session's id.
            blik_code: Decides what becomes of it, by `CODES` of the sandbox.

        Raises:
            InvalidFieldError: There is no such session, or it cannot be paid any more.
            DeclinedError: The bank refuses the code, as the factory's `pay` says it.
        """
        session = self._thread.do(
            lambda sandbox: _copy(sandbox.pay(session_id, blik_code))
        )
        self._pauses.end()
        return session

    def expire(self, session_id: str) -> BookedSession:
        """Let a session expire, as `Sandbox.expire` does; who waits looks at once."""
        session = self._thread.do(lambda sandbox: _copy(sandbox.expire(session_id)))
        self._pauses.end()
        return session

    def fail_next(
        self, kind: FaultKind | str = FaultKind.STATUS, **options: Unpack[FaultOptions]
    ) -> None:
        """Let the next request, or event, meet a fault, as `Sandbox.fail_next` does."""
        self._thread.do(lambda sandbox: sandbox.fail_next(kind, **options))

    def now(self) -> float:
        """Return what the clock of gateway and factories shows, in epoch seconds."""
        return self._thread.sandbox.now()

    def advance(self, seconds: float) -> None:
        """Move the clock of gateway and factories: all happens when it is due.

        Sessions expire and webhooks are repeated on the way, each at its own time; it
        returns when those that were due are over. Pauses that are over end.

        It blocks: on an event loop, ``await`` the fixture of this name, or `elapse`.

        Raises:
            ConfigurationError: It was called on an event loop, or no clock moves so.
        """
        self._thread.block(lambda sandbox: sandbox.elapse(seconds))
        self._pauses.nudge()

    async def elapse(self, seconds: float) -> None:
        """Do what `advance` does, on an event loop.

        Raises:
            ConfigurationError: No clock moves so.
        """
        await self._thread.awaited(lambda sandbox: sandbox.elapse(seconds))
        self._pauses.nudge()

    @contextmanager
    def skip_pauses(self) -> Iterator[None]:
        """Let no pause of a factory take time: each moves the clock instead.

        A wait of two minutes for a customer who never pays is over in a moment::

            with sandbox.skip_pauses():
                session = await checkout.wait(session.id, timeout=120)

        Only of those that share its clock: `factory` and the fixture `checkout`. One
        that a shop builds by itself goes by the machine's, and its two minutes are two
        minutes; give it this clock by ``from_env(runtime=sandbox.runtime())``.

        What shall happen meanwhile has to be due before: what another task does at some
        time would come too late.
        """
        before, self._pauses.are_skipped = self._pauses.are_skipped, True
        self._pauses.nudge()
        try:
            yield
        finally:
            self._pauses.are_skipped = before

    @asynccontextmanager
    async def webhooks_into(
        self, app: AsgiApp | web.Application
    ) -> AsyncIterator[None]:
        """Start an app on this event loop, and hand it all webhooks, without a port.

        They go to the path of *notification_url*, whatever its host. Leaving waits for
        those that are due, and what comes later waits for the app, or another, to be
        back when the gateway tries again. Within the block of another app that one has
        them again afterwards::

            async with sandbox.webhooks_into(app):
                session = await checkout.create(request)
                sandbox.pay(session.id)
                await delivered("session.completed")

        Args:
            app: Of FastAPI, Starlette, Litestar, Quart or aiohttp, or another by ASGI.
                aiohttp's own `TestClient` starts an app itself: then leave this out,
                and pass ``notification_url=str(client.make_url("/webhooks"))``.

        Raises:
            ConfigurationError: The app could not be started, or aiohttp runs it
                already.
        """
        async with started(app) as here:
            self._apps.append(here)
            self._deliver_to_apps()
            try:
                yield
                await self.elapse(0)
            finally:
                self._apps.remove(here)
                self._deliver_to_apps()

    def _deliver_to_apps(self) -> None:
        """Deliver to the app that was started last, or by http."""
        self._apps = [app for app in self._apps if not app.loop.is_closed()]
        post = self._apps[-1].take if self._apps else None
        self._thread.do(lambda sandbox: sandbox.deliver_by(post))

    def reset(self) -> None:
        """Forget all sessions, requests, deliveries and faults; set the clock right.

        What is under way is ended, pauses of factories as well.
        """
        self._pauses.are_skipped = False
        self._deliver_to_apps()
        self._thread.do(Sandbox.reset)
        self._pauses.end()

    async def _reach(self, moment: float, patience: float) -> None:
        """Move the clock on to a *moment* that another pause may have reached.

        Deliveries under way are waited for as long as *patience* says: one of them may
        be waiting for that moment.
        """

        async def reach(sandbox: Sandbox) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await sandbox.elapse(0)
            if (left := moment - sandbox.now()) > 0:
                await sandbox.elapse(max(left, _LEAST), only_new=True)

        await self._thread.awaited(reach)


def _copy(session: BookedSession) -> BookedSession:
    """Return it as it stands now, whatever another thread does to it."""
    return attrs.evolve(session, refunds=[attrs.evolve(one) for one in session.refunds])


def _all_of(sandbox: Sandbox) -> tuple[BookedSession, ...]:
    sandbox.book.tick()
    return tuple(map(_copy, sandbox.book.sessions.values()))


def check_event(event: EventType | str) -> None:
    """Refuse a name that no event has.

    Raises:
        ConfigurationError: It has a typo, presumably.
    """
    if event not in list(EventType):
        message = f"an event must be one of {', '.join(EventType)}, not {event!r}"
        raise ConfigurationError(message)


def acknowledged(
    event: EventType | str, session_id: str | None, sent: Sequence[Delivery]
) -> Delivery:
    """Return the delivery of the last *event* that a shop has taken.

    Raises:
        AssertionError: None was sent, or the shop has not taken it.
    """
    of_session = [one for one in sent if session_id in (None, one.event.session_id)]
    found = [one for one in of_session if one.event.type == event]
    if not found:
        message = f"no {event} was sent, {_instead(sent, of_session)}"
        raise AssertionError(message)
    last = found[-1]
    for delivery in found:  # several, if it comes twice
        if delivery.event.id == last.event.id and delivery.is_done:
            return delivery
    answer = "" if last.status is None else f"answered {last.status}"
    message = ": ".join(filter(None, (f"{event} was not taken", answer, last.note)))
    raise AssertionError(message)


def _instead(sent: Sequence[Delivery], of_session: Sequence[Delivery]) -> str:
    if of_session:
        types = dict.fromkeys(str(one.event.type) for one in of_session)
        return f"but: {', '.join(types)}"
    if sent:
        ids = dict.fromkeys(str(one.event.session_id) for one in sent)
        return f"nor another of that session, but of: {', '.join(list(ids)[-3:])}"
    return "nor another: was there a notification_url?"
