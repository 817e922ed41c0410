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
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest

from .outcomes import RowOutcome, outcome_of
from .workers import Workers


async def create_many(
    factory: CheckoutSessionFactory,
    requests: Iterable[CheckoutSessionRequest] | AsyncIterable[CheckoutSessionRequest],
    *,
    concurrency: int = 32,
    maximum_rps: float | None = None,
    key: Callable[[CheckoutSessionRequest], str] | None = None,
) -> AsyncGenerator[RowOutcome, None]:
    """Open a session for each request, and yield outcomes in the order of completion.

    Memory stays flat however many there are: a request is taken when a worker is free.
    A gateway that pushes back gets fewer at once, one ``Retry-After`` holds all, and
    one that cannot be reached is probed now and then until it can. Nothing is left
    running when you break out of the loop or are cancelled; use ``contextlib.aclosing``
    to have that done before the next line.

    Args:
        factory: An open factory.
        requests: What to open; taken one by one.
        concurrency: The most that are under way at once.
        maximum_rps: The most calls started in a second, evenly spread.
        key: The idempotency key of a request; a random one if `None`. Keys of your own
            make a repeated run safe where the gateway honours them.

    Yields:
        `Created`, `Rejected`, `NotSent` or `Unknown`, each once for a request.

    Raises:
        ConfigurationError: A limit cannot be kept, or the factory is not open here.
        AuthenticationError: The key is wrong: at most *concurrency* requests were sent.
        PermissionDeniedError: Three requests in a row were forbidden.
    """

    async def work(item: tuple[int, CheckoutSessionRequest]) -> RowOutcome:
        index, request = item
        own_key = None if key is None else key(request)
        return outcome_of(
            index, request, own_key, await create_or_error(factory, request, own_key)
        )

    workers = Workers(
        factory,
        _numbered(requests),
        work,
        concurrency=concurrency,
        maximum_rps=maximum_rps,
    )
    async with aclosing(workers.outcomes()) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def create_or_error(
    factory: CheckoutSessionFactory, request: CheckoutSessionRequest, key: str | None
) -> CheckoutSession | CallError | InvalidFieldError:
    """Return what `create` answered, or raised about this one request."""
    try:
        return await factory.create(request, idempotency_key=key)
    except (CallError, InvalidFieldError) as error:
        return error


async def _numbered(
    requests: Iterable[CheckoutSessionRequest] | AsyncIterable[CheckoutSessionRequest],
) -> AsyncIterator[tuple[int, CheckoutSessionRequest]]:
    index = 0
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield index, request
            index += 1
        return
    for request in requests:
        yield index, request
        index += 1
