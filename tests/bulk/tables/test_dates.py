"""Local times in cells: what is read in which zone, and what may mean two moments."""

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from convergegate_async import InvalidFieldError
from convergegate_async.bulk.tables.dates import (
    check_date_format,
    find_date_format,
    find_zone,
    read_local,
)
from convergegate_async.bulk.tables.formats import SourceError

WARSAW = ZoneInfo("Europe/Warsaw")
ZONES = st.sampled_from(
    ["Europe/Warsaw", "Europe/London", "America/New_York", "Australia/Lord_Howe", "UTC"]
).map(ZoneInfo)
OFFSETS = [timedelta(minutes=minutes) for minutes in range(-720, 841, 30)]
FOUND = [
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d-%m-%Y %H:%M",
]
EXPLICIT = [
    "%m/%d/%Y %I:%M %p",
    "%Y-%m-%dT%H:%M",
    "%d.%m.%y %H:%M",
    "%d %b %Y %H%M",
    "%Y%m%d%H%M%z",
]
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001 -- in UTC
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
)


def read(
    text: str, date_format: str | None = None, zone: ZoneInfo = WARSAW
) -> datetime | None:
    """Return what is read, or `None` where it is refused."""
    try:
        return read_local("expires_at", text, date_format, zone)
    except InvalidFieldError:
        return None


class TestProperties:
    @given(MOMENTS, st.sampled_from(FOUND + EXPLICIT), ZONES)
    @example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), FOUND[0], WARSAW)
    def test_what_is_written_is_read(
        self, moment: datetime, date_format: str, zone: ZoneInfo
    ) -> None:
        """By its own format a time is the same moment, or clocks show it twice."""
        local = moment.astimezone(zone)

        text = local.strftime(date_format)

        twin = local.replace(fold=1 - local.fold)
        is_doubled = twin.utcoffset() != local.utcoffset() and "%z" not in date_format
        assert read(text, date_format, zone) == (None if is_doubled else moment)

    @given(MOMENTS, st.sampled_from(FOUND), st.integers(0, 59))
    def test_without_a_format_it_is_read_right_or_refused(
        self, moment: datetime, date_format: str, second: int
    ) -> None:
        """No time is ever another one, and refused where day and month may change."""
        moment = moment.replace(second=second)
        text = f"{moment.strftime(date_format)}:{second:02}"

        changes = date_format.startswith(("%d/", "%m/", "%d-"))
        is_sure = not changes or moment.day > 12 or moment.day == moment.month
        found = read(text, None, ZoneInfo("UTC"))
        assert found == (moment if is_sure else None)

    @given(st.lists(MOMENTS, min_size=1, max_size=5), st.sampled_from(FOUND))
    def test_a_column_never_shows_another_format(
        self, moments: list[datetime], date_format: str
    ) -> None:
        """What is found is the format that all was written by, or none."""
        texts = [moment.strftime(date_format) for moment in moments]
        sure = _EVE.strftime(date_format)

        assert find_date_format(texts) in {date_format, None}
        assert find_date_format([*texts, sure]) == date_format

    @given(
        st.text(max_size=20) | st.from_regex(r"[0-9./ :T-]{1,20}"),
        st.sampled_from([*FOUND, *EXPLICIT, None]),
    )
    @example("0001-01-01 00:00", None)
    @example("9999-12-31 23:59", None)
    def test_no_text_is_a_crash(self, text: str, date_format: str | None) -> None:
        """What is read is in UTC, and tells by the clocks there what was written."""
        for zone in (WARSAW, ZoneInfo("Etc/GMT+12")):
            moment = read(text, date_format, zone)

            assert moment is None or moment.utcoffset() == timedelta(0)

    @given(
        st.lists(
            st.sampled_from([f"%{letter}" for letter in "aAbBdHIjmMpSUVWwYyGuzf%"])
            | st.sampled_from(
                ["%Z", "%c", "%", "%Q", "%-d", "%s", ".", " ", "(", "\0"]
            ),
            max_size=8,
        ).map("".join),
        MOMENTS,
    )
    @example("%d.%m.%Y %H:%M %p", datetime(2026, 1, 1, 13, tzinfo=UTC))
    @example("%Y %j %H:%M", datetime(2026, 1, 1, 13, tzinfo=UTC))
    def test_a_format_that_is_taken_loses_nothing(
        self, date_format: str, moment: datetime
    ) -> None:
        """All moments survive it; no other directives are a crash."""
        with suppress(SourceError):
            check_date_format(date_format)
            text = moment.strftime(date_format)
            assert read(text, date_format, ZoneInfo("UTC")) == moment

    @given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), ZONES)  # noqa: DTZ001 -- local
    @example(datetime(2026, 3, 29, 2, 30), WARSAW)  # noqa: DTZ001 -- local
    def test_clocks_in_the_zone_show_what_was_written(
        self, local: datetime, zone: ZoneInfo
    ) -> None:
        """There is one moment whose local time is the text, or it is refused."""
        local = local.replace(second=0, microsecond=0)

        moment = read(local.isoformat(" ", "minutes"), None, zone)

        moments = [(local - offset).replace(tzinfo=UTC) for offset in OFFSETS]
        expected = {
            moment
            for moment in moments
            if moment.astimezone(zone).replace(tzinfo=None) == local
        }
        assert ({moment} if moment else set()) == (
            expected if len(expected) == 1 else set()
        )

    @given(st.text(max_size=20))
    @example("Europe")
    @example("../Europe/Warsaw")
    @example("x" * 5000)
    @example("\0")
    @example("")
    def test_no_name_of_a_zone_is_a_crash(self, name: str) -> None:
        """Folders, paths and long names are no zones."""
        assume(name not in {"UTC", "GMT"})

        with suppress(SourceError):
            assert find_zone(name).key == name


