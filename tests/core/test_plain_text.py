"""Texts that anybody may have written."""

import pytest

from convergegate_async._core.plain_text import without_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zażółć\tgęślą\njaźń \U0001f600", "Zażółć\tgęślą\njaźń \U0001f600"),
        ("a\x00b\x1bc", "a\ufffdb\ufffdc"),
        ("\x7f\x85\r", "\ufffd" * 3),
        ("\ud800\ufffe", "\ufffd" * 2),
    ],
)
def test_controls_are_shown_as_such(text: str, shown: str) -> None:
    """Each is replaced by the sign for what cannot be shown; tabs and lines stay."""
    assert without_controls(text) == shown
