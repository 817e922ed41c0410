"""What all pictures share: paper, axes, legends and manners.

The only module that knows altair and vl-convert (extra ``charts``).
"""

import functools
import math
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any, TypeAlias

import attrs

from convergegate_async.load.report.palette import VARIABLES
from convergegate_async.load.report.series import Row

Palette: TypeAlias = Mapping[str, str]
Drawing: TypeAlias = Any  # of altair

HEIGHT = 210
"""Of a picture without its axes, in pixels."""

_ROOM = {"left": 10, "right": 10, "top": 2, "bottom": 2}
"""The page's font may be wider than that of the machine on which this was drawn."""

_FONT = "Helvetica Neue, Segoe UI, Arial, Liberation Sans, DejaVu Sans, sans-serif"
_SPELLED = (
    "datum.value >= 1 ? format(datum.value, ',~g') + ' s' : datum.value >= 1e-3 "
    "? format(datum.value * 1e3, '~g') + ' ms' "
    ": format(datum.value * 1e6, '~g') + ' µs'"
)
_MOMENTS = frozenset({"time", "start", "end"})


@attrs.frozen
class Sheet:
    """What a picture is drawn on.

    Attributes:
        colours: By what they mean.
        width: Of the plot without its axis, in pixels.
        end: Seconds that the axis of time ends at.
    """

    colours: Palette
    width: int
    end: float

    @property
    def unit(self) -> tuple[str, int]:
        """What time is told in, and how many seconds that is."""
        if self.end <= 180:  # noqa: PLR2004 -- three minutes
            return "seconds", 1
        return ("minutes", 60) if self.end <= 3 * 3_600 else ("hours", 3_600)


def has_charts() -> bool:
    """Tell whether what draws is installed."""
    return all(map(find_spec, ("altair", "vl_convert")))


@functools.cache
def libraries() -> tuple[Any, Any]:
    """Return altair and vl-convert, which take half a second to import."""
    import altair  # noqa: ICN001, PLC0415 -- both of the extra `charts`
    import vl_convert  # noqa: PLC0415

    return altair, vl_convert


def chart_of(rows: Iterable[Row], sheet: Sheet) -> Drawing:
    """Return a chart of *rows*, whose times are told in the sheet's unit."""
    altair, _ = libraries()
    _, size = sheet.unit
    scaled = [
        {
            key: value / size
            if key in _MOMENTS and isinstance(value, int | float)
            else value
            for key, value in row.items()
        }
        for row in rows
    ]
    return altair.Chart(altair.Data(values=scaled)).properties(
        width=sheet.width, height=HEIGHT
    )


def time_axis(field: str, sheet: Sheet) -> Drawing:
    """Return an axis of time since the start, in the sheet's unit."""
    altair, _ = libraries()
    unit, size = sheet.unit
    return altair.X(
        field,
        title=f"{unit} since the start",
        scale={"domain": [0, sheet.end / size], "nice": False},
        axis={"tickCount": max(3, sheet.width // 90), "format": ",~r"},
    )


def duration_axis(
    field: str,
    rows: Iterable[Row],
    sheet: Sheet,
    *,
    keys: Iterable[str] = ("seconds",),
    across: bool = False,
) -> Drawing:
    """Return a logarithmic axis of durations, with ticks that people count in."""
    altair, _ = libraries()
    values = [
        value for row in rows for key in keys if isinstance(value := row[key], float)
    ]
    domain = _around(min(values), max(values))
    ticks = _ticks(*domain, most=sheet.width // 80 if across else 6)
    axis = {"values": ticks, "labelExpr": _SPELLED, "title": None}
    scale = {"type": "log", "domain": domain, "nice": False}
    return (altair.X if across else altair.Y)(field, scale=scale, axis=axis)


def _around(least: float, most: float) -> tuple[float, float]:
    """Return round figures, one at most *least* and one at least *most*."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 2)
    every = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    low = max(one for one in every if one <= least or one == every[0])
    return low, min(one for one in every if one >= most and one > low)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Return 1, 2, 5, 10, ... between both, or fewer of them where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        every = (digit * 10.0**power for power in powers for digit in digits)
        ticks = [one for one in every if low <= one <= high]
        if len(ticks) <= most:
            break
    return ticks[:: math.ceil(len(ticks) / most)]


def legend_of(
    field: str,
    colours: Mapping[str, str],
    sheet: Sheet,
    *,
    symbol: str = "stroke",
    title: str | None = None,
) -> Drawing:
    """Return colours by what they mean, told above the picture."""
    altair, _ = libraries()
    return altair.Color(
        field,
        scale={
            "domain": list(colours),
            "range": [sheet.colours[name] for name in colours.values()],
        },
        legend={
            "title": title,
            "symbolType": symbol,
            "symbolStrokeWidth": 3 if symbol == "stroke" else 0,
            "columns": sheet.width // 80,
        },
    )


def finished(picture: Drawing, colours: Palette) -> Drawing:
    """Return a picture with the manners that all of them have."""
    ink, soft, line = colours["ink"], colours["soft"], colours["line"]
    return picture.configure(
        font=_FONT,
        background=colours.get("background", "transparent"),
        aria=False,  # a picture in a page has one name, and not one for each cell
        view={"stroke": None},
        axis={
            "domainColor": line,
            "gridColor": line,
            "tickColor": line,
            "labelColor": soft,
            "titleColor": soft,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        axisX={"grid": False, "labelFlush": True},
        axisY={"ticks": False, "domain": False, "labelPadding": 6},
        legend={
            "orient": "top",
            "labelColor": ink,
            "labelFontSize": 11.5,
            "titleColor": soft,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titleOrient": "left",
            "titlePadding": 10,
            "symbolSize": 110,
            "offset": 6,
            "columnPadding": 14,
        },
        title={
            "anchor": "start",
            "frame": "group",
            "color": ink,
            "fontSize": 14,
            "fontWeight": "bold",
            "offset": 8,
        },
    )


def svg_of(picture: Drawing) -> str:
    """Return a picture whose colours are those of the page around it."""
    _, convert = libraries()
    spec = finished(picture.properties(padding=_ROOM), VARIABLES)
    svg: str = convert.vegalite_to_svg(spec.to_json())
    return svg


def png_from(picture: Drawing, colours: Palette) -> bytes:
    """Return a picture on paper."""
    _, convert = libraries()
    on_paper = {**colours, "background": colours["paper"]}
    spec = finished(picture.properties(padding=24), on_paper)
    png: bytes = convert.vegalite_to_png(spec.to_json(), scale=1.5)
    return png
