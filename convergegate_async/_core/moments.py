"""Times from text: whole epoch seconds, or ISO 8601 with a time zone."""

import re
from datetime import UTC, datetime

_EPOCH = re.compile("[0-9]{1,12}")


def read_moment(text: str) -> datetime:
    """Return the time that *text* tells.

    Raises:
        ValueError: It is something else, or has no time zone; says which.
    """
    if _EPOCH.fullmatch(text):
        return from_epoch(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = "is neither epoch seconds nor ISO 8601"
        raise ValueError(message) from None
    if moment.utcoffset() is None:
        message = "needs a time zone, such as 2026-12-24T18:00+01:00"
        raise ValueError(message)
    return moment


def from_epoch(seconds: int) -> datetime:
    """Return the time so many *seconds* after the epoch, in UTC.

    Raises:
        ValueError: It is outside of the calendar.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError):
        message = "is outside of the calendar"
        raise ValueError(message) from None
