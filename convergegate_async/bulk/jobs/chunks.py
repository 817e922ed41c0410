"""Rows that are sent elsewhere: a chunk there, its outcomes back.

The key is not in a chunk: whoever works on it reads the key from its environment.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Self, TypeVar
from urllib.parse import urlsplit

import attrs

from convergegate_async.bulk.sending.create_many import create_one
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import Numbered, RowOutcome
from convergegate_async.bulk.sending.workers import Workers
from convergegate_async.errors import CallError, ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.policy import PoolLimits, RetryPolicy, Timeouts
from convergegate_async.runners import run_until_cut

T = TypeVar("T")

CHUNK_ROWS = 1_000  # that go to a runner together, at most
_CHUNK_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class Home:
    """Where a job belongs: which gateway, and whose key."""

    base_url: str
    salt: bytes = attrs.field(repr=False)
    api_key_fingerprint: str = attrs.field(repr=False)

    @property
    def insecure_hosts(self) -> tuple[str, ...]:
        """The gateway, if its factory was told that it may be called by plain http."""
        parts = urlsplit(self.base_url)
        return (parts.hostname or "",) if parts.scheme == "http" else ()


@attrs.frozen(kw_only=True)
class CallOptions:
    """How a factory calls, as far as that travels."""

    retry: RetryPolicy
    timeouts: Timeouts
    echo_fields: frozenset[str]
    app_info: str | None

    @classmethod
    def of(cls, factory: CheckoutSessionFactory) -> Self:
        """Return those of *factory*.

        Raises:
            ConfigurationError: It calls by ways that workers do not have.
        """
        context = context_of(factory)
        if context.proxy is not None:
            message = (
                "workers call by no proxy: its URL may hold a password, and a chunk "
                "holds nothing secret; use run"
            )
            raise ConfigurationError(message)
        if context.ssl is not None:
            message = "workers have no ssl of yours: it cannot be pickled; use run"
            raise ConfigurationError(message)
        if context.has_own_connector:
            message = "workers have no connector of yours: it is of one event loop; "
            raise ConfigurationError(message + "use run")
        return cls(
            retry=context.policy,
            timeouts=context.timeouts,
            echo_fields=context.echo_fields,
            app_info=context.app_info,
        )


@attrs.frozen(kw_only=True)
class Chunk:
    """Some rows of a job, and how they are sent.

    Attributes:
        number: By which its result is known again.
        options: How they are sent.
        pause: Seconds to wait before its first row.
        is_answered: The gateway has answered something in this run.
    """

    number: int
    home: Home
    options: CallOptions
    rows: tuple[Numbered, ...] = attrs.field(repr=False)
    limits: Limits
    pause: float = 0.0
    is_answered: bool = False


@attrs.frozen(kw_only=True)
class ChunkResult:
    """What became of a chunk: of some of its rows only, if *error* ended it."""

    number: int
    outcomes: tuple[RowOutcome, ...] = attrs.field(repr=False)
    error: CallError | ConfigurationError | None = None


def chunk_rows(rate: float | None) -> int:
    """Return how many rows make a chunk: about five seconds' worth, at most 1,000."""
    if rate is None:
        return CHUNK_ROWS
    return max(1, min(CHUNK_ROWS, int(rate * _CHUNK_SECONDS)))


async def first_of(items: AsyncIterator[T], count: int) -> AsyncIterator[T]:
    """Yield the next *count* items, and take no more than those."""
    while count and (item := await anext(items, None)) is not None:
        yield item
        count -= 1


def check_key(home: Home) -> None:
    """Refuse to work for a job whose key this process does not have.

    Raises:
        ConfigurationError: The environment holds no key, or not the job's.
    """
    factory = CheckoutSessionFactory.from_env(
        base_url=home.base_url, insecure_hosts=home.insecure_hosts
    )
    if context_of(factory).api_key_fingerprint(home.salt) != home.api_key_fingerprint:
        message = "the worker's CONVERGEGATE_API_KEY is not the key of the job"
        raise ConfigurationError(message)


def work_on(chunk: Chunk) -> ChunkResult:
    """Open a session for each row, in an event loop of its own.

    Raises:
        WorkersLostError: It was cut: what was not told of its rows is in doubt.
    """
    return run_until_cut(_work_on(chunk))


async def _work_on(chunk: Chunk) -> ChunkResult:
    outcomes: list[RowOutcome] = []
    error: CallError | ConfigurationError | None = None
    try:
        check_key(chunk.home)  # a worker may have come after the others were checked
        await asyncio.sleep(chunk.pause)
        async with (
            worker_factory(chunk) as factory,
            aclosing(_outcomes(factory, chunk)) as made,
        ):
            async for outcome in made:
                outcomes.append(outcome)  # noqa: PERF401 -- kept where an error ends it
    except (CallError, ConfigurationError) as stopped:
        error = stopped
    return ChunkResult(number=chunk.number, outcomes=tuple(outcomes), error=error)


def worker_factory(chunk: Chunk) -> CheckoutSessionFactory:
    """Return what calls as the job's own factory does, with the key of this process.

    Raises:
        ConfigurationError: The environment holds no key.
    """
    return CheckoutSessionFactory.from_env(
        base_url=chunk.home.base_url,
        insecure_hosts=chunk.home.insecure_hosts,
        pool=PoolLimits(limit=max(PoolLimits().limit, chunk.limits.concurrency)),
        retry=chunk.options.retry,
        timeouts=chunk.options.timeouts,
        echo_fields=chunk.options.echo_fields,
        app_info=chunk.options.app_info,
    )


def _outcomes(
    factory: CheckoutSessionFactory, chunk: Chunk
) -> AsyncGenerator[RowOutcome, None]:
    items = _items(chunk)
    answered = chunk.is_answered
    workers: Workers[Numbered, RowOutcome] = Workers(
        factory, items, create_one, chunk.limits, is_answered=answered
    )
    return workers.outcomes()


async def _items(chunk: Chunk) -> AsyncIterator[Numbered]:
    for item in chunk.rows:
        yield item
