"""How many rows at once, and when not to: values that learn, without a clock.

Concurrency is what a server feels, so it is what is steered: up by one and more for a
round of successes, down by a tenth when the gateway pushes back (DESIGN.md, *Pacing*).
"""

import math
from collections import deque
from enum import Enum, auto

import attrs

from convergegate_async.errors import CallError, FailureKind, NotSentError
from convergegate_async.factory import AttemptInfo

from .limits import Limits
from .outcomes import Outcome, is_pending, is_unanswered

FIRST_LIMIT = 8
SHRINKS_BY = 0.9
DOUBLES_AFTER = 8.0  # rounds: an overload shows again within seven, a stray does not
SHRINKS_EVERY = 0.1  # seconds: about a round trip, so that one jam counts once

STUCK_IN_A_ROW = 20
UNREACHABLE_IN_A_ROW = 3
LOOKS_BACK = 50
MOST_UNKNOWN = 25
FIRST_PROBE, LAST_PROBE = 5.0, 60.0  # seconds

_MOST_DOUBLINGS = 30.0  # beyond any ceiling

_BUSY = frozenset({429, 503})
CANNOT_CONNECT = frozenset(
    {
        FailureKind.UNKNOWN_HOST,
        FailureKind.CERTIFICATE,
        FailureKind.PROXY_REFUSAL,
        FailureKind.ADDRESS,
    }
)
"""What no repeat can change, and no time, as a rule."""


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
        self._rounds = 0.0  # since it was shrunk

    @property
    def size(self) -> int:
        """Whole rows; at least 1."""
        return int(self._size)

    @property
    def is_pushed_back(self) -> bool:
        """Tell whether it is smaller than it may be because it was shrunk."""
        return not self._is_starting and self.size < self._ceiling

    def grow(self) -> None:
        """Count a success: one more at once at first, later one more for a round.

        The longer nothing is pushed back the more for a round: what a stray refusal
        took is given back soon.
        """
        step = 1.0
        if not self._is_starting:
            self._rounds += 1.0 / self._size
            doublings = min(self._rounds / DOUBLES_AFTER, _MOST_DOUBLINGS)
            step = min(1.0, 2.0**doublings / self._size)
        self._size = min(float(self._ceiling), self._size + step)

    def shrink(self, now: float) -> None:
        """Make room, unless that was done just before."""
        if now - self._shrunk_at < SHRINKS_EVERY:
            return
        self._shrunk_at = now
        self._is_starting = False
        self._rounds = 0.0
        self._size = max(1.0, self._size * SHRINKS_BY)


class CircuitBreaker:
    """Whether the gateway is worth asking: open, it lets one row through to probe.

    It opens when nothing gets through any more, or when half of what is sent ends
    unknown: to go on would only add to the rows that somebody has to look after.

    Args:
        max_outage: Seconds; see `Limits`.

    Attributes:
        is_open: Rows are held back.
    """

    def __init__(self, max_outage: float = Limits().max_outage) -> None:
        self.is_open: bool = False
        self._max_outage = max_outage
        self._stuck = 0
        self._recent: deque[bool] = deque(maxlen=LOOKS_BACK)
        self._interval = 0.0
        self._probes_at = float("-inf")
        self._is_probing = False
        self._down_since: float | None = None

    @property
    def _ends_at(self) -> float:
        return (
            math.inf
            if self._down_since is None
            else self._down_since + self._max_outage
        )

    def is_worn_out(self, now: float) -> bool:
        """Tell whether nothing has got through for as long as is borne."""
        return now >= self._ends_at

    def wait(self, now: float) -> float:
        """Return the seconds until the next row may probe."""
        if not self.is_open:
            return 0.0
        return LAST_PROBE if self._is_probing else max(0.0, self._probes_at - now)

    def let_through(self) -> None:
        """Let a row go; while open it is the only one."""
        self._is_probing = self.is_open

    def leave_out(self, seconds: float) -> None:
        """Count no pause that the gateway asked for as a part of an outage."""
        if self._down_since is not None:
            self._down_since += seconds

    def note(self, outcome: Outcome, now: float) -> bool:
        """Learn from a row; tell whether it got through."""
        is_stuck, is_lost = is_pending(outcome), is_unanswered(outcome)
        self._stuck = self._stuck + 1 if is_stuck else 0
        self._recent.append(is_lost)
        got_through = not (is_stuck or is_lost)
        if got_through:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        if self.is_open and not self._is_probing:
            # It was under way when the breaker opened, and proves nothing new.
            return got_through
        self._is_probing = False
        if self.is_open and got_through:
            self.is_open = False
            self._recent.clear()
        elif self.is_open:
            self._probe_in(min(LAST_PROBE, 2 * self._interval), now)
        elif self._stuck >= STUCK_IN_A_ROW or (
            is_lost and sum(self._recent) >= MOST_UNKNOWN
        ):
            self._probe_in(FIRST_PROBE, now)
        return got_through

    def _probe_in(self, seconds: float, now: float) -> None:
        self.is_open = True
        self._interval = seconds
        # The last probe is not put off until after the end.
        self._probes_at = max(now, min(now + seconds, self._ends_at))


