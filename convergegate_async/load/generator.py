"""Sends what is due when it is due, and never waits for an answer before the next."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable

import attrs

from convergegate_async.factory import CheckoutSessionFactory

from .progress import TOO_MANY_ERRORS
from .recorder import Iteration, Recorder, Result
from .scenarios import Scenario
from .steps import UnderWay, current, judged, said
from .times import NANOSECONDS

_LONGEST_NAP = 0.1  # seconds, in which a stop is heard of
_MOST_AT_ONCE = 64  # sends, before answers are looked at again
_GRACE = 5.0


@attrs.frozen
class Clock:
    """How the time is told.

    Attributes:
        read: Nanoseconds that only go forward.
        tick: Seconds that timers of the loop may be late: epoll waits in milliseconds,
            and uvloop counts in them. The last of them are waited for awake.
    """

    read: Callable[[], int] = time.perf_counter_ns
    tick: float = 0.001


_CLOCK = Clock()


class Schedule:
    """What is planned, and has not been taken.

    Args:
        numbered: The numbers of iterations, and when they are due, in nanoseconds of
            the run and in their order.
        size: How many these are, if that is known.

    Attributes:
        due: When the next one is; `None` if all were taken.
    """

    def __init__(
        self, numbered: Iterable[tuple[int, int]], size: int | None = None
    ) -> None:
        self._rest = iter(numbered)
        self._size = size
        self._taken = self._number = 0
        self.due: int | None = None
        self._advance()

    def take(self) -> tuple[int, int]:
        """Return the number of the next one, and when it is due.

        Raises:
            IndexError: All were taken.
        """
        number, due = self._number, self.due
        if due is None:
            raise IndexError
        self._taken += 1
        self._advance()
        return number, due

    def cut(self) -> int:
        """Take all that is left, and return how many these are."""
        if self.due is None:
            return 0
        if self._size is None:
            left = 1 + sum(1 for _ in self._rest)
        else:
            left = self._size - self._taken
        self.due = None
        return left

    def _advance(self) -> None:
        self._number, self.due = next(self._rest, (0, None))


class Generator:
    """Runs a scenario when it is due.

    Args:
        scenario: What is run.
        checkout: An open factory, watched by a `StepWatch`.
        schedule: When.
        recorder: Where it is counted what became of it.
        most: How many may be under way at once; what is due beyond that is dropped.
        most_errors: So many errors stop it.
        grace: Seconds that what is under way has to end once the run was stopped.
        clock: How the time is told.
        hide: Takes out of what an error says what nobody is to see.

    Attributes:
        stopped: Why it was stopped; `None` if it was not.
    """

    def __init__(  # noqa: PLR0913 -- each is another thing that a run is made of
        self,
        scenario: Scenario,
        checkout: CheckoutSessionFactory,
        schedule: Schedule,
        recorder: Recorder,
        *,
        most: int,
        most_errors: int | None = None,
        grace: float = _GRACE,
        clock: Clock = _CLOCK,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._scenario = scenario
        self._checkout = checkout
        self._schedule = schedule
        self._recorder = recorder
        self._most = most
        self._errors_left = math.inf if most_errors is None else most_errors
        self._grace = grace
        self._clock = clock
        self._hide = hide
        self._start = self._ended = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cutting = False
        self.stopped: str | None = None

    @property
    def in_flight(self) -> int:
        """How many iterations are under way."""
        return len(self._tasks)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, until all was over."""
        now = self._ended or self._clock.read()
        return max(0, now - self._start) / NANOSECONDS

    def stop(self, why: str) -> None:
        """Send no more; the first reason stays."""
        self.stopped = self.stopped or why

    async def run(self, start: int) -> None:
        """Send all that is planned, and wait until it has ended.

        Every call ends by its own deadline, so this does, too.

        Args:
            start: When the run begins, by its clock.
        """
        self._start = start
        try:
            await self._send_all()
            await self._finish()
        finally:
            self._is_cutting = True
            for task in self._tasks:
                task.cancel()
            if self._tasks:  # a scenario that goes on nevertheless is not waited for
                await asyncio.wait(self._tasks, timeout=self._grace)
            self._ended = self._clock.read()
            self._recorder.cut(self._schedule.cut())

    async def _send_all(self) -> None:
        sent_at_once = 0
        while self.stopped is None and (due := self._schedule.due) is not None:
            early = self._start + due - self._clock.read()
            if early > 0 or sent_at_once == _MOST_AT_ONCE:
                sent_at_once = 0
                await self._nap(early / NANOSECONDS)
            else:
                sent_at_once += 1
                self._send(*self._schedule.take())

    async def _nap(self, seconds: float) -> None:
        """Sleep, but not too long: the last tick is waited for awake."""
        asleep = seconds - self._clock.tick
        await asyncio.sleep(min(max(0.0, asleep), _LONGEST_NAP))

    def _send(self, number: int, due: int) -> None:
        if self.in_flight >= self._most:
            self._recorder.record(
                Iteration(due=due, sent=None, ended=due, result=Result.DROPPED)
            )
            return
        task = asyncio.create_task(self._iterate(number, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _iterate(self, number: int, due: int) -> None:
        sent = self._clock.read() - self._start
        current.set(
            UnderWay(
                recorder=self._recorder,
                late=sent - due,
                clock=self._clock.read,
                is_cut=self._is_cut,
            )
        )
        raised: BaseException | None = None
        try:
            await self._scenario(self._checkout, number)
        except BaseException as error:
            raised = error  # whatever it is: the iteration is counted
            if self._is_cutting or isinstance(error, KeyboardInterrupt):
                raise
        finally:
            result, kind = judged(raised, is_cut=self._is_cutting)
            iteration = Iteration(
                due=due,
                sent=sent,
                ended=self._clock.read() - self._start,
                result=result,
                error=kind,
                example="" if kind is None else self._hide(said(raised)),
            )
            self._recorder.record(iteration)
            if kind is not None:
                self._note_error()

    def _note_error(self) -> None:
        self._errors_left -= 1
        if self._errors_left <= 0:
            self.stop(TOO_MANY_ERRORS)

    def _is_cut(self) -> bool:
        return self._is_cutting

    async def _finish(self) -> None:
        """Wait for what is under way: to its end, or for a while once stopped."""
        while self._tasks and self.stopped is None:
            await asyncio.wait(self._tasks, timeout=_LONGEST_NAP)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace)
