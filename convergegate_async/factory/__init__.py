"""CheckoutSessionFactory: the object that users hold, one short method per endpoint.

It is long by what its docstrings tell users, who read them in their editor.
"""

import os
import ssl as tls
from collections.abc import Collection, Mapping
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypedDict, Unpack, cast

from convergegate_async._core.echo import ECHO_FIELDS
from convergegate_async._core.idempotency import fresh_key
from convergegate_async._core.messages import common_headers
from convergegate_async._core.operations import (
    create_checkout_session,
    create_refund,
    pay_checkout_session,
    retrieve_checkout_session,
    retrieve_refund,
    wait_for_checkout_session,
)
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    INSECURE_HOSTS_VARIABLE,
    missing_variables,
    proxy_of_environment,
    read_settings,
    split_names,
)
from convergegate_async._transport import AiohttpTransport, Transport, places_of
from convergegate_async.errors import ConfigurationError
from convergegate_async.models import (
    CheckoutSession,
    CheckoutSessionRequest,
    Refund,
    RefundRequest,
    WebhookEvent,
    rules,
)
from convergegate_async.models.rules import made_or_refused
from convergegate_async.policy import PoolLimits, RetryPolicy, Timeouts

from ._caller import Caller
from ._factory_context import FactoryContext, context_of
from ._observers import (
    AttemptInfo,
    CallEnded,
    Observer,
    PhaseTimings,
    PoolStats,
    checked_observers,
)
from ._runtime import Runtime

if TYPE_CHECKING:
    from aiohttp import BaseConnector

__all__ = [
    "AttemptInfo",
    "CallEnded",
    "CheckoutSessionFactory",
    "FactoryContext",
    "FactoryOptions",
    "Observer",
    "PhaseTimings",
    "PoolStats",
    "Runtime",
    "context_of",
]


class FactoryOptions(TypedDict, total=False):
    """The keyword arguments of `CheckoutSessionFactory`."""

    retry: RetryPolicy | None
    timeouts: Timeouts | None
    pool: PoolLimits | None
    connector: "BaseConnector | None"
    proxy: str | None
    trust_env: bool
    ssl: tls.SSLContext | None
    echo_fields: Collection[str]
    insecure_hosts: Collection[str]
    observers: Collection[Observer]
    app_info: str | None
    transport: Transport | None
    runtime: Runtime | None


