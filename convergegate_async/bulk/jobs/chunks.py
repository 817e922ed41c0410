"""Rows that are sent elsewhere: a chunk there, its outcomes back.

The key is not in a chunk: whoever works on it reads the key from its environment.
"""

import asyncio

import attrs

from convergegate_async.bulk.sending.create_many import create_many
from convergegate_async.bulk.sending.outcomes import RowOutcome
from convergegate_async.errors import CallError, ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSessionRequest
from convergegate_async.policy import PoolLimits

from .rules import ResumeRules


@attrs.frozen(kw_only=True)
class ChunkRow:
    """A row on its way to a worker."""

    row_id: str
    key: str
    request: CheckoutSessionRequest = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Chunk:
    """Some rows of a job, and how fast they may be sent."""

    base_url: str
    salt: bytes = attrs.field(repr=False)
    api_key_fingerprint: str = attrs.field(repr=False)
    rules: ResumeRules
    rows: tuple[ChunkRow, ...] = attrs.field(repr=False)
    concurrency: int
    maximum_rps: float | None


@attrs.frozen(kw_only=True)
class ChunkResult:
    """What became of a chunk: of some of its rows only, if *error* ended it."""

    outcomes: tuple[tuple[str, RowOutcome], ...] = attrs.field(repr=False)
    error: CallError | None = None


def work_on(chunk: Chunk) -> ChunkResult:
    """Open a session for each row, in an event loop of its own.

    Raises:
        ConfigurationError: The environment holds no key, or not the job's.
    """
    return asyncio.run(_work_on(chunk))


async def _work_on(chunk: Chunk) -> ChunkResult:
    keys = {id(row.request): row.key for row in chunk.rows}
    outcomes: list[tuple[str, RowOutcome]] = []
    error = None
    factory = CheckoutSessionFactory.from_env(
        base_url=chunk.base_url,
        retry=chunk.rules.policy(),
        pool=PoolLimits(limit=max(PoolLimits().limit, chunk.concurrency)),
    )
    if factory.api_key_fingerprint(chunk.salt) != chunk.api_key_fingerprint:
        message = "the worker's CONVERGEGATE_API_KEY is not the key of the job"
        raise ConfigurationError(message)
    async with factory:
        try:
            made = create_many(
                factory,
                [row.request for row in chunk.rows],
                concurrency=chunk.concurrency,
                maximum_rps=chunk.maximum_rps,
                key=lambda request: keys[id(request)],
            )
            async for outcome in made:
                row_id = chunk.rows[outcome.index].row_id
                outcomes.append((row_id, outcome))
        except CallError as stopped:
            error = stopped
    return ChunkResult(outcomes=tuple(outcomes), error=error)
