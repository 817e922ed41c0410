"""What a running sandbox tells on stderr: requests, webhooks, and what is done by hand.

A line each, in columns. On a narrow terminal what follows them stands below, and is
broken between words alone; elsewhere, as in the log of a container, no line is broken.
"""

import os
import sys
import textwrap
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from ._streams import print_note, printable

if TYPE_CHECKING:
    from convergegate_async.sandbox import Delivery, SeenAction, SeenRequest

_INDENT = " " * len("10:04:12  200  ")
_WHAT = len("> session.completed")
_ID = 22  # characters of a session's id


def print_request(seen: "SeenRequest") -> None:
    """Print a request, and what it was answered."""
    notes = [
        *(["from memory"] if seen.replayed else []),
        *([f"fault: {seen.fault}"] if seen.fault else []),
        *([f"key {seen.idempotency_key}"] if seen.idempotency_key else []),
        *([] if seen.session_id else [f"{seen.method} {seen.path}"]),
    ]
    about = seen.session_id or ""
    _print(seen.at, seen.status, _Subject(seen.operation, about), notes)


def print_delivery(delivery: "Delivery", now: float) -> None:
    """Print a webhook's try, or that there is none, and when the next one is due.

    Args:
        delivery: The event on its way.
        now: What the gateway's clock shows.
    """
    notes = [
        *([f"try {delivery.attempt}"] if delivery.attempt > 1 else []),
        *([f"fault: {delivery.fault}"] if delivery.fault else []),
        *([delivery.note] if delivery.note else []),
    ]
    if delivery.next_try is not None:
        notes.append(f"next try {_time(delivery.next_try, now)}")
    subject = _Subject(f"> {delivery.event.type}", delivery.event.session_id)
    _print(now, delivery.status, subject, notes)


def print_action(action: "SeenAction") -> None:
    """Print what was done by a page, or by the control API."""
    by_api = action.path.startswith("/sandbox/api/")
    notes = [
        "by the control API" if by_api else "by a page",
        *([] if action.session_id else [f"{action.method} {action.path}"]),
    ]
    about = action.session_id or ""
    subject = _Subject(f"* {action.name}", about, bad_from=400)  # a page leads on
    _print(action.at, action.status, subject, notes)


@attrs.frozen
class _Subject:
    """What a line is about, and from which status on it is no success."""

    what: str
    session_id: str
    bad_from: int = 300


def _print(at: float, status: int | None, subject: _Subject, notes: list[str]) -> None:
    is_good = status is not None and status < subject.bad_from
    head = f"{_time(at)}  {status or '---'}  {subject.what:{_WHAT}}"
    head = f"{head}  {subject.session_id:{_ID}}"
    tail = printable(", ".join(notes))
    line = f"{head}  {tail}".rstrip()
    width = _width()
    if width is not None and len(line) > width:
        below = textwrap.wrap(
            tail,
            max(width, len(_INDENT) + 1),
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        line = "\n".join([head.rstrip(), *below])
    print_note(line, None if is_good else "yellow")


def _time(moment: float, now: float | None = None) -> str:
    """Return a time of this machine's zone, with its day if *now* is on another."""
    try:
        when = datetime.fromtimestamp(moment, UTC).astimezone()
        today = None if now is None else datetime.fromtimestamp(now, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return "--:--:--"  # a clock was moved out of the calendar
    is_today = today is None or today.date() == when.date()
    return when.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def _width() -> int | None:
    """Return how wide the terminal is; `None` where there is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns):
        return int(columns)
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    return None
