"""How many rows at once, and when not to: values that learn, without a clock.

Concurrency is what a server feels, so it is what is steered: up by one for a round of
successes, down by a tenth when the gateway pushes back (DESIGN.md, *Pacing*).
"""

from collections import deque

from convergegate_async.errors import FailureKind
from convergegate_async.factory import AttemptInfo

from .outcomes import Created, NotSent, Rejected, RowOutcome, Unknown

FIRST_LIMIT = 8
SHRINKS_BY = 0.9
SHRINKS_EVERY = 0.1  # seconds: about a round trip, so that one jam counts once

UNSENT_IN_A_ROW = 20
LOOKS_BACK = 50
MOST_UNKNOWN = 25
FIRST_PROBE, LAST_PROBE = 5.0, 60.0  # seconds

_BUSY = frozenset({429, 503})


class ConcurrencyLimit:
    """How many rows may be under way: additive increase, multiplicative decrease.

    Args:
        ceiling: The most that it may grow to.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._size = float(min(FIRST_LIMIT, ceiling))
        self._is_starting = True
        self._shrunk_at = float("-inf")

    @property
    def size(self) -> int:
        """Whole rows; at least 1."""
        return int(self._size)

    def grow(self) -> None:
        """Count a success: one more at once at first, later one more for a round."""
        step = 1.0 if self._is_starting else 1.0 / self._size
        self._size = min(float(self._ceiling), self._size + step)

    def shrink(self, now: float) -> None:
        """Make room, unless that was done just before."""
        if now - self._shrunk_at < SHRINKS_EVERY:
            return
        self._shrunk_at = now
        self._is_starting = False
        self._size = max(1.0, self._size * SHRINKS_BY)


class CircuitBreaker:
    """Whether the gateway is worth asking: open, it lets one row through to probe.

    It opens when nothing can be sent any more, or when half of what is sent ends
    unknown: to go on would only add to the rows that somebody has to look after.
    """

    def __init__(self) -> None:
        self._unsent = 0
        self._recent: deque[bool] = deque(maxlen=LOOKS_BACK)
        self._interval = 0.0
        self._probes_at = float("-inf")
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Tell whether rows are held back."""
        return self._interval > 0

    def wait(self, now: float) -> float:
        """Return the seconds until the next row may probe."""
        if not self.is_open:
            return 0.0
        return LAST_PROBE if self._is_probing else max(0.0, self._probes_at - now)

    def let_through(self) -> None:
        """Let a row go; while open it is the only one."""
        self._is_probing = self.is_open

    def note(self, outcome: RowOutcome, now: float) -> None:
        """Learn from a row."""
        self._unsent = self._unsent + 1 if isinstance(outcome, NotSent) else 0
        self._recent.append(isinstance(outcome, Unknown))
        if self.is_open and not self._is_probing:
            return  # it was under way when the breaker opened, and proves nothing new
        self._is_probing = False
        if self.is_open and isinstance(outcome, Created | Rejected):
            self._interval = 0.0
            self._recent.clear()
        elif self.is_open:
            self._interval = min(LAST_PROBE, 2 * self._interval)
            self._probes_at = now + self._interval
        elif self._unsent >= UNSENT_IN_A_ROW or sum(self._recent) >= MOST_UNKNOWN:
            self._interval = FIRST_PROBE
            self._probes_at = now + self._interval


class Pace:
    """What limit, breaker and the gateway's own word allow together.

    Args:
        ceiling: The most rows that may ever be under way.
        maximum_rps: The most rows started in a second; `None` for no such limit.
    """

    def __init__(self, ceiling: int, maximum_rps: float | None = None) -> None:
        self.limit: ConcurrencyLimit = ConcurrencyLimit(ceiling)
        self._interval = 0.0 if maximum_rps is None else 1 / maximum_rps
        self._next_start = float("-inf")
        self.breaker: CircuitBreaker = CircuitBreaker()
        self._paused_until = float("-inf")

    @property
    def workers(self) -> int:
        """How many rows may be under way now."""
        return 1 if self.breaker.is_open else self.limit.size

    def wait(self, now: float) -> float:
        """Return the seconds until the next row may start."""
        return max(0.0, self._paused_until - now, self.breaker.wait(now))

    def reserve(self, now: float) -> float:
        """Take the next start that the rate allows; return the seconds until it."""
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        return start - now

    def note_attempt(self, attempt: AttemptInfo, now: float) -> None:
        """Learn from an attempt, whichever row it was made for."""
        if attempt.retry_after:
            self._paused_until = max(self._paused_until, now + attempt.retry_after)
        if (
            attempt.http_status in _BUSY
            or attempt.failure is FailureKind.CONNECT_TIMEOUT
        ):
            self.limit.shrink(now)

    def note(self, outcome: RowOutcome, now: float) -> None:
        """Learn from a row that is over."""
        self.breaker.note(outcome, now)
        if isinstance(outcome, Created):
            self.limit.grow()
