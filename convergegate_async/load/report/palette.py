"""The colours of a report, by what they mean: on paper, and in the dark.

Neighbours differ in lightness as much as in hue, for those who see no red or no green.
"""

from collections.abc import Mapping

from convergegate_async.load.report.data import Status

HEAT = 6
"""How many shades the heat map has."""

LIGHT: Mapping[str, str] = {
    "ground": "#f4f6f8",
    "paper": "#ffffff",
    "ink": "#17202b",
    "soft": "#55616f",
    "line": "#dde2e8",
    "good": "#0f7250",
    "bad": "#b3261e",
    "warn": "#8a5300",
    "plain": "#1d5fa8",
    "p50": "#0e93a0",
    "p90": "#1f4e9e",
    "p99": "#cf4a12",
    "ok": "#1d6fb8",
    "planned": "#6b7683",
    "rejected": "#d98200",
    "not_sent": "#2a9fd6",
    "unknown": "#a3258a",
    "failed": "#c8321f",
    "dropped": "#6b7683",
    "cut": "#a9b2bc",
    "heat0": "#d9e8f6",
    "heat1": "#b0cdea",
    "heat2": "#7dabd9",
    "heat3": "#4a82c3",
    "heat4": "#27569b",
    "heat5": "#122c5a",
}
DARK: Mapping[str, str] = {
    "ground": "#0f141a",
    "paper": "#171e26",
    "ink": "#e6ebf1",
    "soft": "#9eabb9",
    "line": "#2d3845",
    "good": "#55c999",
    "bad": "#ff8a7d",
    "warn": "#f0b65a",
    "plain": "#7fb4f2",
    "p50": "#3fb9c5",
    "p90": "#8fb2ff",
    "p99": "#ff9a5c",
    "ok": "#6cb0ee",
    "planned": "#97a3b0",
    "rejected": "#f2a93b",
    "not_sent": "#5cc3ef",
    "unknown": "#ec7fd0",
    "failed": "#ff7566",
    "dropped": "#97a3b0",
    "cut": "#5d6976",
    "heat0": "#1d3350",
    "heat1": "#265079",
    "heat2": "#3474a8",
    "heat3": "#569ecd",
    "heat4": "#92c7e6",
    "heat5": "#e3f3fc",
}
VARIABLES: Mapping[str, str] = {
    name: f"var(--{name.replace('_', '-')})" for name in LIGHT
}
"""By whose name a picture in a page asks for a colour."""


def declared(palette: Mapping[str, str]) -> str:
    """Return the custom properties of a style sheet."""
    return " ".join(
        f"--{name.replace('_', '-')}: {colour};" for name, colour in palette.items()
    )


def tone_of(status: Status) -> str:
    """Return the name of a status's colour."""
    match status:
        case Status.PASSED:
            return "good"
        case Status.MEASURED:
            return "plain"
        case Status.FAILED:
            return "bad"
        case Status.INVALID | Status.INCOMPLETE | Status.CUT_SHORT:
            return "warn"
