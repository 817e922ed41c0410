"""An event loop whose time passes only while nothing is to be done."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    now = 0.0

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass at once that would have been waited."""
        self.now += timeout or 0.0
        return super().select(0)


class StillLoop(asyncio.SelectorEventLoop):
    """Sleeps at once, and says that it was as long as asked for."""

    def __init__(self) -> None:
        self._still = _Selector()
        super().__init__(self._still)

    def time(self) -> float:
        """Return the seconds that were slept so far."""
        return self._still.now


def run_still(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* without waiting for anything."""
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        return runner.run(main)