_EVE = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "31.12.2026 23:59",
        "31.12.2026 23:59:00",
        "31.12.2026  23:59",
        "31.12.2026, 23:59:00",
        "2026-12-31 23:59",
        "2026-12-31T23:59:00",
        "2026-12-31 23:59:00.000",
        "2026/12/31 23:59",
        "31/12/2026 23:59",
        "12/31/2026 23:59",
        "31-12-2026 23:59",
    ],
)
def test_what_means_one_time_needs_no_format(text: str) -> None:
    """Years first and dots have one order, and slashes if a part is above 12."""
    assert read(text) == datetime(2026, 12, 31, 22, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date_format", "hour"),
    [
        ("05/06/2026 09:05", "%d/%m/%Y %H:%M", datetime(2026, 6, 5, 7, 5, tzinfo=UTC)),
        ("05/06/2026 9:05", "%m/%d/%Y %H:%M", datetime(2026, 5, 6, 7, 5, tzinfo=UTC)),
        (
            "05/06/2026 9:05:30",
            "%m/%d/%Y %H:%M",
            datetime(2026, 5, 6, 7, 5, 30, tzinfo=UTC),
        ),
        ("5.5.2026 9:05", None, datetime(2026, 5, 5, 7, 5, tzinfo=UTC)),
        ("05/05/2026 9:05", None, datetime(2026, 5, 5, 7, 5, tzinfo=UTC)),
    ],
)
def test_the_format_tells_the_day_from_the_month(
    text: str, date_format: str | None, hour: datetime
) -> None:
    """Where both are the same there is nothing to tell."""
    assert read(text, date_format) == hour


@pytest.mark.parametrize(
    ("text", "date_format", "reason"),
    [
        ("05/06/2026 10:00", None, "its day or its month first.*--date-format"),
        ("31.12.2026", None, "must have a time of day"),
        ("2026-12-31", None, "must have a time of day"),
        ("31.12.2026", "%d.%m.%Y %H:%M", "must have a time of day"),
        ("31.12.26 23:59", None, "a year of four digits"),
        ("31.02.2026 10:00", None, "in the calendar and on the clock"),
        ("12.31.2026 10:00", None, "in the calendar and on the clock"),
        ("31.12.2026 24:00", None, "in the calendar and on the clock"),
        ("0001-01-01 00:00", None, "in the calendar and on the clock"),
        ("31.02.2026 10:00", "%d.%m.%Y %H:%M", "in the calendar and on the clock"),
        ("31/02/2026 10:00", "%d/%m/%Y %H:%M", "in the calendar and on the clock"),
        ("2026-02-31T10:00+01:00", None, "in the calendar and on the clock"),
        ("2026-02-31 10:00Z", "%d.%m.%Y %H:%M", "in the calendar and on the clock"),
        ("31.12.2026 10:00+01:00", None, "must be epoch seconds"),
        ("31.12-2026 10:00", None, r"or 31.12.2026 23:59, unless --date-format"),
        ("tomorrow", None, r"2026-12-31T23:59\+01:00 or 31"),
        ("10:00", None, "must be epoch seconds"),
        ("\uff13\uff11.12.2026 10:00", None, "must be epoch seconds"),
        ("12/31/2026 10:00", "%d/%m/%Y %H:%M", "must be a time like 31/12/2026 23:59"),
        ("2026-12-31 10:00", "%d.%m.%Y %H:%M", "must be a time like 31.12.2026 23:59"),
        ("29.03.2026 02:30", None, r"is skipped .* from UTC\+01:00 to UTC\+02:00: "),
        ("25.10.2026 02:30", None, r"comes twice .* from UTC\+02:00 to UTC\+01:00: "),
        ("25.10.2026 02:00", None, "comes twice"),
        ("29.03.2026 02:59:59", None, "is skipped"),
    ],
)
def test_what_is_no_moment_or_two_is_refused(
    text: str, date_format: str | None, reason: str
) -> None:
    """The reason names both readings, or what would be read, and never the cell."""
    with pytest.raises(InvalidFieldError, match=reason) as caught:
        read_local("expires_at", text, date_format, WARSAW)

    assert text not in str(caught.value)


