"""Texts that anybody may have written, as files and pages can hold them."""

import re

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def without_controls(text: str) -> str:
    """Return *text* without what no file of text may hold, whoever wrote it."""
    return _CONTROLS.sub("\ufffd", text)
