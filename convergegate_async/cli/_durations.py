"""How long, and until when, in the words of an option."""

import re
from datetime import datetime, time, timedelta

import click

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_TIME = re.compile("[0-9]{2}:[0-9]{2}")
_UNITS = {"ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3_600.0}

LONGEST = 10 * 366 * 86_400.0
"""Ten years in seconds: what is added to a moment still is one."""


def parse_duration(text: str) -> float:
    """Return the seconds of ``60s``, ``500ms``, ``2m``, ``1h`` or ``60``.

    Raises:
        click.BadParameter: It is no duration, or longer than `LONGEST`.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        message = "a duration is a number and a unit, as in 60s, 500ms, 2m or 1h"
        raise click.BadParameter(message)
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST:
        message = f"a duration is at most {LONGEST / 3_600:,.0f}h"
        raise click.BadParameter(message)
    return seconds


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the next ``18:00``, local time, or a whole ``2026-12-01T18:00``.

    Raises:
        click.BadParameter: It is neither.
    """
    try:
        if _TIME.fullmatch(text):
            # The clock may be changed before: the zone is that of the moment itself.
            moment = datetime.combine(now, time.fromisoformat(text))
            if moment.astimezone() <= now:
                moment += timedelta(days=1)
            return moment.astimezone()
        if "T" in text:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.astimezone()
    except ValueError:
        pass
    message = "a moment is a time of day such as 18:00, or 2026-12-01T18:00"
    raise click.BadParameter(message)
