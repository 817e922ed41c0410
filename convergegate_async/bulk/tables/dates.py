"""Times as spreadsheets write them, in a time zone that somebody has named.

It does not use dateutil: its parser takes what a text lacks from today, and has month
and day change places where they do not fit. A link's end must not be guessed.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from convergegate_async.errors import ConfigurationError, InvalidFieldError

from .formats import SourceError

_LOCAL = re.compile(
    r"([0-9]{4}|[0-9]{1,2})([-./])([0-9]{1,2})\2([0-9]{4}|[0-9]{1,2})"
    r"(?:(T|,? +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?)?"
)
_OFFSET = re.compile("(?<=:[0-9]{2})(?:Z|[+-][0-9]{2}:?[0-9]{2})$")
_YEAR = 4  # digits
_EXAMPLE = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
_SAMPLES = (_EXAMPLE, datetime(2027, 2, 1, 3, 4, tzinfo=UTC))

_TWO_READINGS = (
    "may have its day or its month first: say which with --date-format, such as "
    "%d/%m/%Y %H:%M"
)
NO_TIME_OF_DAY = (
    "must have a time of day, such as 24.12.2026 18:00: a date has two ends"
)
_SHORT_YEAR = (
    "must have a year of four digits, unless --date-format tells, such as "
    "%d.%m.%y %H:%M"
)
_NO_SUCH_TIME = "must be a time that is in the calendar and on the clock"
_NO_TIME = (
    "must be epoch seconds or a time such as 2026-12-31T23:59+01:00 or "
    "31.12.2026 23:59, unless --date-format tells"
)
_NO_ZONE = "needs a time zone: say which with --timezone, such as Europe/Warsaw"


# -- options -----------------------------------------------------------------------

_OF_THE_MACHINE = {
    "Factory",
    "localtime",
    "posixrules",
}  # other moments on other machines
_COUNTS_OTHERWISE = ("posix/", "right/")  # the latter with leap seconds


def find_zone(name: str) -> ZoneInfo:
    """Return the time zone called *name*, such as ``Europe/Warsaw``.

    Raises:
        SourceError: There is none.
        ConfigurationError: This machine knows none at all.
    """
    if name not in _OF_THE_MACHINE and not name.startswith(_COUNTS_OTHERWISE):
        with suppress(KeyError, ValueError, OSError):  # as for a folder or a long name
            return ZoneInfo(name)
    known = [zone for zone in available_timezones() if not zone.startswith("Etc/")]
    if not known:
        message = "this machine has no time zones: pip install tzdata"
        raise ConfigurationError(message)
    shown = name[:60] if name.isprintable() else ascii(name[:60])
    places = [zone for zone in known if "/" in zone]
    similar = get_close_matches(name[:60], places, 1, 0.81)
    hint = f"did you mean {similar[0]}?" if similar else "such as Europe/Warsaw"
    message = f"no time zone is called {shown}: {hint}"
    raise SourceError(message)


def check_date_format(date_format: str) -> None:
    """Refuse directives of `datetime.strptime` that do not tell a whole moment.

    Raises:
        SourceError: They lack a part of it, are all figures, or depend on the machine's
            language or time zone.
    """
    directives = {*re.findall("%(.)", date_format, re.DOTALL)}
    has_year = bool(directives & {*"GYy"})  # else strptime would warn
    ignores_half = {*"Hp"} <= directives  # 11:59 PM would be read as 11:59
    if has_year and not ignores_half and not directives & {*"Zcx"}:
        # re.error: a directive that is repeated.
        with suppress(ValueError, re.error):
            texts = [sample.strftime(date_format) for sample in _SAMPLES]
            read = [datetime.strptime(text, date_format) for text in texts]  # noqa: DTZ007 -- the zone is another option
            is_whole = [moment.replace(tzinfo=UTC) for moment in read] == [*_SAMPLES]
            if is_whole and not texts[0].isdigit():  # as epoch seconds are
                return
    message = (
        "date_format must tell year, month, day, hour and minute, with a sign between "
        "them, such as %d.%m.%Y %H:%M"
    )
    raise SourceError(message)


# -- columns and cells -------------------------------------------------------------


def find_date_format(texts: Iterable[str]) -> str | None:
    """Return the format by which all times of a column can be read, if it is one.

    Days and months change places where slashes or dashes come before the year, so that
    one time with a part above 12 tells for all.

    Args:
        texts: Cells of the column, such as those of its first thousand rows. Those with
            a time zone, and whatever else is no local time, tell nothing.

    Returns:
        Directives of `datetime.strptime` without seconds, such as ``%d.%m.%Y %H:%M``;
        `None` where no text tells, where two formats fit or several are needed.
    """
    shared: set[str] = set()
    for readings in filter(None, map(_readings, filter(None, texts))):
        shared = shared & readings.keys() if shared else {*readings}
        if not shared:
            return None
    return shared.pop() if len(shared) == 1 else None


def read_local(
    field: str, text: str, date_format: str | None, zone: ZoneInfo | None
) -> datetime:
    """Return the moment, in UTC, at which clocks in *zone* show *text*.

    Args:
        field: What the time is for.
        text: A local time; `read_moment` reads those that need no zone.
        date_format: What `find_date_format` found, seconds being optional, or any that
            `check_date_format` takes. `None` reads ISO 8601, other dates that begin
            with the year, those with dots day first, and slashes where only one order
            fits.
        zone: The time zone; `None` refuses all that has none.

    Raises:
        InvalidFieldError: It is no such time, may be two, or has no time of day; or a
            change of clocks skips it or has it twice.
    """
    readings = _readings(text)
    if date_format is None:
        moments = {*readings.values()}
    else:
        reading = readings.get(date_format) or _parsed(text, date_format)
        moments = {reading} if reading else set()
    if len(moments) != 1:
        reason = _TWO_READINGS if moments else _unread(text, date_format)
        raise InvalidFieldError(field, reason)
    return in_zone(field, moments.pop(), zone)


def _readings(text: str) -> dict[str, datetime]:
    """Return what *text* may mean, by format."""
    match = _LOCAL.fullmatch(text)
    if match is None or match[5] is None:
        return {}
    hour, minute, second = match.group(6, 7, 8)
    readings: dict[str, datetime] = {}
    for date_format, date in _orders(match).items():
        year, month, day = map(int, date)
        with suppress(ValueError):
            readings[date_format] = datetime(  # noqa: DTZ001 -- its zone comes later
                year, month, day, int(hour), int(minute), int(second or 0)
            )
    return readings


def _orders(match: re.Match[str]) -> dict[str, tuple[str, str, str]]:
    """Return what may be year, month and day, by format."""
    first, sign, middle, last = match.group(1, 2, 3, 4)
    if len(first) == _YEAR:
        return {f"%Y{sign}%m{sign}%d %H:%M": (first, middle, last)}
    if len(last) != _YEAR:
        return {}
    orders = {f"%d{sign}%m{sign}%Y %H:%M": (last, middle, first)}
    if sign != ".":
        orders[f"%m{sign}%d{sign}%Y %H:%M"] = (last, first, middle)
    return orders


def _parsed(text: str, date_format: str) -> datetime | None:
    try:
        return datetime.strptime(text, date_format)  # noqa: DTZ007 -- the zone comes later
    except ValueError:
        return None


def _unread(text: str, date_format: str | None) -> str:
    """Return why *text* is no time."""
    local = _OFFSET.sub("", text)
    match = _LOCAL.fullmatch(local)
    if match is not None and match[5] is None:
        return NO_TIME_OF_DAY
    is_spelled_so = match is not None and (
        local != text or date_format in _orders(match)
    )
    if is_spelled_so and not _readings(local):
        return _NO_SUCH_TIME
    if date_format is not None:
        return f"must be a time like {_EXAMPLE.strftime(date_format)}"
    if match is None or local != text:
        return _NO_TIME
    has_year = _YEAR in {len(match[1]), len(match[4])}
    return _NO_SUCH_TIME if has_year else _SHORT_YEAR


def in_zone(field: str, moment: datetime, zone: ZoneInfo | None) -> datetime:
    """Return *moment* in UTC, which needs no list of zones wherever it is sent.

    Args:
        field: What the time is for.
        moment: It is in *zone* if it names none itself.
        zone: `None` refuses a moment that has none.

    Raises:
        InvalidFieldError: A change of clocks skips the moment or has it twice.
    """
    if moment.tzinfo is None:
        if zone is None:
            raise InvalidFieldError(field, _NO_ZONE)
        both = [zone.utcoffset(moment.replace(fold=fold)) for fold in (0, 1)]
        before, after = (offset or timedelta() for offset in both)
        if before != after:
            raise InvalidFieldError(field, _no_one_moment(before, after))
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise InvalidFieldError(field, _NO_SUCH_TIME)


def _no_one_moment(before: timedelta, after: timedelta) -> str:
    """Return how a change of clocks between two offsets skips or doubles a time."""
    how = "comes twice as clocks go" if before > after else "is skipped by clocks"
    return (
        f"{how} from {timezone(before)} to {timezone(after)}: write it in ISO 8601 "
        "with one of these"
    )
