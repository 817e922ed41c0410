"""What a runner is."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, Self, TypeVar

import attrs

from convergegate_async.errors import ConvergeGateError

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
    """Does chunks of work elsewhere, each at least once."""

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