class Ending(Enum):
    """Why it makes no sense to go on."""

    PAUSE = auto()  # the gateway asked for more time than it is given
    OUTAGE = auto()  # nothing has got through for too long


@attrs.frozen(kw_only=True)
class PaceInfo:
    """How fast rows are sent at this moment, and what holds them back.

    Attributes:
        at_once: How many rows may be under way.
        ceiling: The most that were asked for.
        reason: What holds rows back; `None` if nothing does.
        next_look: Seconds until the next row may start.
    """

    at_once: int
    ceiling: int
    reason: str | None
    next_look: float

    def __str__(self) -> str:
        if self.reason is None:
            return ""
        words = f"held back: {self.at_once:,} of {self.ceiling:,}, {self.reason}"
        if self.next_look < 1:
            return words
        return f"{words}, next look in {self.next_look:,.0f} s"


class Pace:
    """What limit, breaker and the gateway's own word allow together.

    Args:
        limits: What was asked for.
        is_answered: Something was answered before.

    Attributes:
        is_answered: Something was answered.
        ending: Why it makes no sense to go on, once it does not.
    """

    def __init__(self, limits: Limits, *, is_answered: bool = False) -> None:
        self.limit: ConcurrencyLimit = ConcurrencyLimit(limits.concurrency)
        self.breaker: CircuitBreaker = CircuitBreaker(limits.max_outage)
        self.is_answered: bool = is_answered
        self.ending: Ending | None = None
        self._ceiling = limits.concurrency
        self._interval = 0.0 if limits.maximum_rps is None else 1 / limits.maximum_rps
        self._next_start = float("-inf")
        self._max_pause = limits.max_pause
        self._paused_until = float("-inf")
        self._asked = 0.0
        self._paused = 0.0  # seconds, since something got through
        self._unreachable = 0  # in a row
        self._reason = ""

    @property
    def looks_unreachable(self) -> bool:
        """Whether nothing was ever answered, and likely nothing will be.

        What is under way may still show that it is not: one bad server of three is
        found out sooner than two good ones answer.
        """
        return self._unreachable >= UNREACHABLE_IN_A_ROW and not self.is_answered

    @property
    def workers(self) -> int:
        """How many rows may be under way now."""
        if self.looks_unreachable:
            return 0
        return 1 if self.breaker.is_open else self.limit.size

    def wait(self, now: float) -> float:
        """Return the seconds until the next row may start."""
        return max(0.0, self._paused_until - now, self.breaker.wait(now))

    def info(self, now: float) -> PaceInfo:
        """Return what holds rows back."""
        reason = None
        if now < self._paused_until:
            reason = f"the gateway asked for {max(1, round(self._asked)):,} s"
        elif self.breaker.is_open:
            reason = self._reason
        elif self.limit.is_pushed_back:
            reason = "the gateway pushed back"
        return PaceInfo(
            at_once=self.workers,
            ceiling=self._ceiling,
            reason=reason,
            next_look=self.wait(now),
        )

    def reserve(self, now: float) -> float:
        """Take the next start that the rate allows; return the seconds until it."""
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        return start - now

    def pause(self, seconds: float, now: float) -> None:
        """Hold all rows for as long as the gateway asked."""
        until = now + seconds
        longer = until - max(now, self._paused_until)
        if longer <= 0:
            return
        self._paused_until, self._asked = until, seconds
        self._paused += longer
        self.breaker.leave_out(longer)
        if self._paused > self._max_pause:
            self.ending = self.ending or Ending.PAUSE

    def note_retry_after(self, signal: AttemptInfo | CallError, now: float) -> None:
        """Hold all rows, if the gateway asked for it as it refuses what comes too fast.

        Beside any other status it is about that one request.
        """
        if signal.http_status in _BUSY and signal.retry_after:
            self.pause(signal.retry_after, now)

    def note_attempt(self, attempt: AttemptInfo, now: float) -> None:
        """Learn from an attempt, whichever row it was made for."""
        if attempt.http_status is not None:
            self.is_answered = True
        self.note_retry_after(attempt, now)
        if (
            attempt.http_status in _BUSY
            or attempt.failure is FailureKind.CONNECT_TIMEOUT
        ):
            self.limit.shrink(now)

    def note(self, outcome: Outcome, now: float) -> None:
        """Learn from a row that is over."""
        got_through = self.breaker.note(outcome, now)
        error = outcome.error
        if error is None:
            self.is_answered = True
            self.limit.grow()
        elif isinstance(error, CallError):
            self._reason = error.reason
            self.is_answered |= error.http_status is not None
        if got_through:
            self._paused = 0.0
        elif self.breaker.is_worn_out(now):
            self.ending = self.ending or Ending.OUTAGE
        is_unreachable = (
            isinstance(error, NotSentError) and error.failure in CANNOT_CONNECT
        )
        self._unreachable = self._unreachable + 1 if is_unreachable else 0
