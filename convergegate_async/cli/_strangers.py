"""What strangers do to a running sandbox, told in a line and not in tracebacks.

Whoever can reach its port can fill its log: by what is no HTTP, or by more connections
than a process may have. asyncio and aiohttp tell each with a traceback of its own.
"""

import asyncio
import logging
from contextlib import suppress

from ._streams import print_note

_FULL = "socket.accept() out of system resource"
_MOST_FILES = 65_536


def expect_strangers() -> None:
    """Prepare this process, and the running loop, for what others may send it."""
    _take_more_files()
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    asyncio.get_running_loop().set_exception_handler(_Crowd())


def _take_more_files() -> None:
    """Let the process have as many connections as it may: 1,024 are soon taken."""
    with suppress(ImportError, OSError, ValueError):  # not on Windows, or not allowed
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell whether a record is not about a request that is no HTTP."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not kind.__module__.startswith("aiohttp.http")


class _Crowd:
    """Says once that there are too many connections; all else as ever."""

    def __init__(self) -> None:
        self._is_said = False

    def __call__(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, object]
    ) -> None:
        if context.get("message") != _FULL:
            loop.default_exception_handler(context)
        elif not self._is_said:
            self._is_said = True
            print_note("Too many connections: others wait until some are closed.")
