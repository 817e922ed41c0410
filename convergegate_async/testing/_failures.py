"""Why an app did not take a webhook, as a test that fails may tell it.

That is the class of an error, and its place: what its text holds may be of a person.
"""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_logger = logging.getLogger("convergegate_async.testing")
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Ear(logging.Handler):
    """Hears what a receiver says, in the log of this package, of the delivery here."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _logger.name:
            _tell_here(record.getMessage())


def _tell_here(what: str) -> None:
    heard = _heard.get()
    if heard is not None:
        heard.append(what)


@contextmanager
def listening() -> Iterator[None]:
    """Let `heard_here` hear something."""
    logger, ear = logging.getLogger("convergegate_async"), _Ear(logging.WARNING)
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)


@contextmanager
def heard_here() -> Iterator[list[str]]:
    """Collect what is said of a delivery by the task that is here, and by its own."""
    heard: list[str] = []
    before = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(before)


def is_heard() -> bool:
    """Tell whether this is done for a delivery."""
    return _heard.get() is not None


class Failures:
    """What an app raised: each is shown whole once, however often it comes again.

    Attributes:
        end: The first one that was no `Exception`, as that of ``pytest.fail()``.
    """

    def __init__(self) -> None:
        self._shown: set[str] = set()
        self.end: BaseException | None = None

    def note(self, error: BaseException) -> None:
        """Log *error*, and tell `heard_here` its class and place."""
        place = _describe(error)
        whole = place + "".join(traceback.format_exception_only(error))
        if whole in self._shown:
            _logger.error("the app failed at a webhook again: %s", place)
        else:
            _logger.error("the app failed at a webhook: %s", place, exc_info=error)
        self._shown.add(whole)
        _tell_here(place)
        if self.end is None and not isinstance(
            error, (Exception, asyncio.CancelledError)
        ):
            self.end = error


def _describe(error: BaseException) -> str:
    cause = error.__cause__ or error  # our routes raise some as another's cause
    name = type(cause).__name__
    places = [
        (frame.f_code, line)
        for frame, line in traceback.walk_tb(cause.__traceback__)
        if not frame.f_locals.get("__tracebackhide__")  # those of pytest.fail()
    ]
    for code, line in places[-1:]:
        return f"{name} in {code.co_name}, {Path(code.co_filename).name}:{line}"
    return name
