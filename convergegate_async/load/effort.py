"""What a run costs the process that drives it."""

import gc
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import attrs

_FEW = 1_000
"""Objects: Python itself has frozen fewer when it begins, some 400 in 3.12."""


@attrs.frozen(kw_only=True)
class Effort:
    """What a run cost the process that drove it.

    Attributes:
        cpu: Seconds of processor time in a second.
        collections: Garbage collections.
        longest_pause: Seconds that the longest of them took.
    """

    cpu: float = 0.0
    collections: int = 0
    longest_pause: float = 0.0

    def beside(self, other: "Effort") -> "Effort":
        """Return the two of processes that ran side by side."""
        return Effort(
            cpu=max(self.cpu, other.cpu),
            collections=self.collections + other.collections,
            longest_pause=max(self.longest_pause, other.longest_pause),
        )


class EffortMeter:
    """Measures what a run costs this process, between entering and leaving.

    What was there before is not looked at by collections meanwhile, as each of these
    would hold back sends by tens of milliseconds. A process that has frozen what it
    had, as servers do before they fork, is left as it is.
    """

    def __init__(self) -> None:
        self.effort: Effort = Effort()
        self._began = self._cpu = self._pause_began = 0.0
        self._collections = 0
        self._longest = 0.0
        self._has_frozen = False

    def __enter__(self) -> Self:
        gc.collect()
        self._has_frozen = gc.get_freeze_count() < _FEW
        if self._has_frozen:
            gc.freeze()
        gc.callbacks.append(self._see_collection)
        self.begin()
        return self

    def begin(self) -> None:
        """Measure from now on."""
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        elapsed = time.perf_counter() - self._began
        gc.callbacks.remove(self._see_collection)
        if self._has_frozen:  # or it would thaw what others have frozen, too
            gc.unfreeze()
        self.effort = Effort(
            cpu=(time.process_time() - self._cpu) / elapsed,
            collections=self._collections,
            longest_pause=self._longest,
        )

    def _see_collection(self, phase: str, _info: Mapping[str, int]) -> None:
        if phase == "start":
            self._pause_began = time.perf_counter()
            return
        self._collections += 1
        self._longest = max(self._longest, time.perf_counter() - self._pause_began)
