"""The sandbox: a gateway on a port of this machine, with a clock and a journal.

It is longer than most modules: a quarter of it is what the docstrings of its one class
tell users.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from convergegate_async.errors import (
    ConfigurationError,
    DeclinedError,
    InvalidFieldError,
)
from convergegate_async.factory import CheckoutSessionFactory, FactoryOptions

from ._api import ROUTES, Api, ApiRequest, Reply, Route, refusal
from ._book import Book, BookedSession
from ._control_api import ControlApi
from ._faults import Fault, FaultKind, FaultOptions, FaultPlan
from ._hosts import Hosts
from ._seen import LONGEST_PATH, Bodies, SeenAction, SeenRequest, action_name
from ._sqlite_store import Store
from ._timekeeper import NOT_RUNNING, Clock, Timekeeper
from ._webhook_sender import Delivery, PostWebhook, WebhookSender
from ._wire import answer, break_answer, listen, read_body, refused_body
from .site.routes import page_for_lost_browsers, site_routes

JOURNAL_SIZE = 100_000  # requests; older ones are counted and forgotten
_NOTHING = Reply(status=200, document={})


class Sandbox:
    """A gateway of one's own on a free loopback port; no account needed.

    Use it in the place of the real one::

        async with Sandbox() as sandbox, sandbox.factory() as checkout:
            session = await checkout.create(request)

    Args:
        api_key: The key that it answers to, and signs webhooks with.
        port: Where to listen; any free port if 0.
        honour_keys: Answer a repeated idempotency key with the first answer. Nobody
            knows whether the real gateway does.
        faults: What goes wrong.
        seed: Seeds the faults and all ids. Without one the faults are those of seed 0,
            and ids are random, as a shop must not meet an id again.
        now: What the gateway's clock shows, in epoch seconds, before it is moved.
        frozen: Let its clock stand still until it is moved, so that nothing happens by
            itself. Webhooks are signed with the time of *now* all the same.
        on_request: Called with every request once it is over.
        on_delivery: Called with every webhook that was tried, or that is not sent.
        on_action: Called with what was done by a page, or by the control API.
        db: A SQLite file to keep the book in; in memory only if `None`. While it cannot
            be written, answers are 500; what was done then is written later.
        host: The address to listen on; other machines reach it only if this says so.
        allowed_hosts: Names by which it may be called, beside those of this machine,
            of *host* and of *public_url*. A request by any other name is refused (421).
        public_url: Where browsers see it, if there is a proxy in front of it; pay links
            lead there.
        webhooks_to: Names of hosts that webhooks may be sent to, beside this machine.
        patience: Seconds in which a request must arrive.

    Raises:
        ConfigurationError: A name, or the public URL, cannot be right.

    Attributes:
        book: What the gateway knows, with the number of payments of every session.
        faults: The plan of faults; more can be added at any time.
        seen: The requests that arrived.
        counts: How many arrived, by operation.
    """

    def __init__(  # noqa: PLR0913 -- each is a separate switch of the gateway
        self,
        *,
        api_key: str = "sk_test_sandbox",
        port: int = 0,
        honour_keys: bool = True,
        faults: Iterable[Fault] = (),
        seed: int | None = None,
        now: Callable[[], float] = time.time,
        frozen: bool = False,
        on_request: Callable[[SeenRequest], None] | None = None,
        on_delivery: Callable[[Delivery], None] | None = None,
        on_action: Callable[[SeenAction], None] | None = None,
        db: Path | None = None,
        host: str = "127.0.0.1",
        allowed_hosts: Iterable[str] = (),
        public_url: str | None = None,
        webhooks_to: Iterable[str] = (),
        patience: float = 30.0,
    ) -> None:
        self.api_key = api_key
        self._clock = Clock(now, frozen=frozen)
        self.faults: FaultPlan = FaultPlan(faults, seed or 0)
        self.book: Book = Book(self.now, seed)
        self.seen: deque[SeenRequest] = deque(maxlen=JOURNAL_SIZE)
        self.counts: Counter[str] = Counter()
        self._port = port
        self._hosts = Hosts(host, allowed_hosts, public_url, webhooks_to)
        self._patience = patience
        self._bodies = Bodies()
        self._on_request = on_request
        self._on_action = on_action
        self._db = db
        self._store: Store | None = None
        self._api = Api(self.book, api_key, self.now, honour_keys=honour_keys)
        self._sender = WebhookSender(api_key, self.now, now, self.faults, self._hosts)
        self._sender.on_try = on_delivery
        self._time = Timekeeper(self._clock, self.book, self._sender, self._save)
        self._closing = asyncio.Event()
        self._base_url: str | None = None
        self._stack = AsyncExitStack()

    # -- what a test asks and does -------------------------------------------------

    @property
    def base_url(self) -> str:
        """Where programs on this machine call it.

        Raises:
            ConfigurationError: It does not listen.
        """
        if self._base_url is None:
            raise ConfigurationError(NOT_RUNNING)
        return self._base_url

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The webhooks that were sent, or are on their way."""
        return tuple(self._sender.journal)

    def factory(self, **overrides: Unpack[FactoryOptions]) -> CheckoutSessionFactory:
        """Return an unopened factory that calls this sandbox."""
        host = urlsplit(self.base_url).hostname or ""
        overrides.setdefault("insecure_hosts", [host])  # its own, not this machine's
        return CheckoutSessionFactory(self.api_key, self.base_url, **overrides)

    def count(self, operation: str) -> int:
        """Return how many requests for *operation* arrived."""
        return self.counts[operation]

    def deliver_by(self, post: PostWebhook | None) -> None:
        """Let *post* take webhooks to a shop, whatever their URL; http if `None`.

        An event that came to a shop so, or is for another machine, waits for one to be
        there again, as a gateway does: it is tried for three days.
        """
        self._sender.deliver_by(post)

    def now(self) -> float:
        """Return what the gateway's clock shows, in epoch seconds."""
        return self._clock.now()

    def advance(self, seconds: float) -> None:
        """Move the gateway's clock on: what is due by then happens now.

        Raises:
            ConfigurationError: No clock moves by so many seconds.
        """
        self._time.advance(seconds)

    async def elapse(self, seconds: float, *, only_new: bool = False) -> None:
        """Move the gateway's clock on step by step: all happens when it is due.

        A webhook that nobody takes is delivered again and again, as often as in that
        time. It returns when every delivery that was due is over, or after a `reset`.

        Args:
            seconds: How far.
            only_new: Wait for no delivery that is under way already: its shop may wait
                for this time to pass.

        Raises:
            ConfigurationError: It does not listen, or no clock moves so far.
        """
        await self._time.elapse(seconds, only_new=only_new)

    def pay(self, session_id: str, blik_code: str = "123456") -> BookedSession:
        """Pay a session as its customer does, on the pay page.

        Args:
            session_id: The session's id.
            blik_code: Decides what becomes of it; see `CODES`.

        Raises:
            InvalidFieldError: There is no such session, or it cannot be paid any more.
            DeclinedError: The bank refuses the code, as the factory's `pay` says it.
        """
        session = self._find(session_id)
        refused = self._api.take_code(session, blik_code)
        if refused is not None and session.is_final:
            field = "session_id"
            raise InvalidFieldError(field, refused.problem)
        if refused is not None:
            raise DeclinedError(
                operation="pay",
                reason=refused.problem,
                message=refused.problem,
                http_status=refused.status,
                decline_code=refused.decline,
            )
        self._time.wake()
        return session

    def expire(self, session_id: str) -> BookedSession:
        """Let a session expire now.

        Raises:
            InvalidFieldError: There is no such session, or it is final already.
        """
        session = self._find(session_id)
        if session.is_final:
            field, reason = "session_id", f"the session is {session.status} already"
            raise InvalidFieldError(field, reason)
        self.book.expire(session)
        self._time.wake()
        return session

    def resend(self, event_id: str) -> Delivery:
        """Send a webhook once more, as if the shop had not had it.

        Args:
            event_id: Of one of the `deliveries`; it stays the same.

        Raises:
            InvalidFieldError: There is no such event, or it was forgotten.
        """
        delivery = self._sender.resend(event_id)
        if delivery is None:
            field, reason = "event_id", "is none of the latest events"
            raise InvalidFieldError(field, reason)
        self._time.wake()
        return delivery

    def fail_next(
        self, kind: FaultKind | str = FaultKind.STATUS, **options: Unpack[FaultOptions]
    ) -> None:
        """Let the next request, or event, meet a fault; the one after it meets none.

        Args:
            kind: What goes wrong.
            **options: Further attributes of the `Fault`, such as *operation* of a
                request, or *event* of a webhook.

        Raises:
            ConfigurationError: An option cannot be right.
            ValueError: There is no such kind.
            TypeError: A fault has no such attribute.
        """
        names = FaultOptions.__annotations__
        if unknown := [name for name in options if name not in names]:
            message = f"a fault's options are {', '.join(names)}, not {unknown[0]}"
            raise TypeError(message)
        options.setdefault("times", 1)
        self.faults.add(Fault(kind, **options))

    def reset(self) -> None:
        """Forget all sessions, requests, deliveries and faults; set the clock right.

        What is under way is ended, and the faults' dice are thrown from the start.
        """
        self._time.reset()
        self.book.clear()
        self._sender.clear()
        self.faults.clear()
        self.seen.clear()
        self._bodies.clear()
        self.counts.clear()
        if self._store is not None:
            self._store.forget()
            self._save()

    # -- lifecycle -------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._closing.clear()
        async with AsyncExitStack() as stack:
            middlewares = [self._admit, page_for_lost_browsers]
            app = web.Application(client_max_size=2**20, middlewares=middlewares)
            app.add_routes(self._routes())
            runner, self._base_url = await listen(
                app, self._port, self._hosts, self._patience
            )
            self._api.base_url = self._hosts.public_url or self._base_url
            stack.push_async_callback(runner.cleanup)
            if self._db is not None:
                self._store = Store(self._db)
                stack.callback(self._store.close)
                self._store.load(self.book, self._api.base_url)
            await stack.enter_async_context(self._time.running())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._save()
        try:
            await self._stack.aclose()
        finally:
            self._base_url = None

    def _find(self, session_id: str) -> BookedSession:
        session = self.book.find_session(session_id)
        if session is None:
            field, reason = "session_id", "there is no such checkout session"
            raise InvalidFieldError(field, reason)
        return session

    def _save(self) -> bool:
        """Keep what has changed, and tell whether all of it is kept."""
        if self._store is not None:
            return self._store.save(self.book)
        self.book.settle_changes()  # nobody wants them
        return True

    # -- the API -----------------------------------------------------------------------

    def _routes(self) -> list[web.RouteDef]:
        api = [
            web.route(route.method, route.path, partial(self._serve, route))
            for route in ROUTES
        ]
        site = site_routes(self, self._api, self._sender, self._hosts)
        control = ControlApi(self, self._api, self._sender, self._hosts).routes()
        return [*site, *control, *api]

    @web.middleware
    async def _admit(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Answer to the names that the owner knows, and to no other."""
        if self._hosts.answers_to(request.headers.get("Host")):
            response = await handler(request)
            self._tell_action(request, response.status)
            return response
        message = "the sandbox does not answer to this host name: see --allow-host"
        return answer(refusal(421, message), "req_0")

    def _tell_action(self, request: web.Request, status: int) -> None:
        resource = request.match_info.route.resource
        if resource is None or self._on_action is None:
            return
        name = action_name(request.method, resource.canonical)
        if name is not None:
            action = SeenAction(
                name=name,
                method=request.method,
                path=request.path[:LONGEST_PATH],
                at=self.now(),
                session_id=self._api.session_about(request.match_info.get("id")),
                status=status,
            )
            self._on_action(action)

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        """Note the request, apply a fault if one is drawn, and answer."""
        admitted = self._api.admits(request.headers.get("Authorization"))
        try:
            body = await read_body(request) if admitted else b""
        except web.HTTPException as error:
            return answer(refused_body(error), "req_0")
        asked = ApiRequest(
            id=request.match_info.get("id", ""),
            body=body,
            key=request.headers.get("Idempotency-Key") if admitted else None,
        )
        seen = SeenRequest(
            operation=route.name,
            method=request.method,
            path=request.path[:LONGEST_PATH],
            idempotency_key=None if asked.key_problem else asked.key,
            body=b""
            if route.name == "pay"
            else asked.body,  # a code is nobody's business
            at=self.now(),
            session_id=self._api.session_in(route.name, asked),
        )
        self.seen.append(seen)
        if seen.body:
            self._bodies.keep(seen)
        self.counts[route.name] += 1
        fault = self.faults.draw(route.name)
        work = partial(self._work, route, asked, seen) if admitted else _refuse
        try:
            if fault is None:
                return self._answer(seen, work())
            return await self._answer_badly(fault, seen, request, work)
        finally:
            self._time.wake()
            if self._on_request is not None:
                self._on_request(seen)

    async def _answer_badly(
        self,
        fault: Fault,
        seen: SeenRequest,
        request: web.Request,
        work: Callable[[], Reply],
    ) -> web.StreamResponse:
        seen.fault, resets = fault.kind, self._time.resets
        if fault.kind is FaultKind.LATENCY:
            await asyncio.sleep(fault.seconds)
        if (
            resets != self._time.resets
        ):  # it was asked of a gateway that has forgotten it
            return self._answer(seen, refusal(410, "the sandbox was reset"))
        reply = work() if fault.lets_work() else _NOTHING
        if fault.kind is FaultKind.LATENCY:
            return self._answer(seen, reply)
        if fault.kind is FaultKind.STATUS:
            reply = refusal(fault.status, "failed on purpose", kind="api_error")
            return self._answer(seen, reply, fault.retry_after)
        return await break_answer(request, reply, fault, self._closing)

    def _work(self, route: Route, asked: ApiRequest, seen: SeenRequest) -> Reply:
        reply = route.answer(self._api, asked)
        if seen.session_id is None:
            seen.session_id = self._api.session_about(reply.document.get("id"))
        if not self._save() and reply.status == HTTPStatus.OK:
            # It is done, and repeated under its key answered so once it is written.
            message = "the sandbox cannot write to its file: see its log"
            return refusal(500, message, kind="api_error")
        return reply

    def _answer(
        self, seen: SeenRequest, reply: Reply, retry_after: str | None = None
    ) -> web.Response:
        seen.status, seen.replayed = reply.status, reply.replayed
        return answer(reply, f"req_{self.counts.total()}", retry_after)


def _refuse() -> Reply:
    message = "no valid API key was given"
    return refusal(401, message, kind="authentication_error")
