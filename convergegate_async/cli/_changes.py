"""Commands that change something: whatever ends them, what they did is told."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from convergegate_async.errors import Outcome

from ._signals import interrupts
from ._streams import loss_of, print_data, print_note, standard_streams

if TYPE_CHECKING:
    import asyncio

    from convergegate_async import AttemptInfo, CallEnded

T = TypeVar("T")

INTERRUPTED = 130  # exit code


class Write:
    """What a command changes, if it does; it observes the call that does so.

    Attributes:
        doubt: What to tell of a call that may have been done; its key if `None`.
        news: What is to be told if the command cannot: a doubt, then the answer.
        is_told: Ctrl-C and SIGTERM are passed over: the news is being told, or all is
            over but the end of the process.
    """

    def __init__(self) -> None:
        self.doubt: str | None = None
        self.news: str | None = None
        self.is_told = False
        self._task: asyncio.Task[object] | None = None
        self._is_calling = False
        self._is_interrupted = False
        self._hears = False

    def attempt_ended(self, attempt: "AttemptInfo") -> None:
        """Wait for the whole call."""

    def call_ended(self, call: "CallEnded") -> None:
        """Remember it, unless it came to nothing; looks that follow say no more."""
        if self.news is None and call.outcome in {None, Outcome.UNKNOWN}:
            key = call.idempotency_key
            self.news = self.doubt or f"It may have been done. The key was {key}."

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Run *call*, and hear Ctrl-C and SIGTERM from now on.

        Until it is over they cancel it: then it is known what came of it.

        Raises:
            KeyboardInterrupt: One of them came; the next one ends the process.
        """
        import asyncio

        self._is_calling = self._hears = True
        for number in interrupts():
            signal.signal(number, self._interrupt)

        async def run() -> T:
            self._task = asyncio.current_task()
            try:
                if self._is_interrupted:
                    raise asyncio.CancelledError
                return await call()
            finally:
                self._task = None

        with suppress(asyncio.CancelledError):
            try:
                answer = asyncio.run(run())
            finally:
                self._is_calling = False
            if not self._is_interrupted:
                return answer
        raise KeyboardInterrupt

    def tell(self) -> None:
        """Tell the news on stderr; on stdout, if stderr is lost."""
        if self.news is not None:
            print_note(self.news)
            if loss_of(sys.stderr):
                print_data(self.news)

    def ignore_interrupts(self) -> None:
        """Pass over both, also while Python ends, where handlers are there no more."""
        self.is_told = True
        if self._hears:
            for number in interrupts():
                signal.signal(number, signal.SIG_IGN)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_told:
            return
        self._is_interrupted = True
        if not self._is_calling:
            self._end()
        elif self._task is not None:  # else its loop is only being made, or closed
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _end(self) -> NoReturn:
        """Tell the news, and end the process where it stands.

        An exception might not get out: one that is raised while an object is finalized
        is printed and ignored.
        """
        self.is_told = True
        # Fresh streams: the ones in use may be in the middle of a write.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        with standard_streams():
            self.tell()
            print_note("Interrupted.")
            os._exit(INTERRUPTED)


def telling(command: Callable[[Write], int]) -> int:
    """Return the exit code of *command*, which tells of the `Write` that it is given.

    Where it is interrupted, or fails by something unexpected, it is told here.
    """
    write = Write()
    try:
        return command(write)
    except BaseException as error:
        write.is_told = True  # first, as another signal would come in between
        write.tell()
        if not isinstance(error, KeyboardInterrupt | click.Abort):
            raise
        print_note("Interrupted.")
        return INTERRUPTED
    finally:
        write.ignore_interrupts()