def test_a_change_of_clocks_where_an_offset_is_none_is_seen() -> None:
    """In London winter is UTC itself."""
    with pytest.raises(InvalidFieldError, match=r"twice .* from UTC\+01:00 to UTC:"):
        read_local("expires_at", "25.10.2026 01:30", None, ZoneInfo("Europe/London"))


@pytest.mark.parametrize("text", ["29.03.2026 01:59:59", "29.03.2026 03:00"])
def test_the_times_beside_a_change_of_clocks_are_read(text: str) -> None:
    """Only those within are skipped."""
    assert read(text)


def test_without_a_zone_it_is_asked_for() -> None:
    """The machine's own is never taken: workers may have others."""
    with pytest.raises(InvalidFieldError, match="say which with --timezone"):
        read_local("expires_at", "31.12.2026 23:59", None, None)


@pytest.mark.parametrize(
    ("texts", "date_format"),
    [
        (["05/06/2026 10:00", "31/12/2026 10:00"], "%d/%m/%Y %H:%M"),
        (["05/06/2026 10:00", "12/31/2026 10:00:00"], "%m/%d/%Y %H:%M"),
        (["31.12.2026 23:59", "", "1798761540"], "%d.%m.%Y %H:%M"),
        (["2026-12-31 23:59", "2026-12-31T23:59Z"], "%Y-%m-%d %H:%M"),
        (["05/06/2026 10:00", "05/05/2026 10:00"], None),
        (["31/12/2026 10:00", "12/31/2026 10:00", "31/12/2026 10:00"], None),
        (["2026-12-31 23:59", "2026-12-31T23:59"], "%Y-%m-%d %H:%M"),
        (["31.12.2026 23:59", "2026-12-31 23:59"], None),
        (["31.12.2026", "tomorrow", "31.12.26 10:00"], None),
        ([], None),
    ],
)
def test_the_format_of_a_column_is_the_one_that_fits_all(
    texts: list[str], date_format: str | None
) -> None:
    """A part above 12 tells for all; what is no local time tells nothing."""
    assert find_date_format(texts) == date_format


@pytest.mark.parametrize("date_format", FOUND + EXPLICIT)
def test_a_format_that_tells_a_moment_is_taken(date_format: str) -> None:
    """All that are found are, too."""
    check_date_format(date_format)


@pytest.mark.parametrize(
    "date_format",
    [
        "%d.%m.%Y",
        "%d.%m. %H:%M",
        "%H:%M",
        "%d.%m.%Y %I:%M",
        "%d.%m.%Y %H:%M %p",
        "%d.%m.%Y %H:%M %Z",
        "%c",
        "%Y%m%d%H%M",
        "%d.%d.%m.%Y %H:%M",
        "%d.%m.%Y %H:%M %",
        "DD.MM.YYYY hh:mm",
        "",
    ],
)
def test_a_format_that_loses_a_part_is_refused(date_format: str) -> None:
    """So is one that goes by the machine's language or zone, or may be an epoch."""
    with pytest.raises(SourceError, match="must tell year, month, day, hour and"):
        check_date_format(date_format)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("europe/warsaw", "did you mean Europe/Warsaw"),
        ("Europe/Warszawa", "did you mean Europe/Warsaw"),
        ("localtime", "such as Europe/Warsaw"),
        ("right/Europe/Warsaw", "called right/Europe/Warsaw: did you mean Europe/W"),
        ("Europe", "such as Europe/Warsaw"),
        ("\x1b[2J", r"called '\\x1b\[2J'"),
        ("", "such as Europe/Warsaw"),
    ],
)
def test_what_is_no_zone_is_refused_with_a_hint(name: str, hint: str) -> None:
    """The machine's own is none, nor one that counts leap seconds."""
    with pytest.raises(SourceError, match=hint):
        find_zone(name)


def test_a_machine_without_zones_says_what_it_lacks() -> None:
    """Neither the system nor Python need have the list."""
    script = """
import sys
sys.modules["tzdata"] = None
from convergegate_async.bulk.tables.dates import find_zone
find_zone("Europe/Warsaw")
"""

    run = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-c", script],
        env={"PYTHONTZPATH": "", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.stderr.endswith("this machine has no time zones: pip install tzdata\n")
