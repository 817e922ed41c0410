"""Rows that are sent elsewhere: a chunk there, its outcomes back.

The key is not in a chunk: whoever works on it reads the key from its environment.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import attrs

from convergegate_async.bulk.sending.create_many import create_numbered
from convergegate_async.bulk.sending.outcomes import Numbered, RowOutcome
from convergegate_async.errors import CallError, ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.policy import PoolLimits

from .rules import ResumeRules

T = TypeVar("T")

CHUNK_ROWS = 1_000  # that go to a runner together, at most
_CHUNK_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class Chunk:
    """Some rows of a job, and how fast they may be sent."""

    base_url: str
    salt: bytes = attrs.field(repr=False)
    api_key_fingerprint: str = attrs.field(repr=False)
    rules: ResumeRules
    rows: tuple[Numbered, ...] = attrs.field(repr=False)
    concurrency: int
    maximum_rps: float | None


@attrs.frozen(kw_only=True)
class ChunkResult:
    """What became of a chunk: of some of its rows only, if *error* ended it."""

    outcomes: tuple[RowOutcome, ...] = attrs.field(repr=False)
    error: CallError | None = None


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


def work_on(chunk: Chunk) -> ChunkResult:
    """Open a session for each row, in an event loop of its own.

    Raises:
        ConfigurationError: The environment holds no key, or not the job's.
    """
    return asyncio.run(_work_on(chunk))


async def _work_on(chunk: Chunk) -> ChunkResult:
    outcomes: list[RowOutcome] = []
    error = None
    factory = CheckoutSessionFactory.from_env(
        base_url=chunk.base_url,
        retry=chunk.rules.policy(),
        pool=PoolLimits(limit=max(PoolLimits().limit, chunk.concurrency)),
    )
    if context_of(factory).api_key_fingerprint(chunk.salt) != chunk.api_key_fingerprint:
        message = "the worker's CONVERGEGATE_API_KEY is not the key of the job"
        raise ConfigurationError(message)
    async with factory:
        try:
            made = create_numbered(
                factory,
                _items(chunk),
                concurrency=chunk.concurrency,
                maximum_rps=chunk.maximum_rps,
            )
            async for outcome in made:
                outcomes.append(outcome)  # noqa: PERF401 -- kept where an error ends it
        except CallError as stopped:
            error = stopped
    return ChunkResult(outcomes=tuple(outcomes), error=error)


async def _items(chunk: Chunk) -> AsyncIterator[Numbered]:
    for item in chunk.rows:
        yield item
