"""A report's pictures: drawn as it is written, so that nothing is fetched to see them.

Where the extra ``charts`` is not installed there are none, and the page has its tables.
"""

from itertools import islice

import attrs

from convergegate_async.load.report.charts.drawing import (
    Sheet,
    has_charts,
    libraries,
    png_from,
    svg_of,
)
from convergegate_async.load.report.charts.header import header_of
from convergegate_async.load.report.charts.pictures import OVER_TIME, pictures_of
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.palette import LIGHT, VARIABLES

__all__ = ["Chart", "charts_of", "has_charts", "png_of"]

_WIDE, _NARROW = 540, 240  # pixels without the axis: for desks, and for telephones
_CHAT = 860


@attrs.frozen(kw_only=True)
class Chart:
    """A picture, drawn for two widths.

    Attributes:
        title: What it shows.
        text: What it says, for those who do not see it.
        wide: SVG, whose colours are those of the page around it.
        narrow: The same for a telephone.
    """

    title: str
    text: str
    wide: str = attrs.field(repr=False)
    narrow: str = attrs.field(repr=False)


def charts_of(report: LoadReport) -> tuple[Chart, ...]:
    """Return the pictures that there is something to draw for.

    There are none where the extra ``charts`` is not installed.
    """
    if not has_charts():
        return ()
    end = _end_of(report)
    return tuple(
        Chart(
            title=one.title,
            text=one.text,
            wide=svg_of(one.draw(report, Sheet(VARIABLES, _WIDE, end))),
            narrow=svg_of(one.draw(report, Sheet(VARIABLES, _NARROW, end))),
        )
        for one in pictures_of(report)
        if one.has_data
    )


def png_of(report: LoadReport) -> bytes:
    """Return one picture of a run, for chats and pull requests; it needs ``charts``."""
    altair, _ = libraries()
    sheet = Sheet(LIGHT, _CHAT, _end_of(report))
    drawn = [
        one.draw(report, sheet).properties(title=one.title)
        for one in islice(pictures_of(report), OVER_TIME)
        if one.has_data
    ]
    whole = altair.vconcat(header_of(report, sheet), *drawn, spacing=22)
    whole = whole.resolve_scale(color="independent", strokeDash="independent")
    return png_from(whole, LIGHT)


def _end_of(report: LoadReport) -> int:
    return max((one.start + one.seconds for one in report.intervals), default=1)
