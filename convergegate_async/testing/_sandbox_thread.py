"""The thread that a sandbox lives on: how other threads and loops get work done."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox import Sandbox

SANDBOX_THREAD = "convergegate sandbox"

T = TypeVar("T")

Work = Callable[[Sandbox], Coroutine[None, None, T]]


@attrs.frozen
class _Home:
    """Where a running sandbox lives."""

    loop: asyncio.AbstractEventLoop
    sandbox: Sandbox
    closing: asyncio.Event


class SandboxThread:
    """Runs a sandbox from `start` to `stop`; it may be started again.

    Args:
        make: Makes the sandbox of a start.
    """

    def __init__(self, make: Callable[[], Sandbox]) -> None:
        self._make = make
        self._home: _Home | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Return once the sandbox listens.

        Raises:
            ConfigurationError: It runs already, or cannot listen.
        """
        if self._home is not None:
            message = "the sandbox is running already"
            raise ConfigurationError(message)
        listening: Future[_Home] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)),
            name=SANDBOX_THREAD,
            daemon=True,  # who forgets to leave it shall not hang at the end
        )
        self._thread.start()
        self._home = listening.result()

    def stop(self) -> None:
        """Return once the thread is over.

        Raises:
            ConfigurationError: It does not run.
        """
        home, self._home = self._running(), None
        home.loop.call_soon_threadsafe(home.closing.set)
        if self._thread is not None:
            self._thread.join()

    async def _serve(self, listening: "Future[_Home]") -> None:
        closing = asyncio.Event()
        try:
            async with self._make() as sandbox:
                home = _Home(asyncio.get_running_loop(), sandbox, closing)
                listening.set_result(home)
                await closing.wait()
        except Exception as error:
            if listening.done():
                raise
            listening.set_exception(error)  # who starts it is waiting

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox, for what any thread may ask of it.

        Raises:
            ConfigurationError: It does not run.
        """
        return self._running().sandbox

    def _running(self) -> _Home:
        if self._home is None or self._thread is None:
            message = "the sandbox is not running: use `with`"
            raise ConfigurationError(message)
        if not self._thread.is_alive():
            message = "the sandbox runs in the process that entered it, not in a fork"
            raise ConfigurationError(message)
        return self._home

    def do(self, work: Callable[[Sandbox], T]) -> T:
        """Do what takes no time."""

        async def done(sandbox: Sandbox) -> T:
            return work(sandbox)

        return self._submit(done).result()

    def block(self, work: Work[T]) -> T:
        """Wait for what a shop may have to answer to.

        Raises:
            ConfigurationError: It was called on an event loop.
        """
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            message = (
                "it would block this event loop, and a shop on it: await the fixture "
                "of this name, or asyncio.to_thread(...)"
            )
            raise ConfigurationError(message)
        future = self._submit(work)
        try:
            return future.result()
        finally:
            future.cancel()  # where Ctrl-C has ended it

    async def awaited(self, work: Work[T]) -> T:
        """Await what a shop on this event loop may have to answer to."""
        return await asyncio.wrap_future(self._submit(work))

    def _submit(self, work: Work[T]) -> "Future[T]":
        home = self._running()
        return asyncio.run_coroutine_threadsafe(work(home.sandbox), home.loop)
