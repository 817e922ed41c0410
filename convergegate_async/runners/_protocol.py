"""What a runner is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, Self, TypeVar

import attrs

from convergegate_async.errors import ConvergeGateError

from ._spread import Part, Spread

C = TypeVar("C")
R = TypeVar("R")

MOST_LOSSES = 3  # of workers over one chunk: more, and the chunk itself kills them


class WorkersLostError(ConvergeGateError):
    """Workers were lost again and again, or all of them at once."""


@attrs.frozen
class Done(Generic[R]):
    """A chunk that was done.

    Attributes:
        result: What the work returned.
        again: Another worker may have begun it, too, and was lost; what that one did is
            not in the result.
    """

    result: R
    again: bool


class Runner(AbstractAsyncContextManager["Runner"], Protocol):
    """Does work elsewhere: chunks at least once, slices at most once."""

    async def __aenter__(self) -> Self:
        """Get ready."""
        ...

    @property
    def slots(self) -> int:
        """How many chunks are worked on at once; it may change at any time."""
        ...

    async def everywhere(self, work: Callable[[C], R], item: C) -> list[R]:
        """Return what *work* makes of *item* on each worker that is there now.

        Workers that share an environment may be represented by one of them.

        Raises:
            Exception: Whatever *work* raised on one of them.
        """
        ...

    def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield what *work* makes of each chunk, in the order of completion.

        Chunks are taken for two rounds of all workers at most. Leave by
        ``contextlib.aclosing``, so that nothing is under way when the runner closes.

        Args:
            work: A function of a module that workers have, too.
            chunks: What to work on; chunks and results must be picklable.

        Raises:
            WorkersLostError: A chunk was lost with its worker once too often.
            Exception: Whatever *chunks* or *work* raised; nothing is done again then.
        """
        ...

    async def spread(
        self,
        work: Callable[[C, Part], R],
        slices: Sequence[C],
        *,
        lead: float,
        stop: asyncio.Event,
        on_news: Callable[[int, object], None],
    ) -> list[Spread[R]]:
        """Return what *work* makes of each slice, all at the same time and none twice.

        Each slice has a worker to itself, and *work* is called there before the common
        start, to get ready and wait for it. A slice whose worker is lost, or is not
        asked in time, has no result, and the others go on.

        Args:
            work: A function of a module that workers have, too.
            slices: What to work on; slices and results must be picklable.
            lead: Seconds from when all workers are up to the common start.
            stop: Set it to have all workers end early, with what they have.
            on_news: Called with the slice's index and what its worker told.

        Raises:
            ConfigurationError: There are fewer workers than slices; nothing has begun.
            WorkersLostError: What holds the workers together was lost.
            Exception: Whatever *work* or *on_news* raised; the others are ended first.
        """
        ...
