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

_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Ear(logging.Handler):
    """Hears what a receiver says, in the log of this package, of the delivery here."""

    def emit(self, record: logging.LogRecord) -> None:
        heard = _heard.get()
        if heard is not None:
            heard.append(record.getMessage())


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


class Failures:
    """What an app raised: each is shown whole once, however often it comes again."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, error: Exception) -> str:
        """Tell the event loop of *error*; return its class and place."""
        place = _describe(error)
        whole = place + "".join(traceback.format_exception_only(error))
        context: dict[str, object] = {"message": "the app failed at a webhook"}
        if whole in self._shown:
            context["message"] = f"the app failed at a webhook again: {place}"
        else:
            context["exception"] = error
        self._shown.add(whole)
        asyncio.get_running_loop().call_exception_handler(context)
        return place


def _describe(error: Exception) -> str:
    cause = error.__cause__ or error  # our routes raise some as another's cause
    name = type(cause).__name__
    for frame in traceback.extract_tb(cause.__traceback__, limit=-1):
        return f"{name} in {frame.name}, {Path(frame.filename).name}:{frame.lineno}"
    return name
