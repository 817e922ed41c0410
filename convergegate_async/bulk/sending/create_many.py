"""Sessions for many requests, from memory to memory."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
)
from contextlib import aclosing

from convergegate_async.errors import CallError, InvalidFieldError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.factory.prepared import create_from_body
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest

from .limits import MAX_OUTAGE, MAX_PAUSE, Limits
from .outcomes import Numbered, RowOutcome, outcome_of
from .workers import Workers


async def create_many(  # noqa: PLR0913 -- each is a separate choice of the caller
    factory: CheckoutSessionFactory,
    requests: Iterable[CheckoutSessionRequest] | AsyncIterable[CheckoutSessionRequest],
    *,
    concurrency: int = 32,
    maximum_rps: float | None = None,
    key: Callable[[CheckoutSessionRequest], str] | None = None,
    max_pause: float = MAX_PAUSE,
    max_outage: float = MAX_OUTAGE,
) -> AsyncGenerator[RowOutcome, None]:
    """Open a session for each request, and yield outcomes in the order of completion.

    Memory stays flat however many there are: a request is taken when a worker is free.
    A gateway that pushes back gets fewer at once, one ``Retry-After`` holds all, and
    one that cannot be reached is probed now and then until it can. Nothing is left
    running when you break out of the loop or are cancelled; use ``contextlib.aclosing``
    to have that done before the next line.

    Args:
        factory: An open factory.
        requests: What to open; taken one by one. An async source that is waited for
            when the end comes is cancelled.
        concurrency: The most that are under way at once.
        maximum_rps: The most calls started in a second, evenly spread.
        key: The idempotency key of a request; a random one if `None`. Keys of your own
            make a repeated run safe where the gateway honours them.
        max_pause: The most seconds, in a row, that a ``Retry-After`` may hold all.
        max_outage: The most seconds that nothing gets through, those pauses apart.

    Yields:
        `Created`, `Rejected`, `NotSent` or `Unknown`, each once for a request.

    Raises:
        ConfigurationError: A limit cannot be kept, or the factory is not open here.
        AuthenticationError: The key is wrong: at most *concurrency* requests were sent.
        PermissionDeniedError: Three consecutive requests were answered 403.
        CallError: The host is unknown, its certificate not trusted, or the proxy
            refuses: three requests in a row, and none was answered before; or
            *max_pause* or *max_outage* is over. It is the last error of a request,
            raised once what was under way is over.
    """
    limits = Limits(
        concurrency=concurrency,
        maximum_rps=maximum_rps,
        max_pause=max_pause,
        max_outage=max_outage,
    )
    items = _numbered(requests, key)
    workers: Workers[Numbered, RowOutcome] = Workers(
        factory, items, create_one, limits, waits_for_items=False
    )
    async with aclosing(workers.outcomes()) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def create_one(factory: CheckoutSessionFactory, item: Numbered) -> RowOutcome:
    """Return what `create` answered, or raised about this one request."""
    result: CheckoutSession | CallError | InvalidFieldError
    key = item.idempotency_key
    try:
        if item.body is None or key is None:
            result = await factory.create(item.request, idempotency_key=key)
        else:
            result = await create_from_body(factory, item.request, item.body, key)
    except (CallError, InvalidFieldError) as error:
        result = error
    return outcome_of(item, result)


async def _numbered(
    requests: Iterable[CheckoutSessionRequest] | AsyncIterable[CheckoutSessionRequest],
    key: Callable[[CheckoutSessionRequest], str] | None,
) -> AsyncIterator[Numbered]:
    index = 0
    async for request in _each(requests):
        yield Numbered(index, request, None if key is None else key(request))
        index += 1


async def _each(
    requests: Iterable[CheckoutSessionRequest] | AsyncIterable[CheckoutSessionRequest],
) -> AsyncIterator[CheckoutSessionRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
        return
    for request in requests:
        yield request
