"""From open to closed: who may call when, and what closing waits for."""

import asyncio
import logging
import os
from contextlib import suppress

from convergegate_async._transport import Transport
from convergegate_async.errors import ConfigurationError

_logger = logging.getLogger("convergegate_async")


class Lifecycle:
    """The lifecycle of a factory, on one event loop of one process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closed = False
        self._running: set[object] = set()
        self._drained = asyncio.Event()
        self._gone = asyncio.Event()
        self._wakers: set[asyncio.Event] = set()
        self._left_unknown: list[str] = []
        self.cut = False

    @property
    def state(self) -> str:
        """Tell in a word whether calls can be made."""
        if self._closed:
            return "closed"
        return "unopened" if self._loop is None else "open"

    async def open(self) -> None:
        """Get ready on the running event loop."""
        if self.state != "unopened":
            message = f"a factory is opened once, and this one is {self.state}"
            raise ConfigurationError(message)
        await self._transport.open()
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()

    def require_open(self) -> None:
        """Refuse a call that cannot be made here and now."""
        if self._loop is None or self._closed:
            message = (
                f"the factory is {self.state}: make calls inside `async with`, "
                "or between open() and aclose()"
            )
            raise ConfigurationError(message)
        self._require_home()

    def enter(self, call: object) -> None:
        """Count *call* among those that closing waits for."""
        self._running.add(call)

    def leave(self, call: object) -> None:
        """Let closing go on without *call*."""
        self._running.discard(call)
        if self._closed and not self._running:
            with suppress(RuntimeError):  # collected: the loop was closed before
                self._drained.set()

    def add_waker(self, waker: asyncio.Event) -> None:
        """Have *waker* set when calls are cut."""
        self._wakers.add(waker)

    def remove_waker(self, waker: asyncio.Event) -> None:
        """Forget *waker*."""
        self._wakers.discard(waker)

    def note_unknown(self, key: str | None) -> None:
        """Remember the key of a call that closing left in doubt."""
        if self._closed and key is not None:
            self._left_unknown.append(key)

    async def aclose(self, drain: float) -> tuple[str, ...]:
        """Refuse new calls, let running ones finish for *drain* seconds, cut the rest.

        Whoever calls it again waits for the same end. Cancelled, it drains no longer,
        and ends all the same.

        Returns:
            The idempotency keys of the calls whose outcome was left unknown.
        """
        if self._loop is None:
            self._closed = True
            return ()
        self._require_home()
        if self._closed:
            await self._gone.wait()
            return tuple(self._left_unknown)
        self._closed = True
        try:
            if self._running and drain > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(drain):
                        await self._drained.wait()
        finally:
            # Also when the draining is cancelled: nothing may be left open.
            await self._end()
        return tuple(self._left_unknown)

    async def _end(self) -> None:
        """Cut what is under way, and close the pool, however often it is cancelled."""
        self.cut = True
        for waker in self._wakers:
            waker.set()
        cancelled = None
        try:
            while not self._gone.is_set():
                try:
                    await self._transport.aclose()
                    if self._running:
                        await self._drained.wait()
                    self._gone.set()
                except asyncio.CancelledError as error:
                    cancelled = error  # all that was cut ends soon: nobody waits long
        finally:
            self._gone.set()
            self._tell_unknown()
        if cancelled is not None:
            raise cancelled

    def _tell_unknown(self) -> None:
        if self._left_unknown:
            _logger.warning(
                "the factory was closed before these calls were answered; "
                "their outcome is unknown; idempotency keys: %s",
                ", ".join(self._left_unknown),
            )

    def _require_home(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None  # as after a fork in a coroutine, which goes on in the child
        if loop is self._loop:
            return
        message = "the factory was opened on another event loop: open one on each"
        if os.getpid() != self._pid:
            message = "the factory was opened before a fork: open one in each process"
        raise ConfigurationError(message)