class CheckoutSessionFactory:
    """Opens checkout sessions and follows them, over one pool of connections.

    Hold one for the life of the program, on one event loop::

        async with CheckoutSessionFactory(api_key=key, base_url=url) as checkout:
            session = await checkout.create(request)

    A factory is used once: after `aclose` it stays closed. Every call ends within
    its *timeout*, the hard deadline of the whole call in seconds (`Timeouts.total` if
    `None`), with an answer or a `CallError`; the error's *outcome* tells what is known.

    Args:
        api_key: The secret key, sent by HTTP Basic.
        base_url: The gateway's URL, without ``/v1``; plain http to this machine and
            to *insecure_hosts* only, and never by a proxy.
        retry: Whether and when to try again.
        timeouts: How long to wait.
        pool: How many connections to hold, and for how long.
        connector: An aiohttp connector of your own. It is used and never closed, and
            the retirement of its connections is up to you. Its *limit* and
            *limit_per_host* bound the pool, too. Give it to one factory: what
            one has learnt of a connection (DESIGN.md, *Stray answers*) no other knows.
        proxy: The URL of a proxy. It wins over the environment's.
        trust_env: Whether to take the proxy that ``HTTPS_PROXY`` names, unless
            ``NO_PROXY`` names the gateway; both are read once, when the factory is
            built, also in lower case. Never asked for this machine and plain http.
            ``~/.netrc`` is not read.
        ssl: What to trust; the platform's certificates if `None`. It has to verify
            certificates and host names, except to this machine.
        echo_fields: Which fields of an answer must equal what was sent, where it has
            them. Leave one out if your gateway rewrites it; ``id``, if it tells equal
            purchases by one id.
        insecure_hosts: Names or addresses of hosts, without port, that may be called
            by plain http with a test key, such as a sandbox in the next container.
            Whoever is on the way reads the key and the customers' data.
        observers: Who is told what attempts and calls came to, apart from the log.
        app_info: Your app's name and version, such as ``my-shop/1.2``: one product
            of a ``User-Agent``, added to ours. The gateway and its proxies read it.
        transport: What to send with instead of aiohttp, for tests.
        runtime: Where time and chance come from, for tests.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(  # noqa: PLR0913 -- each is a separate choice of the owner
        self,
        api_key: str,
        base_url: str,
        *,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        pool: PoolLimits | None = None,
        connector: "BaseConnector | None" = None,
        proxy: str | None = None,
        trust_env: bool = False,
        ssl: tls.SSLContext | None = None,
        echo_fields: Collection[str] = ECHO_FIELDS,
        insecure_hosts: Collection[str] = (),
        observers: Collection[Observer] = (),
        app_info: str | None = None,
        transport: Transport | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        secret = _secret(api_key)
        hidden_proxy = None if proxy is None else _secret(proxy)
        del api_key, proxy  # tracebacks show locals
        if connector is not None and ssl is not None:
            message = "ssl cannot be combined with connector: set it on the connector"
            raise ConfigurationError(message)
        if hidden_proxy is not None and not _is_proxy(hidden_proxy.reveal()):
            message = (
                "the proxy must be an http or https URL, without a path (/ ? # in its "
                "password are %2F %3F %23)"
            )
            raise ConfigurationError(message)
        _check_kinds(retry=retry, timeouts=timeouts, pool=pool, trust_env=trust_env)
        headers = common_headers(app_info)
        settings = read_settings(secret, base_url, echo_fields, insecure_hosts)
        if settings.base_url.startswith("http:") and hidden_proxy is not None:
            message = "plain http is not sent by a proxy, which would read the key"
            raise ConfigurationError(message)
        if trust_env and hidden_proxy is None:
            hidden_proxy = proxy_of_environment(settings.base_url, os.environ)
        direct = settings.is_local and hidden_proxy is None
        if ssl is not None and not _is_trustworthy(ssl, local=direct):
            message = (
                "ssl must be an SSLContext that verifies certificates and host names "
                "(any SSLContext to this machine)"
            )
            raise ConfigurationError(message)
        timeouts = timeouts or Timeouts()
        pool = pool or PoolLimits()
        self._caller = Caller(
            settings=settings,
            policy=retry or RetryPolicy(),
            timeouts=timeouts,
            transport=transport
            or AiohttpTransport(
                timeouts=timeouts,
                pool=pool,
                connector=connector,
                proxy=hidden_proxy,
                ssl=ssl,
                headers=headers,
            ),
            runtime=runtime or Runtime(),
            observers=checked_observers(observers),
            limit=places_of(pool, connector),
        )
        self._proxy, self._ssl, self._app_info = hidden_proxy, ssl, app_info
        self._has_own_connector = connector is not None
        self._is_view = False

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        **overrides: Unpack[FactoryOptions],
    ) -> Self:
        """Build a factory from ``CONVERGEGATE_API_KEY`` and ``CONVERGEGATE_BASE_URL``.

        ``CONVERGEGATE_INSECURE_HOSTS`` may name *insecure_hosts*, with commas between.

        Args:
            environ: Where to read them, and with *trust_env* the proxy; the process's
                environment if `None`.
            api_key: Wins over the variable.
            base_url: Wins over the variable.
            **overrides: Other arguments of the constructor. In a test that moves time,
                *runtime* is ``sandbox.runtime()`` of `convergegate_async.testing`.

        Raises:
            ConfigurationError: A variable is missing, or an argument cannot be right.
        """
        variables = Secret(os.environ if environ is None else environ)
        del environ  # tracebacks show locals
        read = variables.reveal().get
        secret = _secret(api_key or read(API_KEY_VARIABLE, ""))
        base_url = base_url or read(BASE_URL_VARIABLE, "")
        overrides.setdefault(
            "insecure_hosts", split_names(read(INSECURE_HOSTS_VARIABLE, ""))
        )
        proxy = overrides.pop("proxy", None)
        hidden_proxy = None if proxy is None else _secret(proxy)
        del api_key, proxy, read
        if hidden_proxy is None and overrides.get("trust_env"):
            hidden_proxy = proxy_of_environment(base_url, variables.reveal())
            overrides["trust_env"] = False  # it was, here
        missing = missing_variables(secret, base_url)
        if missing:
            noun = "variable" if len(missing) == 1 else "variables"
            message = f"set the environment {noun} {' and '.join(missing)}"
            raise ConfigurationError(message)
        overrides["proxy"] = cast("str | None", hidden_proxy)
        return cls(cast("str", secret), base_url, **overrides)

    def with_options(
        self,
        *,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        observers: Collection[Observer] = (),
    ) -> Self:
        """Return a view of this factory: the same pool and budget, other settings.

        It is open as long as this factory is, and is itself neither opened nor closed.

        Args:
            retry: Whether and when the view tries again; the budget stays as it is.
            timeouts: How long the view waits; `Timeouts.connect` stays as it is.
            observers: Who is told of the view's calls, besides the factory's own.

        Raises:
            ConfigurationError: An argument cannot be right.
        """
        _check_kinds(retry=retry, timeouts=timeouts)
        view = copy(self)
        view._caller = self._caller.view(retry, timeouts, checked_observers(observers))  # noqa: SLF001 -- its own class
        view._is_view = True  # noqa: SLF001 -- its own class
        return view

    def stats(self) -> PoolStats:
        """Return how busy the pool is at this moment; any thread may ask."""
        return self._caller.stats()

    async def open(self) -> Self:
        """Open the pool on the running event loop.

        Raises:
            ConfigurationError: The factory was opened before, or is a view; or its
                connector is closed or another event loop's.
        """
        self._require_whole()
        await self._caller.warm_up()  # who is cancelled meanwhile leaves nothing open
        await self._caller.lifecycle.open()
        return self

    async def aclose(self, drain: float = 10.0) -> tuple[str, ...]:
        """Refuse new calls, let running ones finish, and close the pool.

        Args:
            drain: The seconds that running calls get before they are aborted.

        Returns:
            The idempotency keys of the calls whose outcome was left unknown.

        Raises:
            ConfigurationError: It was opened in another process or event loop, or
                is a view.
        """
        self._require_whole()
        return await self._caller.lifecycle.aclose(drain)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            await self.aclose()
        else:
            await self.aclose(drain=0)

    def __repr__(self) -> str:
        caller = getattr(self, "_caller", None)
        if caller is None:  # a traceback may show it before it is built
            return "<CheckoutSessionFactory unbuilt>"
        state = caller.lifecycle.state
        return f"<CheckoutSessionFactory {state}, {caller.settings.base_url}>"

    async def create(
        self,
        request: CheckoutSessionRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CheckoutSession:
        """Open a checkout session.

        Args:
            request: What to open.
            idempotency_key: One key per purchase, such as ``derive_key("order", id)``;
                a random one if `None`. Every attempt carries it. It stays that of the
                same session when that has expired: another one takes another key.
            timeout: The deadline of the whole call in seconds.

        Raises:
            InvalidFieldError: *request* expires too soon, or an argument is malformed.
            NotSentError: Provably nothing reached the gateway.
            OutcomeUnknownError: The session may have been opened.
            ApiError: The gateway refused.
            ConfigurationError: The factory is not open here.
        """
        operation = made_or_refused(
            create_checkout_session,
            request,
            key=self._fresh_key() if idempotency_key is None else idempotency_key,
            own_key=idempotency_key is not None,
            now=self._caller.runtime.now(),
        )
        del request, idempotency_key  # tracebacks show locals
        return await self._caller.run(operation, timeout)

    async def retrieve(
        self, session_id: str, *, timeout: float | None = None
    ) -> CheckoutSession:
        """Look at a checkout session.

        Args:
            session_id: The session's id.
            timeout: The deadline of the whole call in seconds.

        Raises:
            InvalidFieldError: *session_id* cannot be an id.
            NotFoundError: There is no such session.
            NotSentError: Provably nothing reached the gateway.
            OutcomeUnknownError: No readable answer came; nothing was changed.
            ApiError: The gateway refused.
            ConfigurationError: The factory is not open here.
        """
        operation = made_or_refused(retrieve_checkout_session, session_id)
        del session_id  # tracebacks show locals
        return await self._caller.run(operation, timeout)

    async def pay(
        self, session_id: str, blik_code: str, *, timeout: float | None = None
    ) -> CheckoutSession:
        """Pay a checkout session with the six-digit code of the customer's bank app.

        It is sent again only if the gateway has not seen it: a code is used once, and a
        second try could be declined while the first one pays. After an unknown outcome
        the session is looked at until it is final or time runs out.

        Args:
            session_id: The session's id.
            blik_code: Six digits, as a `str`: leading zeros matter.
            timeout: The deadline of the whole call in seconds, the looking included.

        Returns:
            The session: `completed`, or `open` until the customer confirms; see `wait`.

        Raises:
            InvalidFieldError: *session_id* cannot be an id, or the code is no six
                digits.
            DeclinedError: The payment was declined; ask the customer for a new code.
            NotSentError: Provably nothing reached the gateway.
            OutcomeUnknownError: It may have been paid; *session* is what was last seen.
            ApiError: The gateway refused.
            ConfigurationError: The factory is not open here.
        """
        code = Secret(blik_code)
        operation = made_or_refused(pay_checkout_session, session_id, code)
        del session_id, blik_code  # tracebacks show locals
        return await self._caller.run(operation, timeout)

    async def wait(
        self, session_id: str, *, timeout: float | None = 120
    ) -> CheckoutSession:
        """Look at a session until it is `completed` or `expired`.

        The pauses between looks grow from half a second to five; `notify` ends one at
        once. A temporary failure, such as a 503, does not end the wait.

        Args:
            session_id: The session's id.
            timeout: How long to wait, in seconds. Customers take 40 to 90.

        Raises:
            InvalidFieldError: *session_id* cannot be an id.
            WaitTimeoutError: It was not final in time; *session* is what was last seen.
            NotFoundError: There is no such session.
            ApiError: The gateway refused.
            NotSentError: The gateway cannot be reached, and trying again cannot help.
            OutcomeUnknownError: An answer was not to this request.
            ConfigurationError: The factory is not open here.
        """
        operation = made_or_refused(wait_for_checkout_session, session_id)
        del session_id  # tracebacks show locals
        return await self._caller.wait(operation, timeout)

    def notify(self, event: WebhookEvent) -> None:
        """Let `wait` look at once at the session that a verified *event* is about.

        Only calls on this factory, in this process, are reached.
        """
        if event.session_id is not None:
            self._caller.wake(event.session_id)

    async def refund(
        self,
        request: RefundRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Refund:
        """Pay a session's money back, in part or in full.

        After an unknown outcome it is not sent again, unless you know from the provider
        that keys are honoured (`RetryPolicy.keys_honoured`): money would move twice.
        The session is looked at once, for its *amount_refunded* and *refunds*.

        Args:
            request: What to pay back.
            idempotency_key: One key per refund; a random one if `None`.
            timeout: The deadline of the whole call in seconds.

        Raises:
            InvalidFieldError: *idempotency_key* is malformed.
            NotSentError: Provably nothing reached the gateway.
            OutcomeUnknownError: The refund may have been made; *session* is what the
                session looked like afterwards.
            ApiError: The gateway refused.
            ConfigurationError: The factory is not open here.
        """
        operation = made_or_refused(
            create_refund,
            request,
            key=self._fresh_key() if idempotency_key is None else idempotency_key,
            own_key=idempotency_key is not None,
        )
        del request, idempotency_key  # tracebacks show locals
        return await self._caller.run(operation, timeout)

    async def retrieve_refund(
        self, refund_id: str, *, timeout: float | None = None
    ) -> Refund:
        """Look at a refund.

        Args:
            refund_id: The refund's id.
            timeout: The deadline of the whole call in seconds.

        Raises:
            InvalidFieldError: *refund_id* cannot be an id.
            NotFoundError: There is no such refund.
            NotSentError: Provably nothing reached the gateway.
            OutcomeUnknownError: No readable answer came; nothing was changed.
            ApiError: The gateway refused.
            ConfigurationError: The factory is not open here.
        """
        operation = made_or_refused(retrieve_refund, refund_id)
        del refund_id  # tracebacks show locals
        return await self._caller.run(operation, timeout)

    def _require_whole(self) -> None:
        if self._is_view:
            message = "a view is not opened or closed: its factory is"
            raise ConfigurationError(message)

    def _fresh_key(self) -> str:
        return fresh_key(self._caller.runtime.dice())


_KINDS = {
    "retry": RetryPolicy,
    "timeouts": Timeouts,
    "pool": PoolLimits,
    "trust_env": bool,
}


def _check_kinds(**values: object) -> None:
    for name, value in values.items():
        kind = _KINDS[name]
        if value is not None and not isinstance(value, kind):
            message = f"{name} must be a {kind.__name__}"
            raise ConfigurationError(message)


def _is_proxy(proxy: object) -> bool:
    return isinstance(proxy, str) and rules.is_proxy(proxy)


def _is_trustworthy(ssl: object, *, local: bool) -> bool:
    if not isinstance(ssl, tls.SSLContext):
        return False
    verifies = ssl.verify_mode is tls.CERT_REQUIRED and ssl.check_hostname
    return verifies or local


def _secret(value: object) -> Secret[str]:
    # `from_env` hands on a key and a proxy that are wrapped already.
    return value if isinstance(value, Secret) else Secret(cast("str", value))
