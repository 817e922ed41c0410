"""What stands above the pictures for chats: the verdict, and figures in large."""

from convergegate_async._core.plain_text import without_controls
from convergegate_async.load.recorder import Result
from convergegate_async.load.report.charts.drawing import Drawing, Sheet, libraries
from convergegate_async.load.report.data import SYMBOLS, LoadReport
from convergegate_async.load.report.palette import tone_of
from convergegate_async.load.report.series import WRONG
from convergegate_async.load.report.words import (
    NOTHING,
    spell_duration,
)

_MOST_REASONS = 4
_BESIDE = 0.6  # of the width, for words beside the verdict


def header_of(report: LoadReport, sheet: Sheet) -> Drawing:
    """Return the header of a run, as wide as the sheet."""
    altair, _ = libraries()
    colours, status, caveat = sheet.colours, report.status, report.caveat
    warning = () if caveat is None else (f"Do not quote these figures: {caveat}.",)
    notes = [*warning, *report.reasons[:_MOST_REASONS]]
    figures = _figures(report)
    step = sheet.width / len(figures)
    places = [number * step for number in range(len(figures))]
    band = altair.Chart(altair.Data(values=[{}])).mark_rect(
        color=colours[tone_of(status)], cornerRadius=8, x=0, x2=sheet.width, y=0, y2=52
    )
    paper = colours["paper"]
    return altair.layer(
        band,
        _written(
            [(16, 27, f"{SYMBOLS[status]}  {report.headline}")], paper, 20, bold=True
        ),
        _written(
            [(sheet.width - 16, 27, report.title)],
            paper,
            14,
            align="right",
            limit=sheet.width * _BESIDE,
        ),
        _written(
            [(x, 80, name) for x, (name, _) in zip(places, figures, strict=True)],
            colours["soft"],
            12,
        ),
        _written(
            [(x, 102, text) for x, (_, text) in zip(places, figures, strict=True)],
            colours["soft" if caveat else "ink"],
            18,
            bold=True,
        ),
        _written(
            [(0, 136 + 20 * number, note) for number, note in enumerate(notes)],
            colours[tone_of(status)],
            13,
            limit=sheet.width,
        ),
    ).properties(width=sheet.width, height=116 + 20 * len(notes))


def _figures(report: LoadReport) -> list[tuple[str, str]]:
    """Return what the header tells: its names and its figures."""
    counts, response = report.counts, report.recorder.total.response
    found = response.percentiles([50, 90, 99, 99.9])
    times = [
        (f"p{one:g}", spell_duration(seconds) if response else NOTHING)
        for one, seconds in found.items()
    ]
    wrong = sum(counts[one] for one in WRONG) - counts[Result.UNKNOWN]
    return [
        *times,
        ("max", spell_duration(response.longest) if response else NOTHING),
        ("planned", f"{report.planned:,}"),
        ("ok", f"{counts[Result.OK]:,}"),
        ("not ok", f"{wrong:,}"),
        ("unknown", f"{counts[Result.UNKNOWN]:,}"),
    ]


def _written(  # noqa: PLR0913 -- how words look
    places: list[tuple[float, float, str]],
    colour: str,
    size: int,
    *,
    bold: bool = False,
    align: str = "left",
    limit: float = 0,
) -> Drawing:
    altair, _ = libraries()
    rows = [{"x": x, "y": y, "text": without_controls(text)} for x, y, text in places]
    return (
        altair.Chart(altair.Data(values=rows))
        .mark_text(
            align=align,
            baseline="middle",
            color=colour,
            fontSize=size,
            fontWeight="bold" if bold else "normal",
            limit=limit,
        )
        .encode(
            x=altair.X("x:Q", scale=None, axis=None),
            y=altair.Y("y:Q", scale=None, axis=None),
            text="text:N",
        )
    )
